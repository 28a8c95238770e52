"""The picture of a risk with its boxes, their labels, the zone's outline and a line that says what it shows."""

from collections.abc import Sequence

import cv2
import numpy as np
import supervision as sv

from stream.messages import Detection
from vision.decode import Picture

WIDEST = 1280
"""Pixels; larger pictures are shrunk to this, so that boxes and letters keep their weight on a screen."""

NARROWEST = 640
"""Pixels; smaller pictures are enlarged to this, so that labels are readable in them."""

_QUALITY = 88
_ZONE = sv.Color(255, 209, 0)
_COLOURS = sv.ColorPalette([sv.Color(214, 39, 40), sv.Color(31, 119, 180)])
"""Red for the boxes that support the risk, blue for what else was seen."""


def annotate(
    jpeg: bytes,
    support: Sequence[Detection],
    others: Sequence[Detection],
    polygon: Sequence[tuple[float, float]] | None,
    caption: str,
) -> bytes:
    """The picture as JPEG with everything drawn on it, and ``caption`` (Latin letters) in a band below."""
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    picture = _sized(np.asarray(decoded, np.uint8))
    height, width = picture.shape[:2]
    if polygon is not None:
        corners = np.round(np.array(polygon) * (width - 1, height - 1)).astype(np.int64)
        picture = sv.draw_polygon(picture, corners, color=_ZONE, thickness=2)
    listed = [*support, *(d for d in others if d not in support)]
    if listed:
        picture = _boxes(picture, listed, len(support))
    below = np.vstack((picture, _band(caption, width)))
    _, encoded = cv2.imencode(".jpg", below, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return bytes(encoded.tobytes())


def draw_boxes(picture: Picture, detections: Sequence[Detection]) -> Picture:
    """A copy of the picture, brought to a readable size of even sides, with a box and its label for each detection."""
    drawn = _sized(picture)
    even = np.ascontiguousarray(drawn[: drawn.shape[0] // 2 * 2, : drawn.shape[1] // 2 * 2])
    return _boxes(even.copy(), detections, 0) if detections else even.copy()


def _band(caption: str, width: int) -> Picture:
    """The caption on a dark band as wide as the picture; a long one is written smaller."""
    band = np.full((28, width, 3), 24, np.uint8)
    (length, _), _ = cv2.getTextSize(caption, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
    size = 0.5 * min(1.0, (width - 16) / max(1, length))
    cv2.putText(band, caption, (8, 19), cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 1, cv2.LINE_AA)
    return band


def _sized(picture: Picture) -> Picture:
    width = picture.shape[1]
    factor = min(max(width, NARROWEST), WIDEST) / width
    if factor == 1.0:
        return picture
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=way), np.uint8)


def _boxes(picture: Picture, detections: Sequence[Detection], supporting: int) -> Picture:
    height, width = picture.shape[:2]
    boxes = sv.Detections(
        xyxy=np.array([d.box for d in detections]) * (width, height, width, height),
        confidence=np.array([d.confidence for d in detections]),
        class_id=np.array([0 if i < supporting else 1 for i in range(len(detections))]),
    )
    labels = [f"{d.label.replace('_', ' ')} {d.confidence:.2f}" for d in detections]
    picture = sv.BoxAnnotator(color=_COLOURS, thickness=2).annotate(picture, boxes)
    writer = sv.LabelAnnotator(color=_COLOURS, text_scale=0.45, text_padding=4, smart_position=True)
    return np.asarray(writer.annotate(picture, boxes, labels=labels), np.uint8)
