"""All sensors of a mine in one process: CSV files played again and MQTT, put on the log as readings."""

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

import msgspec
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from stream import mqtt, replay
from stream.capture import parent_life
from stream.checkpoint import Checkpoints
from stream.database import open_database
from stream.errors import LogError, PoisonError, SourceError
from stream.heartbeat import Heartbeat
from stream.log import Log, Position, open_log
from stream.measurement import parse, value_of
from stream.messages import DeadLetter, Health, Reading, SourceStatus, encode, utc_now
from stream.settings import LogSettings, MqttSettings
from stream.site import Sensor, Site

HEALTH_SECONDS = 5.0
"""The longest time between two health messages of one sensor."""

_TICK = 0.05
_MEMORY_SECONDS = 1.0
_AT_ONCE = 500  # readings that one source may put on the log before the others have their turn
_LARGEST_LETTER = 65_536
_logger = structlog.get_logger()


class Output:
    """Where sensors put what they measured: readings, dead letters and health on the log, counted by the heartbeat."""

    def __init__(self, log: Log, mine: str, heartbeat: Heartbeat) -> None:
        self._log = log
        self._mine = mine
        self._heartbeat = heartbeat
        self._seen: dict[str, float] = {}

    def put(self, sensor: Sensor, value: float, captured_at: datetime, sequence: int) -> None:
        """Append one reading."""
        message = Reading(
            mine=self._mine,
            sensor=sensor.id,
            place=sensor.place,
            quantity=sensor.quantity,
            value=value,
            unit=sensor.unit,
            sequence=sequence,
            captured_at=captured_at,
            read_at=utc_now(),
        )
        self._log.append("readings", f"{self._mine}/{sensor.id}", encode(message))
        self._seen[sensor.id] = time.monotonic()
        self._heartbeat.count("readings")

    def put_aside(self, sensor: Sensor, payload: bytes, sequence: int, error: PoisonError) -> None:
        """Append what is no reading to the dead letters, with the reason."""
        message = DeadLetter(
            mine=self._mine,
            stage="sensing",
            topic="readings",
            partition=-1,
            offset=sequence,
            key=f"{self._mine}/{sensor.id}",
            reason=str(error),
            stack="",
            payload=payload[:_LARGEST_LETTER],
            failed_at=utc_now(),
        )
        self._log.append("dead-letters", f"{self._mine}/{sensor.id}", encode(message))
        self._heartbeat.count("dead_letters")
        self._heartbeat.trouble("put-aside", f"{self._mine}/{sensor.id}", str(error))
        _logger.warning("put aside", stage="sensing", sensor=sensor.id, reason=str(error))

    def tell_health(self, sensor: Sensor, status: SourceStatus, detail: str) -> None:
        """Append a health message."""
        message = Health(
            mine=self._mine,
            source=sensor.id,
            source_kind="sensor",
            status=status,
            detail=detail,
            observed_at=utc_now(),
        )
        self._log.append("health", f"{self._mine}/{sensor.id}", encode(message))

    def heard(self, sensor: Sensor, now: float) -> bool:
        """Whether a reading came within the time that the sensor may be silent."""
        seen = self._seen.get(sensor.id)
        return seen is not None and now - seen <= sensor.silence_seconds


class Feed(Protocol):
    """What brings readings in. ``tick`` is called many times a second, always from the same thread."""

    sensors: Sequence[Sensor]
    ended: bool

    @property
    def fault(self) -> str:
        """Why nothing comes, where that is known."""
        ...

    def tick(self) -> None:
        """Put what has come since on the log. Raises LogError where it cannot; nothing is lost by that."""
        ...

    def close(self) -> None:
        """Let go of the source."""
        ...


class Memory(msgspec.Struct):
    """How far a file has been played in this run of the house."""

    run: str
    begun_at: datetime
    sequence: int = 0


