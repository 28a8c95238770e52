"""Keeps the cameras going: a process for each, started again when it dies or hangs, with alarms for those offline."""

import contextlib
import math
import os
import random
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import msgspec
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from stream import offline
from stream.camera import OPEN_SECONDS, is_live
from stream.camera_process import Ended, Failed, Job, Opened, Signs, prepared, run_camera, unpack
from stream.checkpoint import Checkpoints
from stream.crew import Crew, SiteFollower
from stream.database import open_database
from stream.errors import LogError, SourceError
from stream.heartbeat import Heartbeat
from stream.log import Log, Position, open_log
from stream.messages import Health, SourceEnded, SourceStatus, encode, utc_now
from stream.settings import CaptureSettings, LogSettings
from stream.site import Camera

HEALTH_SECONDS = 5.0
"""The longest time between two health messages of one camera."""

START_SECONDS = 60.0
"""How long a camera's process may take to load its code, on a machine that has too much to do."""

OPEN_ATTEMPTS = 3
"""A file that does not open this often is given up until the next run; a live camera never is."""

_TICK = 0.1
_MEMORY_SECONDS = 1.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_CALM = 10.0
_LOG_PATIENCE = 5
_DRAIN = 8.0
_logger = structlog.get_logger()


class Memory(msgspec.Struct):
    """What is remembered of one camera over restarts of the stage; ``run`` says within which run of the house."""

    run: str
    opened_at: datetime | None = None
    sequence: int = 0
    ended: bool = False
    silence: offline.Episode | None = None


def run_capture_stage(
    stop: threading.Event,
    *,
    cameras: Sequence[Camera],
    mine: str,
    log_settings: LogSettings,
    database_url: str,
    settings: CaptureSettings,
    run: str | None = None,
    follow: bool = False,
) -> None:
    """Capture all cameras until ``stop`` is set or every one of them has ended.

    ``follow``: take up cameras that the site's tables gain, let go of those they lose, and go on without any.
    ``run`` names this run of the house: a stage that is started again within it reads files on where they had come
    to, in another run they begin anew. By default it is the life of the process that started this one.
    """
    engine = open_database(database_url)
    log = open_log(log_settings)
    heartbeat = Heartbeat(engine, mine, "capture")
    run = parent_life() if run is None else run
    crew = Crew(lambda c: CameraKeeper(mine, c, log, log_settings, settings, engine, heartbeat, run), cameras)
    site = SiteFollower(engine, mine) if follow else None
    try:
        heartbeat.ready()
        while not stop.wait(_TICK) and not (site is None and crew.ended):
            if site is not None and (fresh := site.fresh()) is not None:
                crew.follow(fresh.cameras)
            crew.tick()
            heartbeat.beat()
    finally:
        crew.stop(time.monotonic() + _DRAIN)
        heartbeat.close()
        log.close()
        engine.dispose()


def parent_life() -> str:
    """The life of the process that started this one: one run of the house, whose stages may be started again in it."""
    parent = os.getppid()
    with contextlib.suppress(OSError):
        # Field 22 of proc(5)'s stat, counted behind the name, which may hold anything: when the process started.
        return f"{parent} since {Path(f'/proc/{parent}/stat').read_text().rpartition(')')[2].split()[19]}"
    return str(parent)


