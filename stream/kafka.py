"""The same log over Apache Kafka, for stages that are spread over machines. The client is kafka-python."""

import math
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

import structlog
from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.errors import CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError
from kafka.structs import OffsetAndMetadata

from stream.errors import ConfigurationError, LogError, LogFencedError
from stream.kafka_door import client_options, knock
from stream.kafka_link import ANSWER_SECONDS, OVERHEAD, Link, group_name, told, topic_name
from stream.log import MESSAGE_BYTES, Position, Record, Topic
from stream.settings import LogSettings

MAX_WORK_SECONDS = 3600.0
"""How long a member may work on one batch before its partitions go to another one."""

_LEAVE_SECONDS = 3.0
_SESSION_SECONDS = 6.0  # the shortest that a broker's own settings allow
_FENCED = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)
_logger = structlog.get_logger()


class KafkaLog:
    """The Log protocol over Kafka topics named PREFIX.frames and so on, which it makes where they are missing.

    Nothing of a connection crosses a fork: a process that was forked connects anew.
    """

    def __init__(self, settings: LogSettings) -> None:
        self._settings = settings
        self._servers = _servers(settings.url)
        self._guard = threading.Lock()
        self._link: Link | None = Link(settings, self._servers)

    def append(self, topic: Topic, key: str, value: bytes) -> Position:
        """Send one record. A DURABLE topic's is on all replicas in sync on return; others are on their way."""
        if len(value) > MESSAGE_BYTES:
            raise LogError(
                f"A message of {len(value)} bytes from {key} is too large for the log: {MESSAGE_BYTES} is the most."
            )
        return self._connected().append(topic, key, value)

    def subscribe(self, group: str, topics: Sequence[Topic]) -> "KafkaMember":
        """Join a group; which partitions the member holds turns out in its first polls."""
        return KafkaMember(self._settings, self._servers, group, topics)

    def lag(self, group: str, topic: Topic) -> int:
        """How many kept records the group has not committed. Asks the broker."""
        return self._connected().lag(group, topic)

    def flush(self) -> None:
        """Wait for the broker's answers. Raises LogError where it refused something, or does not answer in time."""
        self._connected().flush()

    def close(self) -> None:
        """Flush and disconnect."""
        with self._guard:
            link, self._link = self._link, None
        if link is not None and link.process == os.getpid():
            link.close()

    def _connected(self) -> "Link":
        with self._guard:
            if self._link is None:
                raise LogError(f"The log at {self._settings.url} was closed before this use of it.")
            if self._link.process != os.getpid():
                self._link = Link(self._settings, self._servers)
            return self._link


