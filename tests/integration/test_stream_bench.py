"""The benchmark of the logs, with amounts that say nothing but that it measures what it says."""

import gc
from pathlib import Path

import pytest

from stream import bench
from stream.errors import ConfigurationError


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # kafka-python's
def test_both_logs_and_the_bare_loop_do_the_same_work(kafka: str, tmp_path: Path) -> None:
    found = bench.compare(kafka, tmp_path / "rates", 60_000, 40, 1)
    assert set(found) == {"bare", "kafka", "embedded"}
    assert all(figures["in"] > 0 and figures["out"] > 0 for figures in found.values())
    assert not (tmp_path / "rates").exists(), "nothing is left behind"
    gc.collect()  # while the filter above holds


def test_growth_is_that_of_a_full_ring_beside_an_empty_one(tmp_path: Path) -> None:
    found = bench.growth(tmp_path / "growth", 250_000, 32 * 1024**2, 60)
    assert found["append"] == pytest.approx(found["append_ms_full"] / found["append_ms_empty"], rel=0.1)
    assert found["poll"] > 0


def test_through_is_in_and_out_one_after_the_other() -> None:
    assert bench.through(bench.Turn(written=100, read=300)) == pytest.approx(75)


def test_without_a_broker_there_is_nothing_to_compare_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "JARS", tmp_path / "absent")
    with pytest.raises(ConfigurationError, match="make kafka"):
        bench.measure(tmp_path, short=True)


def test_without_room_nothing_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "JARS", tmp_path)
    monkeypatch.setattr(bench, "_RETAINED", 2**60)
    with pytest.raises(ConfigurationError, match="TMPDIR"):
        bench.measure(tmp_path, short=False)


def test_what_the_last_drill_found_is_told_and_nothing_where_there_was_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "FAULTS", tmp_path / "faults.json")
    assert bench._faults() == {"fault_coverage": None, "locate_s": None}
    (tmp_path / "faults.json").write_text('{"fault_coverage": 0.94, "locate_s": 12.5, "table": []}')
    assert bench._faults() == {"fault_coverage": 0.94, "locate_s": 12.5}
