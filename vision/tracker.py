"""One tracker per camera: which boxes of one frame are the same things as in the frames before."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import numpy as np
import supervision as sv
from trackers import ByteTrackTracker

from stream.messages import Detection
from vision.labels import HELMET, NO_HELMET

MEMORY_SECONDS = 2.0
"""A thing hidden for this long keeps its track when it comes back."""

FRAMES_TO_TRACK = 2
"""Consecutive frames before a thing has a track: a single frame's phantom gets none."""

CERTAIN = 0.5
"""Boxes at least this confident begin tracks; those below only go on with one (ByteTrack's second round)."""

SCALE = 1000.0
"""Relative boxes times this are what the tracker's motion model, made for pixels, works well on."""

_APART = 10 * SCALE
"""Boxes of different kinds are moved this far apart, so that a head is never taken for the person under it."""

_HEAD = "head"


class Tracker:
    """ByteTrack over the detections of one camera, in captured time."""

    def __init__(self) -> None:
        self._tracker = _new()
        self._seen: datetime | None = None
        self._kinds: dict[str, int] = {}

    def update(self, detections: Sequence[Detection], captured_at: datetime) -> tuple[Detection, ...]:
        """The same detections in the same order, each with its track where it has one."""
        if self._seen is not None and captured_at <= self._seen:
            self._tracker = _new()  # time went back: another source, so nothing of the old one goes on
        self._seen = captured_at
        if not detections:
            self._tracker.update(sv.Detections.empty(), timestamp=captured_at.timestamp())
            return ()
        boxes = np.array([d.box for d in detections], np.float32) * SCALE
        boxes += np.array([[self._kind(d.label)] for d in detections], np.float32) * _APART
        tracked = self._tracker.update(
            sv.Detections(
                xyxy=boxes,
                confidence=np.array([d.confidence for d in detections], np.float32),
                class_id=np.arange(len(detections)),  # the tracker changes their order; this leads back
            ),
            timestamp=captured_at.timestamp(),
        )
        tracks = {int(index): int(track) for index, track in zip(tracked.class_id, tracked.tracker_id, strict=True)}
        return tuple(
            msgspec.structs.replace(d, track=track) if (track := tracks.get(i, -1)) >= 0 else d
            for i, d in enumerate(detections)
        )

    def _kind(self, label: str) -> int:
        # A head that takes its helmet off stays the same head.
        kind = _HEAD if label in (HELMET, NO_HELMET) else label
        return self._kinds.setdefault(kind, len(self._kinds))


def _new() -> ByteTrackTracker:
    return ByteTrackTracker(
        lost_track_buffer=round(MEMORY_SECONDS * 30),  # counted by the library in frames of 1/30 s
        track_activation_threshold=CERTAIN,
        high_conf_det_threshold=CERTAIN,
        minimum_consecutive_frames=FRAMES_TO_TRACK,
        minimum_iou_threshold=0.1,
    )
