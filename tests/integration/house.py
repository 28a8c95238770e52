"""The whole house on real clips, started in this process's children: for tests that hurt it while it runs."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlmodel import Session, select

from console.cli_clauses import publish_samples
from console.installation import Installation, open_installation
from console.operation import Operation, Plan, wanted
from console.settings import load
from console.watch import watched_site
from disposal.alert import AlertRisk
from stream.messages import Risk
from stream.site import Site, store_site

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class House:
    """A prepared installation and the operation that runs on it."""

    installation: Installation
    operation: Operation
    site: Site

    def run(self, seconds: float = 240) -> dict[str, Any]:
        """Run until every source has ended and every risk has its document."""
        stop = threading.Event()
        alarm = threading.Timer(seconds, stop.set)
        alarm.start()
        try:
            result = self.operation.run(stop)
        finally:
            alarm.cancel()
        assert not stop.is_set(), f"the house was not done after {seconds} s: {result}"
        return result

    def events(self) -> list[Risk]:
        """Every risk event in the tables."""
        with Session(self.installation.engine) as session:
            return [row.risk for row in session.exec(select(AlertRisk)).all()]

    def episodes(self) -> list[tuple[str, str | None, str]]:
        """Type, zone and capture time of every risk raised: what must be the same on every log and after every kill."""
        return sorted((e.type, e.zone, e.started_at.isoformat()) for e in self.events() if e.state == "raised")


def build(folder: Path, clips: list[Path], **variables: str) -> House:
    """A house that watches ``clips`` unpaced, their capture times fixed so that runs can be compared."""
    settings = load(None, {f"MINEWATCH_{name.upper()}": value for name, value in variables.items()}, folder)
    settings = settings.model_copy(update={"mine": "watch"})
    site = watched_site([str(clip) for clip in clips])
    site = site.model_copy(update={"cameras": tuple(c.model_copy(update={"start": START}) for c in site.cameras)})
    installation = open_installation(settings, folder, "watch")
    store_site(installation.engine, site, "test")
    publish_samples(installation.engine, site.mine, supplement=False)
    plan = Plan(wanted(None, headless=True, site=site), until_drained=True)
    return House(installation, Operation(installation, site, plan), site)


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for a condition, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come about in time"
        time.sleep(0.02)
