"""What an H.264 camera costs before detection: every picture decoded, and those that are wanted written as JPEG."""

import random
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from stream.camera import open_source
from stream.site import Camera, Name
from vision.bench_scenes import HEIGHT, QUALITY, WIDTH
from vision.decode import Picture

RATE, WANTED = 25, 5
"""Pictures a second that the camera sends, and that are wanted of it."""
SECONDS = 4
STEP = 8
"""Pixels that the picture pans from one to the next."""


def h264(pictures: Sequence[Picture], folder: Path, vision_cores: float | None, cores: int) -> dict[str, Any]:
    """Processor time a camera takes to decode, by a clip through the source that RTSP goes through, too.

    ``vision_cores`` is what detection takes for one camera; with it, ``cameras`` is how many of them ``cores`` would
    afford together (an estimate). Without an encoder on this machine (``ffmpeg`` with x264) the answer says so.
    """
    clip = folder / "camera.mkv"
    if not _encoded(pictures, clip):
        return {"reason": "No H.264 encoder here: install ffmpeg."}
    source = open_source(Camera(id="clip", name=Name(en="Clip"), url=str(clip), place="face"))
    read = 0
    used, began = time.process_time(), time.perf_counter()
    while (picture := source.read()) is not None:
        if read % (RATE // WANTED) == 0:
            picture.encoded(QUALITY)
        read += 1
    used, took = time.process_time() - used, time.perf_counter() - began
    source.close()
    each = used / read * RATE
    answer: dict[str, Any] = {"decode_cores_per_camera": round(each, 3), "decoded_per_second": round(read / took, 1)}
    if vision_cores:
        answer["cameras"] = int(cores / (each + vision_cores))
    return answer


def _encoded(pictures: Sequence[Picture], clip: Path) -> bool:
    """A 1080p clip of a slow pan over real pictures side by side, as a camera's own encoder makes it."""
    draw = random.Random(7)  # noqa: S311 - a choice, no secret
    tall = [cv2.resize(p, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for p in draw.sample(list(pictures), 3)]
    wide = cv2.hconcat(tall)
    frames = (wide[:, number * STEP : number * STEP + WIDTH].tobytes() for number in range(RATE * SECONDS))
    command = [
        *("ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(RATE)),
        *("-i", "-", "-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-b:v", "4M"),
        *("-g", str(RATE * 2), str(clip)),
    ]
    try:
        done = subprocess.run(command, check=False, capture_output=True, input=b"".join(frames), timeout=120)  # noqa: S603 - fixed words
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
