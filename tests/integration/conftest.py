"""Fixtures of the integration tests: a mine for the console, a dispatcher who has signed in, disposal's databases."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from stream.database import open_database
from tests.integration.console_client import person
from tests.integration.console_mine import Mine, open_mine
from tests.servers.postgres import Postgres
from tests.unit.disposal_world import furnish, well


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Mine]:
    """A fresh mine of the test's own."""
    opened = open_mine(tmp_path)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def shared_mine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mine]:
    """A mine that the tests of a module share."""
    opened = open_mine(tmp_path_factory.mktemp("mine"))
    yield opened
    opened.close()


@pytest.fixture
def client(mine: Mine) -> TestClient:
    """A dispatcher of the test's own mine."""
    return person(mine, "dispatcher")


def _furnished(url: str) -> str:
    engine = open_database(url)
    furnish(engine)
    engine.dispose()
    return url


@pytest.fixture(scope="session")
def sqlite_copies(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """A function that puts a copy of disposal's small mine into a folder and returns its URL."""
    original = tmp_path_factory.mktemp("furnished") / "minewatch.db"
    _furnished(f"sqlite:///{original}")

    def copy(folder: Path) -> str:
        return f"sqlite:///{shutil.copy(original, folder / 'minewatch.db')}"

    return copy


@pytest.fixture(scope="session")
def postgres_copies(postgres_server: Postgres) -> Callable[[Path], str]:
    """The same on PostgreSQL; the folder stays empty."""
    original = _furnished(postgres_server.fresh_database())
    return lambda _: postgres_server.fresh_database(like=original)


@pytest.fixture(params=["sqlite", "postgresql"])
def furnished(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Disposal's small mine in a database of the test's own, once on SQLite and once on PostgreSQL."""
    name = "sqlite_copies" if request.param == "sqlite" else "postgres_copies"
    copy: Callable[[Path], str] = request.getfixturevalue(name)
    engine = open_database(copy(tmp_path))
    well(engine)
    yield engine
    engine.dispose()
