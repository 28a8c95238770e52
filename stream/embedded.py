"""The log on one machine: topics, partitions and consumer groups in LMDB, for any number of processes."""

import math
import os
import threading
import time
from collections.abc import Sequence
from uuid import uuid4

import lmdb
import structlog

from stream import ledger as book
from stream import membership
from stream.environment import Files, open_files, prose, release_files
from stream.errors import LogError, LogFencedError
from stream.log import DURABLE, MESSAGE_BYTES, Position, Record, Topic
from stream.settings import LogSettings

IDLE_LIMIT = 300.0
"""Seconds of work on one batch after which a member is taken for stuck, and its partitions for free."""

_REFRESH = 0.5
_BEAT = 1.0
_DROPS = 4  # records that one append may drop for their age: more than come in, so that it catches up
_logger = structlog.get_logger()


class EmbeddedLog:
    """The Log protocol over a folder. A process that was forked opens the folder anew by itself."""

    def __init__(self, settings: LogSettings) -> None:
        self._settings = settings
        self._guard = threading.Lock()
        self._files: Files | None = open_files(settings.folder, settings.frames_bytes)

    def files(self) -> Files:
        """The open files. Raises LogError once the log is closed."""
        with self._guard:
            if self._files is None:
                raise LogError(f"The log in {self._settings.folder} was closed before this use of it.")
            if self._files.process != os.getpid():
                self._files = open_files(self._settings.folder, self._settings.frames_bytes)
            return self._files

    def append(self, topic: Topic, key: str, value: bytes) -> Position:
        """Write one record; where frames then outgrow the ring, the oldest go."""
        if len(value) > MESSAGE_BYTES:
            raise LogError(
                f"A message of {len(value)} bytes from {key} is too large for the log: {MESSAGE_BYTES} is the most."
            )
        files, settings = self.files(), self._settings
        with prose(files.folder), files.of(topic).begin(write=True, buffers=True) as txn:
            ledger = _ledger(files, txn, topic, settings.partitions)
            number = book.partition_of(key, len(ledger.partitions))
            if topic not in DURABLE:
                _reserve(files, topic, number, ledger.partitions[number])
            offset = book.add(txn, topic, ledger, number, key, value)
            if topic == "frames":
                book.drop_over(txn, topic, ledger, settings.frames_bytes)
            else:
                book.drop_older(txn, topic, ledger, number, time.time() - 3600 * settings.retention_hours, _DROPS)
            book.store(txn, topic, ledger)
        return Position(topic, number, offset)

    def subscribe(self, group: str, topics: Sequence[Topic]) -> "EmbeddedConsumer":
        """Join a group; it holds at once what no other member does."""
        return EmbeddedConsumer(self, self._settings, group, topics)

    def lag(self, group: str, topic: Topic) -> int:
        """How many kept records the group has not committed."""
        files = self.files()
        with prose(files.folder), files.of(topic).begin(buffers=True) as txn:
            ledger = book.load(txn, topic)
            return sum(
                partition.between(
                    max(partition.first, membership.load_progress(txn, group, topic, number).next), partition.next
                )
                for number, partition in enumerate(ledger.partitions if ledger else ())
            )

    def flush(self) -> None:
        """Nothing waits in this process: an append is written when it returns."""

    def close(self) -> None:
        """Let go of the files."""
        with self._guard:
            files, self._files = self._files, None
        if files is not None and files.process == os.getpid():
            release_files(files)


