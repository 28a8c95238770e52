"""What every log promises, held against each of them: the embedded one and a real Apache Kafka."""

import gc
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from multiprocessing.synchronize import Event
from pathlib import Path
from uuid import uuid4

import pytest
from kafka import KafkaProducer
from sqlmodel import SQLModel

from stream.broker import LocalBroker
from stream.database import open_database
from stream.errors import ConfigurationError, LogError, LogFencedError, PoisonError
from stream.heartbeat import Heartbeat
from stream.kafka_link import PENDING_BYTES
from stream.log import MESSAGE_BYTES, TOPICS, Consumer, Log, Position, Record, Topic, open_log
from stream.messages import VERSION, DeadLetter, Health, decode, encode, utc_now
from stream.settings import LogSettings
from stream.worker import Item, Worker

PATIENCE = 60.0
KEYS = [f"mine/camera-{n}" for n in range(8)]


@pytest.fixture(params=["embedded", "kafka"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> LogSettings:
    if request.param == "embedded":
        return LogSettings(folder=tmp_path / "log")
    address = request.getfixturevalue("kafka")
    return LogSettings(url=f"kafka://{address}", prefix=f"test-{uuid4().hex[:8]}")


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def log(settings: LogSettings, opened: ExitStack) -> Log:
    log = open_log(settings)
    opened.callback(log.close)
    return log


@pytest.fixture
def subscribe(log: Log, opened: ExitStack) -> Callable[..., Consumer]:
    def subscribe(group: str, *topics: Topic) -> Consumer:
        consumer = log.subscribe(group, topics)
        opened.callback(consumer.close)
        return consumer

    return subscribe


def collect(consumer: Consumer, count: int, *others: Consumer, commit: bool = False) -> list[Record]:
    """Poll until ``count`` records came; fails where they do not, or where more come."""
    records: list[Record] = []
    deadline = time.monotonic() + PATIENCE
    while len(records) < count:
        assert time.monotonic() < deadline, f"{len(records)} of {count} records came"
        for member in (consumer, *others):
            came = member.poll(100, 0.1)
            records += came
            if came and commit:
                member.commit(last_of(came))
    assert len(records) == count
    return records


def last_of(records: list[Record]) -> list[Position]:
    last = {(r.position.topic, r.position.partition): r.position for r in records}
    return list(last.values())


def settle(*consumers: Consumer, partitions: int) -> None:
    """Poll until the consumers hold ``partitions`` between them, and each holds some."""
    deadline = time.monotonic() + PATIENCE
    while True:
        for consumer in consumers:
            assert consumer.poll(100, 0.05) == []
        held = [consumer.assigned() for consumer in consumers]
        if all(held) and len(frozenset().union(*held)) == sum(map(len, held)) == partitions:
            return
        assert time.monotonic() < deadline, f"partitions are held like this: {held}"


def fill(log: Log, topic: Topic, each: int, start: int = 0) -> None:
    for number in range(start, start + each):
        for key in KEYS:
            log.append(topic, key, f"{key} {number}".encode())
    log.flush()


@pytest.mark.parametrize("topic", TOPICS)
def test_order_is_kept_for_each_key(log: Log, subscribe: Callable[..., Consumer], topic: Topic) -> None:
    fill(log, topic, 25)
    records = collect(subscribe("readers", topic), 200)
    for key in KEYS:
        mine = [r for r in records if r.key == key]
        assert [r.value.decode() for r in mine] == [f"{key} {n}" for n in range(25)]
        assert len({r.position.partition for r in mine}) == 1
        offsets = [r.position.offset for r in mine]
        assert offsets == sorted(set(offsets))


def test_a_durable_append_says_where_the_record_stands(log: Log, subscribe: Callable[..., Consumer]) -> None:
    positions = [log.append("risks", key, b"risk") for key in KEYS]
    read = collect(subscribe("readers", "risks"), len(KEYS))
    assert {r.key: r.position for r in read} == dict(zip(KEYS, positions, strict=True))


def test_each_group_reads_everything(log: Log, subscribe: Callable[..., Consumer]) -> None:
    fill(log, "readings", 5)
    one, other = subscribe("one", "readings"), subscribe("other", "readings")
    assert {r.value for r in collect(one, 40)} == {r.value for r in collect(other, 40)}


def test_a_group_goes_on_behind_what_it_committed(log: Log, subscribe: Callable[..., Consumer]) -> None:
    fill(log, "risks", 5)
    first = subscribe("readers", "risks")
    collect(first, 40, commit=True)
    first.close()
    fill(log, "risks", 1, start=5)
    values = {r.value.decode() for r in collect(subscribe("readers", "risks"), 8)}
    assert values == {f"{key} 5" for key in KEYS}


def test_what_was_not_committed_comes_again(log: Log, subscribe: Callable[..., Consumer]) -> None:
    fill(log, "risks", 5)
    first = subscribe("readers", "risks")
    taken = collect(first, 40)
    done = [r for r in taken if r.position.partition == taken[0].position.partition][:3]
    first.commit(last_of(done))
    first.close()
    again = collect(subscribe("readers", "risks"), 37)
    assert {r.position for r in again} == {r.position for r in taken} - {r.position for r in done}


def test_lag_counts_what_is_not_committed(log: Log, subscribe: Callable[..., Consumer]) -> None:
    assert log.lag("readers", "frames") == 0
    fill(log, "frames", 5)
    assert log.lag("readers", "frames") == 40
    consumer = subscribe("readers", "frames")
    records = collect(consumer, 40)
    assert log.lag("readers", "frames") == 40, "reading alone does nothing to the lag"
    done = [r for r in records if r.position.partition == records[0].position.partition]
    consumer.commit(last_of(done))
    eventually(lambda: log.lag("readers", "frames") == 40 - len(done))
    consumer.commit(last_of(records))
    eventually(lambda: log.lag("readers", "frames") == 0)


def test_seek_reads_again_from_there(log: Log, subscribe: Callable[..., Consumer]) -> None:
    for number in range(10):
        log.append("risks", KEYS[0], str(number).encode())
    consumer = subscribe("readers", "risks")
    records = collect(consumer, 10, commit=True)
    consumer.seek(records[4].position)
    assert [r.value for r in collect(consumer, 6)] == [b"4", b"5", b"6", b"7", b"8", b"9"]


def test_a_seek_right_after_the_assignment_holds(log: Log, subscribe: Callable[..., Consumer]) -> None:
    positions = [log.append("risks", KEYS[0], str(number).encode()) for number in range(10)]
    consumer = subscribe("readers", "risks")
    deadline = time.monotonic() + PATIENCE
    while ("risks", positions[0].partition) not in consumer.assigned():
        assert consumer.poll(100, 0.1) == [], "a poll in which the assignment changes returns nothing"
        assert time.monotonic() < deadline
    consumer.seek(positions[7])
    assert [r.value for r in collect(consumer, 3)] == [b"7", b"8", b"9"]


def test_large_messages(log: Log, subscribe: Callable[..., Consumer]) -> None:
    sizes = (1_000_000, 60_000, 3_000_000, 250_000)
    for size in sizes:
        log.append("frames", KEYS[0], os.urandom(16) * (size // 16))
    log.flush()
    records = collect(subscribe("readers", "frames"), len(sizes))
    assert [len(r.value) for r in records] == [size // 16 * 16 for size in sizes]


def test_a_message_that_is_too_large_is_refused(log: Log) -> None:
    with pytest.raises(LogError, match="too large"):
        log.append("frames", KEYS[0], bytes(MESSAGE_BYTES + 1))
    assert log.lag("readers", "frames") == 0


def test_two_members_share_the_partitions(log: Log, subscribe: Callable[..., Consumer]) -> None:
    one = subscribe("readers", "risks")
    settle(one, partitions=4)
    other = subscribe("readers", "risks")
    settle(one, other, partitions=4)
    fill(log, "risks", 10)
    records = collect(one, 80, other, commit=True)
    assert len({r.position for r in records}) == 80, "no record came to both"
    assert one.assigned().isdisjoint(other.assigned())
    eventually(lambda: log.lag("readers", "risks") == 0)


def test_a_member_that_leaves_is_replaced(log: Log, subscribe: Callable[..., Consumer]) -> None:
    one, other = subscribe("readers", "risks"), subscribe("readers", "risks")
    settle(one, other, partitions=4)
    other.close()
    fill(log, "risks", 10)
    assert len({r.position for r in collect(one, 80)}) == 80


def test_a_commit_is_refused_once_another_member_has_taken_over(
    log: Log, subscribe: Callable[..., Consumer], settings: LogSettings, opened: ExitStack
) -> None:
    fill(log, "risks", 3)
    one = subscribe("readers", "risks")
    taken = collect(one, 24)
    elsewhere = open_log(settings)
    opened.callback(elsewhere.close)
    other = elsewhere.subscribe("readers", ["risks"])
    opened.callback(other.close)
    settle_dropping(one, other)
    lost = [r for r in taken if (r.position.topic, r.position.partition) in other.assigned()]
    assert lost
    with pytest.raises(LogFencedError):
        one.commit(last_of(lost))
    again = collect(other, len(lost))
    assert {r.position for r in again} == {r.position for r in lost}


def settle_dropping(*consumers: Consumer) -> None:
    """Poll one after the other, whatever comes, until the last of them holds something."""
    deadline = time.monotonic() + PATIENCE
    while not consumers[-1].assigned():
        for consumer in consumers:
            consumer.poll(1, 0.05)
        assert time.monotonic() < deadline


def test_a_slow_member_keeps_its_partitions(log: Log, subscribe: Callable[..., Consumer]) -> None:
    """Work that lasts longer than a dead member is waited for."""
    fill(log, "risks", 1)
    slow = subscribe("readers", "risks")
    records = collect(slow, 8)
    other = subscribe("readers", "risks")
    working_until = time.monotonic() + 5
    while time.monotonic() < working_until:
        assert other.poll(100, 0.2) == []
    slow.commit(last_of(records))


def _consume_until_killed(settings: LogSettings, group: str, started: Event) -> None:
    consumer = open_log(settings).subscribe(group, ["risks"])
    while True:
        if consumer.poll(100, 0.1):
            started.set()


def test_a_killed_member_is_replaced(settings: LogSettings, log: Log, opened: ExitStack) -> None:
    # A broker waits for its session timeout first; five seconds are the embedded log's promise.
    bound = 5 if settings.url == "embedded:" else PATIENCE
    fill(log, "risks", 5)
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    member = context.Process(target=_consume_until_killed, args=(settings, "readers", started))
    member.start()
    assert started.wait(PATIENCE)
    other = log.subscribe("readers", ["risks"])
    opened.callback(other.close)
    assert member.pid is not None
    os.kill(member.pid, signal.SIGKILL)
    killed = time.monotonic()
    member.join()
    assert len({r.position for r in collect(other, 40)}) == 40
    assert time.monotonic() - killed < bound


def _append_until_killed(settings: LogSettings, started: Event, written: str) -> None:
    log = open_log(settings)
    with open(written, "a", buffering=1) as file:  # noqa: PTH123 - one line for each acknowledged record
        number = 0
        while True:
            log.append("risks", KEYS[number % 8], str(number).encode())
            file.write(f"{number}\n")
            number += 1
            if number == 50:
                started.set()


def test_what_was_acknowledged_survives_a_kill_of_the_writer(
    settings: LogSettings, log: Log, subscribe: Callable[..., Consumer], tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    written = tmp_path / "written"
    writer = context.Process(target=_append_until_killed, args=(settings, started, str(written)))
    writer.start()
    assert started.wait(PATIENCE)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    acknowledged = {int(line) for line in written.read_text().split("\n") if line}
    assert len(acknowledged) >= 50
    consumer = subscribe("readers", "risks")
    found: list[int] = []
    deadline = time.monotonic() + PATIENCE
    while not acknowledged <= set(found):
        assert time.monotonic() < deadline
        found += [int(r.value) for r in consumer.poll(100, 0.2)]
    assert len(found) == len(set(found))


def kept(log: Log, topic: Topic) -> int:
    """How many records a group that is new would find."""
    return log.lag(f"new-{uuid4().hex[:8]}", topic)


def test_what_is_older_than_the_retention_goes(settings: LogSettings, opened: ExitStack) -> None:
    """On the embedded log with the appends that follow, on Kafka when its cleaner comes round."""
    log = open_log(settings.model_copy(update={"prefix": f"{settings.prefix}-short", "retention_hours": 3 / 3600}))
    opened.callback(log.close)
    for number in range(20):
        log.append("readings", KEYS[0], f"old {number}".encode())
    log.flush()
    assert kept(log, "readings") == 20
    time.sleep(3.2)
    added = 0

    def gone() -> bool:
        nonlocal added
        log.append("readings", KEYS[0], b"new")
        log.flush()
        added += 1
        return kept(log, "readings") <= added

    eventually(gone)


def test_a_log_that_compresses_gives_back_what_was_put_in(settings: LogSettings, opened: ExitStack) -> None:
    log = open_log(settings.model_copy(update={"prefix": f"{settings.prefix}-gzip", "compression": "gzip"}))
    opened.callback(log.close)
    values = [b"", b"same " * 20_000, os.urandom(100_000)]
    consumer = log.subscribe("readers", ["risks"])
    opened.callback(consumer.close)
    for value in values:
        log.append("risks", KEYS[0], value)
    assert [r.value for r in collect(consumer, 3)] == values


class _Picky:
    """A stage that takes its time, and cannot handle one kind of value."""

    name = "readers"
    topics: Sequence[Topic] = ("risks",)
    batch = 4

    def __init__(self, seconds: float = 0.0, handled: Path | None = None) -> None:
        self.seen: list[str] = []
        self._seconds = seconds
        self._handled = handled

    def assigned(self, consumer: Consumer, partitions: frozenset[tuple[Topic, int]]) -> None:
        """Nothing is remembered."""

    def handle(self, items: Sequence[Item]) -> None:
        if self._handled is not None:
            self._handled.write_text("begun")
        time.sleep(self._seconds)
        for item in items:
            assert isinstance(item.message, Health)
            if item.message.detail == "poison":
                raise PoisonError("This one is poison.")
        self.seen += [item.message.detail for item in items if isinstance(item.message, Health)]

    def idle(self) -> None:
        """Nothing is due."""

    def close(self) -> None:
        """Nothing is open."""


def health(detail: str) -> bytes:
    now = utc_now()
    return encode(Health(mine="mine", source="cam", source_kind="camera", status="ok", detail=detail, observed_at=now))


def heartbeat(folder: Path) -> Heartbeat:
    engine = open_database(f"sqlite:///{folder}/database.db")
    SQLModel.metadata.create_all(engine)
    return Heartbeat(engine, "mine", "readers")


def test_poison_goes_to_the_dead_letters_with_reason_stack_and_origin(
    log: Log, subscribe: Callable[..., Consumer], tmp_path: Path
) -> None:
    newer = health("from a newer release").replace(bytes([VERSION]), bytes([99]), 1)
    for value in (health("one"), health("poison"), b"no message", newer, health("two")):
        log.append("risks", KEYS[0], value)
    stage, stop = _Picky(), threading.Event()
    worker = threading.Thread(target=Worker(stage, log, "mine", heartbeat(tmp_path), stop).run)
    worker.start()
    letters = [decode(r.value) for r in collect(subscribe("auditors", "dead-letters"), 3)]
    eventually(lambda: log.lag("readers", "risks") == 0)
    stop.set()
    worker.join()
    assert stage.seen == ["one", "two"]
    by_offset = sorted((m for m in letters if isinstance(m, DeadLetter)), key=lambda m: m.offset)
    assert [(m.topic, m.key, m.stage) for m in by_offset] == [("risks", KEYS[0], "readers")] * 3
    assert len({m.partition for m in by_offset}) == 1
    assert by_offset[0].reason == "This one is poison."
    assert "PoisonError" in by_offset[0].stack
    assert by_offset[1].payload == b"no message"
    assert "upgrade this stage" in by_offset[2].reason


def _work_until_told(settings: LogSettings, folder: str, handled: str) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    log = open_log(settings)
    Worker(_Picky(1.0, Path(handled)), log, "mine", heartbeat(Path(folder)), stop).run()
    log.close()


def test_told_to_end_a_stage_finishes_what_it_has_in_hand(settings: LogSettings, log: Log, tmp_path: Path) -> None:
    for number in range(12):
        log.append("risks", KEYS[0], health(str(number)))
    handled = tmp_path / "handled"
    process = multiprocessing.get_context("spawn").Process(
        target=_work_until_told, args=(settings, str(tmp_path), str(handled))
    )
    process.start()
    eventually(handled.exists)
    process.terminate()
    process.join(PATIENCE)
    assert process.exitcode == 0
    assert log.lag("readers", "risks") in {4, 8}, "whole batches were committed, and not all of them were begun"


def test_a_topic_with_too_few_partitions_is_refused(kafka: str, opened: ExitStack) -> None:
    narrow = LogSettings(url=f"kafka://{kafka}", prefix=f"narrow-{uuid4().hex[:8]}", partitions=2)
    log = open_log(narrow)
    opened.callback(log.close)
    with pytest.raises(
        ConfigurationError, match=r"has 2 partitions and log\.partitions asks for 4.*log\.partitions = 2"
    ):
        open_log(narrow.model_copy(update={"partitions": 4}))
    wider = open_log(narrow.model_copy(update={"partitions": 1}))
    wider.close()


def test_risks_wait_for_every_replica_and_frames_for_one(
    kafka: str, opened: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    class Watched(KafkaProducer):  # type: ignore[misc]
        def send(self, topic: str, *arguments: object, **more: object) -> object:
            asked.append((topic.partition(".")[2], self.config["acks"]))
            return super().send(topic, *arguments, **more)

    monkeypatch.setattr("stream.kafka_link.KafkaProducer", Watched)
    log = open_log(LogSettings(url=f"kafka://{kafka}", prefix=f"acks-{uuid4().hex[:8]}"))
    opened.callback(log.close)
    for topic in TOPICS:
        log.append(topic, KEYS[0], b"one")
    log.flush()
    everybody = {"risks", "dead-letters"}  # -1 is Kafka's number for acks=all
    assert asked == [(topic, -1 if topic in everybody else 1) for topic in TOPICS]


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # kafka-python's, one for each vain attempt
def test_a_broker_that_is_killed_and_started_loses_nothing(
    own_kafka: LocalBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="kafka")  # its records would hold on to the sockets
    with ExitStack() as opened:
        kill_in_the_middle(own_kafka, opened)
    gc.collect()  # while the filter above holds


def kill_in_the_middle(own_kafka: LocalBroker, opened: ExitStack) -> None:
    before_us = kafka_threads()
    log = open_log(LogSettings(url=f"kafka://{own_kafka.address}"))
    opened.callback(log.close)
    acknowledged: list[int] = []
    enough = threading.Event()

    def append() -> None:
        for number in range(100_000):
            if enough.is_set():
                return
            log.append("frames", KEYS[0], str(number).encode())
            sent.append(number)
            with suppress(LogError):
                log.append("risks", KEYS[0], str(number).encode())
                acknowledged.append(number)

    sent: list[int] = []
    writer = threading.Thread(target=append)
    writer.start()
    opened.callback(writer.join)
    opened.callback(enough.set)
    eventually(lambda: len(acknowledged) > 20)
    own_kafka.kill()
    own_kafka.start()
    before = len(acknowledged)
    eventually(lambda: len(acknowledged) > before + 20)
    enough.set()
    writer.join()
    stall(own_kafka, log)
    consumer = log.subscribe("readers", ["risks", "frames"])
    opened.callback(consumer.close)
    found: dict[str, list[int]] = {"risks": [], "frames": []}
    deadline = time.monotonic() + PATIENCE
    while not set(acknowledged) <= set(found["risks"]) or not set(sent) <= set(found["frames"]):
        assert time.monotonic() < deadline
        for record in consumer.poll(100, 0.2):
            found[record.position.topic].append(int(record.value))
    kept: list[int] = []
    for number in found["frames"]:
        if not kept or number > kept[-1]:
            kept.append(number)
    assert kept == sent, "what was sent again stands behind what it repeats: its reader can tell"
    leave_for_good(own_kafka, log, consumer)
    eventually(lambda: not kafka_threads() - before_us)


def leave_for_good(own_kafka: LocalBroker, log: Log, consumer: Consumer) -> None:
    """Whoever closes what leads to a dead broker is told what was lost, and leaves no thread that looks for it."""
    own_kafka.kill()
    log.append("frames", KEYS[0], b"for nobody")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("stream.kafka_link.ANSWER_SECONDS", 1.0)
        with pytest.raises(LogError):
            log.close()
    consumer.close()


def kafka_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("kafka-")}


def append_many(log: Log, count: int) -> None:
    for _ in range(count):
        log.append("readings", KEYS[0], bytes(1_000_000))


def stall(own_kafka: LocalBroker, log: Log) -> None:
    """A broker that answers nothing presses back: what waits is bounded, and the writer learns of it."""
    eventually(lambda: flushed(log))
    os.kill(own_kafka.pid, signal.SIGSTOP)
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("stream.kafka_link.ANSWER_SECONDS", 1.0)
            with pytest.raises(LogError, match=r"takes nothing more|does not do its work"):
                append_many(log, 2 * PENDING_BYTES // 1_000_000)
    finally:
        os.kill(own_kafka.pid, signal.SIGCONT)
    eventually(lambda: flushed(log))


def flushed(log: Log) -> bool:
    try:
        log.flush()
    except LogError:
        return False
    return True


def test_another_scheme_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"log\.url"):
        open_log(LogSettings(url="redis://localhost"))


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
