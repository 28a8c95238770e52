"""Cameras at work on the embedded log, with the real stage behind them: how many are held, how soon a risk is told."""

import multiprocessing
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Engine
from sqlmodel import SQLModel

from stream.database import open_database
from stream.evidence import EvidenceStore
from stream.heartbeat import Heartbeat
from stream.log import Log, open_log
from stream.messages import Frame, Risk, decode, encode, utc_now
from stream.settings import LogSettings
from stream.site import Camera, Name, Place, Site, Zone, store_site
from stream.worker import Worker
from vision.bench_scenes import Scene, Visit
from vision.detector import Detector
from vision.settings import DetectorSettings, VisionSettings
from vision.worker import NAME, VisionStage

FPS = 5.0
DROPS = 0.01
"""Share of frames that may be passed over as too old."""

STALE_SECONDS = 2.0
WARM_SECONDS = 7.0
"""Before counting begins: each camera's first seconds are looked at frame by frame."""

MINUTE, MOTION_SECONDS = 60.0, 6.0
"""Motion comes in bursts of so many seconds a minute, the cameras one after the other: 10 % of the frames."""

ANALYSED_SHARE = 0.25
"""Of the frames, with the seconds that the gate lingers after a burst and a full scan every two seconds."""

SHOWN_SECONDS, AWAY_SECONDS = 4.0, 16.0
"""Somebody is seen for so long, and then nobody for so long, the cameras one after the other."""

_WHOLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
Schedule = Callable[[int, float], int]
"""Camera and seconds since the beginning -> which of the JPEGs it shows."""


class Live(NamedTuple):
    """One run. ``cores`` is the processor time of the stage a second; ``late`` says that the cameras fell behind."""

    cameras: int
    seconds: float
    counts: Mapping[str, int]
    cores: float
    late: bool
    milliseconds: tuple[float, ...]

    @property
    def dropped(self) -> float:
        """Share of the frames that were passed over."""
        lost = self.counts.get("frames_skipped", 0) + self.counts.get("records_skipped", 0)
        return lost / max(1, lost + self.counts.get("frames_analysed", 0) + self.counts.get("frames_still", 0))

    @property
    def held(self) -> bool:
        """Whether the stage kept up with cameras that kept up themselves."""
        seen = self.counts.get("frames_analysed", 0) + self.counts.get("frames_still", 0)
        return not self.late and self.dropped < DROPS and seen >= 0.9 * self.cameras * FPS * self.seconds

    def as_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        return {
            "cameras": self.cameras,
            "held": self.held,
            "dropped": round(self.dropped, 4),
            "analysed": self.counts.get("frames_analysed", 0),
            "still": self.counts.get("frames_still", 0),
            "cores": round(self.cores, 2),
            "cores_per_camera": round(self.cores / self.cameras, 4),
            "cameras_late": self.late,
        }

    def latencies(self) -> dict[str, float | int | None]:
        """From a frame's arrival to its risk on the log: percentiles in milliseconds, and of how many events."""
        if len(self.milliseconds) < 2:
            return {"p50": None, "p95": None, "p99": None, "events": len(self.milliseconds)}
        cut = statistics.quantiles(self.milliseconds, n=100, method="inclusive")
        return {"p50": round(cut[49]), "p95": round(cut[94]), "p99": round(cut[98]), "events": len(self.milliseconds)}


def holding(run: Callable[[int], Live], first: int, most_runs: int, runs: list[Live]) -> int:
    """The most cameras that a run held, sought from ``first`` on; 0 where none did. Every run is put into ``runs``."""
    held, failed, cameras = 0, 0, first
    for _ in range(most_runs):
        runs.append(run(cameras))
        if runs[-1].held:
            held = max(held, cameras)
        else:
            failed = min(failed or cameras, cameras)
        following = (held + failed) // 2 if held and failed else round(held * 1.3) if held else cameras * 2 // 3
        if following in (held, failed, 0):
            break
        cameras = following
    return held


def busy(
    scenes: Sequence[Scene], cameras: int, detector: Detector, folder: Path, seconds: float, warm: float = WARM_SECONDS
) -> Live:
    """Cameras of which one in ten has motion at a time."""
    jpegs = [jpeg for scene in scenes for jpeg in scene.all]
    each = len(scenes[0].all)

    def shown(camera: int, second: float) -> int:
        tick = round(second * FPS)
        still = len(scenes[0].still)
        moving = (second + camera * MINUTE / cameras) % MINUTE < MOTION_SECONDS
        variant = still + tick % (each - still) if moving else tick % still
        return camera % len(scenes) * each + variant

    return _run(jpegs, shown, cameras, detector, folder, seconds, warm)


def visited(
    visits: Sequence[Visit], detector: Detector, folder: Path, seconds: float, warm: float = WARM_SECONDS
) -> Live:
    """Cameras before which somebody appears and goes, again and again: for the time until it is told."""
    jpegs = [jpeg for visit in visits for jpeg in (*visit.nobody, *visit.somebody)]

    def shown(camera: int, second: float) -> int:
        cycle = SHOWN_SECONDS + AWAY_SECONDS
        there = (second + camera * cycle / len(visits)) % cycle < SHOWN_SECONDS
        return 4 * camera + 2 * there + round(second * FPS) % 2

    return _run(jpegs, shown, len(visits), detector, folder, seconds, warm)


