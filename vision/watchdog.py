"""The detectors in a process of their own, which is started again when it hangs, dies or grows.

A network that runs foreign code on foreign pictures is what is most likely to hang or crash here; the stage around it
keeps its membership, its episodes and its other cameras meanwhile.
"""

import ctypes
import multiprocessing
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from stream.errors import MinewatchError
from stream.messages import Detection
from vision.decode import Picture
from vision.detector import Detector, open_detectors
from vision.errors import BackendError, PictureError
from vision.settings import DetectorSettings

HANG_SECONDS = 10.0
"""Longest that a batch may take; even sixty-four pictures at 640 pixels take a loaded core less."""
OPEN_SECONDS = 120.0
"""Longest that loading may take: torch alone takes ten seconds from a slow disk."""
GROWTH_BYTES = 512 * 1024**2
"""Memory beyond what it had when settled, from which the process is replaced."""
SETTLED = 20
"""Batches after which the process has allocated all that it needs."""

_PR_SET_PDEATHSIG = 1
_logger = structlog.get_logger()


class _Described(NamedTuple):
    name: str
    digest: str
    labels: frozenset[str]
    image_size: int


class _GoneError(Exception):
    """The process gave no answer: it hung or died."""


class DetectorProcess:
    """Runs all detectors of the settings in one child process. To be used from one thread."""

    def __init__(
        self,
        settings: Mapping[str, DetectorSettings],
        *,
        hang_seconds: float = HANG_SECONDS,
        growth_bytes: int = GROWTH_BYTES,
        on_restart: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Load the weights. Raises WeightsError and BackendError as ``open_detectors`` does, with nothing run."""
        self._settings = dict(settings)
        self._hang_seconds = hang_seconds
        self._growth_bytes = growth_bytes
        self.on_restart = on_restart
        """Told why, each time the process is replaced."""
        self._start()

    @property
    def detectors(self) -> dict[str, Detector]:
        """The detectors by name, each answering from the child process."""
        return {one.name: _Remote(self, one) for one in self._described}

    @property
    def pid(self) -> int:
        """The process id of the child that runs now."""
        return self._pid

    def detect(self, name: str, pictures: Sequence[Picture]) -> list[list[Detection]]:
        """What the detector of that name sees in each picture.

        Raises PictureError where it cannot: because it says so, or because it hung or died over these pictures twice.
        """
        try:
            found = self._asked(name, pictures)
        except _GoneError as gone:
            self._restart(str(gone))
            found = self._asked_again(name, pictures)
        self._recycle_if_grown()
        return found

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(1.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        _send_no_longer_than(self._connection, self._hang_seconds)
        self._process = context.Process(
            target=_serve, args=(theirs, self._settings, os.getpid()), name="minewatch-detectors", daemon=True
        )
        self._process.start()
        theirs.close()
        self._pid = self._process.pid or 0
        self._answers = 0
        self._settled_bytes = 0
        try:
            answer = self._received(OPEN_SECONDS)
        except _GoneError as gone:
            self.close()
            raise BackendError(f"The detectors could not be loaded: {gone}. Run 'minewatch doctor'.") from gone
        if isinstance(answer, Exception):
            self.close()
            raise answer
        self._described: list[_Described] = answer

    def _asked(self, name: str, pictures: Sequence[Picture]) -> list[list[Detection]]:
        try:
            self._connection.send((name, list(pictures)))
        except BlockingIOError as error:
            raise _GoneError(f"it took nothing in for {self._hang_seconds:g} s") from error
        except OSError as error:
            raise _GoneError(f"its process ended with {self._exit_code()}") from error
        answer = self._received(self._hang_seconds)
        if isinstance(answer, str):
            raise PictureError(f"The detector {name} refuses the pictures: {answer}")
        self._answers += 1
        found: list[list[Detection]] = answer
        return found

    def _asked_again(self, name: str, pictures: Sequence[Picture]) -> list[list[Detection]]:
        try:
            return self._asked(name, pictures)
        except _GoneError as gone:
            self._restart(str(gone))
            raise PictureError(
                f"The detector {name} gave no answer twice over the same pictures, {len(pictures)} of them ({gone}): "
                "look at the pictures, and at the weights if others fail too."
            ) from gone

    def _received(self, seconds: float) -> Any:
        try:
            if self._connection.poll(seconds):
                return self._connection.recv()
        except (EOFError, OSError) as error:
            raise _GoneError(f"its process ended with {self._exit_code()}") from error
        raise _GoneError(f"nothing came from it for {seconds:g} s")

    def _exit_code(self) -> str:
        self._process.join(1.0)
        return str(self._process.exitcode)

    def _restart(self, why: str) -> None:
        _logger.warning("detectors started again", reason=why, pid=self._pid)
        self._process.kill()
        self.close()
        self.on_restart(why)
        self._start()

    def _recycle_if_grown(self) -> None:
        if self._answers < SETTLED:
            return
        held = _resident(self._pid)
        if self._answers == SETTLED:
            self._settled_bytes = held
        elif held > self._settled_bytes + self._growth_bytes:
            self._restart(f"its memory grew from {self._settled_bytes >> 20} to {held >> 20} MiB")


class _Remote:
    """One detector of the child process, as the rest of the house knows detectors."""

    def __init__(self, process: DetectorProcess, described: _Described) -> None:
        self._process = process
        self.name, self.digest, self.labels, self.image_size = described

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection]]:
        """The boxes in each picture, most confident first."""
        return self._process.detect(self.name, pictures)


def _serve(connection: Connection, settings: Mapping[str, DetectorSettings], parent: int) -> None:
    """The child: load, say what was loaded, then answer one batch after another until the other end is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    try:
        detectors = open_detectors(settings)
    except MinewatchError as error:
        connection.send(error)
        return
    connection.send([_Described(d.name, d.digest, d.labels, d.image_size) for d in detectors.values()])
    while True:
        try:
            name, pictures = connection.recv()
        except EOFError:
            return
        try:
            answer: object = detectors[name].detect(pictures)
        except Exception as error:  # noqa: BLE001 - one batch's failure is no reason to lose the loaded weights
            answer = f"{type(error).__name__}: {error}"
        connection.send(answer)


def _send_no_longer_than(connection: Connection, seconds: float) -> None:
    """Pictures are more than a pipe holds: without a limit, sending to a process that hangs would hang as well."""
    whole = int(seconds)
    limit = struct.pack("ll", whole, int((seconds - whole) * 1e6))
    with socket.socket(fileno=os.dup(connection.fileno())) as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


def _resident(pid: int) -> int:
    """Bytes of memory that the process holds; 0 where the system does not say."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
