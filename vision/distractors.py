"""Draws what has a person's outline and is none (bottles, cylinders, posts, valves) into pictures without people.

No set at hand shows such things as background, and a detector that never saw one takes an upright bottle with a
coloured cap for a worker with a helmet.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.errors import DatasetError

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]


def draw_distractors(backgrounds: Sequence[Path], count: int, folder: Path, *, seed: int = 7) -> list[Path]:
    """Write ``count`` pictures with distractors under ``folder`` and answer their paths.

    ``backgrounds`` are pictures without people; the same seed draws the same pictures. Raises DatasetError for one that
    cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)  # noqa: S311 - drawing, no secret
    made = []
    for number in range(count):
        background = rng.choice(backgrounds)
        picture = cv2.imread(str(background))
        if picture is None:
            raise DatasetError(f"{background} is no picture that can be read: name others as backgrounds.")
        for column in _columns(rng, picture.shape[1]):
            _stand(picture, column, rng)
        path = folder / f"distractor{number:04}.jpg"
        cv2.imwrite(str(path), _weathered(picture, rng), [cv2.IMWRITE_JPEG_QUALITY, rng.randint(60, 95)])
        made.append(path)
    return made


def _columns(rng: random.Random, width: int) -> Iterator[int]:
    for _ in range(rng.randint(1, 6)):
        yield rng.randint(0, width - 1)


def _stand(picture: Picture, column: int, rng: random.Random) -> None:
    """Draw one upright thing: a body, shoulders, a neck, and often a cap of another colour."""
    height = int(picture.shape[0] * rng.uniform(0.12, 0.8))
    width = max(6, int(height * rng.uniform(0.16, 0.42)))
    top = rng.randint(0, max(1, picture.shape[0] - height // 2))
    left = column - width // 2
    body, cap = _colour(rng), _colour(rng)
    neck = max(3, int(width * rng.uniform(0.25, 0.9)))
    shoulder = top + int(height * rng.uniform(0.12, 0.35))
    outline = [
        (column - neck // 2, top),
        (column + neck // 2, top),
        (column + neck // 2, (top + shoulder) // 2),
        (left + width, shoulder),
        (left + width, top + height),
        (left, top + height),
        (left, shoulder),
        (column - neck // 2, (top + shoulder) // 2),
    ]
    region = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(region, [np.array(outline, np.int32)], 255, cv2.LINE_AA)
    _fill(picture, region, _shaded(picture.shape[:2], left, width, body, rng))
    if rng.random() < 0.7:
        depth = max(3, int(height * rng.uniform(0.04, 0.14)))
        lid = np.zeros_like(region)
        cv2.rectangle(lid, (column - neck // 2 - 1, top - depth // 2), (column + neck // 2 + 1, top + depth), 255, -1)
        _fill(picture, lid, _shaded(picture.shape[:2], column - neck // 2, neck, cap, rng))
    if rng.random() < 0.6:
        label = np.zeros_like(region)
        low, high = sorted(rng.uniform(0.35, 0.95) for _ in range(2))
        cv2.rectangle(label, (left, top + int(height * low)), (left + width, top + int(height * high)), 255, -1)
        _fill(picture, label, _shaded(picture.shape[:2], left, width, _colour(rng), rng))


def _shaded(shape: tuple[int, int], left: int, width: int, colour: Colour, rng: random.Random) -> Picture:
    """A cylinder's shading: bright along one line, dark to both sides."""
    across = (np.arange(shape[1]) - left) / max(1, width)
    light = 1.15 - 1.6 * (across - rng.uniform(0.25, 0.75)) ** 2
    row = np.clip(np.outer(light, colour), 0, 255).astype(np.uint8)
    return np.broadcast_to(row, (*shape, 3)).astype(np.uint8)


def _fill(picture: Picture, region: Picture, content: Picture) -> None:
    share = (region.astype(np.float32) / 255)[..., None]
    picture[:] = (picture * (1 - share) + content * share).astype(np.uint8)


def _weathered(picture: Picture, rng: random.Random) -> Picture:
    """Soften and grain the picture, so that a drawn edge is no mark of a drawn thing."""
    soft = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.6))
    grain = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(1, 9), soft.shape)
    grainy: Picture = np.clip(soft + grain, 0, 255).astype(np.uint8)
    return grainy


def _colour(rng: random.Random) -> Colour:
    return rng.randint(0, 255), rng.randint(0, 255), rng.randint(0, 255)
