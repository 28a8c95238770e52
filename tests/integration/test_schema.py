"""The migrations make exactly the tables that the code works with, on both databases."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect
from sqlmodel import SQLModel

from console import schema, tables
from stream.database import open_database
from stream.errors import DatabaseError
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
