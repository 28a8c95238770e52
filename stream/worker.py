"""The one loop of every stage: consume, handle, commit after the effect is durable; retry, dead letters, drain."""

import threading
import traceback
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import structlog
from sqlalchemy.exc import OperationalError

from stream.errors import LogError, LogFencedError, PoisonError, UnknownMessageError
from stream.heartbeat import Heartbeat
from stream.log import Consumer, Log, Position, Record, Topic
from stream.messages import AnyMessage, DeadLetter, decode, encode, utc_now

ATTEMPTS = 5
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

        Raises PoisonError where a single item cannot be handled; the loop then goes on one by one and puts it aside.
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


class Worker:
    """Runs one stage on one consumer until told to stop."""

    def __init__(self, stage: Stage, log: Log, mine: str, heartbeat: Heartbeat, stop: threading.Event) -> None:
        self._stage = stage
        self._log = log
        self._mine = mine
        self._heartbeat = heartbeat
        self._stop = stop

    def run(self) -> None:
        """Consume until ``stop`` is set, then finish the batch in hand, commit and leave the group."""
        consumer = self._log.subscribe(self._stage.name, self._stage.topics)
        held: frozenset[tuple[Topic, int]] = frozenset()
        self._heartbeat.ready()
        try:
            while not self._stop.is_set():
                if consumer.assigned() != held:
                    held = consumer.assigned()
                    self._stage.assigned(consumer, held)
                records = consumer.poll(self._stage.batch, 0.2)
                if consumer.assigned() != held:
                    continue
                if records:
                    self._take(consumer, records)
                else:
                    self._stage.idle()
                self._heartbeat.beat()
        finally:
            self._stage.close()
            consumer.close()
            self._heartbeat.close()

    def _take(self, consumer: Consumer, records: list[Record]) -> None:
        items = [item for record in records if (item := self._read(record)) is not None]
        try:
            self._handle(items)
        except PoisonError:
            for item in items:
                try:
                    self._handle([item])
                except PoisonError as error:
                    self._aside(item.record, error)
        last: dict[tuple[str, int], Position] = {}
        for record in records:
            last[record.position.topic, record.position.partition] = record.position
        try:
            consumer.commit(list(last.values()))
        except LogFencedError as error:
            _logger.warning("commit refused", stage=self._stage.name, reason=str(error))

    def _read(self, record: Record) -> Item | None:
        try:
            return Item(record, decode(record.value))
        except UnknownMessageError as error:
            self._aside(record, error)
            return None

    def _aside(self, record: Record, error: BaseException) -> None:
        _logger.warning("put aside", stage=self._stage.name, position=str(record.position), reason=str(error))
        put_aside(self._log, self._mine, self._stage.name, record, error)
        self._heartbeat.count("dead_letters")

    def _handle(self, items: Sequence[Item]) -> None:
        """Handle, again where the log or the database does not answer; anything unforeseen counts as poison."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._stage.handle(items)
                return
            except PoisonError:
                raise
            except (LogError, OperationalError) as error:
                if attempt == ATTEMPTS:
                    raise
                _logger.warning("retrying", stage=self._stage.name, attempt=attempt, reason=str(error))
                self._stop.wait(0.2 * 2**attempt)
            except Exception as error:  # whatever an input provokes must not stop the stage
                raise PoisonError(f"{type(error).__name__}: {error}") from error
