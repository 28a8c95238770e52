"""A risk found again from its evidence alone: the frames kept, the weights of the same digest, the same settings."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec
from pydantic import ValidationError

from stream.errors import ConfigurationError, EvidenceError
from stream.evidence import EvidenceStore
from stream.log import Position
from stream.messages import Detection, Frame, Risk, risk_identity
from stream.site import Camera, Zone
from vision.analysis import AnalysedFrame, Analysis, UsedDetector, decode_analysis
from vision.batch import Arrival, Shot, look
from vision.dataset import overlap
from vision.detector import Detector, open_detector
from vision.errors import PictureError
from vision.follow import follow
from vision.label import centred
from vision.memory import CameraState
from vision.motion import MotionState
from vision.picture import PictureState
from vision.settings import DetectorSettings, MotionSettings, VisionSettings
from vision.support import Key, evaluate
from vision.view import CameraView
from vision.zones import ZoneMap

Outcome = Literal["same", "different", "impossible"]

BOX = 0.9
"""Boxes of one thing overlap at least this much (intersection over union)."""

CONFIDENCE = 0.03
"""Confidences of one thing differ at most this much.

A processor that calculates in other precision, or a batch of another shape, moves the last digits: pictures alone and
in batches were seen to differ by less than 0.01, a box by less than 0.005 of the picture."""

Opener = Callable[[str, DetectorSettings], Detector]


class FrameReplay(NamedTuple):
    """One frame: what supported the risk then and now, and where the two differ (nothing: they are the same)."""

    sha256: str
    recorded: tuple[Detection, ...]
    replayed: tuple[Detection, ...]
    differences: tuple[str, ...]


@dataclass(frozen=True)
class Replay:
    """What came of it. ``reasons``: why it is not the same, or could not be tried; ``notes``: what to know of it."""

    risk_id: str
    type: str
    zone: str | None
    outcome: Outcome
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    frames: tuple[FrameReplay, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        return {
            "risk_id": self.risk_id,
            "outcome": self.outcome,
            "type": self.type,
            "zone": self.zone,
            "reasons": list(self.reasons),
            "notes": list(self.notes),
            "tolerance": {"box_overlap": BOX, "confidence": CONFIDENCE},
            "frames": [msgspec.to_builtins(frame._asdict()) for frame in self.frames],
        }


def replay(risk: Risk, store: EvidenceStore, opener: Opener = open_detector) -> Replay:
    """Analyse the frames of a raised ``risk`` again, as the stage does, and compare it with the record."""
    try:
        analysis = _recorded(risk, store)
        frames = _frames(risk, analysis, store)
        view = _view(analysis, tuple(_open(used, opener) for used in analysis.detectors))
        shots, found = zip(*_analysed(frames, view), strict=True)
    except (EvidenceError, ConfigurationError, PictureError) as error:
        return Replay(risk.risk_id, risk.type, risk.zone, "impossible", (str(error),))
    except ValidationError as error:
        reason = f"The record of the analysis, of release {analysis.release}, does not fit this release: {error}."
        return Replay(risk.risk_id, risk.type, risk.zone, "impossible", (reason,))
    key = Key(risk.type, risk.zone)
    compared = tuple(
        _compared(kept, _supporting(key, view, detections))
        for kept, detections in zip(analysis.frames, found, strict=True)
    )
    reasons = [difference for frame in compared for difference in frame.differences]
    reasons += _raising(risk, analysis, shots, found)
    outcome: Outcome = "different" if reasons else "same"
    return Replay(risk.risk_id, risk.type, risk.zone, outcome, tuple(reasons), _notes(analysis), compared)


def differences(recorded: Sequence[Detection], replayed: Sequence[Detection]) -> tuple[str, ...]:
    """Where two sets of detections differ by more than the tolerance; each box has one partner at most."""
    left = list(replayed)
    said = []
    for one in recorded:
        alike = [d for d in left if d.label == one.label and overlap(centred(d), centred(one)) >= BOX]
        partner = min(alike, key=lambda d: abs(d.confidence - one.confidence), default=None)
        if partner is None:
            said.append(f"{_named(one)} is no longer seen.")
            continue
        left.remove(partner)
        if abs(partner.confidence - one.confidence) > CONFIDENCE:
            said.append(f"{_named(one)} is now seen with confidence {partner.confidence:.2f}.")
    return (*said, *(f"{_named(one)} was not seen then." for one in left))


def _recorded(risk: Risk, store: EvidenceStore) -> Analysis:
    """The record of the analysis. Raises EvidenceError where it is missing, altered or of another risk."""
    references = [one for one in risk.evidence if one.kind == "analysis"]
    if not references:
        raise EvidenceError(
            f"Risk {risk.risk_id} ({risk.type}, seen by {risk.detector or 'nobody'}) has no record of an analysis: "
            "only what cameras saw is replayed, and only where its evidence could be stored."
        )
    one = references[0]
    analysis = decode_analysis(store.get(risk.mine, one.sha256, one.media_type))
    if (analysis.risk_id, analysis.type) != (risk.risk_id, risk.type):
        raise EvidenceError(f"The record of the analysis is that of risk {analysis.risk_id} ({analysis.type}).")
    return analysis


def _frames(risk: Risk, analysis: Analysis, store: EvidenceStore) -> list[Frame]:
    return [
        Frame(
            mine=risk.mine,
            camera=risk.source,
            sequence=number,
            captured_at=kept.captured_at,
            read_at=kept.captured_at,
            jpeg=store.get(risk.mine, kept.sha256, "image/jpeg"),
            width=0,
            height=0,
        )
        for number, kept in enumerate(analysis.frames)
    ]


def _open(used: UsedDetector, opener: Opener) -> Detector:
    """The detector with the weights that ran then. Raises WeightsError where only others are at hand."""
    settings = DetectorSettings.model_validate({**used.settings, "sha256": used.digest})
    return opener(used.name, settings)


def _view(analysis: Analysis, detectors: tuple[Detector, ...]) -> CameraView:
    """The camera as it was, looking for this one risk."""
    zones = (ZoneMap(Zone.model_validate(analysis.zone)),) if analysis.zone else ()
    edges = tuple(zone for zone in zones if zone.zone.purpose == "belt-edge")
    camera = Camera.model_validate({**analysis.camera, "url": "evidence.jpg"})
    keys = frozenset({Key(analysis.type, zones[0].zone.id if zones else None)})
    return CameraView(camera, zones, edges, detectors, keys)


def _analysed(frames: Sequence[Frame], view: CameraView) -> list[tuple[Shot, tuple[Detection, ...]]]:
    """The frames as the stage decodes them, and what its detectors see; each frame goes to them, moved or not.

    Each is looked at by itself: that two of those kept are alike does not say that one came right after the other.
    """
    arrivals = [Arrival(f, Position("frames", 0, f.sequence), view, MotionState()) for f in frames]
    settings = VisionSettings(motion=MotionSettings(enabled=False))
    with ThreadPoolExecutor(1) as pool:
        return [seen for arrival in arrivals for seen in look([arrival], settings, pool)]


def _supporting(key: Key, view: CameraView, detections: tuple[Detection, ...]) -> tuple[Detection, ...]:
    support = evaluate(view.zones, detections).supports.get(key)
    return support.detections if support else ()


def _compared(kept: AnalysedFrame, replayed: tuple[Detection, ...]) -> FrameReplay:
    at = f"{kept.captured_at:%H:%M:%S.%f}"[:-4]
    said = tuple(f"{at}: {text}" for text in differences(kept.detections, replayed))
    return FrameReplay(kept.sha256, kept.detections, replayed, said)


def _raising(
    risk: Risk, analysis: Analysis, shots: Sequence[Shot], found: Sequence[tuple[Detection, ...]]
) -> list[str]:
    """What keeps the same risk from being raised again by these frames; nothing where it is."""
    identity = risk_identity(risk.source, risk.type, risk.zone, analysis.position)
    if identity != risk.risk_id:
        return [f"Source, type, zone and the first frame's position on the log make the id {identity}, another risk's."]
    state = CameraState(picture=analysis.picture or PictureState())
    for shot, detections in zip(shots, found, strict=True):
        # Between the frames kept there were others, so no time without a look has passed.
        state = msgspec.structs.replace(state, seen_at=None)
        state, events = follow(state, shot, detections, lambda _: analysis.confirmation, None)
        if any((e.state, e.episode.type, e.episode.zone) == ("raised", risk.type, risk.zone) for e in events):
            return []
    return [f"The frames do not raise {risk.type} again by the delays on record."]


def _notes(analysis: Analysis) -> tuple[str, ...]:
    kept = len(analysis.frames)
    if kept == analysis.supports:
        return (f"All {kept} frames that supported the risk were analysed again.",)
    said = f"{kept} of the {analysis.supports} frames that supported the risk are kept and were analysed again; "
    return (said + "those between them are not in the evidence, nor those in which it was not seen.",)


def _named(one: Detection) -> str:
    left, top, right, bottom = one.box
    return f"{one.label} {one.confidence:.2f} at {left:.2f}, {top:.2f} to {right:.2f}, {bottom:.2f}"
