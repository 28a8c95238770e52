"""Events of episodes -> risks on the log, in order, each exactly as often as it is accepted."""

from collections.abc import Callable, Container, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import NamedTuple

import msgspec
import structlog

from stream.catalogue import RISK_TYPES
from stream.heartbeat import Heartbeat
from stream.log import Log
from stream.messages import Detection, Evidence, Risk, encode
from vision.analysis import analysis_of
from vision.episode import Event
from vision.picture import PictureState
from vision.record import Recorder
from vision.settings import VisionSettings
from vision.view import CameraView

_logger = structlog.get_logger()


class Prepared(NamedTuple):
    """A risk that waits for the log, and the clip that goes with it, if one is being made."""

    risk: Risk
    clip: Future[tuple[Evidence, ...]] | None = None

    def complete(self) -> Risk:
        """The risk with its clip; waits for the encoder."""
        if self.clip is None:
            return self.risk
        return msgspec.structs.replace(self.risk, evidence=(*self.risk.evidence, *self.clip.result()))


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
        self._waiting: list[Prepared] = []

    @property
    def waiting(self) -> frozenset[str]:
        """The cameras of which something is not yet published."""
        return frozenset(prepared.risk.source for prepared in self._waiting)

    def prepare(
        self,
        event: Event,
        view: CameraView,
        everything: Sequence[Detection] = (),
        picture: PictureState = PictureState(),
    ) -> Prepared:
        """The risk that tells of the event, its evidence stored. ``picture``: what is remembered of the camera's."""
        episode, camera = event.episode, view.camera
        zone = next((z for z in view.zones if z.zone.id == episode.zone), None)
        evidence = self._recorder.evidence(event, camera.id, zone, everything)
        if event.state == "raised":
            analysis = analysis_of(episode, view, self._settings, picture, evidence)
            evidence = (*evidence, *self._recorder.analysis(analysis))
        risk = Risk(
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
        return Prepared(risk, self._recorder.clip(event, camera.id))

    def add(self, prepared: Sequence[Prepared]) -> None:
        """These are to be published, after those of the same camera added before."""
        self._waiting.extend(prepared)

    def flush(self, *, wait: bool = False, ended: Container[str] = ()) -> int:
        """Publish what is ready and answer how many; with ``wait``, everything; of ``ended`` cameras too.

        What comes behind an unfinished clip of its own camera stays behind it. Raises LogError; what is not yet
        published then waits on.
        """
        count, place = 0, 0
        behind: set[str] = set()
        while place < len(self._waiting):
            prepared = self._waiting[place]
            patient = wait or prepared.risk.source in ended
            unfinished = prepared.clip is not None and not prepared.clip.done() and not patient
            if unfinished or prepared.risk.source in behind:
                behind.add(prepared.risk.source)
                place += 1
                continue
            self._publish(prepared.complete())
            del self._waiting[place]
            count += 1
        return count

    def _publish(self, risk: Risk) -> None:
        risk = msgspec.structs.replace(risk, published_at=self._clock())
        self._log.append("risks", f"{self._mine}/{risk.source}", encode(risk))
        _logger.info("risk", risk=risk.risk_id, type=risk.type, state=risk.state, source=risk.source)
        if risk.state == "raised":
            self._heartbeat.count("risks_raised")


def _seen_by(risk_type: str, view: CameraView) -> str:
    """Name and digest of what saw it: the picture's own measurement, or the camera's detectors."""
    if "picture" in RISK_TYPES[risk_type].seen_by:
        return "picture"
    return " ".join(f"{detector.name}@{detector.digest}" for detector in view.detectors)
