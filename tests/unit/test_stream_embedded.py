"""What the embedded log promises beyond the contract: its ring, its ages, its files, forks and power cuts."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from stream import embedded, environment, membership
from stream.embedded import EmbeddedConsumer, EmbeddedLog
from stream.errors import LogError
from stream.ledger import Partition, partition_of
from stream.log import Position, Record
from stream.settings import LogSettings

MEGABYTE = 1024**2


@pytest.fixture
def settings(tmp_path: Path) -> LogSettings:
    return LogSettings(folder=tmp_path / "log", frames_bytes=16 * MEGABYTE)


@pytest.fixture
def log(settings: LogSettings) -> Iterator[EmbeddedLog]:
    log = EmbeddedLog(settings)
    yield log
    log.close()


def drain(consumer: EmbeddedConsumer, most: int = 100_000) -> list[Record]:
    records: list[Record] = []
    while found := consumer.poll(min(100, most - len(records)) or 1, 0.05):
        records += found
    return records


def used(folder: Path) -> int:
    return (folder / "fast" / "data.mdb").stat().st_blocks * 512


def test_the_oldest_frames_go_and_the_file_stays_small(log: EmbeddedLog, settings: LogSettings) -> None:
    frame = os.urandom(MEGABYTE // 4)
    for number in range(400):
        log.append("frames", f"mine/camera-{number % 5}", number.to_bytes(4, "big") + frame)
    consumer = log.subscribe("vision", ["frames"])
    numbers = sorted(int.from_bytes(r.value[:4], "big") for r in drain(consumer))
    consumer.close()
    assert numbers == list(range(400 - len(numbers), 400)), "the newest are kept, whatever camera they are of"
    assert 60 <= len(numbers) <= 64
    assert used(settings.folder) < 3 * 16 * MEGABYTE


def test_a_reader_that_falls_out_of_the_ring_is_told_what_it_missed(log: EmbeddedLog) -> None:
    consumer = log.subscribe("vision", ["frames"])
    for _ in range(3):
        log.append("frames", "mine/belt", b"seen")
    assert len(drain(consumer)) == 3
    for number in range(40):
        log.append("frames", "mine/belt", number.to_bytes(4, "big") + bytes(MEGABYTE))
    with capture_logs() as said:
        found = drain(consumer)
    consumer.close()
    assert consumer.skipped == 40 - len(found) > 20
    assert sum(entry.get("count", 0) for entry in said) == consumer.skipped
    assert int.from_bytes(found[-1].value[:4], "big") == 39


def test_lag_counts_only_what_is_kept(log: EmbeddedLog) -> None:
    for _ in range(40):
        log.append("frames", "mine/belt", bytes(MEGABYTE))
    assert log.lag("vision", "frames") == 15


def test_readings_go_by_age(settings: LogSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    log = EmbeddedLog(settings.model_copy(update={"retention_hours": 1.0}))
    now = time.time()
    for age, count in ((7200, 30), (1800, 30)):
        monkeypatch.setattr(time, "time", lambda age=age: now - age)
        for number in range(count):
            log.append("readings", "mine/ch4", f"{age} {number}".encode())
            log.append("risks", "mine/ch4", f"{age} {number}".encode())
    monkeypatch.undo()
    for topic in ("readings", "risks"):
        consumer = log.subscribe("limits", [topic])
        assert [r.value.decode() for r in drain(consumer)] == [f"1800 {n}" for n in range(30)]
        consumer.close()
    log.close()


def test_a_newer_format_is_refused(settings: LogSettings) -> None:
    EmbeddedLog(settings).close()
    (settings.folder / "format").write_text(f"{environment.FORMAT + 1}\n")
    with pytest.raises(LogError, match="a newer release wrote it"):
        EmbeddedLog(settings)


def test_a_folder_of_something_else_is_refused(settings: LogSettings) -> None:
    settings.folder.mkdir()
    (settings.folder / "format").write_text("paperback")
    with pytest.raises(LogError, match="no log of Minewatch"):
        EmbeddedLog(settings)


@pytest.mark.parametrize("place", ["/proc/minewatch", "file/log"])
def test_a_folder_that_cannot_be_written_is_told(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError, match="cannot be used"):
        EmbeddedLog(LogSettings(folder=tmp_path / place))


def test_a_damaged_file_is_told(settings: LogSettings) -> None:
    EmbeddedLog(settings).close()
    (settings.folder / "durable" / "data.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(LogError, match="cannot be used"):
        EmbeddedLog(settings)


def test_a_closed_log_is_told(settings: LogSettings) -> None:
    log = EmbeddedLog(settings)
    log.close()
    log.close()
    with pytest.raises(LogError, match="was closed"):
        log.append("risks", "mine/belt", b"")


def test_two_logs_of_one_process_share_the_folder(settings: LogSettings) -> None:
    one, other = EmbeddedLog(settings), EmbeddedLog(settings)
    one.append("risks", "mine/belt", b"risk")
    one.close()
    assert other.lag("disposal", "risks") == 1
    other.append("risks", "mine/belt", b"risk")
    other.close()


def test_partitions_are_kept_when_the_setting_changes(settings: LogSettings) -> None:
    log = EmbeddedLog(settings)
    before = log.append("risks", "mine/belt", b"one")
    log.close()
    log = EmbeddedLog(settings.model_copy(update={"partitions": 16}))
    assert log.append("risks", "mine/belt", b"two") == before._replace(offset=before.offset + 1)
    log.close()


def test_a_forked_process_opens_the_folder_anew(log: EmbeddedLog) -> None:
    log.append("risks", "mine/belt", b"parent")
    child = os.fork()
    if child == 0:
        try:
            log.append("risks", "mine/belt", b"child")
            log.append("frames", "mine/belt", b"child")
            log.close()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - a child of a test must never return into it
            os._exit(1)
    for _ in range(50):
        log.append("risks", "mine/belt", b"parent")
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert log.lag("disposal", "risks") == 52
    assert log.lag("vision", "frames") == 1


def test_many_writers_keep_every_record(log: EmbeddedLog) -> None:
    def write(name: int) -> None:
        for number in range(200):
            log.append("frames", f"mine/camera-{name}", f"{name} {number}".encode())

    threads = [threading.Thread(target=write, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    consumer = log.subscribe("vision", ["frames"])
    records = drain(consumer)
    consumer.close()
    for name in range(8):
        mine = [r.value.decode() for r in records if r.key == f"mine/camera-{name}"]
        assert mine == [f"{name} {number}" for number in range(200)]


def reboot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine went down and came up again: the kernel has another boot id now."""
    monkeypatch.setattr(environment, "_boot_identity", lambda: b"another boot")


