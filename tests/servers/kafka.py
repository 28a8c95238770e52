"""The real Kafka of the tests: stream.broker's, with the jars that `make kafka` placed."""

import os
import sys
from pathlib import Path
from typing import Any

from stream.broker import LocalBroker
from stream.errors import BrokerError
from tests.servers.certificates import certificates
from tests.servers.server import ServerUnavailableError


def kafka_jars() -> Path:
    """The folder of Kafka's jars: MINEWATCH_KAFKA_JARS, else the virtual environment's own."""
    return Path(os.environ.get("MINEWATCH_KAFKA_JARS") or Path(sys.prefix) / "share" / "kafka").resolve()


SCRAM_USER, PLAIN_USER = "scram-user", "plain-user"
PASSWORD = "correct-horse"


def kafka(folder: Path) -> LocalBroker:
    """A broker with its data in ``folder``, not started yet."""
    return _broker(folder)


def kafka_of_many_doors(folder: Path) -> LocalBroker:
    """A broker that listens without TLS, with SASL over TLS, and with TLS for clients that show a certificate."""
    made = certificates()
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    properties = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(made.both("server")),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(made.ca),
        "listener.name.ssl.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512,SCRAM-SHA-256",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": f'{plain} user_{PLAIN_USER}="{PASSWORD}";',
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": scram,
        "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": scram,
    }
    users = [f"{m}=[name={SCRAM_USER},password={PASSWORD}]" for m in ("SCRAM-SHA-512", "SCRAM-SHA-256")]
    return _broker(folder, protocols=("SASL_SSL", "SSL"), properties=properties, scram=users)


def _broker(folder: Path, **doors: Any) -> LocalBroker:
    try:
        return LocalBroker(kafka_jars(), folder, **doors)
    except BrokerError as error:
        raise ServerUnavailableError(str(error)) from error
