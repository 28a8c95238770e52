"""What a detector sees in pictures on disk: for trying weights, before a camera depends on them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from stream.errors import SourceError
from stream.messages import Detection
from vision.decode import Picture, decode_picture
from vision.detector import Detector
from vision.errors import PictureError

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})


class Seen(NamedTuple):
    """What was seen in one picture, or the reason why nothing could be."""

    picture: Path
    detections: tuple[Detection, ...]
    error: str = ""


def detect_pictures(detector: Detector, source: Path, batch: int = 8) -> Iterator[Seen]:
    """What the detector sees in the picture, or in each picture of the folder, in the order of their names.

    Raises SourceError where there is no picture at ``source``; a picture that cannot be read is answered as such.
    """
    yield from detect_files(detector, find_pictures(source), batch)


def detect_files(detector: Detector, paths: Sequence[Path], batch: int = 8) -> Iterator[Seen]:
    """What the detector sees in each of these pictures; one that cannot be read is answered as such."""
    for start in range(0, len(paths), batch):
        chosen = paths[start : start + batch]
        read = [_read(path, detector.image_size) for path in chosen]
        found = iter(detector.detect([picture for picture in read if not isinstance(picture, PictureError)]))
        for path, picture in zip(chosen, read, strict=True):
            if isinstance(picture, PictureError):
                yield Seen(path, (), str(picture))
            else:
                yield Seen(path, tuple(next(found)))


def find_pictures(source: Path) -> list[Path]:
    """The picture, or those in the folder and below it. Raises SourceError where there is none."""
    if source.is_file():
        return [source]
    found = sorted(path for path in source.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not found:
        raise SourceError(f"There is no picture at {source}: give a picture, or a folder that holds some.")
    return found


def _read(path: Path, side: int) -> Picture | PictureError:
    data = path.read_bytes()
    try:
        if path.suffix.lower() in (".jpg", ".jpeg"):
            return decode_picture(data, side)
    except PictureError as error:
        return error
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if picture is None:
        return PictureError(f"{path.name} cannot be decoded as a picture.")
    return np.asarray(picture, np.uint8)
