"""The stage between frames and risks: decode, gate, detect, track, decide, keep evidence, publish, remember."""

import os
import threading
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

import cv2
import msgspec
import structlog
from sqlalchemy import Engine

from stream.database import open_database
from stream.evidence import EvidenceStore, open_evidence
from stream.heartbeat import Heartbeat
from stream.log import Consumer, Log, Position, Topic, open_log
from stream.messages import Detection, Frame, SourceEnded, utc_now
from stream.settings import LogSettings
from stream.worker import Item, Worker
from vision.batch import Arrival, Shot, look
from vision.detector import Detector
from vision.follow import follow
from vision.live import LiveView
from vision.memory import Admission, CameraState, admit
from vision.partitions import Partition, Partitions
from vision.picture import PictureState
from vision.publisher import Prepared, Publisher
from vision.record import Recorder
from vision.risk import end_all, interrupted
from vision.settings import VisionSettings
from vision.sites import SiteWatch
from vision.tracker import Tracker
from vision.view import CameraView
from vision.watchdog import DetectorProcess

NAME = "vision"
_logger = structlog.get_logger()


class _Entry(NamedTuple):
    """One message in hand, the camera's view, and whether it is new."""

    message: Frame | SourceEnded
    position: Position
    view: CameraView
    admission: Admission


class VisionStage:
    """Turns frames into risks. The name is also that of its consumer group."""

    name = NAME
    topics: Sequence[Topic] = ("frames",)

    def __init__(
        self,
        settings: VisionSettings,
        detectors: Mapping[str, Detector],
        *,
        log: Log,
        engine: Engine,
        evidence: EvidenceStore,
        mine: str,
        heartbeat: Heartbeat,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        # More than the detector takes at once: a partition of many cameras must not fall behind one of few, and what is
        # too old to matter is passed over as fast as it is read.
        self.batch = 8 * settings.batch
        self._settings = settings
        self._heartbeat = heartbeat
        self._clock = clock
        self._site = SiteWatch(engine, mine, detectors)
        self._memory = Partitions(engine, NAME)
        self._recorder = Recorder(evidence, mine, settings.clip_seconds)
        self._live = LiveView(evidence.live(mine))
        self._publisher = Publisher(log, mine, settings, self._recorder, heartbeat, clock)
        self._trackers: dict[str, Tracker] = {}
        self._taken: set[Position] = set()  # what an attempt that failed had taken in before it did
        self._pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="decode")

    def assigned(self, consumer: Consumer, partitions: frozenset[Partition]) -> None:
        """Load what is remembered of the partitions that are new, and read on behind it."""
        self._memory.hold(consumer, partitions)

    def handle(self, items: Sequence[Item]) -> None:
        """Analyse a batch; on return its risks are on the log.

        Raises PictureError for a picture that cannot be decoded; what was taken in before it is not taken in again.
        """
        self._publisher.flush()  # what an earlier attempt could not publish goes first
        self._take_up_site()
        entries, counts = self._admitted([item for item in items if item.record.position not in self._taken])
        seen = look(self._arrivals(entries), self._settings, self._pool)
        try:
            for entry in entries:
                new = entry.admission == "new" and isinstance(entry.message, Frame)
                counts.update(self._analysed(*next(seen)) if new else self._passed_over(entry))
                self._taken.add(entry.position)
        finally:
            for name, amount in counts.items():
                self._heartbeat.count(name, amount)
        for item in items:
            self._memory.reached(item.record.position)
        # Whoever finds a camera's end committed counts on all its risks being on the log.
        self._finish(frozenset(item.message.camera for item in items if isinstance(item.message, SourceEnded)))
        self._taken.difference_update(item.record.position for item in items)

    def idle(self) -> None:
        """Nothing arrived: look at the site, and remember what is not yet remembered."""
        self._take_up_site()
        self._finish()

    def close(self) -> None:
        """Publish and remember everything; the next start goes on from here."""
        self._publisher.flush(wait=True)
        self._memory.save(now=True)
        self._recorder.close()
        self._pool.shutdown()

    def _finish(self, ended: Container[str] = ()) -> None:
        """Publish, and remember only what is published: what waits for its clip is analysed again after a crash."""
        published = self._publisher.flush(ended=ended)
        self._memory.save(self._publisher.waiting, now=published > 0)

    def _tell(self, position: Position, camera: str, risks: Sequence[Prepared]) -> None:
        """These risks follow from the camera's next state, which is remembered once they are on the log."""
        if risks:
            self._memory.hold_back(position, camera)
            self._publisher.add(risks)

    def _admitted(self, items: Sequence[Item]) -> tuple[list[_Entry], Counter[str]]:
        """The messages of cameras that the site knows, in order, with whether they are new; and counts of the rest."""
        budget = self._settings.staleness_seconds
        oldest = self._clock() - timedelta(seconds=budget) if budget else None
        ahead: dict[str, CameraState] = {}
        entries = []
        counts: Counter[str] = Counter()
        for record, message in items:
            if not isinstance(message, Frame | SourceEnded):
                continue
            view = self._view(message.camera)
            if view is None:
                counts.update(("frames_skipped", "frames_of_unknown_cameras"))
                continue
            offset = record.position.offset
            state = ahead.get(message.camera) or self._memory.state(record.position, message.camera)
            admission = admit(state, message, offset, oldest)
            if admission in ("new", "stale") and isinstance(message, Frame):
                ahead[message.camera] = state.after(message, offset)
            entries.append(_Entry(message, record.position, view, admission))
        return entries, counts

    def _view(self, camera: str) -> CameraView | None:
        if camera not in self._site.views:
            self._take_up_site(now=True)
        return self._site.views.get(camera)

    def _arrivals(self, entries: Sequence[_Entry]) -> list[Arrival]:
        arrivals = []
        for message, position, view, admission in entries:
            if admission == "new" and isinstance(message, Frame):
                motion = self._memory.state(position, message.camera).motion
                arrivals.append(Arrival(message, position, view, motion))
        return arrivals

    def _analysed(self, shot: Shot, detections: tuple[Detection, ...]) -> tuple[str, ...]:
        """Take a new frame in, and answer what to count it as."""
        frame = shot.frame
        if shot.passage.analyse:
            tracker = self._trackers.setdefault(frame.camera, Tracker())
            detections = tracker.update(detections, frame.captured_at)
        self._live.show(shot, detections)
        self._recorder.hold(frame, shot.position.offset)
        state, events = follow(
            self._memory.state(shot.position, frame.camera),
            shot,
            detections,
            self._settings.confirmation,
            self._recorder.clip_after,
        )
        risks = [self._publisher.prepare(event, shot.view, detections, state.picture) for event in events]
        self._tell(shot.position, frame.camera, risks)
        self._memory.remember(shot.position, frame.camera, state)
        self._recorder.release(frame.camera, state.looks())
        self._publisher.flush()  # a risk does not wait for the rest of the batch
        if not shot.passage.analyse:
            return ("frames_still",)
        return ("frames_analysed", "full_scans") if shot.passage.reason == "scan" else ("frames_analysed",)

    def _passed_over(self, entry: _Entry) -> tuple[str, ...]:
        """Take a message in that is not analysed, and answer what to count it as."""
        message, position, view, admission = entry
        state = self._memory.state(position, message.camera)
        if isinstance(message, SourceEnded):
            if admission == "new":
                self._ended(state, message, position, view)
            return ()
        if admission == "handled":
            # Read again for its picture alone, which a candidate began with before the restart.
            if position.offset in state.looks():
                self._recorder.hold(message, position.offset)
            return ()
        if admission == "stale":
            after = msgspec.structs.replace(state.after(message, position.offset), episodes=interrupted(state.episodes))
            self._memory.remember(position, message.camera, after)
        return ("frames_skipped", f"frames_{admission}")

    def _ended(self, state: CameraState, message: SourceEnded, position: Position, view: CameraView) -> None:
        reason = f"The camera gives no more pictures: {message.reason}"
        events = end_all(state.episodes, message.captured_at, state.read_at, reason)
        self._tell(position, message.camera, [self._publisher.prepare(event, view) for event in events])
        captured_at = max(state.captured_at, message.captured_at)
        after = msgspec.structs.replace(
            state, offset=position.offset, captured_at=captured_at, episodes=(), seen_at=None
        )
        self._memory.remember(position, message.camera, after)
        self._recorder.release(message.camera, frozenset())
        self._trackers.pop(message.camera, None)
        self._live.forget(message.camera)

    def _take_up_site(self, *, now: bool = False) -> None:
        """Follow the site; episodes in redrawn zones are lost, and what the camera sees unmoved is learned anew."""
        before = self._site.views
        changed = self._site.refresh(now=now)
        if not changed:
            return
        for position, camera, state in self._memory.all():
            zones = changed.get(camera, frozenset())
            if camera not in changed:
                continue
            removed = camera not in self._site.views
            gone = tuple(e for e in state.episodes if removed or e.zone in zones)
            why = "The camera was taken off the site." if removed else "The zone was redrawn or taken away."
            events = end_all(gone, state.captured_at, state.read_at, why)
            self._tell(position, camera, [self._publisher.prepare(event, before[camera]) for event in events])
            kept = tuple(e for e in state.episodes if e not in gone)
            after = msgspec.structs.replace(state, episodes=kept, picture=PictureState())
            self._memory.remember(position, camera, after)


