"""What the wall shows: each camera's latest analysed frame with its boxes, drawn only while somebody looks."""

import time
from collections.abc import Sequence

import cv2
import numpy as np
import structlog

from stream.live import LivePicture, LivePictures
from stream.messages import Detection
from vision.batch import Shot
from vision.decode import Picture

EVERY = 0.45
"""Seconds between two pictures of a camera: two a second, and a little for the time that drawing takes."""
WIDTH = 640
_QUALITY = 75
_BOX = (0, 200, 255)
_DARK = (0, 0, 0)
_logger = structlog.get_logger()


class LiveView:
    """Draws and hands out pictures, at most two a second of each camera."""

    def __init__(self, pictures: LivePictures) -> None:
        self._pictures = pictures
        self._drawn: dict[str, float] = {}
        self._seen: dict[str, tuple[Detection, ...]] = {}
        self._failed = False

    def show(self, shot: Shot, detections: Sequence[Detection]) -> None:
        """Show a frame. One in which nothing moves was not analysed: what was seen last is still where it was."""
        camera = shot.frame.camera
        if shot.passage.analyse:
            self._seen[camera] = tuple(detections)
        now = time.monotonic()
        if now - self._drawn.get(camera, -EVERY) < EVERY or not self._pictures.looked():
            return
        self._drawn[camera] = now
        jpeg = drawn(shot.picture, self._seen.get(camera, ()))
        try:
            self._pictures.put(camera, LivePicture(shot.frame.captured_at, jpeg))
            self._failed = False
        except OSError as error:
            # The wall says itself how old its pictures are; a full disk must not stop the watching.
            if not self._failed:
                _logger.warning("no live picture can be written", camera=camera, reason=str(error))
            self._failed = True

    def forget(self, camera: str) -> None:
        """The camera's source has ended."""
        self._seen.pop(camera, None)


def drawn(picture: Picture, detections: Sequence[Detection]) -> bytes:
    """The picture as JPEG, at most 640 pixels wide, with a box and its label for each detection."""
    height, width = picture.shape[:2]
    if width > WIDTH:
        size = (WIDTH, max(1, round(height * WIDTH / width)))
        small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    else:
        small = picture.copy()
    height, width = small.shape[:2]
    for found in detections:
        left, top, right, bottom = (round(v * s) for v, s in zip(found.box, (width, height) * 2, strict=True))
        cv2.rectangle(small, (left, top), (right, bottom), _DARK, 4)
        cv2.rectangle(small, (left, top), (right, bottom), _BOX, 2)
        label = f"{found.label.replace('_', ' ')} {found.confidence:.2f}"
        at = (max(0, left), max(14, top - 6))
        cv2.putText(small, label, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, _DARK, 4, cv2.LINE_AA)
        cv2.putText(small, label, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, _BOX, 1, cv2.LINE_AA)
    _, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return bytes(encoded.tobytes())
