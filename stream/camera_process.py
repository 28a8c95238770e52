"""The process of one camera: reads pictures, puts them on the log as frames, and tells its keeper how it gets on.

It does nothing else, so that a decoder that hangs or crashes takes nothing along, and it ends with its keeper.
"""

import ctypes
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from ctypes import c_bool, c_double, c_uint64
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from typing import Any, TypeVar

import msgspec
import structlog

from stream.camera import Picture, Source, open_source
from stream.errors import LogError, MinewatchError, SourceError
from stream.log import MESSAGE_BYTES, Log, open_log
from stream.messages import DeadLetter, Frame, SourceEnded, encode, utc_now
from stream.settings import CaptureSettings, LogSettings
from stream.site import Camera

_PR_SET_NAME = 15
_FLUSH = 0.5
_LAG_EVERY = 8  # pictures between two questions about the lag: a broker is asked over the network
_logger = structlog.get_logger()
_LARGEST = MESSAGE_BYTES - 4096  # the rest of the message
_LATE = 1.0  # seconds behind its own time line after which a paced file is played on from now


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """The source is open; ``opened_at`` names this opening in every frame."""

    opened_at: datetime


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The process gives up, for the reason told; ``unopened`` where that is a source that does not open."""

    reason: str
    unopened: bool


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The file is at its end, and everything of it is on the log."""


T = TypeVar("T")
Word = Opened | Failed | Ended
pack = msgspec.msgpack.encode
unpack = msgspec.msgpack.Decoder(Word).decode


@dataclass(frozen=True)
class Job:
    """What one camera process has to do. ``opened_at`` and ``sequence`` say where an earlier one stopped."""

    mine: str
    camera: Camera
    log: LogSettings
    capture: CaptureSettings
    opened_at: datetime | None = None
    sequence: int = 0


class Signs:
    """What the camera process and its keeper share, without locks: a process killed with one in hand would keep it."""

    def __init__(self, context: ForkServerContext) -> None:
        self._alive: Any = context.RawValue(c_double, 0.0)
        self._started: Any = context.RawValue(c_bool, False)
        self._reading: Any = context.RawValue(c_bool, True)
        self._written: Any = context.RawValue(c_uint64, 0)
        self._lost: Any = context.RawValue(c_uint64, 0)
        self._refused: Any = context.RawValue(c_uint64, 0)
        self._stop: Any = context.RawValue(c_bool, False)

    def stop(self) -> None:
        """Ask the process to finish the picture in hand."""
        self._stop.value = True

    def stopped(self, within: float = 0.0) -> bool:
        """Whether the process was asked to stop, or is so within that many seconds."""
        deadline = time.monotonic() + within
        while not self._stop.value:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, 0.05))
        return True

    def live(self) -> None:
        """A picture came, or the process waits on purpose."""
        self._alive.value = time.monotonic()

    @property
    def lived_at(self) -> float:
        """The monotonic clock of the last sign of life; 0 before the first."""
        return float(self._alive.value)

    def start(self) -> None:
        """The process has loaded its code."""
        self._started.value = True

    @property
    def started(self) -> bool:
        """Whether the process has loaded its code."""
        return bool(self._started.value)

    @property
    def reading(self) -> bool:
        """Whether the process waits for the source, not for the log or the clock."""
        return bool(self._reading.value)

    @reading.setter
    def reading(self, value: bool) -> None:
        self._reading.value = value

    def lose(self) -> None:
        """A live picture could not be put on the log."""
        self._lost.value += 1

    @property
    def lost(self) -> int:
        """How many live pictures could not be put on the log."""
        return int(self._lost.value)

    def refuse(self) -> None:
        """A picture went to the dead letters."""
        self._refused.value += 1

    @property
    def refused(self) -> int:
        """How many pictures went to the dead letters."""
        return int(self._refused.value)

    @property
    def written(self) -> int:
        """The sequence number up to which (exclusive) frames are on the log for certain."""
        return int(self._written.value)

    @written.setter
    def written(self, sequence: int) -> None:
        self._written.value = sequence


def run_camera(job: Job, signs: Signs, words: Connection) -> None:
    """The process's main function: capture until the end of the file, a failure, or ``signs.stop``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signs.stop())
    _call_it(f"camera {job.camera.id}")
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(sys.stderr))
    threading.Thread(target=_end_with_keeper, name="keeper", daemon=True).start()
    signs.start()
    reader = _Reader(job, signs, words)
    try:
        reader.run()
    except MinewatchError as error:
        words.send_bytes(pack(Failed(str(error), isinstance(error, SourceError) and not reader.opened)))
        sys.exit(1)


def _call_it(name: str) -> None:
    """Name this process in the system's lists, which would show one name for all cameras; Linux cuts it to 15 bytes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode())


def _end_with_keeper() -> None:
    keeper = multiprocessing.parent_process()
    if keeper is not None:
        multiprocessing.connection.wait([keeper.sentinel])
        os._exit(1)


def prepared() -> ForkServerContext:
    """Where camera processes come from: forked from one that has loaded their code and holds nothing else.

    Loading takes a second of a processor, and thirty cameras that start again together would be blind meanwhile.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


class TimeLine:
    """When pictures of a source were captured, and when they are to be read."""

    def __init__(self, camera: Camera, source: Source, opened_at: datetime, sequence: int) -> None:
        self._rate = source.rate
        self._paced = camera.paced and not source.live
        self._made_up = not camera.paced and not source.live
        length = timedelta(seconds=(source.length or 0) / source.rate)
        self._start = camera.start or opened_at - length
        self._first = sequence
        self._begun = time.monotonic()

    def captured_at(self, sequence: int) -> datetime:
        """The capture time of a picture: the wall clock, or the file's own time line where it is not paced."""
        return self._start + timedelta(seconds=sequence / self._rate) if self._made_up else utc_now()

    def early(self, sequence: int) -> float:
        """Seconds to wait before a picture of a paced file; a file that fell behind is played on from now."""
        if not self._paced:
            return 0.0
        early = self._begun + (sequence - self._first) / self._rate - time.monotonic()
        if early < -_LATE:
            self._begun -= early
        return early