def _replaced(heartbeat: Heartbeat, why: str) -> None:
    heartbeat.count("detector_restarts")
    said = "Their process was replaced and no picture was lost. If that goes on, look at the weights and the memory."
    heartbeat.trouble("restarted", "detectors", f"Detectors: {why}. {said}")


def run_vision(
    stop: threading.Event,
    *,
    settings: VisionSettings,
    log_settings: LogSettings,
    database_url: str,
    evidence_url: str,
    mine: str,
) -> None:
    """Analyse frames until ``stop`` is set, then finish the batch in hand.

    Raises ConfigurationError, with nothing analysed, where weights, the site or an address cannot be used.
    """
    cv2.setNumThreads(1)  # pictures are decoded side by side instead
    process = DetectorProcess(settings.detectors)
    engine = open_database(database_url)
    evidence = open_evidence(evidence_url)
    log = open_log(log_settings)
    heartbeat = Heartbeat(engine, mine, NAME)
    process.on_restart = partial(_replaced, heartbeat)
    detectors = process.detectors
    try:
        stage = VisionStage(
            settings, detectors, log=log, engine=engine, evidence=evidence, mine=mine, heartbeat=heartbeat
        )
        _logger.info("vision ready", detectors={name: sorted(d.labels) for name, d in detectors.items()})
        Worker(stage, log, mine, heartbeat, stop).run()
    finally:
        process.close()
        log.close()
        engine.dispose()
