"""Threads that do what is due, again and again, and never die without saying so."""

import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy.exc import OperationalError

from stream.heartbeat import Heartbeat

LOOK = 0.25
"""Seconds between two looks for what is due when nothing has woken the loop."""
_logger = structlog.get_logger()


class Loop:
    """Does something in a thread of its own: again at once while there is work, else when woken or after a while."""

    def __init__(self, name: str, work: Callable[[], bool], stop: threading.Event, heartbeat: Heartbeat) -> None:
        self._work = work
        self._heartbeat = heartbeat
        self._stop = stop
        self._woken = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"disposal-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    def join(self, seconds: float) -> None:
        """Wait until it has ended; what it was doing under a lease is done again by the next worker."""
        self._woken.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if not self._once():
                    self._woken.wait(LOOK)
                    self._woken.clear()
        except BaseException as error:  # handed on to the main thread, which ends the stage so that it starts anew
            _logger.exception("loop ended", loop=threading.current_thread().name)
            self.error = error
            self._stop.set()

    def _once(self) -> bool:
        try:
            return self._work()
        except OperationalError as error:
            if not self._heartbeat.no_room(error):
                _logger.warning("the database does not answer", reason=str(error.orig))
            self._stop.wait(1.0)
            return False


class Sometimes:
    """Calls something at most once in so many seconds."""

    def __init__(self, seconds: float, work: Callable[[], object]) -> None:
        self._seconds = seconds
        self._work = work
        self._done: float | None = None

    def __call__(self) -> None:
        """Call it where its time has come."""
        now = time.monotonic()
        if self._done is None or now - self._done >= self._seconds:
            self._done = now
            self._work()
