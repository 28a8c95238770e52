"""What detector weights get wrong in labelled pictures, worst first, and a sheet of pictures that shows it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vision.dataset import Box, Example, overlap, read_examples
from vision.decode import Picture
from vision.errors import DatasetError
from vision.evaluate import opened

Named = tuple[str, Box]
MATCHED = 0.5
"""Overlap from which a box is the same as a labelled one, as in the AP50 of the PASCAL VOC challenge."""
_TILE = 320
_COLOURS = {"right": (90, 200, 90), "missed": (0, 200, 255), "false": (60, 60, 230)}
"""BGR: green for what was found, yellow for what was missed, red for what is not there."""


@dataclass(frozen=True)
class Mistakes:
    """One picture's boxes: found rightly, missed, and seen where nothing is labelled."""

    picture: Path
    right: tuple[Named, ...]
    missed: tuple[Named, ...]
    false: tuple[Named, ...]

    @property
    def count(self) -> int:
        """How many boxes are wrong."""
        return len(self.missed) + len(self.false)


def compare(example: Example, seen: Sequence[Named]) -> Mistakes:
    """Hold what was ``seen`` (surest first) against the labels; each labelled box is found once at most."""
    open_boxes = list(example.boxes)
    right, false = [], []
    for name, box in seen:
        fitting = [other for other in open_boxes if other[0] == name and overlap(other[1], box) >= MATCHED]
        if fitting:
            open_boxes.remove(max(fitting, key=lambda other: overlap(other[1], box)))
            right.append((name, box))
        else:
            false.append((name, box))
    return Mistakes(example.picture, tuple(right), tuple(open_boxes), tuple(false))


def find_mistakes(
    weights: Path,
    data_yaml: Path,
    *,
    class_map: Mapping[str, str] | None = None,
    threshold: float = 0.4,
    image_size: int | None = None,
    split: str = "val",
) -> list[Mistakes]:
    """The mistakes in every picture of a split, most of them first; labels that the weights lack are passed over.

    Raises WeightsError for weights that are not there and DatasetError for a set that cannot be read.
    """
    with opened(weights, image_size) as (model, size):
        found = list(_compared(model, read_examples(data_yaml, class_map, split), {"conf": threshold, **size}))
    return sorted(found, key=lambda one: (-one.count, str(one.picture)))


def _compared(model: Any, examples: Sequence[Example], options: Mapping[str, float]) -> Iterator[Mistakes]:
    for example in examples:
        result = model.predict(str(example.picture), verbose=False, **options)[0]
        names = set(result.names.values())
        known = Example(example.picture, tuple(box for box in example.boxes if box[0] in names))
        labels = [result.names[int(index)] for index in result.boxes.cls]
        boxes = [(float(x), float(y), float(w), float(h)) for x, y, w, h in result.boxes.xywhn]
        yield compare(known, list(zip(labels, boxes, strict=True)))


def draw_sheet(mistakes: Sequence[Mistakes], target: Path, *, columns: int = 4, rows: int = 3) -> Path:
    """Write the worst pictures as one JPEG with their boxes: green found, yellow missed, red seen wrongly.

    Raises DatasetError where there is no picture to show.
    """
    if not mistakes:
        raise DatasetError("There are no pictures to draw mistakes of: name a split that has some.")
    tiles = [_tile(one) for one in mistakes[: columns * rows]]
    wide = min(columns, len(tiles))
    blank = np.zeros((_TILE, _TILE, 3), np.uint8)
    tiles += [blank] * (-len(tiles) % wide)
    sheet = np.vstack([np.hstack(tiles[start : start + wide]) for start in range(0, len(tiles), wide)])
    target.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(target), sheet, [cv2.IMWRITE_JPEG_QUALITY, 82])
    return target


def _tile(mistakes: Mistakes) -> Picture:
    """The picture shrunk into a square, its boxes drawn; grey bars fill what it leaves."""
    picture = cv2.imread(str(mistakes.picture))
    if picture is None:
        raise DatasetError(f"{mistakes.picture} is no picture that can be read: remove it from the set.")
    height, width = picture.shape[:2]
    scale = _TILE / max(height, width)
    small = cv2.resize(picture, (max(1, round(width * scale)), max(1, round(height * scale))))
    for kind, (name, box) in _all(mistakes):
        _draw(small, name, box, _COLOURS[kind])
    tile = np.full((_TILE, _TILE, 3), 48, np.uint8)
    tile[: small.shape[0], : small.shape[1]] = small
    return tile


def _all(mistakes: Mistakes) -> Iterator[tuple[str, Named]]:
    yield from (("right", one) for one in mistakes.right)
    yield from (("missed", one) for one in mistakes.missed)
    yield from (("false", one) for one in mistakes.false)


def _draw(picture: object, name: str, box: Box, colour: tuple[int, int, int]) -> None:
    canvas = np.asarray(picture)
    height, width = canvas.shape[:2]
    left, top = round((box[0] - box[2] / 2) * width), round((box[1] - box[3] / 2) * height)
    right, bottom = round((box[0] + box[2] / 2) * width), round((box[1] + box[3] / 2) * height)
    cv2.rectangle(canvas, (left, top), (right, bottom), colour, 1)
    cv2.putText(canvas, name, (left, max(8, top - 2)), cv2.FONT_HERSHEY_SIMPLEX, 0.35, colour, 1, cv2.LINE_AA)
