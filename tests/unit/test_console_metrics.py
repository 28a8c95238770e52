"""What Prometheus is told, and what makes the house not ready: on heartbeats as the stages leave them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from sqlmodel import SQLModel, select

from console.metrics import ALWAYS, stage_metrics
from console.readiness import amiss
from stream import latency
from stream.database import open_database, reading, writing
from stream.heartbeat import FRESH, StageHeartbeat, fold, stages_since

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def beat(stage: str, instance: str, *, age: float = 1.0, ready: bool = True, ended: bool = False, **counters: int) -> StageHeartbeat:  # fmt: skip
    at = NOW - timedelta(seconds=age)
    return StageHeartbeat(
        stage=stage,
        instance=f"{instance}:1:1",
        mine="north",
        started_at=at - timedelta(minutes=5),
        beat_at=at,
        ready=ready,
        ended=ended,
        counters=json.dumps(counters),
    )


def told(*beats: StageHeartbeat) -> CollectorRegistry:
    class Told(Collector):
        def collect(self) -> list[Metric]:
            return list(stage_metrics(beats, "north", NOW))

    registry = CollectorRegistry()
    registry.register(Told())
    return registry


def figure(registry: CollectorRegistry, name: str, stage: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"minewatch_{name}", {"mine": "north", "stage": stage, **labels})


def test_counters_go_on_growing_over_a_restart() -> None:
    killed = beat("vision", "a", age=300, frames_analysed=40, dead_letters=1)
    registry = told(killed, beat("vision", "b", frames_analysed=5))
    assert figure(registry, "frames_analysed_total", "vision") == 45
    assert figure(registry, "dead_letters_total", "vision") == 1
    assert figure(registry, "stage_starts_total", "vision") == 2
    assert figure(registry, "stage_deaths_total", "vision") == 1
    assert figure(registry, "stage_up", "vision") == 1
    assert figure(registry, "heartbeat_age_seconds", "vision") == 1


def test_a_stage_that_was_stopped_in_order_did_not_die() -> None:
    registry = told(beat("limits", "a", age=300, ended=True))
    assert figure(registry, "stage_deaths_total", "limits") == 0
    assert figure(registry, "stage_up", "limits") == 0


def test_what_never_happened_stands_at_nought() -> None:
    assert {"restarts", "dead_letters", "retries", "frames_skipped", "frames_lost", "records_skipped"} <= set(ALWAYS)
    registry = told(beat("capture", "a", frames_read=3))
    assert [figure(registry, f"{name}_total", "capture") for name in ALWAYS] == [0] * len(ALWAYS)
    assert figure(registry, "frames_read_total", "limits") is None


def test_the_histogram_adds_up_incarnations() -> None:
    counters = [dict(latency.counted(seconds)) for seconds in (0.2, 2.0, 400.0)]
    registry = told(*(beat("vision", str(n), age=n * 100, **found) for n, found in enumerate(counters)))
    buckets = {le: figure(registry, "latency_seconds_bucket", "vision", le=le) for le in ("0.1", "0.25", "2.5", "+Inf")}
    assert buckets == {"0.1": 0, "0.25": 1, "2.5": 2, "+Inf": 3}
    assert figure(registry, "latency_seconds_count", "vision") == 3
    assert figure(registry, "latency_seconds_sum", "vision") == 402.2


def test_a_house_at_work_is_ready() -> None:
    assert amiss([beat("vision", "a", age=400), beat("vision", "b")], ["vision"], NOW) == []


def test_each_reason_not_to_be_ready_is_a_sentence() -> None:
    beats = [
        beat("vision", "camera-host", age=FRESH + 60),
        beat("disposal", "a", ready=False),
        beat("console", "a", age=5, ended=True),
    ]
    found = amiss(beats, ["vision", "disposal", "console", "limits"], NOW)
    assert found == [
        "The stage vision has given no sign of life for 90 s: look at its log on camera-host.",
        "The stage disposal is still starting.",
        "The stage console was stopped at 2026-11-22 09:29:55 UTC.",
        "The stage limits was never started: 'minewatch run --only limits'.",
    ]


def test_a_source_that_has_ended_in_order_had_no_more_to_bring() -> None:
    assert amiss([beat("capture", "a", age=4000, ended=True)], ["capture"], NOW) == []
    assert amiss([beat("capture", "a", age=4000)], ["capture"], NOW) != []


def test_runs_of_long_ago_are_added_up_and_no_total_falls(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'mine.db'}")
    SQLModel.metadata.create_all(engine)
    old = [beat("vision", f"h{n}", age=9e5 + n, ended=n > 1, frames_analysed=10) for n in range(4)]
    with writing(engine) as session:
        session.add_all([*old, beat("vision", "now", frames_analysed=1), beat("limits", "now")])

    def figures() -> list[float | None]:
        registry = told(*stages_since(engine, "north", datetime(2000, 1, 1, tzinfo=UTC)))
        names = ("frames_analysed_total", "stage_starts_total", "stage_deaths_total", "stage_up")
        return [figure(registry, name, stage) for stage in ("vision", "limits") for name in names]

    before = figures()
    assert before[:3] == [41, 5, 2]
    for folded in (4, 0):
        assert fold(engine, "north", NOW - timedelta(days=7)) == folded
        assert figures() == before
    with reading(engine) as session:
        assert len(session.exec(select(StageHeartbeat)).all()) == 3
    engine.dispose()
