"""A real Apache Kafka on this machine: one node, started and stopped for tests and benchmarks, never for a mine."""

import base64
import contextlib
import shutil
import socket
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from stream.child import free_port
from stream.errors import BrokerError
from stream.server import LocalServer

_PLAIN = "PLAINTEXT"
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={listeners}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
log.dirs={data}
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.check.interval.ms=1000
log.initial.task.delay.ms=1000
"""


class LocalBroker(LocalServer):
    """One Kafka node (KRaft) on a free loopback port. ``jars`` is the folder that ``make kafka`` fills.

    ``protocols`` are further doors, each on a port of its own in ``ports``; what they need stands in ``properties``,
    and who may come in by SCRAM in ``scram``.
    """

    name = "Kafka"
    patience = 150.0

    def __init__(
        self,
        jars: Path,
        folder: Path,
        *,
        protocols: Sequence[str] = (),
        properties: Mapping[str, str] | None = None,
        scram: Sequence[str] = (),
    ) -> None:
        """Choose ports and format the storage; raises BrokerError without Java or the jars."""
        java = shutil.which("java")
        if java is None:
            raise BrokerError("Kafka needs Java 17 or later, and there is no `java` here: install a JDK or JRE.")
        if not any(jars.glob("kafka_*.jar")):
            raise BrokerError(f"There are no Kafka jars in {jars}: run `make kafka` first.")
        super().__init__(folder)
        self._java = [java, "-cp", f"{jars}/*"]
        logging = jars / "log4j2.properties"
        if logging.exists():
            self._java.insert(1, f"-Dlog4j2.configurationFile={logging}")
        self.ports = {_PLAIN: self.port, **{protocol: free_port() for protocol in protocols}}
        self.address = f"{self.host}:{self.port}"
        self._format(properties or {}, scram)

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _format(self, properties: Mapping[str, str], scram: Sequence[str]) -> None:
        listeners = ",".join(f"{protocol}://127.0.0.1:{port}" for protocol, port in self.ports.items())
        own = PROPERTIES.format(listeners=listeners, controller=free_port(), data=self.folder / "data")
        self._properties.write_text(own + "".join(f"{name}={value}\n" for name, value in properties.items()))
        if (self.folder / "data" / "meta.properties").exists():
            return
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        command = [*self._java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties)]
        command += [word for user in scram for word in ("--add-scram", user)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=self.patience, check=False)  # noqa: S603  (our own command)
        if done.returncode != 0:
            raise BrokerError(f"Kafka could not format its storage in {self.folder}: {done.stderr or done.stdout}")

    def command(self) -> Sequence[str]:
        """The broker in the foreground."""
        return [*self._java[:1], "-Xms256m", "-Xmx512m", *self._java[1:], "kafka.Kafka", str(self._properties)]

    def answers(self) -> bool:
        """Whether it lists its topics."""
        # A Kafka client that finds nobody keeps its thread and waits ever longer: knock first.
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
        except OSError:
            return False
        patience = int(1000 * self.patience)
        try:
            client = KafkaAdminClient(
                bootstrap_servers=self.address, bootstrap_timeout_ms=patience, reconnect_backoff_max_ms=500
            )
        except KafkaError:
            return False
        with contextlib.closing(client), contextlib.suppress(KafkaError):
            client.list_topics()
            return True
        return False
