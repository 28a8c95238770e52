"""What the two logs carry on this machine, beside a bare loop over kafka-python, and what a full log costs.

Everything that is compared is measured in turns within one run, so that whatever else the machine does meanwhile falls
on all of it; a ratio is that of the medians.
"""

import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from stream.bench_bare import BareLoop
from stream.broker import LocalBroker
from stream.errors import ConfigurationError
from stream.log import Consumer, Log, open_log
from stream.settings import LogSettings

JARS = Path(sys.prefix) / "share" / "kafka"
"""Where `make kafka` places the broker that is measured beside the embedded log."""
FAULTS = Path(sys.prefix) / "share" / "minewatch-faults.json"
"""Where `make test-faults` leaves its table: how many kinds of fault were named in time, and after how many seconds."""
KEYS = tuple(f"bench/{number}" for number in range(8))
POLLED = 16
"""Records that one poll may bring, and that are committed together."""
_SIZES = {"60kb": 60_000, "250kb": 250_000}
_ROUNDS, _SHORT_ROUNDS = 5, 3
_BYTES, _SHORT_BYTES = 100_000_000, 20_000_000
_RETAINED, _SHORT_RETAINED = 10 * 1024**3, 512 * 1024**2
_ROOM = 3 * 1024**3
_SAMPLES, _SHORT_SAMPLES = 800, 200
_PATIENCE = 60.0


class Turn(NamedTuple):
    """Messages a second of one turn: written until the last is acknowledged, and read and committed.

    Reading is timed from the first records on: how long a group takes to form is no matter of throughput.
    """

    written: float
    read: float


def measure(material: Path, *, short: bool) -> Mapping[str, Any]:
    """Frames of two sizes through both logs and the bare loop, then through an embedded log that retains much.

    The frames are empty ones, so ``material`` is not looked at. ``short`` retains 0.5 GiB, not 10. Raises
    ConfigurationError where there is no broker to compare with, or no room for what has to be retained.
    """
    del material
    if not JARS.is_dir():
        raise ConfigurationError(f"The benchmark needs a Kafka broker, and there is none in {JARS}: run 'make kafka'.")
    retained = _SHORT_RETAINED if short else _RETAINED
    with tempfile.TemporaryDirectory(prefix="minewatch-bench-") as folder:
        if shutil.disk_usage(folder).free < retained + _ROOM:
            raise ConfigurationError(
                f"The benchmark fills {retained / 1024**3:.1f} GiB in {folder}, and that disk has less: "
                "set TMPDIR to a folder with more room, or give --short."
            )
        rates = _rates(Path(folder), short=short)
        grown = {
            label: growth(Path(folder) / f"growth-{label}", size, retained, _SHORT_SAMPLES if short else _SAMPLES)
            for label, size in _SIZES.items()
        }
    return {
        "rates": rates,
        "kafka_ratio": {label: _ratio(found["kafka"], found["bare"]) for label, found in rates.items()},
        "embedded_vs_kafka": {label: _ratio(found["embedded"], found["kafka"]) for label, found in rates.items()},
        "growth": grown,
        "growth_ratio": {label: max(found["append"], found["poll"]) for label, found in grown.items()},
        "retained_gb": round(retained / 1024**3, 1),
        **_faults(),
    }


def _faults() -> dict[str, Any]:
    """What the last `make test-faults` on this machine found; nothing is known where it never ran."""
    found = json.loads(FAULTS.read_text(encoding="utf-8")) if FAULTS.exists() else {}
    return {name: found.get(name) for name in ("fault_coverage", "locate_s")}


def _rates(folder: Path, *, short: bool) -> dict[str, dict[str, dict[str, float]]]:
    with LocalBroker(JARS, folder / "kafka") as broker:
        return {
            label: compare(
                broker.address,
                folder / f"log-{label}",
                size,
                (_SHORT_BYTES if short else _BYTES) // size,
                _SHORT_ROUNDS if short else _ROUNDS,
            )
            for label, size in _SIZES.items()
        }


def compare(address: str, folder: Path, size: int, count: int, rounds: int) -> dict[str, dict[str, float]]:
    """Messages a second through the bare loop and both logs: ``count`` messages of ``size`` bytes in every round."""
    kafka = LogSettings(url=f"kafka://{address}", prefix=f"bench-{folder.name}")
    embedded = LogSettings(folder=folder)
    ways: dict[str, Callable[[], Turn]] = {
        "bare": BareLoop(address, f"bare-{folder.name}", kafka, size, count).turn,
        "kafka": lambda: _turn(kafka, size, count),
        "embedded": lambda: _turn(embedded, size, count),
    }
    found = _in_turns(ways, rounds)
    shutil.rmtree(folder)
    return found