class _Reader:
    def __init__(self, job: Job, signs: Signs, words: Connection) -> None:
        self.opened = False
        self._job = job
        self._signs = signs
        self._words = words
        self._camera = job.camera
        self._key = f"{job.mine}/{job.camera.id}"
        self._live = False
        self._sequence = 0
        self._flushed_at = self._taken_at = 0.0

    def run(self) -> None:
        source = open_source(self._camera)
        self._signs.reading = False
        try:
            log = open_log(self._job.log)
        except BaseException:
            source.close()
            raise
        try:
            line = self._begin(source)
            while not self._signs.stopped():
                self._signs.reading = True
                picture = source.read()
                self._signs.reading = False
                if picture is None and not self._camera.loop:
                    self._end(log, line)
                    return
                if picture is None:
                    source.close()
                    source = open_source(self._camera)
                elif not (self._live and self._too_soon()) and self._wait(line, log):
                    self._put(log, picture, line)
            self._flush(log)
        finally:
            source.close()
            log.close()

    def _begin(self, source: Source) -> TimeLine:
        """Go on where an earlier process stopped, in a file that it had opened; else begin."""
        self._live = source.live
        before = None if source.live else self._job.opened_at
        self._opened_at = before or utc_now()
        self._sequence = self._job.sequence if before else 0
        if self._sequence and not self._camera.loop:
            source.skip(self._sequence)
        self._signs.written = self._sequence
        self.opened = True
        self._words.send_bytes(pack(Opened(self._opened_at)))
        return TimeLine(self._camera, source, self._opened_at, self._sequence)

    def _too_soon(self) -> bool:
        """Whether a live camera gives more pictures a second than are wanted."""
        self._signs.live()
        now = time.monotonic()
        if self._camera.fps and now - self._taken_at < 0.9 / self._camera.fps:
            return True
        self._taken_at = now
        return False

    def _wait(self, line: TimeLine, log: Log) -> bool:
        """Wait until the picture's time has come and those who analyse keep up; False where told to stop."""
        limit = self._job.capture.backpressure_frames
        self._signs.live()
        while (early := line.early(self._sequence)) > 0:
            if self._signs.stopped(min(early, 1.0)):
                return False
            self._signs.live()
        if self._live or self._camera.paced or self._sequence % _LAG_EVERY:
            return not self._signs.stopped()
        while (lag := self._insist(lambda: log.lag("vision", "frames"))) is not None and lag > limit:
            if self._signs.stopped(0.02):
                return False
            self._signs.live()
        return not self._signs.stopped()

    def _insist(self, action: Callable[[], T]) -> T | None:
        """Do it, again and again while the log does not answer; None where told to stop meanwhile."""
        while True:
            try:
                return action()
            except LogError as error:
                _logger.warning("waiting for the log", camera=self._camera.id, reason=str(error))
            self._signs.live()
            if self._signs.stopped(0.5):
                return None

    def _put(self, log: Log, picture: Picture, line: TimeLine) -> None:
        captured_at = line.captured_at(self._sequence)
        try:
            jpeg = picture.encoded(self._job.capture.jpeg_quality)
            if len(jpeg) > _LARGEST:
                raise SourceError(f"A picture of {len(jpeg)} bytes is more than a frame may have ({_LARGEST}).")
        except SourceError as error:
            self._put_aside(log, picture, error)
        else:
            frame = Frame(
                mine=self._job.mine,
                camera=self._camera.id,
                sequence=self._sequence,
                captured_at=captured_at,
                read_at=utc_now(),
                jpeg=jpeg,
                width=picture.width,
                height=picture.height,
                opened_at=self._opened_at,
            )
            if not self._append(log, encode(frame)):
                return
        self._sequence += 1
        if time.monotonic() - self._flushed_at >= _FLUSH:
            self._flush(log)

    def _append(self, log: Log, frame: bytes) -> bool:
        """Put a frame on the log; where that does not answer a file waits, and a live frame is lost and counted."""
        if not self._live:
            return self._insist(lambda: log.append("frames", self._key, frame)) is not None
        try:
            log.append("frames", self._key, frame)
        except LogError as error:
            self._signs.lose()
            _logger.warning("frame lost", camera=self._camera.id, reason=str(error))
            return False
        return True

    def _put_aside(self, log: Log, picture: Picture, error: SourceError) -> None:
        letter = DeadLetter(
            mine=self._job.mine,
            stage="capture",
            topic="frames",
            partition=-1,
            offset=self._sequence,
            key=self._key,
            reason=str(error),
            stack="",
            payload=(picture.jpeg or b"")[:65_536],
            failed_at=utc_now(),
        )
        self._insist(lambda: log.append("dead-letters", self._key, encode(letter)))
        self._signs.refuse()

    def _flush(self, log: Log) -> None:
        """Note what is on the log for certain; the next process reads a file on from there."""
        self._flushed_at = time.monotonic()
        try:
            log.flush()
        except LogError:
            if not self._live:
                raise
        self._signs.written = self._sequence

    def _end(self, log: Log, line: TimeLine) -> None:
        ended = SourceEnded(
            mine=self._job.mine,
            camera=self._camera.id,
            sequence=self._sequence,
            captured_at=line.captured_at(self._sequence),
            reason="The file is at its end.",
        )
        self._insist(lambda: log.append("frames", self._key, encode(ended)))
        self._flush(log)
        self._words.send_bytes(pack(Ended()))
