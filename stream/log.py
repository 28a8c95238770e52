"""The log: what every stage reads from and writes to, on one machine (embedded) or many (Kafka)."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from stream.errors import ConfigurationError
from stream.settings import LogSettings

Topic = Literal["frames", "readings", "health", "risks", "dead-letters"]
TOPICS: tuple[Topic, ...] = ("frames", "readings", "health", "risks", "dead-letters")
DURABLE: frozenset[Topic] = frozenset({"risks", "dead-letters"})
"""Topics whose appends are on disk (acks=all on Kafka, fsync on the embedded log) before ``append`` returns."""


MESSAGE_BYTES = 8 * 1024**2
"""The largest message that either log takes."""


class Position(NamedTuple):
    """Where a record stands on the log; ``offset`` grows by one or more within a partition and never goes back."""

    topic: Topic
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class Record(NamedTuple):
    """One record as it was read: its position, its key (``mine/source``) and its bytes."""

    position: Position
    key: str
    value: bytes


class Consumer(Protocol):
    """One member of a consumer group. Not thread-safe: one consumer, one thread.

    ``skipped`` counts records that the log dropped (retention, a full ring) before this member could read them.
    """

    skipped: int

    def poll(self, limit: int, timeout: float) -> list[Record]:
        """At most ``limit`` records in order within each partition; waits up to ``timeout`` seconds for the first.

        A poll in which the assignment changed returns nothing, so that the caller can seek before it reads. A member
        that lost a partition to another one is without it for at least one poll, even where it gets it back.
        """
        ...

    def seek(self, position: Position) -> None:
        """Read on from ``position`` (inclusive) in its partition, when this member holds that partition."""
        ...

    def assigned(self) -> frozenset[tuple[Topic, int]]:
        """The (topic, partition) pairs that this member holds as of the last poll."""
        ...

    def commit(self, positions: Sequence[Position]) -> None:
        """Remember that everything up to and including each position is done.

        Raises LogFencedError when a partition has been taken over by another member.
        """
        ...

    def close(self) -> None:
        """Leave the group."""
        ...


class Log(Protocol):
    """An append-only log of topics with consumer groups. Safe to use from several threads and processes."""

    def append(self, topic: Topic, key: str, value: bytes) -> Position:
        """Write one record; a DURABLE topic's is on disk on return. Raises LogError when it could not be written.

        The offset is -1 where the log takes the record now and places it later (Kafka, topics that are not DURABLE);
        ``flush`` then tells whether it was written.
        """
        ...

    def subscribe(self, group: str, topics: Sequence[Topic]) -> Consumer:
        """Join the consumer group; a new group starts at the oldest record kept.

        What the member holds then may be known at once (``assigned``) or after some polls.
        """
        ...

    def lag(self, group: str, topic: Topic) -> int:
        """How many kept records of ``topic`` the group has not committed yet (all, where it never committed)."""
        ...

    def flush(self) -> None:
        """Wait until everything appended by this process is written. Raises LogError where something was not."""
        ...

    def close(self) -> None:
        """Flush and let go of files and connections."""
        ...


def open_log(settings: LogSettings) -> Log:
    """The log behind ``settings.url``: ``embedded:`` (a folder on this machine) or ``kafka://host:port[,host:port]``.

    Raises ConfigurationError for another scheme and LogError where the log cannot be opened.
    """
    scheme = settings.url.partition(":")[0]
    if scheme == "embedded":
        from stream.embedded import EmbeddedLog

        return EmbeddedLog(settings)
    if scheme == "kafka":
        from stream.kafka import KafkaLog

        return KafkaLog(settings)
    raise ConfigurationError(
        f"log.url is {settings.url!r}: write 'embedded:' for the log on this machine or 'kafka://host:port' for Kafka."
    )
