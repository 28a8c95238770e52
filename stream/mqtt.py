"""Sensors that speak MQTT: one connection for each broker, which comes back by itself."""

import hashlib
import queue
import ssl
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from stream.access import refusal, secured, tls_context
from stream.errors import SourceError
from stream.messages import utc_now
from stream.settings import MqttSettings
from stream.site import Sensor, safe_url

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_OPEN_SECONDS = 5.0
_logger = structlog.get_logger()


class Broker(NamedTuple):
    """Where a broker is, and who we are there."""

    scheme: str
    host: str
    port: int
    user: str | None
    password: str | None

    @property
    def name(self) -> str:
        """Its address without credentials."""
        return f"{self.scheme}://{self.host}:{self.port}"


class Arrival(NamedTuple):
    """One message, to be acknowledged once it is on the log."""

    topic: str
    payload: bytes
    received_at: datetime
    identity: int
    quality: int


def address(sensor: Sensor) -> tuple[Broker, str]:
    """The broker and the topic of a sensor's url. Raises SourceError where it is no mqtt(s)://host/topic."""
    try:
        parts = urlsplit(sensor.url)
        port = parts.port or _PORTS[parts.scheme.lower()]
        host, topic = parts.hostname, unquote(parts.path.lstrip("/"))
    except (ValueError, KeyError):
        host = topic = ""
        port = 0
    if not host or not topic or "#" in sensor.url or "+" in topic or "\0" in topic:
        raise SourceError(f"{safe_url(sensor.url)} is no MQTT source: write mqtt://host:port/topic without wildcards.")
    user = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    return Broker(parts.scheme.lower(), host, port, user, password), topic


class Connection:
    """A connection to one broker and the topics read there. Messages wait in ``arrivals``; used from one thread.

    The session is a lasting one under an identity of its own: what arrives while nobody reads, the broker keeps, and
    what was not acknowledged comes again.
    """

    def __init__(self, broker: Broker, topics: Sequence[str], identity: str, access: MqttSettings) -> None:
        self.arrivals: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self.fault = ""
        self._broker = broker
        self._topics = sorted(set(topics))
        self._client = _client(broker, f"minewatch-{hashlib.sha256(identity.encode()).hexdigest()[:14]}", access)
        self._client.on_connect = self._connected
        self._client.on_connect_fail = self._failed
        self._client.on_disconnect = self._disconnected
        self._client.on_message = self._arrived
        self._client.connect_async(broker.host, broker.port, keepalive=15)
        self._client.loop_start()

    def acknowledge(self, arrival: Arrival) -> None:
        """Tell the broker that it need not keep the message any longer."""
        self._client.ack(arrival.identity, arrival.quality)

    def close(self) -> None:
        """Hang up; the broker keeps what comes from now on."""
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(
        self, client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _properties: Properties | None
    ) -> None:
        if code.is_failure:
            self.fault = f"{self._broker.name} refuses the connection: {code}."
            _logger.warning("MQTT refused", broker=self._broker.name, reason=str(code))
            return
        self.fault = ""
        client.subscribe([(topic, 1) for topic in self._topics])

    def _failed(self, _client: mqtt.Client, _data: Any) -> None:
        self.fault = (
            f"{self._broker.name} cannot be reached, or we do not trust each other: 'minewatch doctor' says which."
        )

    def _disconnected(
        self, _client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _properties: Properties | None
    ) -> None:
        self.fault = f"The connection to {self._broker.name} is gone: {code}."
        _logger.warning("MQTT connection gone", broker=self._broker.name, reason=str(code))

    def _arrived(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        self.arrivals.put(Arrival(message.topic, bytes(message.payload), utc_now(), message.mid, message.qos))


def probe(sensor: Sensor, access: MqttSettings) -> None:
    """Connect to the sensor's broker. Raises SourceError where it cannot be reached or refuses us."""
    broker, _ = address(sensor)
    answer: queue.SimpleQueue[ReasonCode] = queue.SimpleQueue()
    client = _client(broker, "", access)
    client.on_connect = lambda _client, _data, _flags, code, _properties: answer.put(code)
    try:
        if broker.scheme == "mqtts":
            with secured((broker.host, broker.port), access, "mqtt", _OPEN_SECONDS):
                pass  # refused here, no socket stays open; the client would leave its own
        client.connect(broker.host, broker.port, keepalive=15)
    except ssl.SSLError as error:
        raise SourceError(f"{broker.name} is no use to us: {refusal(error, 'mqtt')}.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"{broker.name} cannot be reached: {reason}. Check the address and the network.") from error
    client.loop_start()
    try:
        code = answer.get(timeout=_OPEN_SECONDS)
    except queue.Empty:
        raise SourceError(f"{broker.name} takes the connection and says nothing. Is it an MQTT broker?") from None
    finally:
        client.disconnect()
        client.loop_stop()
    if code.is_failure:
        raise SourceError(
            f"{broker.name} refuses the connection: {code}. Check the user name and password, in the sensor's url or in mqtt.user and mqtt.password."
        )


def _client(broker: Broker, identity: str, access: MqttSettings) -> mqtt.Client:
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id=identity, clean_session=not identity, manual_ack=bool(identity)
    )
    if broker.user is not None:
        client.username_pw_set(broker.user, broker.password)
    elif access.user:
        client.username_pw_set(access.user, access.password.get_secret_value())
    if broker.scheme == "mqtts":
        client.tls_set_context(tls_context(access, "mqtt"))
    client.reconnect_delay_set(1, 15)
    return client
