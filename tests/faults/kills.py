"""Stages killed at random points while risks run through all of them: what was lost, doubled or late.

The stages are the product's own, each in a process of its own, on a real log, a real database and a real webhook; what
they see are drawn pictures of cameras that are covered again and again, so that every risk that must come is known.
"""

import ctypes
import multiprocessing
import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from sqlmodel import Session, col, func, select

from console import logs, schema
from disposal import audit
from disposal.alert import AlertRisk
from disposal.notify import Outbox
from disposal.settings import DisposalSettings, EscalationSettings, NotifySettings
from disposal.worker import run_disposal
from rules.settings import MatcherSettings, RulesSettings
from stream.capture import run_capture_stage
from stream.database import open_database
from stream.heartbeat import StageHeartbeat, stages_since, total
from stream.log import Log, open_log
from stream.messages import Risk, decode, utc_now
from stream.settings import CaptureSettings, LogSettings
from stream.site import Camera, Name, Place, Site, store_site
from tests.faults import processes
from tests.faults.sources import Webhook
from vision.settings import VisionSettings
from vision.worker import run_vision

START = datetime(2026, 1, 1, tzinfo=UTC)
RATE = 2.0
COVERED, CLEAR = 8, 16
"""Pictures of one turn in which the camera is covered, and in which it sees; a turn makes one risk."""
TURN = timedelta(seconds=(COVERED + CLEAR) / RATE)
STAGES = ("capture", "vision", "disposal")
TARGETS = ("capture", "camera", "vision", "disposal")
"""Who is hit: capture or one of its cameras, who detects, and who disposes and notifies (the postman lives there)."""
AT_ONCE = 3
WAITING = 256
WORKING = {"capture": "frames_read", "vision": "frames_analysed", "disposal": "risk_events"}
READY_SECONDS = 5.0
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.faults.kills"])


@dataclass(frozen=True)
class Stores:
    """Where a run keeps everything."""

    folder: Path
    log: LogSettings
    database: str


@dataclass(frozen=True)
class Figures:
    """What a run came to. ``late``: seconds from each stage's being ready to its first work, the longest."""

    risks: int
    kills: int
    hit: dict[str, int]
    late: dict[str, float]
    delivered: int
    seconds: float


def film(path: Path, turns: int, seed: int) -> Path:
    """A camera of ``turns`` turns: it sees, is covered, and sees again."""
    scene = cv2.resize(
        np.random.default_rng(seed).integers(30, 220, (9, 16, 3), dtype=np.uint8),
        (160, 96),
        interpolation=cv2.INTER_NEAREST,
    )
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (160, 96))
    for number in range(turns * (COVERED + CLEAR)):
        covered = CLEAR // 2 <= number % (COVERED + CLEAR) < CLEAR // 2 + COVERED
        picture = np.full_like(scene, 3) if covered else scene.copy()
        if not covered:
            picture[:8, number % 150 : number % 150 + 6] = 250
        writer.write(picture)
    writer.release()
    return path


class House:
    """Capture, vision and disposal at work on one site, each started again as soon as it dies."""

    def __init__(self, stores: Stores, site: Site, webhook: int) -> None:
        self._mains = _mains(stores, site, f"http://127.0.0.1:{webhook}/")
        self._processes: dict[str, ForkServerProcess] = {}
        self._closing = threading.Event()
        for name in reversed(STAGES):
            self._start(name)
        self._tending = threading.Thread(target=self._tend, daemon=True)
        self._tending.start()

    def hit(self, target: str) -> bool:
        """Kill a stage, or a ``camera`` of capture; whether it was there to be killed."""
        # Stages and cameras are forked from the same process here, so that cameras are not under capture.
        pid = max(processes.cameras(os.getpid()), default=0) if target == "camera" else self._processes[target].pid or 0
        try:
            if pid:
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False  # it has done all that it had to do
        return bool(pid)

    def _start(self, name: str) -> None:
        process = _context.Process(target=_leashed, args=(os.getpid(), self._mains[name]), name=name)
        process.start()
        self._processes[name] = process

    def _tend(self) -> None:
        while not self._closing.wait(0.02):
            for name, process in list(self._processes.items()):
                if process.exitcode not in (None, 0):
                    self._start(name)

    def close(self) -> None:
        """End all of it in order."""
        self._closing.set()
        self._tending.join()
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.join(30)
            process.kill()
            process.join()


