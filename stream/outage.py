"""A database that takes no writes because its disk is full: said once in a process, and once when it is over."""

import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy import Engine

from stream.database import out_of_room

CALM = 60.0
"""Seconds without a failed write after which it is over: small writes still find room where larger ones do not."""
_logger = structlog.get_logger()


class Outage:
    """Tells of a database without room. Safe to use from several threads."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._where = engine.url.render_as_string(hide_password=True)
        self._clock = clock
        self._lock = threading.Lock()
        self._failed_at: float | None = None
        self.failures = 0

    def tell(self, error: BaseException) -> str | None:
        """Say, the first time, that there is no room, and what to do; answers the text, or None for another error."""
        if not out_of_room(error):
            return None
        said = (
            f"The database at {self._where} takes no writes: its disk is full, or its file may not grow "
            f"({getattr(error, 'orig', error)}). Free room there. What was confirmed is kept, nothing closes meanwhile, "
            "and work goes on by itself once there is room."
        )
        with self._lock:
            first, self._failed_at = self._failed_at is None, self._clock()
            self.failures += 1
        if first:
            _logger.error("no room for the database", reason=said)
        return said

    def written(self) -> None:
        """A write went through; after a while in which none failed, it is over."""
        with self._lock:
            over = self._failed_at is not None and self._clock() - self._failed_at >= CALM
            if over:
                self._failed_at = None
        if over:
            _logger.warning("the database has room again", database=self._where)
