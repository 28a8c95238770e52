"""The latest picture of each camera, for people who are looking right now: written over and over, never evidence.

It lies beside the evidence, in ``ROOT/MINE/live/CAMERA``: the capture time in a line of its own, then the JPEG. Whoever
looks says so, and while nobody does nothing is drawn or written.
"""

import os
import re
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

LOOKED_FOR = 30.0
"""Seconds for which saying once that somebody looks is enough."""
_SAID_EVERY = 5.0
_ASKED_EVERY = 1.0
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class LivePicture(NamedTuple):
    """A picture as JPEG, and when it was taken (UTC)."""

    captured_at: datetime
    jpeg: bytes


class LivePictures:
    """The live pictures of one mine under ``root``, which processes and hosts may share."""

    def __init__(self, root: Path, mine: str) -> None:
        self._folder = root / mine / "live"
        self._marker = self._folder / ".looked"
        self._said = -_SAID_EVERY
        self._asked = -_ASKED_EVERY
        self._looked = False

    def look(self) -> None:
        """Say that somebody looks. Where it cannot be written, there will be no pictures, which the wall shows."""
        now = time.monotonic()
        if now - self._said < _SAID_EVERY:
            return
        self._said = now
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._marker.touch()
        except OSError:
            return

    def looked(self) -> bool:
        """Whether somebody has lately said that they look."""
        now = time.monotonic()
        if now - self._asked >= _ASKED_EVERY:
            self._asked = now
            try:
                self._looked = abs(time.time() - self._marker.stat().st_mtime) < LOOKED_FOR
            except OSError:
                self._looked = False
        return self._looked

    def put(self, camera: str, picture: LivePicture) -> None:
        """Put a picture in the place of the last one, at once for whoever reads. Raises OSError."""
        handle, name = tempfile.mkstemp(dir=self._folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(picture.captured_at.isoformat().encode() + b"\n" + picture.jpeg)
            Path(name).replace(self._path(camera))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def get(self, camera: str) -> LivePicture | None:
        """The camera's latest picture, however old; None where there is none that can be read."""
        path = self._path(camera)
        try:
            said, _, jpeg = path.read_bytes().partition(b"\n")
            captured_at = datetime.fromisoformat(said.decode("ascii"))
        except (OSError, ValueError):
            return None
        return LivePicture(captured_at, jpeg) if captured_at.tzinfo is not None and jpeg else None

    def _path(self, camera: str) -> Path:
        if not _NAME.fullmatch(camera):
            raise ValueError(f"{camera!r} is no camera's id")
        return self._folder / camera
