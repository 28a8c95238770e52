"""A video with what detectors see drawn on it: to look at before weights watch anything, and to say what they miss."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from stream.camera import Source, is_live, open_source
from stream.errors import ConfigurationError, SourceError
from stream.messages import Detection
from stream.site import Camera, Name
from vision.annotate import draw_boxes
from vision.check import Progress
from vision.clip import write_clip
from vision.decode import Picture
from vision.detector import Detector

BITS = 2_000_000
"""Bits a second: small boxes and their labels stay readable."""


@dataclass
class ClipSeen:
    """What was seen in a video: frames looked at, and by label in how many of them and in how many boxes."""

    clip: Path
    frames: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    boxes: Counter[str] = field(default_factory=Counter)

    def count(self, detections: Sequence[Detection]) -> None:
        """One more frame, with this seen in it."""
        self.frames += 1
        self.labels.update({d.label for d in detections})
        self.boxes.update(d.label for d in detections)

    def as_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        seen = {label: {"frames": self.labels[label], "boxes": self.boxes[label]} for label in sorted(self.labels)}
        return {"clip": str(self.clip), "frames": self.frames, "seen": seen}


def annotate_clip(
    detectors: Sequence[Detector], source: str, out: Path, *, every: int = 1, progress: Progress | None = None
) -> ClipSeen:
    """Write every ``every``-th picture of a video file or folder to ``out`` (WebM), with all that is seen drawn on it.

    Raises SourceError where there is no video, and ConfigurationError where it is a camera, which would never end.
    """
    if is_live(source):
        raise ConfigurationError("A camera has no end: give a video file or a folder of pictures.")
    opened = open_source(Camera(id="clip", name=Name(en="Clip"), url=source, place="clip"))
    try:
        seen = ClipSeen(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        unfinished = out.with_name(out.name + ".part")
        with unfinished.open("wb") as file:
            write_clip(file, _drawn(opened, detectors, seen, every, progress), BITS)
        if not seen.frames:
            unfinished.unlink()
            raise SourceError(f"{source} holds no picture that can be read. Check that it is a video.")
        unfinished.replace(out)
    finally:
        opened.close()
    return seen


def _drawn(
    source: Source, detectors: Sequence[Detector], seen: ClipSeen, every: int, progress: Progress | None
) -> Iterator[tuple[float, Picture]]:
    number = 0
    while (picture := _pixels(source)) is not None:
        found = [d for detector in detectors for d in detector.detect([picture])[0]]
        seen.count(found)
        yield number / source.rate, draw_boxes(picture, found)
        source.skip(every - 1)
        number += every
        if progress is not None:
            progress(min(number, source.length or number), source.length or number)


def _pixels(source: Source) -> Picture | None:
    """The next picture that can be read."""
    while (read := source.read()) is not None:
        if read.pixels is not None:
            return read.pixels
        decoded = cv2.imdecode(np.frombuffer(read.jpeg or b"\0", np.uint8), cv2.IMREAD_COLOR)
        if decoded is not None:
            return np.asarray(decoded, np.uint8)
    return None
