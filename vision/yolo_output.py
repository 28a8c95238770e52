"""The numbers that a YOLO network reads and answers: letterboxed pictures in, boxes out."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.messages import Detection
from vision.decode import Picture

PADDING = 114
"""The grey that ultralytics pads pictures with while it trains."""

OVERLAP = 0.6
"""Boxes of one class that overlap more than this (intersection over union) are one object."""

MOST_BOXES = 100
"""The most boxes that one picture answers."""


class Placement(NamedTuple):
    """Where a picture lies in the network's input: input pixels = picture pixels * scale + (left, top)."""

    scale: float
    left: int
    top: int
    width: int
    height: int


def letterbox(picture: Picture, into: Picture) -> Placement:
    """Scale ``picture`` (BGR) into the middle of ``into`` ([height, width, 3]), grey around it."""
    rows, columns = into.shape[:2]
    height, width = picture.shape[:2]
    scale = min(rows / height, columns / width)
    scaled = (max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (columns - scaled[0]) // 2, (rows - scaled[1]) // 2
    if scaled != (columns, rows):
        into[:] = PADDING
    inner = into[top : top + scaled[1], left : left + scaled[0]]
    if scaled == (width, height):
        inner[:] = picture
    else:
        cv2.resize(picture, scaled, dst=inner, interpolation=cv2.INTER_LINEAR)
    return Placement(scale, left, top, width, height)


class Reader:
    """Reads a network's answers into detections.

    ``labels`` maps class ids to labels (others are left out), ``thresholds`` gives each label's lowest confidence.
    """

    def __init__(self, labels: dict[int, str], thresholds: dict[str, float], classes: int) -> None:
        self._labels = labels
        self._threshold = np.full(classes, 2.0, np.float32)  # above any confidence: a class left out never counts
        for index, label in labels.items():
            self._threshold[index] = thresholds[label]

    def read(self, answer: NDArray[np.float32], placements: Sequence[Placement]) -> list[list[Detection]]:
        """Detections of each picture, most confident first.

        ``answer``: [pictures, 4 + classes, anchors] with centre, size and scores (YOLOv8, YOLO11), or
        [pictures, boxes, 6] with corners, score and class (the end-to-end heads of YOLO26).
        """
        end_to_end = answer.ndim == 3 and answer.shape[2] == 6
        read = self._end_to_end if end_to_end else self._anchors
        return [read(one, placement) for one, placement in zip(answer, placements, strict=False)]

    def _anchors(self, answer: NDArray[np.float32], placement: Placement) -> list[Detection]:
        scores = answer[4:]
        best = scores.max(axis=0)
        candidates = np.flatnonzero(best >= self._threshold.min())
        if not candidates.size:
            return []
        scores = scores[:, candidates]
        class_ids, at = np.nonzero(scores >= self._threshold[:, None])
        if not class_ids.size:
            return []
        confidence = scores[class_ids, at]
        cx, cy, width, height = answer[:4, candidates[at]]
        corners = np.stack((cx - width / 2, cy - height / 2, width, height), axis=1)
        # OpenCV keeps boxes of different classes apart by shifting each class out of the others' way.
        chosen = cv2.dnn.NMSBoxesBatched(
            corners.tolist(), confidence.tolist(), class_ids.tolist(), 0.0, OVERLAP, 1.0, MOST_BOXES
        )
        kept = np.asarray(chosen, np.intp).reshape(-1)
        corners[:, 2:] += corners[:, :2]
        return self._detections(corners[kept], confidence[kept], class_ids[kept], placement)

    def _end_to_end(self, answer: NDArray[np.float32], placement: Placement) -> list[Detection]:
        class_ids = answer[:, 5].astype(np.intp).clip(0, len(self._threshold) - 1)
        kept = np.flatnonzero(answer[:, 4] >= self._threshold[class_ids])[:MOST_BOXES]
        return self._detections(answer[kept, :4], answer[kept, 4], class_ids[kept], placement)

    def _detections(
        self,
        corners: NDArray[np.float32],
        confidence: NDArray[np.float32],
        class_ids: NDArray[np.intp],
        placement: Placement,
    ) -> list[Detection]:
        origin = np.array((placement.left, placement.top) * 2, np.float32)
        size = np.array((placement.width, placement.height) * 2, np.float32) * placement.scale
        relative = ((corners - origin) / size).clip(0.0, 1.0)
        order = np.argsort(-confidence, kind="stable")
        return [
            Detection(
                label=self._labels[int(class_ids[i])],
                confidence=round(float(confidence[i]), 4),
                box=tuple(np.round(relative[i].astype(float), 5).tolist()),
            )
            for i in order
            if relative[i, 2] > relative[i, 0] and relative[i, 3] > relative[i, 1]
        ]