def _mains(stores: Stores, site: Site, webhook: str) -> dict[str, Callable[..., None]]:
    evidence = (stores.folder / "evidence").as_uri()
    notify = NotifySettings(url=webhook)
    return {
        "capture": partial(
            run_capture_stage,
            cameras=site.cameras,
            mine=site.mine,
            log_settings=stores.log,
            database_url=stores.database,
            settings=CaptureSettings(backpressure_frames=WAITING),
            run="one",
        ),
        "vision": partial(
            run_vision,
            settings=VisionSettings(detectors={}, full_scan_seconds=0.5, clip_seconds=0),
            log_settings=stores.log,
            database_url=stores.database,
            evidence_url=evidence,
            mine=site.mine,
        ),
        "disposal": partial(
            run_disposal,
            settings=DisposalSettings(notify=notify, escalation=EscalationSettings(high=0.5, times=1)),
            rules_settings=RulesSettings(matcher=MatcherSettings(model="none")),
            log_settings=stores.log,
            database_url=stores.database,
            evidence_url=evidence,
            mine=site.mine,
        ),
    }


def _leashed(parent: int, main: Callable[..., None]) -> None:
    """A stage's process: SIGTERM drains it, and it does not outlive the test."""
    logs.set_up("error")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    main(stop)


def _watch(parent: int) -> None:
    """The fork server is our parent, not the test: end when the test is gone."""
    while Path(f"/proc/{parent}").exists():
        time.sleep(0.5)
    os._exit(1)


