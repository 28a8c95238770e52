"""The stage that holds readings against the limits in force and says when a sensor has fallen silent."""

import threading
import time
from collections.abc import Sequence
from datetime import datetime

import msgspec
import structlog
from sqlalchemy import Engine

from rules.clause import change_counter, in_force, limits_in_force
from rules.episode import (
    SensorState,
    States,
    decode_states,
    encode_states,
    evaluate,
    fault,
    implausible,
    silent_since,
    stuck,
    unheard,
)
from rules.limits import CarriedLimit, applicable
from rules.settings import LimitSettings, RulesSettings
from stream.checkpoint import Checkpoints, all_checkpoints
from stream.database import open_database
from stream.errors import PoisonError
from stream.heartbeat import Heartbeat
from stream.log import Consumer, Log, Position, Record, Topic, open_log
from stream.messages import Reading, Risk, encode, utc_now
from stream.readings import store_readings
from stream.settings import LogSettings
from stream.site import Sensor, load_site
from stream.worker import Item, Worker, put_aside

NAME = "limits"
_REFRESH = 1.0
"""Seconds between two looks at whether the site, the clauses or the silence of a sensor have changed."""
_CAUGHT_UP = 2.0
"""A reading younger than this (seconds) shows that there is no backlog, so that silence is the sensor's own."""
_logger = structlog.get_logger()


