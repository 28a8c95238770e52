"""How a risk's frames were analysed, kept beside them: with it the same can be found again from the evidence alone."""

from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

import msgspec

from stream.catalogue import Confirmation
from stream.errors import EvidenceError
from stream.messages import Detection, Evidence
from vision.episode import Episode
from vision.picture import PictureState
from vision.settings import VisionSettings
from vision.view import CameraView

MEDIA_TYPE = "application/json"
_REMEMBERED = frozenset({"camera-moved", "camera-frozen"})
"""Types that are told by what was remembered of the camera's earlier pictures."""


class AnalysedFrame(msgspec.Struct, frozen=True, kw_only=True):
    """One frame that was kept: its address in the evidence store, and the detections that supported the risk in it."""

    sha256: str
    captured_at: datetime
    detections: tuple[Detection, ...]


class UsedDetector(msgspec.Struct, frozen=True, kw_only=True):
    """A detector of the camera: its name, the digest of the weights that ran, its settings."""

    name: str
    digest: str
    settings: dict[str, Any]


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """What the raising of one risk rests on, besides the pictures.

    ``position`` is the log position of the first support, which the risk's id is made of. ``confirmation`` holds the
    delays in force, ``zone`` the zone as it was drawn; ``picture`` what was remembered of the camera's pictures, where
    the type is told by it. ``supports`` counts the supporting frames, of which ``frames`` are those kept.
    """

    release: str
    risk_id: str
    type: str
    camera: dict[str, Any]
    zone: dict[str, Any] | None
    position: str
    confirmation: Confirmation
    detectors: tuple[UsedDetector, ...]
    frames: tuple[AnalysedFrame, ...]
    supports: int
    picture: PictureState | None = None


def analysis_of(
    episode: Episode, view: CameraView, settings: VisionSettings, picture: PictureState, evidence: Sequence[Evidence]
) -> Analysis:
    """The analysis of an episode that is being raised, whose pictures are in ``evidence``."""
    kept = {one.captured_at: one.sha256 for one in evidence if one.kind == "frame"}
    zone = next((z.zone for z in view.zones if z.zone.id == episode.zone), None)
    return Analysis(
        release=version("minewatch"),
        risk_id=episode.risk_id,
        type=episode.type,
        camera=view.camera.model_dump(mode="json", exclude={"url"}),
        zone=zone.model_dump(mode="json") if zone else None,
        position=episode.position,
        confirmation=settings.confirmation(episode.type),
        detectors=tuple(
            UsedDetector(name=d.name, digest=d.digest, settings=settings.detectors[d.name].model_dump(mode="json"))
            for d in view.detectors
            if d.name in settings.detectors
        ),
        frames=tuple(
            AnalysedFrame(sha256=kept[look.captured_at], captured_at=look.captured_at, detections=look.detections)
            for look in episode.looks
            if look.captured_at in kept
        ),
        supports=episode.supports,
        picture=picture if episode.type in _REMEMBERED else None,
    )


def encode_analysis(analysis: Analysis) -> bytes:
    """The analysis as JSON, for people's eyes too."""
    return msgspec.json.format(msgspec.json.encode(analysis), indent=1)


def decode_analysis(data: bytes) -> Analysis:
    """What ``encode_analysis`` wrote. Raises EvidenceError where it is none of this release's."""
    try:
        return msgspec.json.decode(data, type=Analysis)
    except msgspec.DecodeError as error:
        raise EvidenceError(f"The record of the analysis is not understood: {error}.") from error
