"""The real Kafka of the tests: stream.broker's, with the jars that `make kafka` placed."""

import os
import sys
from pathlib import Path

from stream.broker import LocalBroker
from stream.errors import BrokerError
from tests.servers.server import ServerUnavailableError


def kafka_jars() -> Path:
    """The folder of Kafka's jars: MINEWATCH_KAFKA_JARS, else the virtual environment's own."""
    return Path(os.environ.get("MINEWATCH_KAFKA_JARS") or Path(sys.prefix) / "share" / "kafka").resolve()


def kafka(folder: Path) -> LocalBroker:
    """A broker with its data in ``folder``, not started yet."""
    try:
        return LocalBroker(kafka_jars(), folder)
    except BrokerError as error:
        raise ServerUnavailableError(str(error)) from error
