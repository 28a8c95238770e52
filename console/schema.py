"""Brings the database to this release's schema, and refuses to work on any other."""

import time
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from stream.database import writing
from stream.errors import DatabaseError, OlderSchemaError

MIGRATIONS = Path(__file__).parent / "migrations"
_ONE_AT_A_TIME = 0x6D696E65  # the number of the lock that migrations take on PostgreSQL, any would do
_LOOK_AGAIN = 1.0


def prepare(engine: Engine) -> None:
    """Make the tables in an empty database; check that those of any other are of this release.

    Raises OlderSchemaError where the schema is older (it says how to upgrade), and DatabaseError where it is unknown
    to this release.
    """
    current = _current(engine)
    if current == _head():
        return
    where = engine.url.render_as_string(hide_password=True)
    if current is None and not inspect(engine).get_table_names():
        upgrade(engine)
        return
    if current is None or current in _known():
        raise OlderSchemaError(
            f"The database {where} is of an older version of Minewatch. Make a copy of it, then run 'minewatch database upgrade'."
        )
    raise DatabaseError(
        f"The database {where} is of version {current!r}, which this release does not know. Use the release that wrote it, or a newer one."
    )


def wait_for(engine: Engine, say: Callable[[str], None]) -> None:
    """``prepare``, and where the database is older, say so once and wait until somebody has upgraded it.

    So a stage of the next release can be started while those of the last one still work: it begins when it may.
    """
    said = False
    while True:
        try:
            prepare(engine)
        except OlderSchemaError as error:
            if not said:
                say(f"{error} This release waits for that.")
            said = True
        else:
            if said:
                say("The database has been upgraded: going on.")
            return
        time.sleep(_LOOK_AGAIN)


def upgrade(engine: Engine) -> None:
    """Run every migration that is missing, all or none; two at once take turns, and the second finds nothing to do."""
    with writing(engine) as session:
        if engine.dialect.name == "postgresql":
            session.connection().execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _ONE_AT_A_TIME})
        config = _config()
        config.attributes["connection"] = session.connection()
        command.upgrade(config, "head")


def revision(engine: Engine) -> str | None:
    """The revision that the database is at; None where it says none."""
    return _current(engine)


def knows(found: str | None) -> bool:
    """This release can work with a database at that revision, or upgrade it."""
    return found in _known()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def _current(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _head() -> str:
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def _known() -> set[str]:
    return {revision.revision for revision in ScriptDirectory.from_config(_config()).walk_revisions()}
