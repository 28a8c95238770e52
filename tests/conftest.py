"""Fixtures for all tests: outside material, and real servers that start when first asked for."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pytest
import structlog

from stream.broker import LocalBroker
from tests.servers import chromium as browser
from tests.servers import kafka as kafka_server
from tests.servers.mosquitto import Mosquitto
from tests.servers.postgres import Postgres
from tests.servers.rtsp import RtspServer
from tests.servers.server import ServerUnavailableError


def do_without(error: ServerUnavailableError) -> NoReturn:
    """Skip the test that needs what is missing, or fail it under CI."""
    if os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(f"{error}; under CI nothing is skipped")
    pytest.skip(str(error))


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A command that ran in this process has sent its logs to a stream that is closed by now: undo that."""
    handlers = logging.root.handlers[:]
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of outside material (pictures, clips, codes) that MINEWATCH_TEST_DATA names."""
    named = os.environ.get("MINEWATCH_TEST_DATA")
    if not named:
        pytest.skip("MINEWATCH_TEST_DATA names no folder of outside material")
    folder = Path(named)
    assert folder.is_dir(), f"MINEWATCH_TEST_DATA is {named}, which is no folder"
    return folder.resolve()


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """The Kafka that all tests share, with its ``ports`` for TLS: take a topic prefix of your own."""
    try:
        broker = kafka_server.kafka_of_many_doors(tmp_path_factory.mktemp("kafka"))
    except ServerUnavailableError as error:
        do_without(error)
    with broker:
        yield broker


@pytest.fixture(scope="session")
def kafka(kafka_broker: LocalBroker) -> str:
    """The address (host:port) of a Kafka that all tests share: take a topic prefix of your own."""
    return kafka_broker.address


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[LocalBroker]:
    """A running Kafka of the test's own, to kill and start again."""
    try:
        broker = kafka_server.kafka(tmp_path / "kafka")
    except ServerUnavailableError as error:
        do_without(error)
    with broker:
        yield broker


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """The PostgreSQL that all tests share; it speaks TLS as well."""
    try:
        server = Postgres()
        server.guard()
    except ServerUnavailableError as error:
        do_without(error)
    try:
        with server:
            yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres(postgres_server: Postgres) -> Callable[[], str]:
    """A function that makes a new, empty PostgreSQL database and returns its SQLAlchemy URL."""
    return postgres_server.fresh_database


@pytest.fixture(scope="session")
def mosquitto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """The MQTT broker that all tests share, with TLS and a password on its ``tls_port``."""
    try:
        server = Mosquitto(tmp_path_factory.mktemp("mosquitto"), guarded=True)
    except ServerUnavailableError as error:
        do_without(error)
    with server:
        yield server


@pytest.fixture(scope="session")
def mosquitto(mosquitto_server: Mosquitto) -> tuple[str, int]:
    """Host and port of an MQTT broker that all tests share: take MQTT topics of your own."""
    return mosquitto_server.host, mosquitto_server.port


@pytest.fixture
def own_mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running MQTT broker of the test's own, to kill and start again."""
    try:
        server = Mosquitto(tmp_path / "mosquitto")
    except ServerUnavailableError as error:
        do_without(error)
    with server:
        yield server


@pytest.fixture
def rtsp_server(tmp_path: Path) -> Iterator[Callable[..., RtspServer]]:
    """A function (clip, times=1) that serves a clip over RTSP and returns the running server, with its ``url``."""
    with ExitStack() as running:

        def serve(clip: Path, times: int = 1) -> RtspServer:
            folder = tmp_path / f"rtsp-{len(list(tmp_path.glob('rtsp-*')))}"
            try:
                return running.enter_context(RtspServer(clip, folder, times))
            except ServerUnavailableError as error:
                do_without(error)

        yield serve


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The path of a Chromium to give Playwright as ``executable_path``, with tests.servers.chromium.OPTIONS."""
    try:
        return browser.chromium()
    except ServerUnavailableError as error:
        do_without(error)
