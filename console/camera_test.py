"""Opening a camera once, in a process that can be given up: a picture, or what is wrong."""

import multiprocessing
import secrets
import threading
import time
from collections import OrderedDict
from multiprocessing.connection import Connection
from typing import NamedTuple

import structlog

from stream.site import Camera

PATIENCE = 40.0
"""Seconds until a test is given up: loading the code, opening the camera, and asking it why it does not open."""
KEPT, KEPT_SECONDS = 16, 900.0
_WIDTH = 960
_logger = structlog.get_logger()


class Outcome(NamedTuple):
    """A picture as JPEG; or the fault by its name, as in ``camera-fault.NAME``, with the system's own words."""

    jpeg: bytes = b""
    fault: str = ""
    detail: str = ""


class Tested(NamedTuple):
    """A camera that was tried, by whom, and what came of it."""

    camera: Camera
    actor: str
    outcome: Outcome
    at: float


class Trials:
    """The latest tests: what a password opens is kept here, so that it need not go back to the browser."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Tested] = OrderedDict()
        self._lock = threading.Lock()
        self._one = threading.Semaphore(2)

    def run(self, camera: Camera, actor: str, url: str = "") -> str | None:
        """Try the camera, at ``url`` where that is given, and keep what came of it.

        Answers the name under which it is kept, or None while too many tests run.
        """
        if not self._one.acquire(blocking=False):
            return None
        try:
            outcome = look(camera.model_copy(update={"url": url}) if url else camera)
        finally:
            self._one.release()
        name = secrets.token_hex(16)
        with self._lock:
            self._kept[name] = Tested(camera, actor, outcome, time.monotonic())
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return name

    def get(self, name: str, actor: str) -> Tested | None:
        """A test of that person, for a quarter of an hour."""
        with self._lock:
            found = self._kept.get(name)
        if found is None or found.actor != actor or time.monotonic() - found.at > KEPT_SECONDS:
            return None
        return found


def look(camera: Camera) -> Outcome:
    """One picture of the camera, or why there is none."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_look, args=(camera, theirs), name=f"test of {camera.id}", daemon=True)
    process.start()
    theirs.close()
    try:
        if ours.poll(PATIENCE):
            return Outcome(*ours.recv())
    except (EOFError, OSError):
        _logger.warning("camera test ended without a word", camera=camera.id)
        return Outcome(fault="broken")
    finally:
        process.kill()
        process.join()
        ours.close()
    return Outcome(fault="late")


def _look(camera: Camera, answer: Connection) -> None:
    import cv2
    import numpy as np

    from stream.camera import is_live, open_source
    from stream.errors import SourceError
    from stream.reach import fault_of

    try:
        source = open_source(camera)
        picture = source.read()
        source.close()
        if picture is None:
            raise SourceError("nothing came")
        pixels = cv2.imdecode(np.frombuffer(picture.encoded(85), np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            raise SourceError("it cannot be decoded")
        height, width = pixels.shape[:2]
        if width > _WIDTH:
            pixels = cv2.resize(pixels, (_WIDTH, max(1, round(height * _WIDTH / width))), interpolation=cv2.INTER_AREA)
        done, jpeg = cv2.imencode(".jpg", pixels)
        answer.send((bytes(jpeg) if done else b"", "" if done else "no-video", ""))
    except SourceError:
        fault, detail = fault_of(camera.url) if is_live(camera.url) and not camera.url.isdecimal() else ("file", "")
        answer.send((b"", fault, detail))