def _in_turns(ways: Mapping[str, Callable[[], Turn]], rounds: int) -> dict[str, dict[str, float]]:
    """Every way once in each round; the first round warms up and does not count."""
    turns: dict[str, list[Turn]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            turn = way()
            if number:
                turns[name].append(turn)
    return {
        name: {
            "in": round(statistics.median(turn.written for turn in taken), 1),
            "out": round(statistics.median(turn.read for turn in taken), 1),
            "through": round(statistics.median(through(turn) for turn in taken), 1),
        }
        for name, taken in turns.items()
    }


def through(turn: Turn) -> float:
    """Messages a second in and out again, one after the other."""
    return 1 / (1 / turn.written + 1 / turn.read)


def _ratio(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    return round(one["through"] / other["through"], 2)


def _turn(settings: LogSettings, size: int, count: int) -> Turn:
    log = open_log(settings)
    try:
        began = time.perf_counter()
        _append(log, size, count)
        log.flush()
        written = time.perf_counter() - began
        consumer = log.subscribe("bench", ["frames"])
        try:
            read = _read(consumer, count)
        finally:
            consumer.close()
    finally:
        log.close()
    return Turn(count / written, read)


def _append(log: Log, size: int, count: int) -> None:
    payload = bytes(size)
    for number in range(count):
        log.append("frames", KEYS[number % len(KEYS)], payload)


def _read(consumer: Consumer, count: int) -> float:
    """Read and commit ``count`` records; answers records a second behind the first ones."""
    seen = first = 0
    began = asked = time.perf_counter()
    while seen < count:
        records = consumer.poll(POLLED, 1.0)
        if not records and time.perf_counter() - asked > _PATIENCE:
            raise ConfigurationError(f"Only {seen} of {count} messages came back from the log: it cannot be measured.")
        if records and not first:
            began, first = time.perf_counter(), len(records)
        if records:
            consumer.commit([record.position for record in records])
            seen += len(records)
    return (count - first) / (time.perf_counter() - began)


def growth(folder: Path, size: int, retained: int, samples: int) -> dict[str, float]:
    """Cost of one append and of one poll on an embedded log that retains ``retained`` bytes, beside an empty one.

    The ring holds just that much, so that on the full log an append also drops what is oldest.
    """
    with _Follower(folder / "full", retained) as full, _Follower(folder / "empty", retained) as empty:
        for _ in range(retained // (64 * size) + 1):
            _append(full.log, size, 64)
            full.catch_up()
        costs: dict[str, list[tuple[float, float]]] = {"full": [], "empty": []}
        for number in range(samples):
            key = KEYS[number % len(KEYS)]
            costs["full"].append(full.once(key, size))
            costs["empty"].append(empty.once(key, size))
    shutil.rmtree(folder)
    median = {
        (name, what): statistics.median(cost[place] for cost in taken[8:])
        for name, taken in costs.items()
        for place, what in enumerate(("append", "poll"))
    }
    return {
        **{f"{what}_ms_{name}": round(seconds * 1000, 3) for (name, what), seconds in median.items()},
        **{what: round(median["full", what] / median["empty", what], 2) for what in ("append", "poll")},
    }


class _Follower:
    """An embedded log and one who reads it up to its end."""

    def __init__(self, folder: Path, retained: int) -> None:
        self.log = open_log(LogSettings(folder=folder, frames_bytes=retained))
        self._consumer = self.log.subscribe("bench", ["frames"])

    def catch_up(self) -> None:
        """Read and commit what there is."""
        while records := self._consumer.poll(10 * POLLED, 0.0):
            self._consumer.commit([record.position for record in records])

    def once(self, key: str, size: int) -> tuple[float, float]:
        """Seconds of one append, and of the poll that brings it, with its commit."""
        began = time.perf_counter()
        self.log.append("frames", key, bytes(size))
        written = time.perf_counter()
        records = self._consumer.poll(1, 1.0)
        self._consumer.commit([record.position for record in records])
        return written - began, time.perf_counter() - written

    def __enter__(self) -> Self:
        """Nothing more to do."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the group and close the log."""
        self._consumer.close()
        self.log.close()
