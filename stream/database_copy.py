"""A consistent copy of the tables while they are written to, and the way back into an empty database."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import psycopg.conninfo
from sqlalchemy import Engine, inspect

from stream.errors import BackupError

SQLITE, POSTGRES = "database.sqlite", "database.pgdump"
"""What a copy is called by the database it is of; one is no use to the other."""


def copy_name(engine: Engine) -> str:
    """What a copy of this database is called."""
    return SQLITE if engine.dialect.name == "sqlite" else POSTGRES


def copy_to(engine: Engine, target: Path) -> None:
    """Write a copy of all tables as they are at one moment to ``target``. Writers go on meanwhile.

    Raises BackupError where the database is damaged, or PostgreSQL's own tools are missing or refuse.
    """
    if engine.dialect.name == "sqlite":
        _copy_sqlite(Path(engine.url.database or ""), target)
    else:
        _run(engine, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={target}")


def load_into(engine: Engine, copy: Path) -> None:
    """Fill an empty PostgreSQL database from a copy, all or nothing.

    Raises BackupError where it holds tables already, or PostgreSQL's tools are missing or refuse.
    """
    if inspect(engine).get_table_names():
        raise BackupError(
            f"The database {engine.url.render_as_string(hide_password=True)} holds tables already: name an empty one in database.url."
        )
    _run(engine, "pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", str(copy))


def check_sqlite(copy: Path) -> None:
    """Raises BackupError where the copy is no whole SQLite database."""
    try:
        with closing(sqlite3.connect(copy)) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise BackupError(
            f"The database is damaged ({found}): use an older backup, or ask for help before it is used on."
        )


def _copy_sqlite(database: Path, target: Path) -> None:
    try:
        with closing(sqlite3.connect(database, timeout=30)) as source, closing(sqlite3.connect(target)) as copy:
            # All pages in one step: in WAL mode nobody waits for it, and no writer makes it begin anew.
            source.backup(copy, pages=-1)
    except sqlite3.Error as error:
        raise BackupError(f"The database {database} cannot be copied: {error}. Check free space there.") from error
    check_sqlite(target)


def _run(engine: Engine, program: str, *arguments: str) -> None:
    found = shutil.which(program)
    if found is None:
        raise BackupError(
            f"{program} is not installed on this machine, and copies PostgreSQL: install PostgreSQL's client (Debian: postgresql-client), no older than the server."
        )
    where = engine.url.translate_connect_args(username="user", database="dbname")
    password = where.pop("password", None)  # not on the command line, which everybody on the machine can read
    where.update({name: value for name, value in engine.url.query.items() if isinstance(value, str)})
    done = subprocess.run(  # noqa: S603  # the program's full path, no shell
        [found, f"--dbname={psycopg.conninfo.make_conninfo(**where)}", *arguments],
        env={**os.environ, **({"PGPASSWORD": str(password)} if password else {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"it ended with code {done.returncode}"
        raise BackupError(f"{program} refused: {said[:600]}. Nothing was kept of its work.")
