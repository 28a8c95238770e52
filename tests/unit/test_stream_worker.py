"""The one loop of every stage: poison is put aside, trouble is waited out, nothing is committed before its effect."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import SQLModel

from stream import latency
from stream.database import open_database
from stream.errors import EvidenceError, LogError, PoisonError
from stream.heartbeat import Heartbeat, stages_since, total
from stream.log import Consumer, Log, Position, Topic, open_log
from stream.messages import DeadLetter, Reading, SourceEnded, decode, encode, utc_now
from stream.settings import LogSettings
from stream.worker import Item, Worker, transient

PATIENCE = 20.0
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def message(number: int) -> bytes:
    return encode(SourceEnded(mine="mine", camera="c", sequence=number, captured_at=EPOCH, reason=""))


class Stage:
    """Writes what it is handed to a list, and does what a test tells it with some of it."""

    name = "stage"
    topics: Sequence[Topic] = ("risks",)
    batch = 10

    def __init__(self, act: Callable[[int], None] = lambda number: None) -> None:
        self.act = act
        self.handled: list[int] = []
        self.batches: list[int] = []
        self.told: list[frozenset[tuple[Topic, int]]] = []
        self.idled = threading.Event()
        self.closed = False
        self.seek_to: Position | None = None

    def assigned(self, consumer: Consumer, partitions: frozenset[tuple[Topic, int]]) -> None:
        self.told.append(partitions)
        if self.seek_to is not None:
            consumer.seek(self.seek_to)

    def handle(self, items: Sequence[Item]) -> None:
        for item in items:
            assert isinstance(item.message, SourceEnded)
            self.act(item.message.sequence)
        self.batches.append(len(items))
        self.handled += [item.message.sequence for item in items if isinstance(item.message, SourceEnded)]

    def idle(self) -> None:
        self.idled.set()

    def close(self) -> None:
        self.closed = True


class House:
    """A log, a database and a stage at work in a thread."""

    def __init__(self, folder: Path) -> None:
        self.settings = LogSettings(folder=folder / "log", partitions=1)
        self.url = f"sqlite:///{folder}/database.db"
        self.engine = open_database(self.url)
        SQLModel.metadata.create_all(self.engine)
        self.log: Log = open_log(self.settings)
        self.stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, stage: Stage) -> None:
        self.stop.clear()
        heartbeat = Heartbeat(self.engine, "mine", stage.name)
        worker = Worker(stage, self.log, "mine", heartbeat, self.stop)
        self._thread = threading.Thread(target=worker.run)
        self._thread.start()

    def drain(self) -> None:
        self.stop.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)
            assert not self._thread.is_alive()

    def letters(self) -> list[DeadLetter]:
        consumer = self.log.subscribe("reader of letters", ["dead-letters"])
        letters = [decode(r.value) for r in consumer.poll(1000, 0.2)]
        consumer.close()
        return [letter for letter in letters if isinstance(letter, DeadLetter)]

    def counted(self, name: str) -> int:
        return total(stages_since(self.engine, "mine", EPOCH))[name]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.drain()
    house.log.close()
    house.engine.dispose()


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def done(house: House) -> bool:
    return house.log.lag("stage", "risks") == 0


def test_everything_is_handled_in_order_and_committed(house: House) -> None:
    stage = Stage()
    for number in range(35):
        house.log.append("risks", "mine/c", message(number))
    house.start(stage)
    eventually(lambda: done(house))
    eventually(stage.idled.is_set)
    house.drain()
    assert stage.handled == list(range(35))
    assert max(stage.batches) <= stage.batch
    assert stage.told == [frozenset({("risks", 0)})]
    assert stage.closed
    (row,) = stages_since(house.engine, "mine", EPOCH)
    assert (row.ready, row.ended) == (True, True)


def test_how_old_each_input_was_when_it_was_done_is_counted(house: House) -> None:
    class Sensing(Stage):
        def handle(self, items: Sequence[Item]) -> None:
            self.handled += [len(items)]

    at = utc_now() - timedelta(seconds=7)
    value = Reading(
        mine="mine", sensor="s", place="p", quantity="methane", value=1, unit="%", sequence=1, captured_at=at, read_at=at
    )  # fmt: skip
    for data in (encode(value), encode(value), message(3)):
        house.log.append("risks", "mine/s", data)
    house.start(Sensing())
    eventually(lambda: done(house))
    house.drain()
    found = latency.split(total(stages_since(house.engine, "mine", EPOCH)))[1]
    assert found.total == 2
    assert dict(found.counts)["5.0"] == 0
    assert found.seconds >= 14


def test_poison_is_put_aside_and_the_rest_flows(house: House) -> None:
    def act(number: int) -> None:
        if number == 3:
            raise PoisonError("Frame 3 is no picture.")
        if number == 5:
            raise ZeroDivisionError("something that nobody foresaw")

    stage = Stage(act)
    for number in range(8):
        house.log.append("risks", "mine/c", message(number))
    broken = house.log.append("risks", "mine/c", b"no message at all")
    house.start(stage)
    eventually(lambda: done(house))
    house.drain()
    assert stage.handled == [0, 1, 2, 4, 6, 7]
    letters = {letter.offset: letter for letter in house.letters()}
    assert set(letters) == {3, 5, broken.offset}
    assert letters[3].reason == "Frame 3 is no picture."
    assert "nobody foresaw" in letters[5].reason
    assert "ZeroDivisionError" in letters[5].stack
    assert letters[broken.offset].payload == b"no message at all"
    assert (letters[3].stage, letters[3].topic, letters[3].key) == ("stage", "risks", "mine/c")
    assert house.counted("dead_letters") == 3


@pytest.mark.parametrize(
    "trouble",
    [
        OperationalError("INSERT", {}, Exception("the server closed the connection")),
        LogError("The log does not answer."),
    ],
)
def test_trouble_is_waited_out(house: House, trouble: Exception) -> None:
    failures = iter(range(3))

    def act(number: int) -> None:
        if number == 2 and next(failures, None) is not None:
            raise trouble

    stage = Stage(act)
    for number in range(5):
        house.log.append("risks", "mine/c", message(number))
    house.start(stage)
    eventually(lambda: done(house))
    house.drain()
    assert stage.handled == [0, 1, 2, 3, 4]
    assert house.letters() == []
    assert house.counted("retries") == 3


def test_a_real_database_that_is_away_for_a_while(house: House, tmp_path: Path) -> None:
    """The table is missing until the migration has run."""

    def act(number: int) -> None:
        with house.engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO effect VALUES (?)", (number,))

    stage = Stage(act)
    house.log.append("risks", "mine/c", message(7))
    house.start(stage)
    eventually(lambda: house.counted("retries") >= 1)
    assert not done(house)
    with house.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE effect (number INTEGER)")
    eventually(lambda: done(house))
    assert house.letters() == []


def test_a_stop_in_the_middle_of_trouble_leaves_the_batch_for_later(house: House) -> None:
    def act(number: int) -> None:
        raise LogError("The log does not answer.")

    house.log.append("risks", "mine/c", message(1))
    house.start(Stage(act))
    eventually(lambda: house.counted("retries") >= 1)
    begun = time.monotonic()
    house.drain()
    assert time.monotonic() - begun < 3
    assert not done(house)
    stage = Stage()
    house.start(stage)
    eventually(lambda: done(house))
    assert stage.handled == [1]


def test_a_stop_drains_the_batch_in_hand(house: House) -> None:
    begun = threading.Event()

    def act(number: int) -> None:
        begun.set()
        time.sleep(0.05)

    stage = Stage(act)
    for number in range(30):
        house.log.append("risks", "mine/c", message(number))
    house.start(stage)
    assert begun.wait(PATIENCE)
    house.drain()
    assert stage.handled == list(range(len(stage.handled)))
    assert len(stage.handled) % stage.batch == 0
    assert 0 < len(stage.handled) < 30
    assert house.log.lag("stage", "risks") == 30 - len(stage.handled)


def test_a_stage_may_seek_when_it_is_given_partitions(house: House) -> None:
    positions = [house.log.append("risks", "mine/c", message(number)) for number in range(6)]
    stage = Stage()
    stage.seek_to = positions[4]
    house.start(stage)
    eventually(lambda: done(house))
    assert stage.handled == [4, 5]


def _effect_then_wait(settings: LogSettings, url: str, effects: str) -> None:
    """A stage that makes its effect durable and dies before it can commit."""

    def act(number: int) -> None:
        with Path(effects).open("a") as file:
            file.write(f"{number}\n")
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    heartbeat = Heartbeat(open_database(url), "mine", "stage")
    Worker(Stage(act), open_log(settings), "mine", heartbeat, threading.Event()).run()


def test_a_kill_between_effect_and_commit_delivers_again(house: House, tmp_path: Path) -> None:
    effects = tmp_path / "effects"
    for number in range(5):
        house.log.append("risks", "mine/c", message(number))
    arguments = (house.settings, house.url, str(effects))
    process = multiprocessing.get_context("spawn").Process(target=_effect_then_wait, args=arguments)
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == -signal.SIGKILL
    assert effects.read_text().split() == ["0", "1", "2"]
    assert not done(house)
    stage = Stage()
    house.start(stage)
    eventually(lambda: done(house))
    assert stage.handled == [0, 1, 2, 3, 4]


def test_what_counts_as_trouble_and_what_as_poison() -> None:
    full = EvidenceError("Evidence cannot be written.")
    full.__cause__ = OSError(28, "No space left on device")
    gone = EvidenceError("Evidence cannot be read.")
    gone.__cause__ = FileNotFoundError(2, "No such file")
    assert transient(full)
    assert not transient(gone)
    assert not transient(EvidenceError("Evidence was altered."))
    assert transient(LogError("The log does not answer."))
    assert not transient(IntegrityError("INSERT", {}, Exception("UNIQUE")))
    assert not transient(PoisonError("no picture"))