class Replay:
    """Plays one CSV file. Times follow from the beginning of the replay, so that a restart repeats none of them."""

    def __init__(self, sensor: Sensor, output: Output, engine: Engine, mine: str, run: str) -> None:
        self.sensors: Sequence[Sensor] = (sensor,)
        self.ended = False
        self.fault: str = ""
        self._sensor = sensor
        self._output = output
        self._engine = engine
        self._name = f"sensing/{mine}/{sensor.id}"
        self._checkpoints = Checkpoints(engine, self._name)
        known = self._checkpoints.take("readings", 0)
        memory = msgspec.msgpack.decode(known[1], type=Memory) if known else None
        self._memory = memory if memory is not None and memory.run == run else Memory(run, utc_now())
        self._saved, self._saved_at = -1, 0.0
        self._rows = self._timeline()
        self._next = next(self._rows, None)
        for _ in range(self._memory.sequence):
            self._next = next(self._rows, None)
        self._sequence = self._memory.sequence
        self._save()

    def tick(self) -> None:
        """Put every reading on the log whose time has come."""
        now = utc_now()
        for _ in range(_AT_ONCE):
            if self._next is None or self._at(self._next) > now:
                break
            self._play(self._next)
            self._sequence += 1
            self._next = self._advance()
        self.ended = self._next is None
        if self._saved != self._sequence and time.monotonic() - self._saved_at >= _MEMORY_SECONDS:
            self._save()

    def close(self) -> None:
        """Remember how far the file was played."""
        self._save()

    def _timeline(self) -> Iterator[replay.Row]:
        """The rows of the file; of one that is played over and over without end, each time behind the last."""
        file = replay.open_csv(self._sensor)
        shift = step = last = 0.0
        while True:
            for row in replay.rows(file):
                step = row.seconds - last if row.seconds > last else step
                last = row.seconds
                yield replay.Row(row.seconds + shift, row.text)
            if not self._sensor.loop:
                return
            shift += last + (step or 1.0)
            last = 0.0

    def _at(self, row: replay.Row) -> datetime:
        return self._memory.begun_at + timedelta(seconds=row.seconds / self._sensor.speed)

    def _play(self, row: replay.Row) -> None:
        try:
            value = value_of(self._sensor, row.text)
        except PoisonError as error:
            self._output.put_aside(self._sensor, row.text.encode(), self._sequence, error)
        else:
            self._output.put(self._sensor, value, self._at(row), self._sequence)

    def _advance(self) -> replay.Row | None:
        try:
            return next(self._rows, None)
        except SourceError as error:
            self.fault = str(error)
            return None

    def _save(self) -> None:
        self._memory.sequence = self._sequence
        content = msgspec.msgpack.encode(self._memory)
        self._checkpoints.save([(Position("readings", 0, self._sequence), content)])
        self._saved, self._saved_at = self._sequence, time.monotonic()


class Subscription:
    """All sensors of one MQTT broker."""

    ended = False

    def __init__(
        self, broker: mqtt.Broker, sensors: Sequence[Sensor], output: Output, identity: str, access: MqttSettings
    ) -> None:
        self.sensors = sensors
        self._output = output
        self._by_topic: dict[str, list[Sensor]] = {}
        for sensor in sensors:
            self._by_topic.setdefault(mqtt.address(sensor)[1], []).append(sensor)
        self._sequences = dict.fromkeys((s.id for s in sensors), 0)
        self._waiting: deque[mqtt.Arrival] = deque()
        self._connection = mqtt.Connection(broker, list(self._by_topic), identity, access)

    @property
    def fault(self) -> str:
        """Why nothing comes, where that is known."""
        return self._connection.fault

    def tick(self) -> None:
        """Put what has arrived on the log, and acknowledge it then."""
        for _ in range(_AT_ONCE):
            if not self._waiting:
                if self._connection.arrivals.empty():
                    return
                self._waiting.append(self._connection.arrivals.get())
            arrival = self._waiting[0]
            for sensor in self._by_topic.get(arrival.topic, ()):
                self._take(sensor, arrival)
            self._connection.acknowledge(arrival)
            self._waiting.popleft()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _take(self, sensor: Sensor, arrival: mqtt.Arrival) -> None:
        sequence = self._sequences[sensor.id]
        try:
            measured = parse(sensor, arrival.payload, arrival.received_at)
        except PoisonError as error:
            self._output.put_aside(sensor, arrival.payload, sequence, error)
        else:
            self._output.put(sensor, measured.value, measured.captured_at, sequence)
        self._sequences[sensor.id] += 1


class Source(NamedTuple):
    """What feeds need to be opened: where they remember, and who they are to a broker."""

    engine: Engine
    identity: str
    run: str
    access: MqttSettings


