"""Heads of persons made unrecognisable in a picture before it leaves the site."""

from collections.abc import Sequence

import cv2
import numpy as np

from disposal.errors import StaysOnSiteError
from stream.messages import Detection

_HEADS = frozenset({"head", "helmet", "no_helmet", "no-helmet", "face", "hardhat"})
_PERSONS = frozenset({"person", "worker"})
_TORSOS = frozenset({"no_vest", "vest", "no-vest"})
_HEAD_SHARE = 0.35
"""The upper share of a person's box that holds the head, also of one who bends."""
_ABOVE_TORSO = 0.5
"""How far above a torso's box its head is covered, as a share of the box."""
_MARGIN = 0.25
"""How far beyond its box a head is covered, as a share of the box."""
_CELLS = 4
"""A head becomes so many cells a side: nobody can be told by them, and no filter brings back more."""


def blur_heads(picture: bytes, detections: Sequence[Detection] | None) -> bytes:
    """The picture as JPEG with every known head covered by a few flat cells, and written anew without its metadata.

    ``detections``: what was found in this very picture, boxes as (left, top, right, bottom) shares of it; None where
    nobody looked for persons. Somebody whose box is wider than high lies or stoops, and is covered whole. Raises
    StaysOnSiteError for such a picture, and for one that cannot be read: what cannot be covered does not leave.
    """
    # Boxes are those of the picture as it was analysed: not turned as its EXIF says.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), flags) if picture else None
    if decoded is None or detections is None:
        why = "cannot be read" if decoded is None else "was not searched for persons"
        raise StaysOnSiteError(f"The picture {why}, so that nobody's head can be covered: it stays on the site.")
    for detection in detections:
        if detection.label in _HEADS | _PERSONS | _TORSOS:
            _cover(decoded, detection)
    return bytes(cv2.imencode(".jpg", decoded, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())


def _cover(picture: np.ndarray, detection: Detection) -> None:
    height, width = picture.shape[:2]
    left, top, right, bottom = detection.box
    down = bottom - top
    if detection.label in _TORSOS:
        top, bottom = top - down * _ABOVE_TORSO, top + down * _HEAD_SHARE
    elif detection.label in _PERSONS and (right - left) * width <= down * height:
        bottom = top + down * _HEAD_SHARE
    across, down = (right - left) * _MARGIN, (bottom - top) * _MARGIN
    x0, x1 = max(0, int((left - across) * width)), min(width, int(np.ceil((right + across) * width)))
    y0, y1 = max(0, int((top - down) * height)), min(height, int(np.ceil((bottom + down) * height)))
    if x1 <= x0 or y1 <= y0:
        return
    small = cv2.resize(picture[y0:y1, x0:x1], (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    picture[y0:y1, x0:x1] = cv2.resize(small, (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST)
