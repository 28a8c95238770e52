"""The migrations make exactly the tables that the code works with, on both databases."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlmodel import SQLModel

from console import schema, tables
from stream.database import open_database, writing
from stream.errors import DatabaseError, OlderSchemaError
from stream.messages import utc_now
from tests.integration.house import until


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    if request.param == "sqlite":
        return open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    make: Callable[[], str] = request.getfixturevalue("postgres")
    return open_database(make())


def test_an_empty_database_gets_the_tables_of_the_code(engine: Engine) -> None:
    schema.prepare(engine)
    assert tables.__all__
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []
    engine.dispose()


RELEASED = [script.revision for script in ScriptDirectory(str(schema.MIGRATIONS)).walk_revisions()]
NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"
branch_labels = depends_on = None


def upgrade() -> None:
    op.add_column("reading", sa.Column("note", sa.String(), nullable=False, server_default="none"))
    {then}
"""


@pytest.fixture
def next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes this release one that knows a migration more."""

    released = schema.MIGRATIONS
    folder = tmp_path / "migrations"

    def make(then: str) -> None:
        if not folder.exists():
            shutil.copytree(released, folder)
            monkeypatch.setattr(schema, "MIGRATIONS", folder)
        (folder / "versions" / "9999.py").write_text(NEXT.format(head=RELEASED[0], then=then))

    return make


def at_revision(engine: Engine, revision: str) -> None:
    """A database as a release of that schema left it, with a reading in it."""
    with writing(engine) as session:
        config = schema._config()
        config.attributes["connection"] = session.connection()
        command.upgrade(config, revision)
        now = utc_now().isoformat()
        columns = "mine, sensor, captured_at, place, quantity, value, unit"
        row = f"('pit', 'ch4', '{now}', 'return', 'methane', 0.4, '%')"
        session.connection().execute(text(f"INSERT INTO reading ({columns}) VALUES {row}"))


@pytest.mark.parametrize("revision", RELEASED)
def test_every_released_schema_is_upgraded_with_what_is_in_it(engine: Engine, revision: str) -> None:
    at_revision(engine, revision)
    schema.upgrade(engine)
    schema.prepare(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []
        assert connection.exec_driver_sql("SELECT value FROM reading").scalars().all() == [0.4]
    engine.dispose()


def test_a_migration_that_fails_half_way_leaves_everything_as_it_was(
    engine: Engine, next_release: Callable[[str], None]
) -> None:
    at_revision(engine, RELEASED[0])
    next_release("op.execute('SELECT * FROM nowhere')")
    with pytest.raises(OlderSchemaError, match="minewatch database upgrade"):
        schema.prepare(engine)
    with pytest.raises((OperationalError, ProgrammingError), match="nowhere"):
        schema.upgrade(engine)
    assert schema.revision(engine) == RELEASED[0]
    assert "note" not in {column["name"] for column in inspect(engine).get_columns("reading")}
    next_release("pass")
    schema.upgrade(engine)
    assert schema.revision(engine) == "9999"
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT note FROM reading").scalars().all() == ["none"]
    engine.dispose()


def test_preparing_again_changes_nothing(engine: Engine) -> None:
    schema.prepare(engine)
    before = sorted(inspect(engine).get_table_names())
    schema.prepare(engine)
    assert sorted(inspect(engine).get_table_names()) == before
    engine.dispose()


def test_a_database_without_a_version_is_refused_and_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE alert (id TEXT)")
    with pytest.raises(DatabaseError, match="older version"):
        schema.prepare(engine)
    assert inspect(engine).get_table_names() == ["alert"]
    engine.dispose()


def test_a_database_of_an_unknown_version_is_refused(engine: Engine) -> None:
    schema.prepare(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseError, match="'9999'"):
        schema.prepare(engine)
    engine.dispose()


def test_two_that_start_at_once_make_the_tables_once(engine: Engine) -> None:
    begin, failed = threading.Barrier(4), []

    def start() -> None:
        begin.wait()
        try:
            schema.prepare(engine)
        except Exception as error:  # noqa: BLE001  # handed to the test
            failed.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert schema.revision(engine) is not None
    engine.dispose()


def test_an_older_schema_is_waited_for_and_said_once(engine: Engine) -> None:
    schema.prepare(engine)
    head = schema.revision(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM alembic_version")
    said: list[str] = []

    def migrate() -> None:
        until(lambda: said)
        with engine.begin() as connection:
            connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{head}')")

    migration = threading.Thread(target=migrate)
    migration.start()
    schema.wait_for(engine, said.append)
    migration.join()
    assert len(said) == 2
    assert "minewatch database upgrade" in said[0]
    engine.dispose()
