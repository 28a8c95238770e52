"""Writes down at once that a stage's process ended, for the doctor: the next one may take a minute to be at work."""

import queue
import socket
import threading

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from stream import trouble
from stream.database import writing
from stream.messages import utc_now

SUBJECT_PREFIX = "process on "
"""What the subject of such a note begins with; the host follows."""
_AGAIN_SECONDS = 2.0
_logger = structlog.get_logger()


class Deaths:
    """Takes notes without ever waiting for the database, and writes them in a thread of its own until they stand."""

    def __init__(self, engine: Engine, mine: str) -> None:
        self._engine = engine
        self._mine = mine
        self._host = socket.gethostname()
        self._notes: queue.SimpleQueue[tuple[str, trouble.Told]] = queue.SimpleQueue()

    def note(self, stage: str, pid: int | None, how: str) -> None:
        """A stage's process ended, ``how`` says in words by what."""
        text = f"The stage {stage} (process {pid}) ended without a word ({how}) and is started again; nothing is lost."
        self._notes.put((stage, trouble.Told(text, 1, utc_now())))

    def run(self, ended: threading.Event) -> None:
        """Write what is noted until ``ended`` is set."""
        while not ended.is_set():
            try:
                stage, told = self._notes.get(timeout=0.5)
            except queue.Empty:
                continue
            while not self._written(stage, told) and not ended.wait(_AGAIN_SECONDS):
                pass

    def _written(self, stage: str, told: trouble.Told) -> bool:
        subject = trouble.subject_of("restarted", SUBJECT_PREFIX + self._host)
        try:
            with writing(self._engine) as session:
                trouble.write(session, self._mine, stage, {subject: told})
        except SQLAlchemyError as error:
            _logger.warning("a stage's end is not written down yet", stage=stage, reason=str(error))
            return False
        return True