class EmbeddedConsumer:
    """One member of a group. ``skipped`` counts records that were dropped from the log before they were read."""

    def __init__(self, log: EmbeddedLog, settings: LogSettings, group: str, topics: Sequence[Topic]) -> None:
        self.skipped = 0
        self._log = log
        self._group = group
        self._topics = list(topics)
        self._partitions: dict[Topic, int] = {}
        self._identity = uuid4().hex
        self._held: dict[tuple[Topic, int], int] = {}  # epoch of each
        self._following: dict[tuple[Topic, int], int] = {}
        self._turn = 0
        self._refreshed_at = -math.inf
        self._polled_at = time.monotonic()
        self._lost = False
        self._closed = threading.Event()
        for topic in topics:
            self._partitions[topic] = self._prepare(topic, settings.partitions)
        self._join()
        self._changed()  # what nobody holds is this member's at once
        self._beats = threading.Thread(target=self._beat, name=f"member of {group}", daemon=True)
        self._beats.start()

    def poll(self, limit: int, timeout: float) -> list[Record]:
        """Records in order within each partition; nothing where the assignment changed in this poll."""
        deadline = time.monotonic() + timeout
        pause = 0.001
        while True:
            self._polled_at = time.monotonic()
            if self._changed():
                return []
            records = self._read(limit)
            left = deadline - time.monotonic()
            if records or left <= 0:
                return records
            self._closed.wait(min(pause, left))
            pause = min(pause * 1.5, 0.02)

    def seek(self, position: Position) -> None:
        """Read on from ``position``; without effect where another member holds its partition."""
        if (position.topic, position.partition) in self._held:
            self._following[position.topic, position.partition] = position.offset

    def assigned(self) -> frozenset[tuple[Topic, int]]:
        """What this member held at the last poll."""
        return frozenset(self._held)

    def commit(self, positions: Sequence[Position]) -> None:
        """Note how far the group has come; what is still held is noted even where another partition is refused."""
        files = self._log.files()
        refused: list[Position] = []
        for environment in (files.fast, files.durable):
            mine = [p for p in positions if files.of(p.topic) is environment]
            if mine:
                with prose(files.folder), environment.begin(write=True, buffers=True) as txn:
                    refused += [p for p in mine if not self._note(txn, p)]
        if refused:
            for position in refused:
                self._forget((position.topic, position.partition))
            self._lost = True
            raise LogFencedError(
                f"{self._group} no longer holds {', '.join(map(str, refused))}: another member has taken over."
            )

    def close(self) -> None:
        """Leave the group, so that others go on at once."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._beats.join()
        self._held.clear()
        files = self._log.files()
        with prose(files.folder), files.fast.begin(write=True, buffers=True) as txn:
            membership.leave(txn, self._group, self._identity)

    def _prepare(self, topic: Topic, partitions: int) -> int:
        files = self._log.files()
        with prose(files.folder):
            with files.of(topic).begin(buffers=True) as txn:
                ledger = book.load(txn, topic)
            if ledger is None:
                with files.of(topic).begin(write=True, buffers=True) as txn:
                    ledger = _ledger(files, txn, topic, partitions)
                    book.store(txn, topic, ledger)
        return len(ledger.partitions)

    def _join(self) -> None:
        files = self._log.files()
        with prose(files.folder), files.fast.begin(write=True, buffers=True) as txn:
            membership.join(txn, self._group, self._identity, self._topics)

    def _beat(self) -> None:
        """Keep the membership while a batch takes long, but not for ever."""
        while not self._closed.wait(_BEAT):
            if time.monotonic() - self._polled_at > IDLE_LIMIT:
                continue
            try:
                files = self._log.files()
                with prose(files.folder), files.fast.begin(write=True, buffers=True) as txn:
                    membership.beat(txn, self._group, self._identity)
            except LogError as error:
                _logger.warning("no sign of life given", group=self._group, reason=str(error))

    def _changed(self) -> bool:
        """Bring the assignment up to date; True where it changed since the last poll."""
        lost, self._lost = self._lost, False
        now = time.monotonic()
        if lost or now - self._refreshed_at < _REFRESH:
            return lost
        self._refreshed_at = now
        files = self._log.files()
        with prose(files.folder), files.fast.begin(write=True, buffers=True) as txn:
            held = membership.refresh(txn, self._group, self._identity, self._partitions)
        if held is None:
            _logger.warning("taken for dead, joining again", group=self._group)
            self._refreshed_at = -math.inf
            self._join()
            held = frozenset()
        before = self.assigned()
        for name in before - held:
            self._forget(name)
        self._claim(held - before)
        return held != before

    def _claim(self, taken: frozenset[tuple[Topic, int]]) -> None:
        files = self._log.files()
        for environment in (files.fast, files.durable):
            mine = [name for name in taken if files.of(name[0]) is environment]
            if not mine:
                continue
            with prose(files.folder), environment.begin(write=True, buffers=True) as txn:
                for name in mine:
                    progress = membership.claim(txn, self._group, *name)
                    self._held[name] = progress.epoch
                    self._following[name] = progress.next

    def _forget(self, name: tuple[Topic, int]) -> None:
        self._held.pop(name, None)
        self._following.pop(name, None)

    def _note(self, txn: lmdb.Transaction, position: Position) -> bool:
        epoch = self._held.get((position.topic, position.partition))
        return epoch is not None and membership.commit(
            txn, self._group, position.topic, position.partition, position.offset + 1, epoch
        )

    def _read(self, limit: int) -> list[Record]:
        """Take from each partition in turn, so that a busy one does not starve the others."""
        names = sorted(self._held)
        if not names:
            return []
        self._turn = (self._turn + 1) % len(names)
        names = names[self._turn :] + names[: self._turn]
        files = self._log.files()
        records: list[Record] = []
        for share in (max(1, limit // len(names)), limit):
            for name in names:
                if len(records) < limit:
                    records += self._take(files, name, min(share, limit - len(records)))
        return records

    def _take(self, files: Files, name: tuple[Topic, int], limit: int) -> list[Record]:
        topic, number = name
        with prose(files.folder), files.of(topic).begin(buffers=True) as txn:
            ledger = book.load(txn, topic)
            if ledger is None:
                return []
            partition = ledger.partitions[number]
            start = self._following[name]
            if start < partition.first:
                self._skip(name, 0 if start < 0 else partition.between(start, partition.first))
                start = partition.first
            found = book.read(txn, topic, number, start, limit) if start < partition.next else []
        if found:
            self._following[name] = found[-1][0] + 1
        return [Record(Position(topic, number, offset), key, value) for offset, key, value in found]

    def _skip(self, name: tuple[Topic, int], count: int) -> None:
        if count:
            self.skipped += count
            _logger.warning(
                "records were dropped before they were read",
                group=self._group,
                topic=name[0],
                partition=name[1],
                count=count,
            )


def _ledger(files: Files, txn: lmdb.Transaction, topic: Topic, partitions: int) -> book.Ledger:
    ledger = book.load(txn, topic)
    if ledger is not None:
        return ledger
    if topic in DURABLE:
        return book.begin(partitions, {})
    with files.durable.begin() as other:
        marks = {n: int(other.get(_reserve_key(topic, n), b"0")) for n in range(partitions)}
    return book.begin(partitions, marks)


def _reserve(files: Files, topic: Topic, number: int, partition: book.Partition) -> None:
    """Note on disk that offsets up to a mark may be given out: after a power cut they are not given out again."""
    if partition.next < partition.reserved:
        return
    partition.reserved = partition.next + book.RESERVE
    with files.durable.begin(write=True) as other:
        other.put(_reserve_key(topic, number), str(partition.reserved).encode())


def _reserve_key(topic: Topic, number: int) -> bytes:
    return b"O" + f"{topic}\x1f{number}".encode()