def test_after_an_orderly_stop_a_reboot_keeps_everything(
    settings: LogSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = EmbeddedLog(settings)
    before = log.append("frames", "mine/belt", b"frame")
    log.close()
    reboot(monkeypatch)
    log = EmbeddedLog(settings)
    assert log.lag("vision", "frames") == 1
    assert log.append("frames", "mine/belt", b"frame").offset == before.offset + 1
    log.close()


def test_after_a_power_cut_frames_begin_anew_and_no_offset_comes_twice(
    settings: LogSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = EmbeddedLog(settings)
    for _ in range(10):
        last = log.append("frames", "mine/belt", b"frame")
    risk = log.append("risks", "mine/belt", b"risk")
    shutil.copytree(settings.folder, tmp_path / "after the cut")
    log.close()

    reboot(monkeypatch)
    with capture_logs() as said:
        log = EmbeddedLog(settings.model_copy(update={"folder": tmp_path / "after the cut"}))
    assert any("begun anew" in entry["event"] for entry in said)
    assert log.lag("disposal", "risks") == 1
    assert log.append("risks", "mine/belt", b"risk") == risk._replace(offset=risk.offset + 1)
    assert log.lag("vision", "frames") == 0
    first = log.append("frames", "mine/belt", b"frame")
    assert first.offset > last.offset
    assert log.lag("vision", "frames") == 1, "offsets that never were do not count"
    consumer = log.subscribe("vision", ["frames"])
    consumer.seek(Position("frames", last.partition, last.offset + 1))
    assert [r.position for r in drain(consumer)] == [first]
    assert consumer.skipped == 0
    consumer.close()
    log.close()


def test_a_member_that_shows_no_life_loses_its_partitions_and_learns_it(
    log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a process is stopped for a while and goes on later: it must not believe that it still holds them."""
    monkeypatch.setattr(membership, "TIMEOUT", 1.0)
    monkeypatch.setattr(embedded, "IDLE_LIMIT", 0.0)  # the signs of life end with the last poll
    log.append("risks", "mine/belt", b"risk")
    paused = log.subscribe("disposal", ["risks"])
    assert len(drain(paused)) == 1
    other = log.subscribe("disposal", ["risks"])
    deadline = time.monotonic() + 20
    while not (taken := drain(other)):
        assert time.monotonic() < deadline
    assert len(other.assigned()) == 4
    assert paused.poll(10, 0.1) == []
    assert paused.assigned() == frozenset(), "it is told that all was lost before it holds anything again"
    assert taken[0].value == b"risk"
    paused.close()
    other.close()


def test_keys_keep_their_partition() -> None:
    assert [partition_of(f"mine/camera-{n}", 4) for n in range(8)] == [0, 2, 0, 2, 1, 3, 1, 3]


def test_offsets_that_never_were_do_not_count() -> None:
    partition = Partition(first=5, next=130, jumps=[(10, 100)])
    assert partition.between(5, 130) == 35
    assert partition.between(0, 10) == 10
    assert partition.between(20, 90) == 0
    assert partition.between(50, 40) == 0
