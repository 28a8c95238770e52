"""The console under many alerts at once: its short form counts what it should, and the queue page stays small."""

from math import isfinite
from pathlib import Path

import pytest

from console.bench import BENCHES, measure
from console.queue_rows import ROWS


@pytest.mark.slow
def test_a_flood_reaches_every_browser_while_decisions_are_taken(tmp_path: Path) -> None:
    found = measure("console", material=tmp_path, short=True)
    assert BENCHES["console"] == "console.bench_console"
    assert (found["browsers"], found["alerts_per_minute"]) == (50, 1000)
    assert found["open_alerts"] > ROWS, "what is asked for is a full page"
    assert found["closed_alerts"] > found["open_alerts"]
    assert found["alerts"] == int(found["alerts_per_minute"] * found["seconds"] / 60)
    assert found["missed"] < found["alerts"] * found["browsers"] / 2
    assert found["decisions"] > 0
    assert found["queue_kb"] <= 150
    assert 0 < found["visible_p50_ms"] <= found["visible_p99_ms"]
    assert 0 < found["decision_p50_ms"] <= found["decision_p99_ms"]
    assert found["filter_p95_ms"] > 0
    assert found["scroll_p95_ms"] > 0
    assert isfinite(found["memory_slope"])
    assert found["first_paint_ms"] is None or found["first_paint_ms"] > 0
