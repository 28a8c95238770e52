"""Consumer groups of the embedded log: who is a member, who holds which partition, and how far the group has come.

Membership lives in the part of the log without fsync; how far a group has come lives beside the records themselves.
A partition is handed over only when its holder has let go of it, has left or is dead. Each taking of a partition
raises its ``epoch``, and a commit under an older epoch is refused, whatever the late writer believes.
"""

import os
import socket
import time

import lmdb
import msgspec

from stream.log import Topic

TIMEOUT = 3.0
"""Seconds without a sign of life after which a member is taken for dead."""


class Member(msgspec.Struct, array_like=True):
    """One consumer. Clocks are the machine's monotonic one, which all its processes share."""

    host: str
    process: int
    topics: list[str]
    joined_at: float
    seen_at: float


class Group(msgspec.Struct, array_like=True):
    """The members of a group by id, and which of them holds which partition (``topic/number``)."""

    generation: int = 0
    members: dict[str, Member] = {}
    holders: dict[str, str] = {}


class Progress(msgspec.Struct, array_like=True):
    """How far a group has come in a partition: the next offset to read, and the epoch of who may say so."""

    next: int = -1
    epoch: int = 0


_encoder = msgspec.msgpack.Encoder()
_group = msgspec.msgpack.Decoder(Group)
_progress = msgspec.msgpack.Decoder(Progress)


def load(txn: lmdb.Transaction, group: str) -> Group:
    """The group as it stands; an empty one where it is new."""
    data = txn.get(_group_key(group))
    return Group() if data is None else _group.decode(data)


def join(txn: lmdb.Transaction, group: str, identity: str, topics: list[Topic]) -> None:
    """Make ``identity`` a member."""
    state, now = load(txn, group), time.monotonic()
    state.members[identity] = Member(socket.gethostname(), os.getpid(), list(topics), now, now)
    _store(txn, group, state)


def leave(txn: lmdb.Transaction, group: str, identity: str) -> None:
    """Let go of everything that ``identity`` holds, and forget it."""
    state = load(txn, group)
    if state.members.pop(identity, None) is not None:
        _store(txn, group, state)


def beat(txn: lmdb.Transaction, group: str, identity: str) -> None:
    """Say that the member lives."""
    state = load(txn, group)
    if identity in state.members:
        state.members[identity].seen_at = time.monotonic()
        _store(txn, group, state)


def refresh(
    txn: lmdb.Transaction, group: str, identity: str, partitions: dict[Topic, int]
) -> frozenset[tuple[Topic, int]] | None:
    """Drop the dead, let go of what is another's now, take what is free; answers what ``identity`` holds.

    ``partitions`` gives the number of partitions of each topic. Answers None where the member itself was dropped.
    """
    state, now = load(txn, group), time.monotonic()
    for name, member in list(state.members.items()):
        if name != identity and _dead(member, now):
            del state.members[name]
    if identity not in state.members:
        _store(txn, group, state)
        return None
    state.members[identity].seen_at = now
    wanted = assignment(state.members, partitions)
    for name, holder in list(state.holders.items()):
        if holder not in state.members or (holder == identity and wanted.get(name) != identity):
            del state.holders[name]
    for name, owner in wanted.items():
        if owner == identity:
            state.holders.setdefault(name, identity)
    _store(txn, group, state)
    return frozenset(_partition(name) for name, holder in state.holders.items() if holder == identity)


def assignment(members: dict[str, Member], partitions: dict[Topic, int]) -> dict[str, str]:
    """Which member each partition belongs to: dealt out in turn among those who read its topic, oldest member first."""
    wanted: dict[str, str] = {}
    for topic, count in partitions.items():
        readers = sorted((m.joined_at, name) for name, m in members.items() if topic in m.topics)
        for number in range(count if readers else 0):
            wanted[f"{topic}/{number}"] = readers[number % len(readers)][1]
    return wanted


def claim(txn: lmdb.Transaction, group: str, topic: Topic, number: int) -> Progress:
    """Take a partition over: from now on only the epoch in the answer may commit."""
    progress = load_progress(txn, group, topic, number)
    progress.epoch += 1
    txn.put(_progress_key(group, topic, number), _encoder.encode(progress))
    return progress


def commit(txn: lmdb.Transaction, group: str, topic: Topic, number: int, following: int, epoch: int) -> bool:
    """Note that the group reads on at ``following``; False where another has claimed the partition since."""
    progress = load_progress(txn, group, topic, number)
    if progress.epoch != epoch:
        return False
    txn.put(_progress_key(group, topic, number), _encoder.encode(Progress(following, epoch)))
    return True


def load_progress(txn: lmdb.Transaction, group: str, topic: Topic, number: int) -> Progress:
    """How far the group has come in a partition; ``next`` is -1 where it never committed."""
    data = txn.get(_progress_key(group, topic, number))
    return Progress() if data is None else _progress.decode(data)


def _dead(member: Member, now: float) -> bool:
    if not -1.0 <= now - member.seen_at <= TIMEOUT:  # ahead of the clock: seen before the machine was started again
        return True
    if member.host != socket.gethostname():
        return False
    try:
        os.kill(member.process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _store(txn: lmdb.Transaction, group: str, state: Group) -> None:
    state.generation += 1
    txn.put(_group_key(group), _encoder.encode(state))


def _partition(name: str) -> tuple[Topic, int]:
    topic, _, number = name.rpartition("/")
    return topic, int(number)  # type: ignore[return-value]


def _group_key(group: str) -> bytes:
    return b"G" + group.encode()


def _progress_key(group: str, topic: Topic, number: int) -> bytes:
    return b"P" + f"{group}\x1f{topic}\x1f{number}".encode()