def _run(
    jpegs: Sequence[bytes],
    shown: Schedule,
    cameras: int,
    detector: Detector,
    parent: Path,
    seconds: float,
    warm: float,
) -> Live:
    """Let the cameras show what they show to a stage of their own, and count once it is warm."""
    ticks = range(round((warm + seconds) * FPS))
    schedule = [[shown(camera, tick / FPS) for camera in range(cameras)] for tick in ticks]
    with tempfile.TemporaryDirectory(dir=parent) as name:
        folder = Path(name)
        engine = open_database(f"sqlite:///{folder}/bench.db")
        SQLModel.metadata.create_all(engine)
        store_site(engine, _site(cameras, detector.name), "bench")
        settings = LogSettings(folder=folder / "log", frames_bytes=2**30)
        log = open_log(settings)
        try:
            return _watched(jpegs, schedule, log, settings, engine, detector, folder, seconds, warm)
        finally:
            log.close()
            engine.dispose()


def _watched(
    jpegs: Sequence[bytes],
    schedule: list[list[int]],
    log: Log,
    log_settings: LogSettings,
    engine: Engine,
    detector: Detector,
    folder: Path,
    seconds: float,
    warm: float,
) -> Live:
    heartbeat = _Tally(engine, "bench", NAME)
    stage = VisionStage(
        VisionSettings(
            detectors={detector.name: DetectorSettings(weights=detector.name)}, staleness_seconds=STALE_SECONDS
        ),
        {detector.name: detector},
        log=log,
        engine=engine,
        evidence=EvidenceStore(folder / "evidence"),
        mine="bench",
        heartbeat=heartbeat,
    )
    stop = threading.Event()
    worker = threading.Thread(target=Worker(stage, log, "bench", heartbeat, stop).run)
    context = multiprocessing.get_context("spawn")
    start, told_by_player = context.Queue(), context.Queue()
    player = context.Process(
        target=play, args=(log_settings, list(jpegs), schedule, start, told_by_player), daemon=True
    )
    player.start()
    worker.start()
    try:
        told_by_player.get(timeout=120.0)  # the process has started, which takes seconds
        begin = time.time() + 0.5
        start.put(begin)
        _sleep_until(begin + warm)
        before, used = heartbeat.tally.copy(), time.process_time()
        _sleep_until(begin + warm + seconds)
        counts, cores = heartbeat.tally - before, (time.process_time() - used) / seconds
        behind = told_by_player.get(timeout=60.0)
        player.join()
    finally:
        stop.set()
        worker.join()
        player.kill()
    since = datetime.fromtimestamp(begin + warm, UTC)
    told = tuple((r.published_at - r.read_at).total_seconds() * 1000 for r in _risks(log) if r.read_at >= since)
    return Live(len(schedule[0]), seconds, counts, cores, behind > 1.0, told)


def play(settings: LogSettings, jpegs: list[bytes], schedule: list[list[int]], start: Any, tell: Any) -> None:
    """The cameras, in a process of their own: each frame goes onto the log at its time.

    ``start`` brings when to begin, ``tell`` takes a word that it is ready, and at last how many seconds late it ended.
    """
    log = open_log(settings)
    tell.put(0.0)
    begin = start.get()
    opened = utc_now()
    spacing = 1 / FPS / len(schedule[0])
    for tick, row in enumerate(schedule):
        for camera, index in enumerate(row):
            _sleep_until(begin + tick / FPS + camera * spacing)
            now = utc_now()
            frame = Frame(
                mine="bench",
                camera=f"cam-{camera}",
                sequence=tick,
                captured_at=now,
                read_at=now,
                jpeg=jpegs[index],
                width=1920,
                height=1080,
                opened_at=opened,
            )
            log.append("frames", f"bench/cam-{camera}", encode(frame))
    tell.put(time.time() - begin - len(schedule) / FPS)
    log.close()


class _Tally(Heartbeat):
    """A heartbeat whose counters can be read between its writes."""

    def __init__(self, engine: Engine, mine: str, stage: str) -> None:
        super().__init__(engine, mine, stage)
        self.tally: Counter[str] = Counter()

    def count(self, name: str, amount: int = 1) -> None:
        super().count(name, amount)
        self.tally[name] += amount


def _site(cameras: int, detector: str) -> Site:
    names = [f"cam-{number}" for number in range(cameras)]
    return Site(
        mine="bench",
        places=(Place(id="face", name=Name(en="Face")),),
        cameras=tuple(
            Camera(id=n, name=Name(en=n), url=f"{n}.mp4", place="face", detectors=(detector,)) for n in names
        ),
        zones=tuple(Zone(id=f"{n}-zone", camera=n, purpose="watched", polygon=_WHOLE) for n in names),
    )


def _risks(log: Log) -> list[Risk]:
    consumer = log.subscribe("bench-reader", ("risks",))
    found: list[object] = []
    while len(found) < log.lag("nobody", "risks"):
        found += [decode(record.value) for record in consumer.poll(500, 0.2)]
    consumer.close()
    return [risk for risk in found if isinstance(risk, Risk)]


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))
