"""What Prometheus asks for, read off what the stages write down of themselves.

The stages keep the figures and the database holds them; the console only renders, so that each fact has one owner, no
stage opens a port, and a stage that is dead can still be counted. Counters add up every incarnation of a stage, so that
they go on growing when it is started again.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from console.readiness import EVER
from console.stages import READS
from stream import latency
from stream.errors import LogError
from stream.health import SourceHealth, health_of
from stream.heartbeat import FOLDED, FOLDED_DEATHS, StageHeartbeat, fresh, stages_since, total
from stream.log import Log
from stream.messages import utc_now

_STAGE = ("mine", "stage")
ALWAYS = ("dead_letters", "frames_skipped", "frames_lost", "records_skipped", "retries", "restarts")
"""Counters that stand at nought from the first scrape on, so that their first count already shows as a rise."""
_MEANING = {
    "dead_letters": "Inputs that were put aside with their reason.",
    "frames_skipped": "Frames passed over: too old to matter, or of a camera that the site does not know.",
    "frames_lost": "Frames that were read and could not be put on the log.",
    "records_skipped": "Records that the log dropped before this stage could read them.",
    "retries": "Attempts that were repeated because log, database or disk did not answer.",
    "restarts": "Camera processes that were started again.",
}


def registry(engine: Engine, mine: str, log: Log) -> CollectorRegistry:
    """A registry that asks database and log each time it is read."""
    made = CollectorRegistry()
    made.register(_House(engine, mine, log))
    return made


class _House(Collector):
    def __init__(self, engine: Engine, mine: str, log: Log) -> None:
        self._engine = engine
        self._mine = mine
        self._log = log

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not ask the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Everything that is known now."""
        yield from stage_metrics(stages_since(self._engine, self._mine, EVER), self._mine, utc_now())
        yield from source_metrics(health_of(self._engine, self._mine))
        yield from _lag(self._log, self._mine)


def stage_metrics(heartbeats: Iterable[StageHeartbeat], mine: str, now: datetime) -> Iterator[Metric]:
    """What each stage says of itself, its incarnations added up."""
    by_stage: dict[str, list[StageHeartbeat]] = {}
    for heartbeat in heartbeats:
        by_stage.setdefault(heartbeat.stage, []).append(heartbeat)
    yield from _lives(by_stage, mine, now)
    counts = {stage: _added_up(beats) for stage, beats in by_stage.items()}
    yield from _counters({stage: latency.split(found)[0] for stage, found in counts.items()}, mine)
    yield _latencies({stage: latency.split(found)[1] for stage, found in counts.items()}, mine)


def source_metrics(sources: Iterable[SourceHealth]) -> Iterator[Metric]:
    """Which cameras and sensors give something usable."""
    up = GaugeMetricFamily(
        "minewatch_source_up", "Whether the camera or sensor gives something usable.", labels=("mine", "source", "kind")
    )
    for source in sources:
        up.add_metric((source.mine, source.source, source.source_kind), float(source.status == "ok"))
    yield up


def _lives(by_stage: dict[str, list[StageHeartbeat]], mine: str, now: datetime) -> Iterator[Metric]:
    up = GaugeMetricFamily("minewatch_stage_up", "Whether the stage is at work.", labels=_STAGE)
    age = GaugeMetricFamily("minewatch_heartbeat_age_seconds", "Seconds since its last sign of life.", labels=_STAGE)
    starts = CounterMetricFamily("minewatch_stage_starts", "Times that the stage was started.", labels=_STAGE)
    deaths = CounterMetricFamily(
        "minewatch_stage_deaths",
        "Times that it ended without saying so, after which it was started again.",
        labels=_STAGE,
    )
    for stage, beats in by_stage.items():
        labels = (mine, stage)
        up.add_metric(labels, float(any(beat.ready and fresh(beat, now) for beat in beats)))
        age.add_metric(labels, (now - max(beat.beat_at for beat in beats)).total_seconds())
        folded = total(beats)
        starts.add_metric(labels, sum(FOLDED not in json.loads(beat.counters) for beat in beats) + folded[FOLDED])
        dead = sum(not beat.ended and not fresh(beat, now) for beat in beats)
        deaths.add_metric(labels, dead + folded[FOLDED_DEATHS])
    yield from (up, age, starts, deaths)


def _added_up(beats: Iterable[StageHeartbeat]) -> Counter[str]:
    found = total(list(beats))
    return Counter({name: amount for name, amount in found.items() if name not in (FOLDED, FOLDED_DEATHS)})


def _counters(counts: dict[str, dict[str, int]], mine: str) -> Iterator[Metric]:
    """A family for each name that a stage counts under."""
    for name in sorted({*ALWAYS, *(name for found in counts.values() for name in found)}):
        family = CounterMetricFamily(
            f"minewatch_{name}",
            _MEANING.get(name, f"What the stage counts as {name.replace('_', ' ')}."),
            labels=_STAGE,
        )
        for stage, found in counts.items():
            if name in found or name in ALWAYS:
                family.add_metric((mine, stage), found.get(name, 0))
        yield family


def _latencies(found: dict[str, latency.Latency], mine: str) -> Metric:
    family = HistogramMetricFamily(
        "minewatch_latency_seconds",
        "Age of a picture, reading or risk, since it was read at its source, when the stage was done with it.",
        labels=_STAGE,
    )
    for stage, histogram in found.items():
        if stage in READS:
            family.add_metric((mine, stage), buckets=list(histogram.counts), sum_value=histogram.seconds)
    return family


def _lag(log: Log, mine: str) -> Iterator[Metric]:
    lag = GaugeMetricFamily(
        "minewatch_lag_records", "Records on the log that the stage is not done with.", labels=(*_STAGE, "topic")
    )
    answers = GaugeMetricFamily("minewatch_log_up", "Whether the log answers.", labels=("mine",))
    try:
        for stage, topic in READS.items():
            lag.add_metric((mine, stage, topic), log.lag(stage, topic))
        answers.add_metric((mine,), 1)
    except LogError:
        answers.add_metric((mine,), 0)
    yield from (lag, answers)
