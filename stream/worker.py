"""The one loop of every stage: consume, handle, commit after the effect is durable; retry, dead letters, drain."""

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from stream.errors import DatabaseError, EvidenceError, LogError, LogFencedError, PoisonError, UnknownMessageError
from stream.heartbeat import Heartbeat
from stream.log import Consumer, Log, Record, Topic
from stream.messages import AnyMessage, DeadLetter, decode, encode, utc_now

T = TypeVar("T")
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0
_JOIN_SECONDS = 10.0
"""After which a member that was given nothing counts as at work: the others hold it all."""
_logger = structlog.get_logger()


class Item(NamedTuple):
    """One record and the message in it."""

    record: Record
    message: AnyMessage


class Stage(Protocol):
    """What a stage does with what it reads. The stage's name is its consumer group."""

    name: str
    topics: Sequence[Topic]
    batch: int

    def assigned(self, consumer: Consumer, partitions: frozenset[tuple[Topic, int]]) -> None:
        """The partitions that this member holds have changed: load what is remembered of them, seek where needed."""
        ...

    def handle(self, items: Sequence[Item]) -> None:
        """Handle a batch, in order within each partition.

        Effects are durable on return, and doing it twice changes nothing.

        Raises PoisonError where a single item cannot be handled; the loop then hands the same items in one by one, the
        good ones once more, and puts the bad one aside. Errors of the log, the database or the disk are let through:
        the loop waits and hands the same items in again.
        """
        ...

    def idle(self) -> None:
        """Nothing arrived for a while: do what is due by time alone."""
        ...

    def close(self) -> None:
        """The loop has ended."""
        ...


def put_aside(log: Log, mine: str, stage: str, record: Record, error: BaseException) -> None:
    """Write a record that cannot be handled to the dead letters, with its reason, stack and origin."""
    letter = DeadLetter(
        mine=mine,
        stage=stage,
        topic=record.position.topic,
        partition=record.position.partition,
        offset=record.position.offset,
        key=record.key,
        reason=str(error),
        stack="".join(traceback.format_exception(error))[-8000:],
        payload=record.value,
        failed_at=utc_now(),
    )
    log.append("dead-letters", record.key, encode(letter))


class _StoppedError(Exception):
    """Told to stop while waiting for the log or the database: what was in hand is not committed and comes again."""


def transient(error: BaseException) -> bool:
    """Whether ``error`` is about the log, the database or the disk, not about the input: then waiting may mend it."""
    if isinstance(error, EvidenceError):
        return isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, FileNotFoundError)
    # A table that is missing (ProgrammingError on PostgreSQL) waits for the migration.
    return isinstance(error, (LogError, DatabaseError, OperationalError, InterfaceError, ProgrammingError, PoolTimeout))


class Worker:
    """Runs one stage on one consumer until told to stop."""

    def __init__(self, stage: Stage, log: Log, mine: str, heartbeat: Heartbeat, stop: threading.Event) -> None:
        self._stage = stage
        self._log = log
        self._mine = mine
        self._heartbeat = heartbeat
        self._stop = stop
        self._skipped = 0

    def run(self) -> None:
        """Consume until ``stop`` is set, then finish the batch in hand, commit and leave the group.

        Waits as long as it takes where the log or the database does not answer; what cannot be handled for a reason
        of its own goes to the dead letters.
        """
        with ExitStack() as leaving, suppress(_StoppedError):
            leaving.callback(self._heartbeat.close)
            consumer = self._persist(lambda: self._log.subscribe(self._stage.name, self._stage.topics))
            leaving.callback(self._leave, consumer)
            leaving.callback(self._stage.close)
            self._consume(consumer)

    def _consume(self, consumer: Consumer) -> None:
        held: frozenset[tuple[Topic, int]] = frozenset()
        began, ready = time.monotonic(), False
        while not self._stop.is_set():
            if consumer.assigned() != held:
                held = consumer.assigned()
                self._persist(partial(self._stage.assigned, consumer, held))
            records = self._persist(lambda: consumer.poll(self._stage.batch, 0.2))
            if not ready and (consumer.assigned() or time.monotonic() - began > _JOIN_SECONDS):
                self._heartbeat.ready()
                ready = True
            if consumer.assigned() != held:
                continue  # and without records, as the log promises
            if records:
                self._take(consumer, records)
            else:
                self._persist(self._stage.idle)
            self._heartbeat.count("records_skipped", consumer.skipped - self._skipped)
            self._skipped = consumer.skipped
            self._heartbeat.beat()

    def _leave(self, consumer: Consumer) -> None:
        try:
            consumer.close()
        except LogError as error:
            _logger.warning("group not left in order", stage=self._stage.name, reason=str(error))

    def _take(self, consumer: Consumer, records: list[Record]) -> None:
        items = [item for record in records if (item := self._read(record)) is not None]
        if items:
            self._handle(items)
        last = {(record.position.topic, record.position.partition): record.position for record in records}
        try:
            self._persist(lambda: consumer.commit(list(last.values())))
        except LogFencedError as error:
            _logger.warning("commit refused", stage=self._stage.name, reason=str(error))
            return
        for item in items:
            self._heartbeat.done(item.message)

    def _read(self, record: Record) -> Item | None:
        try:
            return Item(record, decode(record.value))
        except UnknownMessageError as error:
            self._aside(record, error)
            return None

    def _handle(self, items: Sequence[Item]) -> None:
        try:
            self._attempt(items)
        except PoisonError as whole:
            for item in items:
                try:
                    if len(items) == 1:
                        raise whole
                    self._attempt([item])
                except PoisonError as error:
                    self._aside(item.record, error)

    def _attempt(self, items: Sequence[Item]) -> None:
        """Handle; whatever an input provokes that is not about the log, the database or the disk counts as poison."""

        def handle() -> None:
            try:
                self._stage.handle(items)
            except PoisonError:
                raise
            except Exception as error:
                if transient(error):
                    raise
                raise PoisonError(f"{type(error).__name__}: {error}") from error

        self._persist(handle)

    def _aside(self, record: Record, error: BaseException) -> None:
        _logger.warning("put aside", stage=self._stage.name, position=str(record.position), reason=str(error))
        self._persist(lambda: put_aside(self._log, self._mine, self._stage.name, record, error))
        self._heartbeat.count("dead_letters")
        self._heartbeat.trouble("put-aside", record.key, str(error))

    def _persist(self, action: Callable[[], T]) -> T:
        """Do it, again and again while the log or the database does not answer, until told to stop."""
        wait = _FIRST_WAIT
        while True:
            try:
                return action()
            except LogFencedError:
                raise
            except Exception as error:
                if not transient(error):
                    raise
                if not self._heartbeat.no_room(error):
                    _logger.warning("retrying", stage=self._stage.name, again_in_seconds=wait, reason=str(error))
                    self._heartbeat.trouble("retrying", type(error).__name__, str(error))
            self._heartbeat.count("retries")
            self._heartbeat.beat()
            if self._stop.wait(wait):
                raise _StoppedError
            wait = min(wait * 2, _LONGEST_WAIT)
