"""Which detections stand in which zone of a camera's picture."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from stream.messages import Box, Detection
from stream.site import Zone
from vision.labels import HELMET, NO_HELMET, PERSON

GRID = 512
"""Cells a side of the raster that a zone is looked up in: 0.2 % of the picture, finer than boxes are."""

COVERED = 0.5
"""Share of a person's box inside a zone from which the person is in it, wherever the feet are.

The foot point decides for cameras that look across; for one that looks down, where head and feet coincide, or when
something hides the feet, this does."""

HEAD_SHARE = 1 / 3
"""A head box belongs to a person box when its centre lies in this upper share of it."""


ASPECT = 16 / 9
"""Width to height of the pictures, by which relative distances across and down are compared."""

STEP = 0.5
"""A walking step, in heights of a person: about 0.9 m, two thirds of a second at 1.4 m/s."""

HEADS_TALL = 7
"""Heads that a standing person is tall; it makes a person's height of a head whose body is not seen."""


class ZoneMap:
    """One zone, ready for looking up points and boxes in relative coordinates."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        mask = np.zeros((GRID, GRID), np.uint8)
        points = np.round(np.array(zone.polygon) * (GRID - 1)).astype(np.int32)
        cv2.fillPoly(mask, [points], (1,))
        self._mask = mask
        self._sums = cv2.integral(mask)

    def has_point(self, x: float, y: float) -> bool:
        """Whether the point lies in the zone, its border included."""
        return bool(self._mask[_cell(y), _cell(x)])

    def covered_share(self, box: Box) -> float:
        """Share of the box's area that lies in the zone."""
        left, top = _cell(box[0]), _cell(box[1])
        right, bottom = _cell(box[2]) + 1, _cell(box[3]) + 1
        sums = self._sums
        inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        return float(inside) / ((right - left) * (bottom - top))

    def holds_person(self, box: Box) -> bool:
        """Whether the person in the box stands in the zone: by the feet, or by most of the body."""
        return self.has_point((box[0] + box[2]) / 2, box[3]) or self.covered_share(box) >= COVERED

    def one_step_out(self, person: Detection) -> bool:
        """Whether one step in some direction leads the person out of the zone or out of the picture."""
        left, top, right, bottom = person.box
        height = bottom - top if person.label == PERSON else (bottom - top) * HEADS_TALL
        x, y = (left + right) / 2, bottom
        down, across = height * STEP, height * STEP / ASPECT
        around = ((x - across, y), (x + across, y), (x, y - down), (x, y + down))
        return any(not (0 <= px <= 1 and 0 <= py <= 1 and self.has_point(px, py)) for px, py in around)

    def holds_centre(self, box: Box) -> bool:
        """Whether the middle of the box lies in the zone."""
        return self.has_point((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)


def persons(detections: Iterable[Detection]) -> tuple[Detection, ...]:
    """Everyone who was seen: person boxes, and heads that belong to none of them.

    A head implies a person: a body behind a machine, or one that the detector missed, must not hide who is there.
    """
    listed = tuple(detections)
    bodies = [d for d in listed if d.label == PERSON]
    heads = [d for d in listed if d.label in (HELMET, NO_HELMET)]
    return (*bodies, *(head for head in heads if body_of(head, bodies) is None))


def body_of(head: Detection, bodies: Sequence[Detection]) -> Detection | None:
    """The person box that the head belongs to, the smallest where several fit."""
    x, y = (head.box[0] + head.box[2]) / 2, (head.box[1] + head.box[3]) / 2
    fitting = []
    for body in bodies:
        left, top, right, bottom = body.box
        # Of a body cut off by the picture's edge or a machine, the head is more than the upper third.
        reach = max((bottom - top) * HEAD_SHARE, head.box[3] - head.box[1])
        if left <= x <= right and top - reach / 4 <= y <= min(top + reach, bottom):
            fitting.append(body)
    return min(fitting, key=_area, default=None)


def persons_in(zone: ZoneMap, detections: Sequence[Detection]) -> tuple[Detection, ...]:
    """Everyone who stands in the zone."""
    return tuple(
        d for d in persons(detections) if (zone.holds_person(d.box) if d.label == PERSON else zone.holds_centre(d.box))
    )


def heads_in(zone: ZoneMap, detections: Sequence[Detection], label: str) -> tuple[Detection, ...]:
    """Heads with ``label`` whose middle lies in the zone, or whose person stands in it (a zone drawn on the floor)."""
    bodies = [d for d in detections if d.label == PERSON]
    found = []
    for head in detections:
        if head.label != label:
            continue
        body = body_of(head, bodies)
        if zone.holds_centre(head.box) or (body is not None and zone.holds_person(body.box)):
            found.append(head)
    return tuple(found)


def _cell(value: float) -> int:
    return min(GRID - 1, max(0, int(value * GRID)))


def _area(detection: Detection) -> float:
    left, top, right, bottom = detection.box
    return (right - left) * (bottom - top)
