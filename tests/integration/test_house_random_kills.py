"""kill -9 at random points over capture, detection, disposal and notification, on both logs and both databases."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stream.settings import LogSettings
from tests.faults.kills import READY_SECONDS, Stores, run


@pytest.mark.slow
@pytest.mark.parametrize("stores", ["embedded and SQLite", "Kafka and PostgreSQL"])
def test_what_was_acknowledged_comes_once_whoever_dies(
    stores: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if stores == "embedded and SQLite":
        where = Stores(tmp_path, LogSettings(folder=tmp_path / "log"), f"sqlite:///{tmp_path}/mine.db")
    else:
        kafka: str = request.getfixturevalue("kafka")
        fresh: Callable[[], str] = request.getfixturevalue("postgres")
        where = Stores(tmp_path, LogSettings(url=f"kafka://{kafka}", prefix="random-kills"), fresh())
    figures = run(where, risks=250, kills=10, seed=7, cameras=2, patience=200)
    assert figures.risks == 250
    assert sum(figures.hit.values()) == 10
    busy = max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)))  # what else the machine does is not ours
    assert max(figures.late.values()) < READY_SECONDS * busy, "seconds from ready to at work"