def run(stores: Stores, *, risks: int, kills: int, seed: int, cameras: int = 4, patience: float = 600) -> Figures:
    """Let ``risks`` risks through while ``kills`` processes die at random; fails where one is lost, doubled or late."""
    dice = random.Random(seed)
    stores.folder.mkdir(parents=True, exist_ok=True)
    engine = open_database(stores.database)
    schema.prepare(engine)
    turns = -(-risks // cameras)
    site = Site(
        mine="mine",
        places=(Place(id="roadway", name=Name(en="Roadway")),),
        cameras=tuple(_camera(stores.folder, number, turns) for number in range(cameras)),
    )
    store_site(engine, site, "test")
    webhook = Webhook()
    began = time.monotonic()
    house = House(stores, site, webhook.port)
    log = open_log(stores.log)
    try:
        hit, late = _kill(house, engine, log, dice, kills, cameras * turns, patience)
        _finish(log, engine, cameras * turns, patience)
    finally:
        log.close()
        house.close()
    seconds = time.monotonic() - began
    check(stores, engine, {camera.id: turns for camera in site.cameras}, webhook)
    webhook.down()
    engine.dispose()
    return Figures(cameras * turns, kills, dict(hit), late, len(webhook.taken), round(seconds, 1))


def _camera(folder: Path, number: int, turns: int) -> Camera:
    clip = film(folder / f"cam-{number}.avi", turns, number)
    return Camera(
        id=f"cam-{number}",
        name=Name(en=f"Camera {number}"),
        url=str(clip),
        place="roadway",
        paced=False,
        fps=RATE,
        start=START,
        detectors=(),
    )


def _kill(
    house: House, engine: Engine, log: Log, dice: random.Random, kills: int, risks: int, patience: float
) -> tuple[Counter[str], dict[str, float]]:
    """Hit up to three processes at a random moment, wait until their successors are ready and work, and again."""
    hit: Counter[str] = Counter()
    late: dict[str, float] = {}
    while (done := hit.total()) < kills:
        due = risks * done / (kills + 1)
        until(partial(_at_least, engine, due), patience, "the risks did not come")
        time.sleep(dice.uniform(0, 0.4))
        before = {stage: _incarnations(engine, stage) for stage in STAGES}
        fallen = [target for target in dice.sample(TARGETS, min(AT_ONCE, kills - done)) if house.hit(target)]
        hit.update(fallen)
        for stage in STAGES:
            if stage in fallen:
                seconds = _seconds_to_work(engine, log, stage, before[stage], patience)
                late[stage] = max(late.get(stage, 0.0), round(seconds, 2))
    return hit, late


def _seconds_to_work(engine: Engine, log: Log, stage: str, before: set[str], patience: float) -> float:
    """Seconds from the successor's being ready to its first work, or to its having none."""

    def successor() -> StageHeartbeat | None:
        return next((b for b in _beats(engine, stage) if b.instance not in before and b.ready), None)

    until(successor, patience, f"{stage} was not started again")
    ready = time.monotonic()

    def works() -> bool:
        beat = successor()
        return beat is not None and (
            beat.ended or total([beat])[WORKING[stage]] > 0 or _nothing_to_do(engine, log, stage)
        )

    until(works, patience, f"{stage} does not work again")
    return time.monotonic() - ready


def _nothing_to_do(engine: Engine, log: Log, stage: str) -> bool:
    """What this stage would work on has not come yet, has all been done, or must wait for others."""
    if stage == "capture":
        return any(beat.ended for beat in _beats(engine, stage)) or log.lag("vision", "frames") > WAITING
    return log.lag(stage, "frames" if stage == "vision" else "risks") == 0


def _beats(engine: Engine, stage: str) -> list[StageHeartbeat]:
    return [b for b in stages_since(engine, "mine", utc_now() - timedelta(days=1)) if b.stage == stage]


def _incarnations(engine: Engine, stage: str) -> set[str]:
    return {b.instance for b in _beats(engine, stage)}


def _raised(engine: Engine) -> int:
    with Session(engine) as session:
        query = select(func.count()).select_from(AlertRisk).where(AlertRisk.state == "raised")
        return session.exec(query.where(AlertRisk.type == "camera-blind")).one()


def _at_least(engine: Engine, due: float) -> bool:
    return _raised(engine) >= due


def _finish(log: Log, engine: Engine, risks: int, patience: float) -> None:
    """Wait until everything has come, every stage has done what reached it and everything was delivered."""
    until(lambda: _raised(engine) >= risks, patience, "not all risks came")
    until(lambda: log.lag("vision", "frames") + log.lag("disposal", "risks") == 0, patience, "the log is not read")
    until(lambda: _undelivered(engine) == 0, patience, "not everything was delivered")


def _undelivered(engine: Engine) -> int:
    with Session(engine) as session:
        return session.exec(select(func.count()).select_from(Outbox).where(col(Outbox.done_at).is_(None))).one()


def check(stores: Stores, engine: Engine, turns: dict[str, int], webhook: Webhook) -> None:
    """Nothing that was acknowledged is lost, nothing is there twice, and what is there is whole."""
    with Session(engine) as session:
        events = [row.risk for row in session.exec(select(AlertRisk)).all()]
        rows = session.exec(select(Outbox)).all()
    blind = [e for e in events if e.type == "camera-blind"]
    found = Counter((e.source, round((e.started_at - START) / TURN - 0.5)) for e in blind if e.state == "raised")
    expected = Counter({(camera, turn): 1 for camera, count in turns.items() for turn in range(count)})
    assert found == expected, f"lost: {sorted(expected - found)}, doubled: {sorted(found - expected)}"
    ends = Counter(e.risk_id for e in blind if e.state in {"cleared", "lost"})
    assert set(ends) == {e.risk_id for e in blind}, "a risk never ended"
    assert set(ends.values()) == {1}, "a risk ended twice"
    stored = Counter((e.risk_id, e.sequence) for e in events)
    assert max(stored.values()) == 1, "an event was stored twice"
    assert acknowledged(stores.log) <= set(stored), "what the log had acknowledged was lost"
    assert rows, "there was nothing to tell anybody"
    # What fell due behind the last look, as an escalation does by time alone, need not have left.
    done = {row.outcome for row in rows if row.done_at is not None}
    assert done == {"delivered"}, f"a delivery ended otherwise: {sorted(done)}"
    assert {row.id for row in rows if row.done_at is not None} <= set(webhook.taken), "a delivery was made up"
    verified = audit.verify(engine, "mine")
    assert verified.whole, verified.reason
    url = make_url(stores.database)
    if url.get_backend_name() == "sqlite":
        with sqlite3.connect(str(url.database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()


def acknowledged(settings: LogSettings) -> set[tuple[str, int]]:
    """Every risk event on the log."""
    log = open_log(settings)
    consumer = log.subscribe("auditor", ["risks"])
    found: set[tuple[str, int]] = set()
    try:
        quiet = 0
        while quiet < 3:
            records = consumer.poll(500, 2.0)
            quiet = 0 if records else quiet + 1
            messages = [decode(record.value) for record in records]
            found |= {(m.risk_id, m.sequence) for m in messages if isinstance(m, Risk)}
    finally:
        consumer.close()
        log.close()
    return found


def until(condition: Callable[[], Any], seconds: float, what: str) -> None:
    """Wait for a condition, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} within {seconds:.0f} s"
        time.sleep(0.05)
