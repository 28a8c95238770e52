"""What the two logs carry on this machine: frames of camera size through each, one after the other, in one run."""

import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stream.broker import LocalBroker
from stream.errors import ConfigurationError
from stream.log import Log, open_log
from stream.settings import LogSettings

JARS = Path(sys.prefix) / "share" / "kafka"
"""Where `make kafka` places the broker that is measured beside the embedded log."""
_SIZES = {"60kb": 60_000, "250kb": 250_000}
_BYTES, _SHORT_BYTES = 300_000_000, 30_000_000


def measure(material: Path, *, short: bool) -> Mapping[str, Any]:
    """Frames through both logs, one producer and one consumer in turn: messages a second in and out.

    The frames are empty ones of two sizes, so ``material`` is not looked at. Raises ConfigurationError where there is
    no broker to compare with.
    """
    del material
    if not JARS.is_dir():
        raise ConfigurationError(f"The benchmark needs a Kafka broker, and there is none in {JARS}: run 'make kafka'.")
    rates: dict[str, dict[str, Any]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="minewatch-bench-") as folder,
        LocalBroker(JARS, Path(folder) / "kafka") as broker,
    ):
        for label, size in _SIZES.items():
            count = (_SHORT_BYTES if short else _BYTES) // size
            embedded = LogSettings(url="embedded:", folder=Path(folder) / f"log-{label}", frames_bytes=4 * _BYTES)
            kafka = LogSettings(url=f"kafka://{broker.address}", prefix=f"bench-{label}")
            rates[label] = {"embedded": _through(embedded, size, count), "kafka": _through(kafka, size, count)}
    return {
        "rates": rates,
        "embedded_vs_kafka": {
            label: round(_whole(r["embedded"]) / _whole(r["kafka"]), 2) for label, r in rates.items()
        },
    }


def _through(settings: LogSettings, size: int, count: int) -> dict[str, float]:
    log = open_log(settings)
    try:
        return {"in": round(count / _append(log, size, count), 1), "out": round(count / _poll(log, count), 1)}
    finally:
        log.close()


def _append(log: Log, size: int, count: int) -> float:
    payload = bytes(size)
    began = time.perf_counter()
    for number in range(count):
        log.append("frames", f"bench/{number % 8}", payload)
    log.flush()
    return time.perf_counter() - began


def _poll(log: Log, count: int) -> float:
    consumer = log.subscribe("bench", ["frames"])
    try:
        seen = len(consumer.poll(64, 30.0))
        began, first = time.perf_counter(), seen
        while seen < count and (records := consumer.poll(64, 10.0)):
            consumer.commit([record.position for record in records])
            seen += len(records)
    finally:
        consumer.close()
    if seen < count:
        raise ConfigurationError(
            f"Only {seen} of {count} messages came back from the log: it is not fit to be measured."
        )
    return (time.perf_counter() - began) * count / max(1, count - first)


def _whole(rates: Mapping[str, float]) -> float:
    return statistics.harmonic_mean([rates["in"], rates["out"]])
