"""Camera pictures for the benchmark: 1080p JPEGs tiled from different real pictures, standing still and in motion."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from vision.dataset import PICTURES
from vision.decode import Picture
from vision.detector import Detector
from vision.errors import DatasetError

WIDTH, HEIGHT = 1920, 1080
COLUMNS, ROWS = 5, 3
"""Tiles of 384 x 360: about the size of the pictures, because one blown up is decoded too cheaply."""

QUALITY = 85
VARIANTS = 3
"""Pictures of a scene in which something moves: one tile is another's."""

LARGE = 3
"""Columns that the one large picture takes in which somebody is to be seen."""


class Scene(NamedTuple):
    """One camera's JPEGs: two of the still scene, that differ by grain, and some with a change in one place."""

    still: tuple[bytes, bytes]
    moving: tuple[bytes, ...]

    @property
    def all(self) -> tuple[bytes, ...]:
        """Every JPEG of it."""
        return (*self.still, *self.moving)


class Visit(NamedTuple):
    """One camera's JPEGs before and while somebody is there: two of each, that differ by grain."""

    nobody: tuple[bytes, bytes]
    somebody: tuple[bytes, bytes]


def find_pictures(material: Path, count: int, seed: int = 7) -> list[Picture]:
    """``count`` real pictures under ``material``, or frames of the clips there. Raises DatasetError for too few."""
    paths = sorted(p for p in material.rglob("*") if p.suffix.lower() in PICTURES)
    chosen = random.Random(seed).sample(paths, min(count, len(paths)))  # noqa: S311 - a choice, no secret
    pictures = [np.asarray(p, np.uint8) for path in chosen if (p := cv2.imread(str(path))) is not None]
    if len(pictures) < count:
        pictures += _from_clips(material, count - len(pictures))
    if len(pictures) < count:
        raise DatasetError(
            f"The benchmark needs {count} pictures, and {material} holds {len(pictures)} with its clips."
        )
    return pictures


def make_scene(pictures: Sequence[Picture], number: int) -> Scene:
    """The scene with that number: which pictures are its tiles hangs on nothing else."""
    draw = random.Random(number)  # noqa: S311 - a choice, no secret
    tiles = draw.sample(list(pictures), COLUMNS * ROWS + VARIANTS)
    still = _tiled(tiles)
    at = draw.randrange(COLUMNS * ROWS)
    moving = [_tiled([*tiles[:at], tiles[COLUMNS * ROWS + i], *tiles[at + 1 :]]) for i in range(VARIANTS)]
    return Scene(_twice(still, number), tuple(encode(picture) for picture in moving))


def with_somebody(pictures: Sequence[Picture], detector: Detector, count: int) -> list[Visit]:
    """``count`` scenes: nobody is seen by the detector before, somebody then. Raises DatasetError for too few."""
    empty = [picture for picture in pictures if not detector.detect([picture])[0]]
    if len(empty) < COLUMNS * ROWS:
        raise DatasetError("The benchmark finds too few pictures in which the detector sees nobody.")
    visits: list[Visit] = []
    for number, picture in enumerate(pictures):
        if len(visits) == count:
            break
        tiles = random.Random(number).sample(empty, COLUMNS * ROWS)  # noqa: S311 - a choice, no secret
        nobody = _tiled(tiles)
        somebody = nobody.copy()
        width = LARGE * WIDTH // COLUMNS
        somebody[:, :width] = cv2.resize(picture, (width, HEIGHT), interpolation=cv2.INTER_LINEAR)
        seen = detector.detect([_reduced(nobody), _reduced(somebody)])
        if not seen[0] and any(d.confidence > 0.6 for d in seen[1]):
            visits.append(Visit(_twice(nobody, number), _twice(somebody, number)))
    if not visits:
        raise DatasetError("The benchmark finds no picture in which the detector sees somebody.")
    return [visits[i % len(visits)] for i in range(count)]


def encode(picture: Picture) -> bytes:
    """The picture as a camera sends it."""
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return jpeg.tobytes()


def _twice(picture: Picture, number: int) -> tuple[bytes, bytes]:
    """The picture and once more with other grain: no sensor gives the same picture twice."""
    grain = np.random.default_rng(number).integers(-2, 3, picture.shape, np.int16)
    return encode(picture), encode(np.asarray(np.clip(picture + grain, 0, 255), np.uint8))


def _tiled(tiles: Sequence[Picture]) -> Picture:
    size = (WIDTH // COLUMNS, HEIGHT // ROWS)
    fitted = [cv2.resize(tile, size, interpolation=cv2.INTER_AREA) for tile in tiles]
    rows = [np.hstack(fitted[row * COLUMNS : (row + 1) * COLUMNS]) for row in range(ROWS)]
    return np.asarray(np.vstack(rows), np.uint8)


def _reduced(picture: Picture) -> Picture:
    return np.asarray(cv2.resize(picture, (WIDTH // 4, HEIGHT // 4), interpolation=cv2.INTER_AREA), np.uint8)


def _from_clips(material: Path, count: int) -> list[Picture]:
    """Frames spread over the clips under ``material``, cut into quarters where they are large."""
    clips = sorted(material.rglob("*.mp4"))
    frames: list[Picture] = []
    for clip in clips:
        video = cv2.VideoCapture(str(clip))
        total = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        for number in range(0, total, max(1, total * len(clips) // max(1, count))):
            video.set(cv2.CAP_PROP_POS_FRAMES, number)
            read, frame = video.read()
            if read:
                frames.append(np.asarray(frame, np.uint8))
        video.release()
    return frames[:count]
