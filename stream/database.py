"""The engine under the tables: SQLite on one machine, PostgreSQL by URL. Tables live beside their owners."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Engine, TypeDecorator, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlmodel import Session, create_engine

from stream.errors import ConfigurationError, DatabaseError
from stream.settings import DatabaseSettings

_PATIENCE = 30.0
"""Seconds for which a lock of SQLite's is waited for."""
PATIENCE_MS = int(_PATIENCE * 1000)
OVERDUE = 4000
"""Pages in SQLite's write-ahead log at which a commit carries them over itself, because nobody else did
(``stream.write_ahead``)."""
_LARGEST_LOG = 64 * 1024**2
"""Bytes that the log's file keeps once it is begun anew; up to there its room is used again, which costs least."""
_ASK_AGAIN = 0.003
"""Seconds between two tries for the write lock: about what a small transaction takes."""
_NO_ROOM = {
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_TRUNCATE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
}  # fmt: skip
"""What SQLite says of a full disk: "full", or of a file that a quota or a limit keeps from growing, that it failed."""
_DISK_FULL = "53100"
"""What PostgreSQL says of it (appendix A of its manual, class 53: insufficient resources)."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime, also on SQLite, which forgets time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002
        """Refuse a naive time; store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone must not reach the database")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002
        """Give the time its zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_NO_URL = "database.url is no database URL: write sqlite:////path/file.db or postgresql+psycopg://host/name."


def database_url(settings: DatabaseSettings, otherwise: str) -> str:
    """The whole URL, ``otherwise`` where none is set: who we are there and how TLS is spoken is part of it.

    Texts show it with ``render_as_string(hide_password=True)`` alone. Raises ConfigurationError for a URL that is none.
    """
    try:
        url = make_url(settings.url or otherwise)
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError(_NO_URL) from error
    words = {
        "sslmode": settings.sslmode or ("verify-full" if settings.ca else ""),
        "sslrootcert": settings.ca,
        "sslcert": settings.certificate,
        "sslkey": settings.key,
    }
    query = {name: str(value) for name, value in words.items() if value}
    if url.get_backend_name() == "sqlite" and (settings.user or query):
        raise ConfigurationError(
            "database.user, sslmode and certificates are for PostgreSQL: set database.url to one, or remove them."
        )
    if not settings.user and not query:
        return settings.url or otherwise
    if settings.user:
        url = url.set(username=settings.user, password=settings.password.get_secret_value() or None)
    return url.update_query_dict(query).render_as_string(hide_password=False)


def open_database(url: str) -> Engine:
    """An engine on ``url``; SQLite gets WAL, full synchronisation and enforced foreign keys.

    Raises ConfigurationError for a URL that is none and DatabaseError where the database does not answer.
    """
    try:
        engine = create_engine(
            url,
            pool_pre_ping=not url.startswith("sqlite"),
            connect_args={"timeout": _PATIENCE} if url.startswith("sqlite") else {},
        )
    except (ArgumentError, ImportError) as error:
        raise ConfigurationError(_NO_URL) from error
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    try:
        engine.connect().close()
    except OperationalError as error:
        reason = " ".join(str(error.orig).split()).rstrip(".")
        raise DatabaseError(
            f"The database at {engine.url.render_as_string(hide_password=True)} does not open: {reason}. {_remedy(reason)}"
        ) from error
    return engine


def _remedy(reason: str) -> str:
    """What to look at, by what PostgreSQL's client said."""
    if "authentication failed" in reason or "no password supplied" in reason:
        return "Check database.user and database.password."
    if "certificate" in reason or "SSL" in reason or "pg_hba.conf" in reason:
        return "Check database.sslmode, database.ca and, where the server asks for one, database.certificate."
    return "Check the path or that the server runs."


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        # The driver's own transaction handling starts late and upgrades locks; BEGIN is issued below instead.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={PATIENCE_MS}")
        _write_ahead(cursor)
        pragmas = (
            "synchronous=FULL",
            "foreign_keys=ON",
            f"wal_autocheckpoint={OVERDUE}",
            f"journal_size_limit={_LARGEST_LOG}",
        )
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        if mode == "IMMEDIATE":
            _begin_writing(connection)
        else:
            connection.exec_driver_sql(f"BEGIN {mode}")


def _begin_writing(connection: Any) -> None:
    """Take the write lock, asking anew every few milliseconds.

    SQLite itself sleeps longer after each refusal, up to 100 ms, so that whoever has waited longest is served last.
    """
    deadline = time.monotonic() + _PATIENCE
    connection.exec_driver_sql("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            except OperationalError as error:
                code = getattr(error.orig, "sqlite_errorcode", 0)
                if code & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(_ASK_AGAIN)
            else:
                return
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={PATIENCE_MS}")


def _write_ahead(cursor: Any) -> None:
    """Change to write-ahead logging; where two open a new database at once, SQLite refuses one without any waiting."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def out_of_room(error: BaseException) -> bool:
    """Whether the database could not be written because its disk is full, or its file may not grow."""
    cause = getattr(error, "orig", error)
    return getattr(cause, "sqlite_errorcode", None) in _NO_ROOM or getattr(cause, "sqlstate", None) == _DISK_FULL


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session for reading; what it changes is not kept."""
    with Session(engine, expire_on_commit=False) as session:
        yield session


@contextmanager
def writing(engine: Engine) -> Iterator[Session]:
    """A session whose changes are committed together at the end, or not at all.

    On SQLite the write lock is taken at the start, so that two writers queue instead of failing half-way.
    """
    with (
        engine.connect().execution_options(sqlite_begin="IMMEDIATE") as connection,
        Session(connection, expire_on_commit=False) as session,
        session.begin(),
    ):
        yield session
