"""What the embedded log keeps of one topic: its records by partition and offset, and where each partition stands.

Everything here happens inside a transaction with ``buffers=True`` that the caller holds. Keys sort by kind, topic,
partition and offset.
"""

import struct
import time
from zlib import crc32

import lmdb
import msgspec

from stream.log import TOPICS, Topic

RESERVE = 65_536
"""Offsets of the part without fsync are reserved on disk in steps of this, so that a power cut never repeats one."""

_KEY = struct.Struct(">cBHQ")
_HEAD = struct.Struct(">dH")


class Partition(msgspec.Struct, array_like=True):
    """Offsets ``first`` (oldest kept) to ``next`` (not yet written), and the wall clock when the oldest was written.

    ``jumps`` lists the ranges (from, to) that no record ever had.
    """

    first: int = 0
    next: int = 0
    oldest_at: float = 0.0
    reserved: int = 0
    jumps: list[tuple[int, int]] = []

    def between(self, start: int, end: int) -> int:
        """How many records there are, or were, from offset ``start`` up to but not including ``end``."""
        missing = sum(max(0, min(end, b) - max(start, a)) for a, b in self.jumps)
        return max(0, end - start - missing)


class Ledger(msgspec.Struct, array_like=True):
    """Where the partitions of one topic stand, and how many bytes of records they keep."""

    partitions: list[Partition]
    kept_bytes: int = 0


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Ledger)


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key: the same in every process and release."""
    return crc32(key.encode()) % partitions


def load(txn: lmdb.Transaction, topic: Topic) -> Ledger | None:
    """The ledger of ``topic``; None where nothing was ever written."""
    data = txn.get(_name(topic))
    return None if data is None else _decoder.decode(data)


def begin(partitions: int, marks: dict[int, int]) -> Ledger:
    """An empty ledger. ``marks`` tells for each partition up to where offsets were given out before a power cut."""
    made = [Partition(first=m, next=m, reserved=m) for m in (marks.get(n, 0) for n in range(partitions))]
    for partition in made:
        if partition.next:
            partition.jumps = [(0, partition.next)]
    return Ledger(made)


def store(txn: lmdb.Transaction, topic: Topic, ledger: Ledger) -> None:
    """Write the ledger down."""
    txn.put(_name(topic), _encoder.encode(ledger))


def add(txn: lmdb.Transaction, topic: Topic, ledger: Ledger, number: int, key: str, value: bytes) -> int:
    """Write one record at the end of a partition and answer its offset."""
    now = time.time()
    name = key.encode()
    data = b"".join((_HEAD.pack(now, len(name)), name, value))
    partition = ledger.partitions[number]
    offset = partition.next
    txn.put(_record(topic, number, offset), data)
    if partition.first == offset:
        partition.oldest_at = now
    partition.next = offset + 1
    ledger.kept_bytes += len(data)
    return offset


def read(txn: lmdb.Transaction, topic: Topic, number: int, start: int, limit: int) -> list[tuple[int, str, bytes]]:
    """At most ``limit`` records of a partition from offset ``start`` on: offset, key, value."""
    found: list[tuple[int, str, bytes]] = []
    with txn.cursor() as cursor:
        if limit <= 0 or not cursor.set_range(_record(topic, number, start)):
            return found
        end = _record(topic, number + 1, 0)
        for name, data in cursor:
            if bytes(name) >= end or len(found) == limit:
                break
            found.append(
                (_KEY.unpack(name)[3], *_unpack(memoryview(data)))
            )  # copied: the page goes with the transaction
    return found


def drop_over(txn: lmdb.Transaction, topic: Topic, ledger: Ledger, most_bytes: int) -> None:
    """Drop the oldest records of all partitions until at most ``most_bytes`` are kept."""
    while ledger.kept_bytes > most_bytes:
        filled = [n for n, p in enumerate(ledger.partitions) if p.first < p.next]
        _drop_first(txn, topic, ledger, min(filled, key=lambda n: ledger.partitions[n].oldest_at))


def drop_older(txn: lmdb.Transaction, topic: Topic, ledger: Ledger, number: int, before: float, most: int) -> None:
    """Drop at most ``most`` records of a partition that were written before ``before`` (wall clock)."""
    partition = ledger.partitions[number]
    for _ in range(most):
        if partition.first >= partition.next or partition.oldest_at >= before:
            return
        _drop_first(txn, topic, ledger, number)


def _drop_first(txn: lmdb.Transaction, topic: Topic, ledger: Ledger, number: int) -> None:
    partition = ledger.partitions[number]
    with txn.cursor() as cursor:
        cursor.set_range(_record(topic, number, partition.first))
        ledger.kept_bytes -= len(cursor.value())
        cursor.delete()
        # The cursor stands on the record behind the one deleted; in the last partition that may be of another topic.
        ahead = cursor.key()
        inside = ahead[:4] == _record(topic, number, 0)[:4]
        partition.first = _KEY.unpack(ahead)[3] if inside else partition.next
        partition.oldest_at = _HEAD.unpack_from(cursor.value())[0] if inside else 0.0


def _unpack(data: memoryview) -> tuple[str, bytes]:
    _, length = _HEAD.unpack_from(data)
    body = _HEAD.size + length
    return bytes(data[_HEAD.size : body]).decode(), bytes(data[body:])


def _name(topic: Topic) -> bytes:
    return b"L" + topic.encode()


def _record(topic: Topic, number: int, offset: int) -> bytes:
    return _KEY.pack(b"R", TOPICS.index(topic), number, offset)
