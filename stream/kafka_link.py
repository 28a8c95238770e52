"""The connection of one process to Kafka: producers, topics and lag. The client is kafka-python."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from kafka import KafkaAdminClient, KafkaProducer, OffsetSpec, TopicPartition
from kafka.errors import (
    AuthorizationError,
    IllegalStateError,
    KafkaError,
    KafkaTimeoutError,
    RetriableError,
    SaslAuthenticationFailedError,
    TopicAlreadyExistsError,
    UnsupportedSaslMechanismError,
)

from stream.errors import ConfigurationError, LogError
from stream.kafka_door import client_options, knock
from stream.ledger import partition_of
from stream.log import DURABLE, MESSAGE_BYTES, TOPICS, Position, Topic
from stream.settings import LogSettings

PENDING_BYTES = 32 * 1024**2
"""Bytes that wait in this process for the broker's answer; the client itself would take in any number."""

ANSWER_SECONDS = 15.0
"""How long an append or a commit waits for the broker before it is a LogError."""

OVERHEAD = 65_536
"""Bytes of headers and batch around the largest message."""

_KEEP_TRYING = 600.0
_logger = structlog.get_logger()


class Link:
    """The producers and the administrator of one process."""

    def __init__(self, settings: LogSettings, servers: list[str]) -> None:
        self.process = os.getpid()
        self._settings = settings
        self._admin_guard = threading.Lock()
        self._producer_guard = threading.Lock()
        self._producers: dict[bool, KafkaProducer] = {}
        self._pending = Pending(PENDING_BYTES)
        self._options = client_options(settings, servers)
        knock(settings, servers, ANSWER_SECONDS)
        with self._prose():
            self._admin = KafkaAdminClient(
                **self._options,
                request_timeout_ms=int(ANSWER_SECONDS * 1000),
                bootstrap_timeout_ms=int(ANSWER_SECONDS * 1000),
            )
        try:
            self._make_topics()
        except BaseException:
            self._admin.close()
            raise

    def append(self, topic: Topic, key: str, value: bytes) -> Position:
        """Send one record, and wait for the answer where the topic is durable."""
        durable = topic in DURABLE
        with self._prose():
            producer = self._producer(durable=durable)
            name = topic_name(self._settings, topic)
            partitions = producer.partitions_for(name)
            if not partitions:
                raise LogError(f"The broker at {self._settings.url} does not know the topic {name} any more.")
            number = partition_of(key, len(partitions))
            if durable:
                sent = producer.send(name, value=value, key=key.encode(), partition=number)
                return Position(topic, number, sent.get(timeout=ANSWER_SECONDS + 5).offset)
            if not self._pending.take(len(value), ANSWER_SECONDS):
                raise LogError(f"The broker at {self._settings.url} takes nothing more. Check that it runs.")
            try:
                sent = producer.send(name, value=value, key=key.encode(), partition=number)
            except BaseException:
                self._pending.give(len(value))
                raise
            sent.add_callback(self._pending.written, len(value))
            sent.add_errback(self._pending.refused, len(value))
            return Position(topic, number, -1)

    def lag(self, group: str, topic: Topic) -> int:
        """End of the topic less what the group has committed, over all partitions."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                with self._prose(), self._admin_guard:
                    return self._ask_lag(topic_name(self._settings, topic), group)
            except LogError as error:
                # A broker that has just started is still looking for who keeps its groups.
                if not isinstance(error.__cause__, RetriableError) or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def _ask_lag(self, name: str, group: str) -> int:
        described = self._admin.describe_topics([name])
        partitions = [TopicPartition(name, p["partition_index"]) for p in described[0]["partitions"]]
        member = group_name(self._settings, group)
        committed = self._admin.list_group_offsets({member: partitions}).get(member, {})
        first = self._admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.EARLIEST))
        end = self._admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
        done = {p: committed[p].offset if p in committed else -1 for p in partitions}
        return sum(max(0, end[p].offset - max(first[p].offset, done[p])) for p in partitions)

    def flush(self) -> None:
        """Wait for all answers."""
        with self._prose():
            for producer in list(self._producers.values()):
                producer.flush(timeout=ANSWER_SECONDS)
        if lost := self._pending.take_refused():
            raise LogError(f"The broker at {self._settings.url} did not write {lost} messages. Check that it runs.")

    def close(self) -> None:
        """Flush and disconnect."""
        try:
            self.flush()
        finally:
            for producer in self._producers.values():
                _end(producer)
            self._admin.close()

    def _producer(self, *, durable: bool) -> KafkaProducer:
        """Not Kafka's idempotent one, which does not recover once a batch has outlived its time; readers drop doubles.

        One request at a time keeps the order of a key over retries. What is not durable is tried for long: were a
        batch given up while a later one goes through, a source that resends would be taken to repeat itself.
        """
        with self._producer_guard:
            if durable not in self._producers:
                patience = ANSWER_SECONDS if durable else _KEEP_TRYING
                self._producers[durable] = KafkaProducer(
                    **self._options,
                    acks="all" if durable else 1,
                    enable_idempotence=False,
                    max_in_flight_requests_per_connection=1,
                    request_timeout_ms=int(ANSWER_SECONDS * 500),
                    delivery_timeout_ms=int(patience * 1000),
                    max_block_ms=int(ANSWER_SECONDS * 1000),
                    bootstrap_timeout_ms=int(ANSWER_SECONDS * 1000),
                    reconnect_backoff_max_ms=1000,
                    max_request_size=MESSAGE_BYTES + OVERHEAD,
                    batch_size=65_536,
                    linger_ms=0 if durable else 2,
                )
            return self._producers[durable]

    def _make_topics(self) -> None:
        wanted = {topic_name(self._settings, t): _topic_options(self._settings, t) for t in TOPICS}
        with self._prose():
            missing = set(wanted) - set(self._admin.list_topics())
            if missing:
                try:
                    self._admin.create_topics({name: wanted[name] for name in missing}, wait_for_metadata=True)
                except TopicAlreadyExistsError:
                    self._admin.wait_for_topics(list(wanted))  # another process was faster
            self._check_partitions(sorted(set(wanted) - missing))

    def _check_partitions(self, names: list[str]) -> None:
        """Topics that were there may have been made by somebody else. Raises ConfigurationError for one too narrow."""
        wanted = self._settings.partitions
        for topic in self._admin.describe_topics(names) if names else ():
            if (found := len(topic["partitions"])) < wanted:
                raise ConfigurationError(
                    f"The topic {topic['name']} at {self._settings.url} has {found} partitions and log.partitions asks for "
                    f"{wanted}: add some with kafka-topics --alter, or set log.partitions = {found}."
                )

    @contextmanager
    def _prose(self) -> Iterator[None]:
        with told(self._settings.url):
            yield


def _end(producer: KafkaProducer) -> None:
    """Close a producer that was flushed, as far as that went.

    kafka-python's own close gives up where its flush does, and leaves a thread that looks for the broker for ever.
    """
    try:
        producer.close(timeout=1)
    except KafkaTimeoutError:
        producer._sender.force_close()  # noqa: SLF001  (no public call ends it without waiting)
        producer.close(timeout=ANSWER_SECONDS)


class Pending:
    """Bytes on their way to the broker, with a bound, and how many messages it refused."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._bytes = 0
        self._refused = 0
        self._changed = threading.Condition()

    def take(self, size: int, timeout: float) -> bool:
        """Wait until ``size`` bytes fit in; False where they do not within ``timeout`` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._bytes + size <= self._bound or self._bytes == 0, timeout):
                return False
            self._bytes += size
            return True

    def give(self, size: int) -> None:
        """``size`` bytes wait no longer."""
        with self._changed:
            self._bytes -= size
            self._changed.notify_all()

    def written(self, size: int, _answer: object) -> None:
        """The broker has written a message."""
        self.give(size)

    def refused(self, size: int, error: object) -> None:
        """The broker has not written a message, and nobody tries any longer."""
        _logger.warning("message not written", reason=str(error) or type(error).__name__)
        with self._changed:
            self._refused += 1
        self.give(size)

    def take_refused(self) -> int:
        """How many messages were refused since the last question."""
        with self._changed:
            refused, self._refused = self._refused, 0
            return refused


@contextmanager
def told(url: str) -> Iterator[None]:
    """Turn what the client says into a LogError for a person; refused credentials are a ConfigurationError."""
    try:
        yield
    except (SaslAuthenticationFailedError, UnsupportedSaslMechanismError) as error:
        raise ConfigurationError(
            f"The broker at {url} refuses our credentials: {_first_line(error)}. Check log.user, log.password and log.mechanism."
        ) from error
    except AuthorizationError as error:
        raise LogError(f"The broker at {url} refuses what we may not do: {error}. Check our rights there.") from error
    except (KafkaError, IllegalStateError) as error:
        raise LogError(
            f"The broker at {url} does not do its work: {_first_line(error)}. Check that it runs."
        ) from error
    except (OSError, TimeoutError) as error:
        raise LogError(f"The broker at {url} cannot be reached: {error}. Check that it runs.") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".") or type(error).__name__


def topic_name(settings: LogSettings, topic: Topic) -> str:
    """What a topic is called on the broker."""
    return f"{settings.prefix}.{topic}"


def group_name(settings: LogSettings, group: str) -> str:
    """What a consumer group is called on the broker."""
    return f"{settings.prefix}.{group}"


def _topic_options(settings: LogSettings, topic: Topic) -> dict[str, Any]:
    """Partitions and retention of a topic that is made: frames by bytes, everything by age."""
    retention = int(settings.retention_hours * 3_600_000)
    configs = {
        "max.message.bytes": str(MESSAGE_BYTES + OVERHEAD),
        "retention.ms": str(retention),
        "segment.ms": str(max(1000, retention // 10)),  # only whole segments go, and never the one that is written to
    }
    if settings.compression != "none" and topic != "frames":
        configs["compression.type"] = settings.compression
    if topic == "frames":
        share = settings.frames_bytes // settings.partitions
        configs["retention.bytes"] = str(share)
        configs["segment.bytes"] = str(max(2 * MESSAGE_BYTES, min(256 * 1024**2, share // 4)))
    return {"num_partitions": settings.partitions, "configs": configs}
