"""Real clips as frames and messages, for tests of what cameras see."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.messages import Frame

START = datetime(2026, 1, 1, tzinfo=UTC)
BELT, BOTTLES, PERSONS, WORKER = (
    "bolt-on-belt",
    "bottle-detection",
    "one-by-one-person-detection",
    "worker-zone-detection",
)
CLIPS = (BELT, BOTTLES, PERSONS, WORKER)


def pictures(
    test_data: Path, clip: str, *, every: int = 1, limit: int | None = None
) -> tuple[tuple[float, NDArray[np.uint8]], ...]:
    """Seconds into the clip and the picture (BGR, read-only), every ``every``-th of them, at most ``limit``."""
    return _read(test_data / "video" / f"{clip}.mp4", every, limit)


@lru_cache(maxsize=3)
def _read(path: Path, every: int, limit: int | None) -> tuple[tuple[float, NDArray[np.uint8]], ...]:
    video = cv2.VideoCapture(str(path))
    assert video.isOpened(), path
    fps = video.get(cv2.CAP_PROP_FPS)
    shown = []
    number = 0
    while (limit is None or len(shown) < limit) and video.grab():
        if number % every == 0:
            _, picture = video.retrieve()
            picture.setflags(write=False)
            shown.append((number / fps, np.asarray(picture, np.uint8)))
        number += 1
    video.release()
    return tuple(shown)


def as_frame(picture: NDArray[np.uint8], camera: str, sequence: int, seconds: float, mine: str = "mine") -> Frame:
    """The picture as a camera's message, captured ``seconds`` after START and read as soon."""
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])
    at = START + timedelta(seconds=seconds)
    height, width = picture.shape[:2]
    return Frame(
        mine=mine,
        camera=camera,
        sequence=sequence,
        captured_at=at,
        read_at=at,
        jpeg=jpeg.tobytes(),
        width=width,
        height=height,
        opened_at=START,
    )