class KafkaMember(ConsumerRebalanceListener):  # type: ignore[misc]
    """One member of a consumer group. ``skipped`` counts records that retention removed before they were read."""

    def __init__(self, settings: LogSettings, servers: list[str], group: str, topics: Sequence[Topic]) -> None:
        self.skipped = 0
        self._group = group
        self._settings = settings
        self._topics = {topic_name(settings, topic): topic for topic in topics}
        self._given: frozenset[TopicPartition] = frozenset()  # as the group has it now
        self._held: frozenset[TopicPartition] = frozenset()  # as the caller knows it
        self._rebalanced = False
        self._expected: dict[TopicPartition, int] = {}
        knock(settings, servers, ANSWER_SECONDS)
        with told(settings.url):
            self._consumer = KafkaConsumer(
                **client_options(settings, servers),
                bootstrap_timeout_ms=int(ANSWER_SECONDS * 1000),
                group_id=group_name(settings, group),
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                session_timeout_ms=int(_SESSION_SECONDS * 1000),
                heartbeat_interval_ms=int(_SESSION_SECONDS * 250),
                max_poll_interval_ms=int(MAX_WORK_SECONDS * 1000),
                max_partition_fetch_bytes=MESSAGE_BYTES + OVERHEAD,
                fetch_max_wait_ms=100,
                reconnect_backoff_max_ms=1000,
                metadata_max_age_ms=30_000,
            )
        try:
            with told(settings.url):
                self._join()
        except BaseException:
            with suppress(LogError):
                self.close()
            raise

    def _join(self) -> None:
        self._consumer.subscribe(list(self._topics), listener=self)
        for name in self._topics:
            self._consumer.partitions_for_topic(name)  # a leader who does not know a topic would deal out none of it

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:  # noqa: ARG002
        """The group is being dealt out anew."""
        self._given = frozenset()
        self._rebalanced = True

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """The group was dealt out."""
        self._given = frozenset(assigned)
        self._rebalanced = True

    def poll(self, limit: int, timeout: float) -> list[Record]:
        """Records in order within each partition; nothing where the assignment changed in this poll."""
        if not self._rebalanced and self._held != self._given:
            self._held = self._given  # the caller has seen that all was lost; now it sees what it got
            return []
        with told(self._settings.url):
            batch = self._poll(limit, timeout)
        if not self._rebalanced:
            return self._records(batch)
        self._rebalanced = False
        for partition, records in batch.items():
            self._consumer.seek(partition, records[0].offset)
        self._expected.clear()
        self._held = frozenset() if self._held else self._given
        return []

    def seek(self, position: Position) -> None:
        """Read on from ``position``; without effect where another member holds its partition."""
        partition = TopicPartition(topic_name(self._settings, position.topic), position.partition)
        if partition in self._held:
            self._consumer.seek(partition, position.offset)
            self._expected[partition] = position.offset

    def assigned(self) -> frozenset[tuple[Topic, int]]:
        """What this member held at the last poll."""
        return frozenset((self._topics[p.topic], p.partition) for p in self._held)

    def commit(self, positions: Sequence[Position]) -> None:
        """Commit, and wait for the broker's answer."""
        offsets = {
            TopicPartition(topic_name(self._settings, p.topic), p.partition): OffsetAndMetadata(p.offset + 1, "", -1)
            for p in positions
        }
        kept = {partition: offset for partition, offset in offsets.items() if partition in self._held}
        try:
            if kept:
                with told(self._settings.url):
                    self._consumer.commit(kept, timeout_ms=int(ANSWER_SECONDS * 1000))
        except LogError as error:
            if not isinstance(error.__cause__, _FENCED):
                raise
            kept = {}
        if len(kept) < len(offsets):
            raise LogFencedError(
                f"{self._group} no longer holds all of {', '.join(map(str, positions))}: its group was dealt out anew."
            )

    def close(self) -> None:
        """Leave the group, so that others go on at once."""
        with told(self._settings.url):
            self._consumer.close(autocommit=False, timeout_ms=int(_LEAVE_SECONDS * 1000))

    def _poll(self, limit: int, timeout: float) -> dict[TopicPartition, list[Any]]:
        """One poll of the client, which in the middle of a rebalance may come back before its time."""
        deadline = time.monotonic() + timeout
        while True:
            left = max(0, math.ceil((deadline - time.monotonic()) * 1000))
            batch = cast("dict[TopicPartition, list[Any]]", self._consumer.poll(left, max_records=limit))
            if batch or self._rebalanced or left == 0:
                return batch

    def _records(self, batch: dict[TopicPartition, list[Any]]) -> list[Record]:
        found: list[Record] = []
        for partition, records in batch.items():
            topic = self._topics[partition.topic]
            self._count_skipped(partition, records[0].offset)
            self._expected[partition] = records[-1].offset + 1
            found += [
                Record(
                    Position(topic, partition.partition, r.offset),
                    (r.key or b"").decode(errors="replace"),
                    r.value or b"",
                )
                for r in records
            ]
        return found

    def _count_skipped(self, partition: TopicPartition, offset: int) -> None:
        if partition not in self._expected:
            with told(self._settings.url):
                committed = self._consumer.committed(partition, timeout_ms=int(ANSWER_SECONDS * 1000))
            self._expected[partition] = offset if committed is None else committed
        count = offset - self._expected[partition]
        if count > 0:
            self.skipped += count
            _logger.warning(
                "records were dropped before they were read", group=self._group, partition=str(partition), count=count
            )


def _servers(url: str) -> list[str]:
    servers = [s for s in url.removeprefix("kafka://").rstrip("/").split(",") if s]
    if not servers or not all(_is_server(s) for s in servers):
        raise ConfigurationError(f"log.url is {url!r}: write kafka://host:port[,host:port].")
    return servers


def _is_server(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65_536 and "@" not in host and "/" not in host