class HealthTeller:
    """Says what each sensor is doing, on every change and every few seconds."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._begun_at = time.monotonic()
        self._told: dict[str, tuple[SourceStatus, str, float]] = {}

    def tell(self, sensor: Sensor, fault: str, *, ended: bool) -> None:
        """Say it where it is due."""
        now = time.monotonic()
        status, detail = self._judge(sensor, fault, now, ended=ended)
        before = self._told.get(sensor.id)
        if status is None or (
            before and before[:2] == (status, detail) and (ended or now - before[2] < HEALTH_SECONDS)
        ):
            return
        self._output.tell_health(sensor, status, detail)
        self._told[sensor.id] = (status, detail, now)

    def _judge(self, sensor: Sensor, fault: str, now: float, *, ended: bool) -> tuple[SourceStatus | None, str]:
        if fault:
            return "offline", fault
        if ended:
            return "ended", "The file is at its end."
        if self._output.heard(sensor, now):
            return "ok", ""
        if now - self._begun_at > sensor.silence_seconds:
            return "offline", f"No reading for {sensor.silence_seconds:.0f} s."
        return None, ""


def probe_sensor(sensor: Sensor, access: MqttSettings | None = None) -> None:
    """Open the sensor's file, or reach its broker. Raises SourceError where that does not work."""
    if _is_mqtt(sensor):
        mqtt.probe(sensor, access or MqttSettings())
    else:
        replay.open_csv(sensor)


def run_sensing(
    stop: threading.Event,
    *,
    site: Site,
    log_settings: LogSettings,
    database_url: str,
    run: str | None = None,
    access: MqttSettings | None = None,
) -> None:
    """Read all sensors of ``site`` until ``stop`` is set or every one of them has ended.

    ``run`` names this run of the house, as for the cameras: within it a file is played on where it had come to.
    ``access`` says who we are at brokers whose sensors do not say it in their urls.
    """
    engine = open_database(database_url)
    log = open_log(log_settings)
    heartbeat = Heartbeat(engine, site.mine, "sensing")
    output = Output(log, site.mine, heartbeat)
    # Without the password: one that is changed must not make us a stranger to whom the broker has kept nothing.
    tables = f"{engine.url.host}:{engine.url.port}/{engine.url.database}"
    identity = f"{site.mine} {log_settings.url} {log_settings.folder} {tables}"
    source = Source(engine, identity, parent_life() if run is None else run, access or MqttSettings())
    feeds, faults = _open_feeds(site, output, source)
    teller = HealthTeller(output)
    try:
        heartbeat.ready()
        for sensor, fault in faults:
            teller.tell(sensor, fault, ended=True)
        while not stop.wait(_TICK) and not all(feed.ended for feed in feeds):
            for feed in feeds:
                _tick(feed, teller)
            heartbeat.beat()
    finally:
        for feed in feeds:
            feed.close()
        heartbeat.close()
        log.close()
        engine.dispose()


def _tick(feed: Feed, teller: HealthTeller) -> None:
    try:
        if not feed.ended:
            feed.tick()
        for sensor in feed.sensors:
            teller.tell(sensor, feed.fault, ended=feed.ended)
    except (LogError, SQLAlchemyError) as error:
        _logger.warning("sensing goes on without", sensors=[s.id for s in feed.sensors], reason=str(error))


def _open_feeds(site: Site, output: Output, source: Source) -> tuple[list[Feed], list[tuple[Sensor, str]]]:
    """A feed for each file and each broker, and the sensors that cannot be read with the reason why."""
    feeds: list[Feed] = []
    faults: list[tuple[Sensor, str]] = []
    brokers: dict[mqtt.Broker, list[Sensor]] = {}
    for sensor in site.sensors:
        try:
            if _is_mqtt(sensor):
                brokers.setdefault(mqtt.address(sensor)[0], []).append(sensor)
            else:
                feeds.append(Replay(sensor, output, source.engine, site.mine, source.run))
        except SourceError as error:
            _logger.warning("sensor cannot be read", sensor=sensor.id, reason=str(error))
            faults.append((sensor, str(error)))
    feeds += [
        Subscription(broker, sensors, output, f"{source.identity} {broker.name}", source.access)
        for broker, sensors in brokers.items()
    ]
    return feeds, faults


def _is_mqtt(sensor: Sensor) -> bool:
    scheme = sensor.url.partition("://")[0].lower() if "://" in sensor.url else "file"
    if scheme not in {"mqtt", "mqtts", "file"}:
        raise SourceError(f"Sensor {sensor.id} has a url that begins with {scheme}://: write mqtt(s):// or a CSV file.")
    return scheme != "file"
