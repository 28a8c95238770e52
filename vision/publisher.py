"""Events of episodes -> risks on the log, in order, each exactly as often as it is accepted."""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from stream.catalogue import RISK_TYPES
from stream.heartbeat import Heartbeat
from stream.log import Log
from stream.messages import Detection, Risk, encode
from vision.analysis import analysis_of
from vision.episode import Event
from vision.picture import PictureState
from vision.record import Recorder
from vision.settings import VisionSettings
from vision.view import CameraView


class Publisher:
    """Keeps what is to be published until the log has it, so that a log that fails for a while loses nothing."""

    def __init__(
        self,
        log: Log,
        mine: str,
        settings: VisionSettings,
        recorder: Recorder,
        heartbeat: Heartbeat,
        clock: Callable[[], datetime],
    ) -> None:
        self._log = log
        self._mine = mine
        self._settings = settings
        self._recorder = recorder
        self._heartbeat = heartbeat
        self._clock = clock
        self._waiting: deque[Risk] = deque()

    def prepare(
        self,
        event: Event,
        view: CameraView,
        everything: Sequence[Detection] = (),
        picture: PictureState = PictureState(),
    ) -> Risk:
        """The risk that tells of the event, its evidence stored. ``picture``: what is remembered of the camera's."""
        episode, camera = event.episode, view.camera
        zone = next((z for z in view.zones if z.zone.id == episode.zone), None)
        evidence = self._recorder.evidence(event, camera.id, zone, everything)
        if event.state == "raised":
            analysis = analysis_of(episode, view, self._settings, picture, evidence)
            evidence = (*evidence, *self._recorder.analysis(analysis))
        return Risk(
            mine=self._mine,
            risk_id=episode.risk_id,
            sequence=event.sequence,
            state=event.state,
            type=episode.type,
            source=camera.id,
            source_kind="camera",
            place=camera.place,
            zone=episode.zone,
            confidence=episode.confidence,
            started_at=episode.started_at,
            observed_at=event.observed_at,
            read_at=event.read_at,
            published_at=event.read_at,
            detections=event.detections,
            evidence=evidence,
            absence=event.absence,
            detector=_seen_by(episode.type, view),
            reason=event.reason,
        )

    def add(self, risks: Sequence[Risk]) -> None:
        """These are to be published, after those added before."""
        self._waiting.extend(risks)

    def flush(self) -> int:
        """Publish what waits and answer how many. Raises LogError; what is not yet published then waits on."""
        count = 0
        while self._waiting:
            risk = msgspec.structs.replace(self._waiting[0], published_at=self._clock())
            self._log.append("risks", f"{self._mine}/{risk.source}", encode(risk))
            self._waiting.popleft()
            count += 1
            if risk.state == "raised":
                self._heartbeat.count("risks_raised")
        return count


def _seen_by(risk_type: str, view: CameraView) -> str:
    """Name and digest of what saw it: the picture's own measurement, or the camera's detectors."""
    if "picture" in RISK_TYPES[risk_type].seen_by:
        return "picture"
    return " ".join(f"{detector.name}@{detector.digest}" for detector in view.detectors)
