"""Is anything moving? A frame in which nothing does need not go to the detector, but for a full scan now and then.

Still hazards (smoke far off, water, a missing guard) do not move, hence the scan. A picture that repeats the one before
to the last point is no look at the scene, be it that the camera is frozen or that its encoder saw nothing new: it never
goes, and the scan waits for one that does not. The decision depends on the frames alone, never on what was detected or
on how frames were batched, so that reading them again decides the same.
"""

import hashlib
from typing import Literal, NamedTuple

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from vision.settings import MotionSettings

Grey = NDArray[np.uint8]
Reason = Literal["first", "motion", "linger", "scan", "still", "repeated"]

WIDTH, HEIGHT = 80, 45
"""Points of the grey picture that frames are compared on: a person of 3 % of the picture's width still covers some."""


class MotionState(msgspec.Struct, frozen=True):
    """What the gate remembers of one camera: the last picture that went through, and the digest of the last that came.

    Times are seconds since the epoch, captured time.
    """

    grey: bytes = b""
    scanned_at: float = 0.0
    moved_at: float = 0.0
    digest: bytes = b""


class Passage(NamedTuple):
    """Whether a frame goes to the detector, why, and what the gate remembers then."""

    analyse: bool
    reason: Reason
    state: MotionState


def small_grey(thumbnail: Grey) -> Grey:
    """A small grey picture of any size on the grid that frames are compared on, [HEIGHT, WIDTH]."""
    return np.asarray(cv2.resize(thumbnail, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def digest_of(thumbnail: Grey) -> bytes:
    """What tells a small grey picture from one in which a single point is another."""
    return hashlib.blake2b(thumbnail.tobytes(), digest_size=8).digest()


def moved_share(before: Grey, now: Grey, level: int) -> float:
    """Share of the grid's points whose grey level changed by at least ``level``."""
    return float(np.count_nonzero(cv2.absdiff(before, now) >= level)) / now.size


def gate(
    state: MotionState, thumbnail: Grey, captured_at: float, settings: MotionSettings, full_scan_seconds: float
) -> Passage:
    """Whether the frame goes to the detector: the first, one with motion, those soon after, and one every full scan.

    The comparison is with the last frame that went through, so that a slow creep adds up and is noticed. A frame that
    repeats the one before never goes, whatever the settings.
    """
    digest = digest_of(thumbnail)
    if digest == state.digest:
        return Passage(False, "repeated", state)
    grey = small_grey(thumbnail)
    reason = _reason(state, grey, captured_at, settings, full_scan_seconds)
    if reason == "still":
        return Passage(False, reason, msgspec.structs.replace(state, digest=digest))
    moved_at = captured_at if reason in ("first", "motion") else state.moved_at
    return Passage(True, reason, MotionState(grey.tobytes(), captured_at, moved_at, digest))


def _reason(
    state: MotionState, grey: Grey, captured_at: float, settings: MotionSettings, full_scan_seconds: float
) -> Reason:
    if not state.grey or captured_at < state.scanned_at:
        return "first"
    before = np.frombuffer(state.grey, np.uint8).reshape(grey.shape)
    if not settings.enabled or moved_share(before, grey, settings.level) >= settings.share:
        return "motion"
    if captured_at - state.moved_at <= settings.linger_seconds:
        return "linger"
    return "scan" if captured_at - state.scanned_at >= full_scan_seconds else "still"