class LimitsStage:
    """Readings in, risks out. The state of each partition's sensors is kept with the offset that it is valid for."""

    name = NAME
    topics: Sequence[Topic] = ("readings",)
    batch = 500

    def __init__(self, engine: Engine, log: Log, mine: str, settings: LimitSettings, heartbeat: Heartbeat) -> None:
        self._engine = engine
        self._checkpoints = Checkpoints(engine, NAME)
        self._log = log
        self._mine = mine
        self._settings = settings
        self._heartbeat = heartbeat
        self._partitions: dict[int, States] = {}
        self._offsets: dict[int, int] = {}
        self._watched_since = utc_now()
        self._looked = 0.0
        self._counter = -1
        self._limits_until = self._watched_since
        self._refresh()

    def assigned(self, consumer: Consumer, partitions: frozenset[tuple[Topic, int]]) -> None:
        """Go on where the checkpoint of each newly held partition ends."""
        held = {partition for _, partition in partitions}
        for gone in set(self._partitions) - held:
            del self._partitions[gone], self._offsets[gone]
        self._watched_since = utc_now()
        for partition in held - set(self._partitions):
            found = self._checkpoints.take("readings", partition)
            self._partitions[partition] = decode_states(found[1]) if found else {}
            self._offsets[partition] = found[0].offset if found else -1
            if found and found[0].offset >= 0:
                consumer.seek(Position("readings", partition, found[0].offset + 1))

    def handle(self, items: Sequence[Item]) -> None:
        """Store the readings, hold them against the limits, append the risks, and only then remember all that."""
        self._refresh_sometimes()
        now = utc_now()
        states = {partition: dict(known) for partition, known in self._partitions.items()}
        offsets: dict[int, int] = {}
        sound: list[Reading] = []
        absurd: list[tuple[Record, str]] = []
        risks: list[Risk] = []
        for record, message in items:
            if not isinstance(message, Reading):
                raise PoisonError(f"{type(message).__name__} is no reading and has no place on this topic.")
            known = states.setdefault(record.position.partition, {})
            offsets[record.position.partition] = record.position.offset
            if why := implausible(message):
                absurd.append((record, why))
                risks += self._at_fault(known, message, record, why, now)
            else:
                sound.append(message)
                risks += self._held(known, message, record, now)
        store_readings(self._engine, sound)
        self._publish(risks)
        for record, why in absurd:
            error = PoisonError(f"The value is no measurement: {why}. Check the sensor and its line.")
            put_aside(self._log, self._mine, NAME, record, error)
            self._heartbeat.trouble("put-aside", record.key, str(error))
        self._remember({partition: states[partition] for partition in offsets}, offsets)
        self._heartbeat.count("readings", len(items))
        self._heartbeat.count("dead_letters", len(absurd))
        if items and (now - _read_at(items[-1])).total_seconds() < _CAUGHT_UP:
            self._look_for_silence(now)

    def idle(self) -> None:
        """Everything on the log is read: sensors that are silent now are so themselves."""
        self._refresh_sometimes()
        self._look_for_silence(utc_now())

    def close(self) -> None:
        """Nothing is kept open."""

    def _held(self, known: States, message: Reading, record: Record, now: datetime) -> tuple[Risk, ...]:
        state = known.get(message.sensor)
        if state is not None and (why := stuck(state, message, self._stuck.get(message.sensor))):
            after, risks = fault(state, why, str(record.position), now)
            known[message.sensor] = msgspec.structs.replace(after, heard_at=message.read_at)
            return risks
        limits = applicable(self._limits, message.quantity, self._kinds.get(message.place, ""))
        state, risks = evaluate(known.get(message.sensor), message, str(record.position), limits, self._settings, now)
        known[message.sensor] = state
        return risks

    def _at_fault(self, known: States, message: Reading, record: Record, why: str, now: datetime) -> tuple[Risk, ...]:
        position = str(record.position)
        state = known.get(message.sensor) or unheard(
            message.mine, message.sensor, message.place, position, message.read_at
        )
        known[message.sensor], risks = fault(state, f"the sensor gives nonsense: {why}", position, now)
        return risks

    def _look_for_silence(self, now: datetime) -> None:
        if time.monotonic() - self._looked < _REFRESH:
            return
        self._looked = time.monotonic()
        states = {partition: dict(known) for partition, known in self._partitions.items()}
        risks: list[Risk] = []
        changed: dict[int, int] = {}
        for partition, sensor, state in self._expected(states):
            if silent_since(state, self._watched_since, sensor.silence_seconds, now):
                why = f"nothing was heard from it for more than {sensor.silence_seconds:g} s"
                after, found = fault(state, why, f"{state.position}/silent", now)
                if found:
                    states[partition][sensor.id] = after
                    changed[partition] = self._offsets[partition]
                    risks += found
        if risks:
            self._publish(risks)
            self._remember({p: states[p] for p in changed}, changed)

    def _expected(self, states: dict[int, States]) -> list[tuple[int, Sensor, SensorState]]:
        """The site's sensors that this member answers for; partition 0's holder for those never heard of."""
        found = []
        for sensor in self._sensors:
            home = next((p for p, known in states.items() if sensor.id in known), None)
            if home is not None:
                found.append((home, sensor, states[home][sensor.id]))
            elif 0 in states and not self._heard_elsewhere(sensor.id):
                since = self._watched_since
                never = unheard(self._mine, sensor.id, sensor.place, f"since/{since.isoformat()}", since)
                found.append((0, sensor, never))
        return found

    def _heard_elsewhere(self, sensor: str) -> bool:
        """Whether another member's partition knows the sensor, by its checkpoint."""
        saved = all_checkpoints(self._engine, NAME)
        return any(sensor in decode_states(s.state) for s in saved if s.position.partition not in self._partitions)

    def _publish(self, risks: Sequence[Risk]) -> None:
        for risk in risks:
            self._log.append("risks", f"{risk.mine}/{risk.source}", encode(risk))
            self._heartbeat.count("risks", risk.state == "raised")
            _logger.info("risk", risk=risk.risk_id, type=risk.type, state=risk.state, source=risk.source)

    def _remember(self, states: dict[int, States], offsets: dict[int, int]) -> None:
        entries = [(Position("readings", p, offsets[p]), encode_states(known)) for p, known in states.items()]
        self._checkpoints.save(entries)
        self._partitions.update(states)
        self._offsets.update(offsets)

    def _refresh_sometimes(self) -> None:
        if time.monotonic() - self._refreshed >= _REFRESH:
            self._refresh()

    def _refresh(self) -> None:
        """Read the site, and the limits in force where the code book has changed or a minute has gone by."""
        self._refreshed = time.monotonic()
        _, site = load_site(self._engine, self._mine)
        self._sensors = site.sensors
        self._stuck = {sensor.id: sensor.stuck_seconds for sensor in site.sensors}
        self._kinds = {place.id: place.kind for place in site.places}
        counter, now = change_counter(self._engine), utc_now()
        if counter != self._counter or (now - self._limits_until).total_seconds() > 60:
            self._limits: tuple[CarriedLimit, ...] = limits_in_force(in_force(self._engine, self._mine, now))
            self._counter, self._limits_until = counter, now


def _read_at(item: Item) -> datetime:
    return item.message.read_at if isinstance(item.message, Reading) else utc_now()


def run_limits(
    stop: threading.Event, *, settings: RulesSettings, log_settings: LogSettings, database_url: str, mine: str
) -> None:
    """Run the stage until ``stop`` is set. Raises a MinewatchError where database, site or log cannot be opened."""
    engine = open_database(database_url)
    log = open_log(log_settings)
    try:
        heartbeat = Heartbeat(engine, mine, NAME)
        Worker(LimitsStage(engine, log, mine, settings.limits, heartbeat), log, mine, heartbeat, stop).run()
    finally:
        log.close()
        engine.dispose()
