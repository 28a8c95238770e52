"""The loop that one would write with kafka-python alone, doing the same work as the log: the measure for the log."""

import time
from typing import TYPE_CHECKING

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.structs import OffsetAndMetadata

from stream.ledger import partition_of
from stream.log import MESSAGE_BYTES
from stream.settings import LogSettings

if TYPE_CHECKING:
    from stream.bench import Turn


class BareLoop:
    """Sends with a key and in order (acks=1), then reads as a group and commits after every poll, and nothing else."""

    def __init__(self, address: str, topic: str, settings: LogSettings, size: int, count: int) -> None:
        self._address = address
        self._topic = topic
        self._partitions = settings.partitions
        self._size = size
        self._count = count
        admin = KafkaAdminClient(bootstrap_servers=address)
        admin.create_topics({topic: {"num_partitions": settings.partitions}}, wait_for_metadata=True)
        admin.close()

    def turn(self) -> "Turn":
        """Once in and out again."""
        from stream.bench import KEYS, POLLED, Turn

        producer = KafkaProducer(
            bootstrap_servers=self._address,
            acks=1,
            enable_idempotence=False,
            max_in_flight_requests_per_connection=1,
            max_request_size=MESSAGE_BYTES,
            batch_size=65_536,
            linger_ms=2,
        )
        payload = bytes(self._size)
        began = time.perf_counter()
        for number in range(self._count):
            key = KEYS[number % len(KEYS)]
            producer.send(self._topic, payload, key=key.encode(), partition=partition_of(key, self._partitions))
        producer.flush()
        written = time.perf_counter()
        producer.close()
        consumer = KafkaConsumer(
            self._topic,
            bootstrap_servers=self._address,
            group_id=f"{self._topic}-group",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=MESSAGE_BYTES,
            fetch_max_wait_ms=100,
        )
        seen = first = 0
        while seen < self._count:
            batch = consumer.poll(1_000, max_records=POLLED)
            if batch and not first:
                read_from, first = time.perf_counter(), sum(map(len, batch.values()))
            if batch:
                consumer.commit({name: OffsetAndMetadata(came[-1].offset + 1, "", -1) for name, came in batch.items()})
                seen += sum(map(len, batch.values()))
        read = (self._count - first) / (time.perf_counter() - read_from)
        consumer.close()
        return Turn(self._count / (written - began), read)
