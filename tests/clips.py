"""Real clips as frames and messages, for tests of what cameras see."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
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
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Seconds into the clip and the picture (BGR), every ``every``-th of them, at most ``limit``."""
    video = cv2.VideoCapture(str(test_data / "video" / f"{clip}.mp4"))
    assert video.isOpened(), clip
    fps = video.get(cv2.CAP_PROP_FPS)
    number = given = 0
    while limit is None or given < limit:
        read, picture = video.read()
        if not read:
            break
        if number % every == 0:
            given += 1
            yield number / fps, np.asarray(picture, np.uint8)
        number += 1
    video.release()


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