class CameraKeeper:
    """Keeps one camera's process going. ``tick`` is to be called several times a second."""

    def __init__(
        self,
        mine: str,
        camera: Camera,
        log: Log,
        log_settings: LogSettings,
        settings: CaptureSettings,
        engine: Engine,
        heartbeat: Heartbeat,
        run: str,
    ) -> None:
        self._mine = mine
        self._camera = camera
        self._log = log
        self._log_settings = log_settings
        self._settings = settings
        self._engine = engine
        self._heartbeat = heartbeat
        self._context = prepared()
        self._live = _is_live(camera)
        self._memory_name = f"capture/{mine}/{camera.id}"
        self._checkpoints = Checkpoints(engine, self._memory_name)
        self._memory = _recall(self._checkpoints, run)
        self._saved, self._saved_at = b"", 0.0
        self._process: ForkServerProcess | None = None
        self._words: Connection | None = None
        self._signs = Signs(self._context)
        self._counted = self._refused = self._lost = self._failures = self._refusals = 0
        self._fault = ""
        self._opened = self._frames_came = self._said = (
            False  # what was raised is said again after a restart: it may not have been
        )
        self._spawned_at = time.monotonic()
        self._started_at: float | None = None
        self._start_at = 0.0
        self._watch = offline.Watch(settings.silence_seconds, self._spawned_at)
        self._told: tuple[SourceStatus, str] | None = None
        self._told_at = 0.0

    @property
    def ended(self) -> bool:
        """Nothing more will come from this camera in this run."""
        return self._memory.ended

    @property
    def pid(self) -> int | None:
        """The process id of the camera's present process."""
        return self._process.pid if self._process is not None else None

    def tick(self) -> None:
        """Look after the process, the alarm, health and memory; what fails now is done at the next tick."""
        try:
            self._listen()
            self._count()
            if not self.ended:
                self._tend(time.monotonic())
            self._alarm(time.monotonic())
            self._tell_health(time.monotonic())
            self._save(time.monotonic())
        except (LogError, SQLAlchemyError) as error:
            _logger.warning("capture goes on without", camera=self._camera.id, reason=str(error))

    def ask_to_stop(self) -> None:
        """Let the process finish the picture in hand."""
        self._signs.stop()

    def stop(self, deadline: float) -> None:
        """End the process, by force after ``deadline`` (monotonic), and write down where it stopped."""
        if self._process is not None:
            self._process.join(max(0.0, deadline - time.monotonic()))
            self._kill()
        with contextlib.suppress(LogError, SQLAlchemyError):
            self._listen()
            self._count()
            self._save(math.inf)

    def retire(self) -> None:
        """The site has this camera no more: nobody can say how what it saw went on, nor its own silence."""
        silence, self._memory.silence = self._memory.silence, None
        with contextlib.suppress(LogError, SQLAlchemyError):
            self._end_frames(offline.RETIRED)
            if silence is not None:
                offline.publish_lost(self._log, self._mine, self._camera, silence)

    def _listen(self) -> None:
        while self._words is not None and self._words.poll():
            try:
                word = unpack(self._words.recv_bytes())
            except (EOFError, OSError):
                self._words.close()
                self._words = None
                return
            match word:
                case Opened(opened_at):
                    self._memory.opened_at, self._refusals = opened_at, 0
                    self._opened, self._fault = True, ""
                case Failed(reason, unopened):
                    self._fault = reason
                    self._refusals += unopened
                    _logger.warning("camera stopped", camera=self._camera.id, reason=reason)
                case Ended():
                    self._memory.ended = True

    def _count(self) -> None:
        written, refused, lost = self._signs.written, self._signs.refused, self._signs.lost
        if written > self._counted:
            self._heartbeat.count("frames_read", written - self._counted)
            self._counted = written
            self._frames_came = True
            if not self._live:
                self._memory.sequence = written
        self._heartbeat.count("dead_letters", refused - self._refused)
        if refused > self._refused:
            name = f"{self._mine}/{self._camera.id}"
            self._heartbeat.trouble(
                "put-aside", name, "A picture is larger than the log takes. Lower its size at the camera."
            )
        self._heartbeat.count("frames_lost", lost - self._lost)
        self._refused, self._lost = refused, lost
        self._watch.see(self._signs.lived_at)

    def _tend(self, now: float) -> None:
        """See to it that the process runs: end one that hangs, and start again one that died."""
        if self._process is None:
            if now >= self._start_at:
                self._spawn(now)
            return
        if self._process.is_alive():
            if now - self._quiet_since() <= self._patience():
                return
            self._fault = f"It gave no picture for {self._settings.silence_seconds:.0f} s."
            _logger.warning("camera hangs, started again", camera=self._camera.id)
        self._kill()
        self._listen()
        self._count()
        if not self.ended:
            self._plan_restart(now)

    def _quiet_since(self) -> float:
        """When the camera's process last got on: a picture, the end of loading, its start."""
        if self._started_at is None and self._signs.started:
            self._started_at = time.monotonic()
        return max(self._watch.seen_at, self._started_at or self._spawned_at)

    def _patience(self) -> float:
        """Seconds without a sign of life that are borne: starting anew does not help against a log that is slow."""
        if not self._signs.started:
            return START_SECONDS
        if not self._opened:
            return self._settings.silence_seconds + OPEN_SECONDS
        return self._settings.silence_seconds * (1 if self._signs.reading else _LOG_PATIENCE)

    def _missing(self, now: float) -> bool:
        """Whether the camera is to blame that nothing comes."""
        if self.ended or not self._watch.silent(now):
            return False
        if self._process is None or not self._process.is_alive():
            return True
        return now - self._quiet_since() > self._patience()

    def _plan_restart(self, now: float) -> None:
        self._fault = self._fault or "Its process ended without a word."
        if self._refusals >= OPEN_ATTEMPTS and not self._live:
            _logger.warning("file given up", camera=self._camera.id, reason=self._fault)
            self._memory.ended = True
            return
        calm = self._watch.seen_at - self._spawned_at > _CALM
        self._failures = 1 if calm else self._failures + 1
        self._start_at = now + pause(self._failures)
        self._heartbeat.count("restarts")
        self._heartbeat.trouble(
            "restarted", f"{self._mine}/{self._camera.id}", f"Its process was started again: {self._fault}"
        )

    def _spawn(self, now: float) -> None:
        if self._memory.opened_at is None and not self._live:
            # Remembered before the first frame is on the log, so that no file is ever opened twice under two names.
            self._memory.opened_at = utc_now()
            self._save(math.inf)
        self._opened = False
        ours, theirs = self._context.Pipe(duplex=False)
        self._signs = Signs(self._context)
        self._counted = 0 if self._live else self._memory.sequence
        self._refused = self._lost = 0
        self._started_at = None
        memory = self._memory
        job = Job(self._mine, self._camera, self._log_settings, self._settings, memory.opened_at, memory.sequence)
        self._process = self._context.Process(
            target=run_camera, args=(job, self._signs, theirs), name=f"camera {self._camera.id}", daemon=True
        )
        self._process.start()
        theirs.close()
        self._words = ours
        self._spawned_at = now

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _alarm(self, now: float) -> None:
        """Raise the risk where the camera is silent or never opened, clear it where its pictures come again."""
        silence = self._memory.silence
        if silence is None:
            never_opened = self._refusals > 0 and not self._frames_came
            if never_opened or self._missing(now):
                self._go_offline()
        elif not self._said:
            offline.publish_raised(self._log, self._mine, self._camera, silence)
            self._end_frames(silence.reason)
            self._said = True
        elif self._watch.back(now) >= offline.CLEAR_SECONDS or (self.ended and self._frames_came):
            offline.publish_cleared(self._log, self._mine, self._camera, silence, self._watch.back(now))
            self._memory.silence = None
            self._save(math.inf)

    def _go_offline(self) -> None:
        """Remember the episode first: a risk that was raised is then never raised again under another id."""
        self._memory.silence = offline.begin(self._mine, self._camera, self._fault or "It gives no pictures.")
        try:
            self._save(math.inf)
        except BaseException:
            self._memory.silence = None
            raise
        self._said = False
        self._watch.forget()

    def _end_frames(self, reason: str) -> None:
        ended = SourceEnded(
            mine=self._mine,
            camera=self._camera.id,
            sequence=self._signs.written,
            captured_at=utc_now(),
            reason=reason,
        )
        self._log.append("frames", f"{self._mine}/{self._camera.id}", encode(ended))
        self._log.flush()

    def _tell_health(self, now: float) -> None:
        if self._memory.silence is not None:
            status: SourceStatus = "offline"
        elif self.ended:
            status = "ended"
        elif self._frames_came:
            status = "ok"
        else:
            return
        told = (status, self._memory.silence.reason if self._memory.silence else self._fault)
        if told == self._told and (now - self._told_at < HEALTH_SECONDS or self.ended):
            return
        message = Health(
            mine=self._mine,
            source=self._camera.id,
            source_kind="camera",
            status=status,
            detail=told[1],
            observed_at=utc_now(),
        )
        self._log.append("health", f"{self._mine}/{self._camera.id}", encode(message))
        self._told, self._told_at = told, now

    def _save(self, now: float) -> None:
        content = msgspec.msgpack.encode(self._memory)
        if content != self._saved and now - self._saved_at >= _MEMORY_SECONDS:
            position = Position("frames", 0, self._memory.sequence)
            self._checkpoints.save([(position, content)])
            self._saved, self._saved_at = content, min(now, time.monotonic())


def pause(failures: int) -> float:
    """Seconds until the next attempt: doubling, bounded, and spread so that cameras of one switch come one by one."""
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures - 1, 10)) * random.uniform(0.5, 1.5)  # noqa: S311


def _is_live(camera: Camera) -> bool:
    try:
        return is_live(camera.url)
    except SourceError:
        return False


def _recall(checkpoints: Checkpoints, run: str) -> Memory:
    """What an earlier process remembered; of another run only that the camera was offline."""
    known = checkpoints.take("frames", 0)
    memory = msgspec.msgpack.decode(known[1], type=Memory) if known else Memory(run)
    return memory if memory.run == run else Memory(run, silence=memory.silence)
