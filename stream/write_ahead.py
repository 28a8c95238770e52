"""SQLite's write-ahead log is carried over into the database beside the writers, so that no commit waits for it.

Left alone, SQLite does that in whichever commit finds the log long: a decision then waits until pages all over a large
file have been written. One thread of the console's does it instead; where none runs, a commit still does it, only later
(``stream.database.OVERDUE``).
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from stream.database import PATIENCE_MS

LONGEST = 16_000
"""Pages; a log that is longer is begun anew even if writers have to wait a moment for it."""
_MOMENT = 200
"""Milliseconds for which writers may have to wait then."""
_EAGER, _CALM = 0.5, 5.0
"""Seconds between two looks while much is written, and while little is."""
_MUCH = 100
"""Pages between two looks."""
_ROUNDS = 3
_logger = structlog.get_logger()


class Carried(NamedTuple):
    """How long the log is, in pages, and how many of them stand in the database as well."""

    logged: int
    carried: int


@contextmanager
def carrying_over(engine: Engine) -> Iterator[None]:
    """A thread that carries the log of an SQLite database over; nothing for other databases."""
    if engine.dialect.name != "sqlite":
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=_keep_carrying, args=(engine, stop), name="write-ahead", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def carry_over(engine: Engine, longest: int = LONGEST) -> Carried:
    """Write what the log holds into the database while others read and write on.

    The next writer begins the log anew once all of it stands in the database, which another commit meanwhile undoes: so
    it is tried a few times. Raises ``sqlite3.OperationalError`` where the disk does not take it.
    """
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        for _ in range(_ROUNDS):
            found = _checkpoint(cursor, "PASSIVE")
            if found.carried >= found.logged:
                return found
        if found.logged > longest:
            cursor.execute(f"PRAGMA busy_timeout={_MOMENT}")
            found = _checkpoint(cursor, "RESTART")
            cursor.execute(f"PRAGMA busy_timeout={PATIENCE_MS}")
        return found
    finally:
        connection.close()


def _keep_carrying(engine: Engine, stop: threading.Event) -> None:
    before, pause, failing = 0, _EAGER, False
    while not stop.wait(pause):
        try:
            found = carry_over(engine)
        except (sqlite3.Error, SQLAlchemyError) as error:
            if not failing:
                _logger.warning("the write-ahead log cannot be carried over", reason=str(error))
            failing, pause = True, _CALM
            continue
        # A log that is shorter than before was begun anew.
        written = found.logged - before if found.logged >= before else found.logged
        before, failing, pause = found.logged, False, _EAGER if written >= _MUCH else _CALM


def _checkpoint(cursor: Any, mode: str) -> Carried:
    _busy, logged, carried = cursor.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    return Carried(logged, carried)
