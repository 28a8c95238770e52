"""Fixtures of the integration tests: a mine for the console, and a dispatcher who has signed in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.integration.console_client import person
from tests.integration.console_mine import Mine, open_mine


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
