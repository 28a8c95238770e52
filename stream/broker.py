"""A real Apache Kafka on this machine: one node, started and stopped for tests and benchmarks, never for a mine."""

import atexit
import base64
import contextlib
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from stream.child import Child, free_port
from stream.errors import BrokerError

START_SECONDS = 90.0
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
"""


class LocalBroker:
    """One Kafka node (KRaft) on a free loopback port, with its data in ``folder``.

    ``jars`` is the folder that ``make kafka`` fills. The port and the data stay the same over ``kill`` or ``stop``
    and ``start``, as with a broker that fails and comes back. As a context manager it starts and stops.

    ``protocols`` are further doors, each on a port of its own in ``ports``; what they need stands in ``properties``,
    and who may come in by SCRAM in ``scram``.
    """

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
        self._java = [java, "-cp", f"{jars}/*"]
        logging = jars / "log4j2.properties"
        if logging.exists():
            self._java.insert(1, f"-Dlog4j2.configurationFile={logging}")
        self.folder = folder.resolve()
        self.ports = {protocol: free_port() for protocol in (_PLAIN, *protocols)}
        self.port = self.ports[_PLAIN]
        self.address = f"127.0.0.1:{self.port}"
        self._child: Child | None = None
        self._format(properties or {}, scram)

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _format(self, properties: Mapping[str, str], scram: Sequence[str]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        listeners = ",".join(f"{protocol}://127.0.0.1:{port}" for protocol, port in self.ports.items())
        own = PROPERTIES.format(listeners=listeners, controller=free_port(), data=self.folder / "data")
        self._properties.write_text(own + "".join(f"{name}={value}\n" for name, value in properties.items()))
        if (self.folder / "data" / "meta.properties").exists():
            return
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        command = [*self._java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties)]
        command += [word for user in scram for word in ("--add-scram", user)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS, check=False)  # noqa: S603  (our own command)
        if done.returncode != 0:
            raise BrokerError(f"Kafka could not format its storage in {self.folder}: {done.stderr or done.stdout}")

    def start(self) -> None:
        """Start the broker and return once it answers; raises BrokerError when it ends or stays silent."""
        if self._child is not None:
            return
        command = [*self._java[:1], "-Xms256m", "-Xmx512m", *self._java[1:], "kafka.Kafka", str(self._properties)]
        self._child = Child(command, self.folder / "broker.log")
        atexit.register(self.kill)
        self._wait_until_it_answers(self._child)

    def _wait_until_it_answers(self, child: Child) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers(deadline):
            if not child.alive or time.monotonic() > deadline:
                words = child.last_words()
                self.kill()
                raise BrokerError(f"Kafka did not come up on {self.address}: {words}")
            time.sleep(0.1)

    def _answers(self, deadline: float) -> bool:
        # A Kafka client that finds nobody keeps its thread and waits ever longer: knock first.
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        patience = max(1, int(1000 * (deadline - time.monotonic())))
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

    def stop(self) -> None:
        """Shut down in order; the data stays."""
        if self._child is not None:
            self._child.stop()
        self.kill()

    def kill(self) -> None:
        """End the broker as a power cut ends it (SIGKILL); the data stays as it is on disk."""
        atexit.unregister(self.kill)
        if self._child is not None:
            self._child.kill()
            self._child = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()
