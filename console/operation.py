"""One operation of the whole house or of some stages: check the sources, start, wait for the end, sum up."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from console.deadman import DeadMan
from console.deaths import Deaths
from console.hang import HangWatch
from console.installation import Installation
from console.stages import READS, SOURCES, STAGES, capture
from console.supervisor import Supervisor
from disposal.summary import summary
from stream.heartbeat import stages_since, total
from stream.log import Log, open_log
from stream.messages import utc_now
from stream.site import Site
from stream.write_lock import writer

_READY_SECONDS = 180.0
_LOOK_SECONDS = 5.0
_logger = structlog.get_logger()


@dataclass(frozen=True)
class Plan:
    """What to run, and when to end: ``seconds`` after ready, once every source has ended, or when told."""

    stages: tuple[str, ...]
    seconds: float | None = None
    until_drained: bool = False


class Operation:
    """Runs a plan on an installation. ``started_at`` bounds what is counted as this run's."""

    def __init__(self, installation: Installation, site: Site, plan: Plan, log_level: str = "warning") -> None:
        self._installation = installation
        self._site = site
        self._plan = plan
        self._deaths = Deaths(installation.engine, site.mine)
        self._supervisor = Supervisor(log_level, self._deaths.note)
        self._hangs = HangWatch()
        self._look_at = 0.0
        self.started_at = utc_now()

    def run(self, stop: threading.Event) -> dict[str, Any]:
        """Start the stages, wait for the plan's end or for ``stop``, stop them, and sum up what was done."""
        log = open_log(self._installation.settings.log)
        ended = threading.Event()
        watching = threading.Thread(target=self._deadman().run, args=(ended,), name="dead-man", daemon=True)
        threading.Thread(target=self._deaths.run, args=(ended,), name="deaths", daemon=True).start()
        try:
            self._start(stop)
            watching.start()
            self._wait(stop, log)
        finally:
            ended.set()
            self._supervisor.stop()
            log.close()
        return self.result()

    def pid(self, stage: str) -> int | None:
        """The process id of a stage's present incarnation."""
        return self._supervisor.pid(stage)

    def result(self) -> dict[str, Any]:
        """Counts and latencies of this run so far, in the shape that ``--json`` prints."""
        engine, mine = self._installation.engine, self._site.mine
        counted = total(stages_since(engine, mine, self.started_at))
        found = summary(engine, mine, self.started_at)
        return {
            "frames_read": counted["frames_read"],
            "frames_analysed": counted["frames_analysed"],
            "frames_skipped": counted["frames_skipped"],
            "readings": counted["readings"],
            "risks": found.risks,
            "risks_by_type": found.risks_by_type,
            "alerts": found.alerts,
            "documents": found.documents,
            "auto_closed": found.auto_closed,
            "pending": found.pending,
            "documents_failed": found.failed,
            "dead_letters": counted["dead_letters"],
            "latency_ms": found.latency_ms,
        }

    def _deadman(self) -> DeadMan:
        told = self._installation.settings.disposal
        return DeadMan(self._installation.engine, self._site.mine, self._plan.stages, told.deadman, told.notify)

    def _start(self, stop: threading.Event) -> None:
        """Start consumers, wait until they are at work, then let the sources in."""
        chosen = [name for name in STAGES if name in self._plan.stages]
        consumers = [name for name in chosen if name not in SOURCES]
        for name in consumers:
            self._begin(name)
        self._await_ready(stop, {name for name in consumers if name != "console"})
        for name in chosen:
            if name in SOURCES and not stop.is_set():
                self._begin(name)

    def _begin(self, name: str) -> None:
        main = STAGES[name]
        if name == "capture" and self._plan.until_drained:
            main = partial(capture, follow=False)  # a run that ends with its sources waits for no further camera
        self._supervisor.start(name, main, self._installation.settings, self._site)

    def _await_ready(self, stop: threading.Event, names: set[str]) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not stop.is_set() and time.monotonic() < deadline:
            self._supervisor.tend()
            beats = stages_since(self._installation.engine, self._site.mine, self.started_at)
            if names <= {beat.stage for beat in beats if beat.ready}:
                return
            stop.wait(0.1)

    def _wait(self, stop: threading.Event, log: Log) -> None:
        deadline = None if self._plan.seconds is None else time.monotonic() + self._plan.seconds
        while not stop.is_set() and (deadline is None or time.monotonic() < deadline):
            self._supervisor.tend()
            self._replace_hung()
            if self._plan.until_drained and self._drained(log):
                return
            stop.wait(0.2)

    def _replace_hung(self) -> None:
        """Every few seconds, end what lives and does nothing any more; ``tend`` starts it again."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        running = [(name, self._supervisor.pid(name)) for name in self._plan.stages]
        engine = self._installation.engine
        try:
            beats = stages_since(engine, self._site.mine, self.started_at)
        except SQLAlchemyError:
            self._hangs.forget()
            return
        for name in self._hangs.hung(beats, running, now, writer(engine)):
            self._supervisor.replace(name)

    def _drained(self, log: Log) -> bool:
        """Every source has ended, every stage has handled what reached it, and every raised risk has its document."""
        running = [name for name in SOURCES if name in self._plan.stages]
        if not all(self._supervisor.ended(name) for name in running):
            return False
        # In the order of the data: a stage that is done can no longer give the next one anything to do.
        for stage, topic in READS.items():
            if stage in self._plan.stages and log.lag(stage, topic) > 0:
                return False
        return undrafted(self._installation.engine, self._site.mine, self.started_at) == 0


def undrafted(engine: Engine, mine: str, since: datetime) -> int:
    """How many risks raised since then have no checked document yet."""
    return summary(engine, mine, since).undrafted


def wanted(only: Sequence[str] | None, *, headless: bool, site: Site) -> tuple[str, ...]:
    """The stages to run: those named, else all that have something to do."""
    if only:
        return tuple(only)
    idle = {"sensing"} if not site.sensors else set()
    idle |= {"capture"} if headless and not site.cameras else set()  # at the console the first camera can be added
    idle |= {"console"} if headless else set()
    return tuple(name for name in STAGES if name not in idle)
