"""Readings over time against limits: when a broken limit becomes a risk, and when and how that risk ends.

Everything here is pure: a sensor's state and a reading go in, the new state and the events come out. The state can be
written down (``encode_states``) and stored together with the log position that it is valid for.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from rules.limits import CarriedLimit, by_weight, risk_type_of
from rules.settings import LimitSettings
from rules.trend import Point, minutes_until, remembered, trend
from rules.warning import say
from stream.messages import Absence, Measured, Reading, Risk, RiskState, risk_identity
from stream.site import UNITS


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """A risk that is going on: its id, the sequence number of its last event, and the limits broken so far."""

    risk_id: str
    type: str
    sequence: int
    started_at: datetime
    clauses: tuple[str, ...] = ()
    limit: str | None = None
    severity: int = 0
    """The rank of the severest limit broken; EARLY while only the trend leads there."""
    inside_since: datetime | None = None
    inside_readings: int = 0


class SensorState(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one sensor. ``broken`` says since when readings break each limit, by its text and clause.

    ``heard_at`` is the wall clock of the last plausible reading, ``same_since`` the capture time of the first of those
    that were all exactly the last one; ``episodes`` holds those going on, by risk type.
    """

    mine: str
    sensor: str
    place: str
    position: str
    heard_at: datetime
    last: Measured | None = None
    same_since: datetime | None = None
    recent: tuple[Point, ...] = ()
    broken: dict[str, datetime] = {}
    episodes: dict[str, Episode] = {}


States = dict[str, SensorState]
EARLY = -1
KEPT = 2.0
"""A warning stays while the trend breaks the limit within so many times what was asked for: a hysteresis in time."""
STALE = "sensor-stale"


def encode_states(states: States) -> bytes:
    """The states as bytes for a checkpoint."""
    return msgspec.msgpack.encode(states)


def decode_states(data: bytes) -> States:
    """The states in a checkpoint's bytes."""
    return msgspec.msgpack.decode(data, type=States)


def implausible(reading: Reading) -> str | None:
    """Why the value is no measurement but a fault of the sensor; None where it may be one."""
    unit, low, high = UNITS[reading.quantity]
    if reading.unit != unit:
        return f"{reading.quantity} comes in {reading.unit!r} instead of {unit!r}"
    if not math.isfinite(reading.value) or not low <= reading.value <= high:
        return f"{reading.value:g} {unit} is outside what {reading.quantity} can be ({low:g} to {high:g})"
    return None


def evaluate(
    state: SensorState | None,
    reading: Reading,
    position: str,
    limits: Sequence[CarriedLimit],
    settings: LimitSettings,
    now: datetime,
) -> tuple[SensorState, tuple[Risk, ...]]:
    """Hold a plausible reading against the limits that apply to its sensor's place.

    ``position`` is the reading's on the log; it names what begins here. Raised once a limit has been broken for its
    hold time, or before, where the limit asks for a warning and the trend leads there; updated when a limit breaks
    after its warning, or a severer or stricter one too; cleared when readings were inside every limit by the hysteresis
    for the off-delay, and lead to none; ``lost`` where no limit applies any more.
    """
    events: list[Risk] = []
    state = state or unheard(reading.mine, reading.sensor, reading.place, position, reading.read_at)
    episodes = dict(state.episodes)
    if stale := episodes.pop(STALE, None):
        reason = "the sensor gives plausible readings again"
        events.append(_end(state, stale, "cleared", reading.captured_at, now, reason, _absence(1, 0.0, reason)))
    broken = {
        _key(carried): min(state.broken.get(_key(carried), reading.captured_at), reading.captured_at)
        for carried in limits
        if carried.limit.broken_by(reading.value)
    }
    by_type: dict[str, list[CarriedLimit]] = {}
    for carried in limits:
        kind = risk_type_of(carried.limit.quantity, carried.limit.comparison)
        if kind:
            by_type.setdefault(kind, []).append(carried)
    asked = [c for c in limits if c.limit.warn_minutes > 0]
    recent = remembered(state.recent, reading.captured_at, reading.value) if asked else ()
    ahead = _ahead(asked, recent)
    for kind in {*by_type, *episodes}:
        episode, event = _step(
            episodes.pop(kind, None), kind, by_type.get(kind, []), broken, ahead, reading, position, settings, now
        )
        if episode:
            episodes[kind] = episode
        if event:
            events.append(event)
    after = SensorState(
        mine=reading.mine,
        sensor=reading.sensor,
        place=reading.place,
        position=position,
        heard_at=reading.read_at,
        last=_measured(reading, None),
        same_since=same_since(state, reading),
        recent=recent,
        broken=broken,
        episodes=episodes,
    )
    return after, tuple(events)


def fault(state: SensorState, reason: str, position: str, now: datetime) -> tuple[SensorState, tuple[Risk, ...]]:
    """The sensor is silent or gives nonsense: what was going on is ``lost``, and the sensor itself is a risk.

    Nothing happens where that is known already.
    """
    if STALE in state.episodes:
        return state, ()
    events = [_end(state, e, "lost", now, now, reason, None) for e in state.episodes.values()]
    episode = Episode(
        risk_id=risk_identity(state.sensor, STALE, None, position), type=STALE, sequence=0, started_at=state.heard_at
    )
    events.append(_risk(state, episode, "raised", state.heard_at, now, now, reason=reason))
    return msgspec.structs.replace(state, recent=(), broken={}, episodes={STALE: episode}), tuple(events)


def same_since(state: SensorState | None, reading: Reading) -> datetime:
    """Since when the sensor has given exactly the value of ``reading``: its own capture time where it gave another."""
    if state is None or state.same_since is None or state.last is None or state.last.value != reading.value:
        return reading.captured_at
    return min(state.same_since, reading.captured_at)


def stuck(state: SensorState | None, reading: Reading, seconds: float | None) -> str | None:
    """Why the sensor is stuck; None where it may measure. A live one never gives the same number for that long."""
    since = same_since(state, reading)
    if seconds is None or (reading.captured_at - since).total_seconds() < seconds:
        return None
    return f"the sensor is stuck: it has given exactly {reading.value:g} {reading.unit} since {since:%Y-%m-%d %H:%M:%S} UTC"


def unheard(mine: str, sensor: str, place: str, position: str, since: datetime) -> SensorState:
    """The state of a sensor of which nothing is known yet."""
    return SensorState(mine=mine, sensor=sensor, place=place, position=position, heard_at=since)


def silent_since(state: SensorState, watched_since: datetime, silence: float, now: datetime) -> bool:
    """Whether nothing was heard for ``silence`` seconds, counted from ``watched_since`` at the earliest."""
    return now - max(state.heard_at, watched_since) > timedelta(seconds=silence)


def _step(
    episode: Episode | None,
    kind: str,
    limits: list[CarriedLimit],
    broken: dict[str, datetime],
    ahead: Mapping[str, float],
    reading: Reading,
    position: str,
    settings: LimitSettings,
    now: datetime,
) -> tuple[Episode | None, Risk | None]:
    held = by_weight(
        c
        for c in limits
        if (since := broken.get(_key(c))) is not None
        and (reading.captured_at - since).total_seconds() >= c.limit.hold_seconds
    )
    if episode is None:
        if held:
            return _raise(kind, held, broken, reading, position, now)
        near = by_weight(c for c in limits if ahead.get(_key(c), math.inf) <= c.limit.warn_minutes)
        return _warn(kind, near[0], ahead[_key(near[0])], reading, position, now) if near else (None, None)
    if not limits:
        why = "no limit in force applies to this sensor any more"
        return None, _end_of(reading, episode, "lost", now, why, None)
    if held:
        return _go_on(episode, held, reading, now)
    coming = any(ahead.get(_key(c), math.inf) <= KEPT * c.limit.warn_minutes for c in limits)
    if not coming and all(c.limit.clear_of(reading.value, settings.hysteresis) for c in limits):
        return _come_back(episode, reading, settings, now)
    return msgspec.structs.replace(episode, inside_since=None, inside_readings=0), None


def _raise(
    kind: str,
    held: Sequence[CarriedLimit],
    broken: dict[str, datetime],
    reading: Reading,
    position: str,
    now: datetime,
) -> tuple[Episode, Risk]:
    episode = Episode(
        risk_id=risk_identity(reading.sensor, kind, None, position),
        type=kind,
        sequence=0,
        started_at=min(broken[_key(c)] for c in held),
    )
    episode = _decide(episode, held)
    return episode, _of_reading(reading, episode, "raised", now, f"{_value(reading)} breaks {held[0].title}")


def _ahead(asked: Sequence[CarriedLimit], recent: Sequence[Point]) -> dict[str, float]:
    """In how many minutes the trend breaks each of these limits that is not broken yet."""
    still = [c for c in asked if not c.limit.broken_by(recent[-1].value)]
    found = trend(recent) if still else None
    minutes = {_key(c): minutes_until(found, c.limit.value, upper=c.limit.upper) for c in still}
    return {key: value for key, value in minutes.items() if value is not None}


def _warn(
    kind: str, near: CarriedLimit, minutes: float, reading: Reading, position: str, now: datetime
) -> tuple[Episode, Risk]:
    """A warning before the limit: the same risk is updated when the limit is broken."""
    episode = Episode(
        risk_id=risk_identity(reading.sensor, kind, None, position),
        type=kind,
        sequence=0,
        started_at=reading.captured_at,
        clauses=(near.clause_id,),
        limit=near.limit.text("en"),
        severity=EARLY,
    )
    why = say(_value(reading), near.name, minutes, reading.captured_at)
    return episode, _of_reading(reading, episode, "raised", now, why)


def _go_on(
    episode: Episode, held: Sequence[CarriedLimit], reading: Reading, now: datetime
) -> tuple[Episode, Risk | None]:
    """Still broken: an update only where the limits broken weigh more than before, or others have joined."""
    worse = held[0].limit.severity > episode.severity or {c.clause_id for c in held} - set(episode.clauses)
    after = msgspec.structs.replace(episode, inside_since=None, inside_readings=0)
    if not worse:
        return after, None
    after = msgspec.structs.replace(_decide(after, held), sequence=episode.sequence + 1)
    return after, _of_reading(reading, after, "updated", now, f"{_value(reading)} breaks {held[0].title}")


def _come_back(
    episode: Episode, reading: Reading, settings: LimitSettings, now: datetime
) -> tuple[Episode | None, Risk | None]:
    """Inside by the hysteresis: cleared after the off-delay."""
    since = min(episode.inside_since or reading.captured_at, reading.captured_at)
    readings, seconds = episode.inside_readings + 1, (reading.captured_at - since).total_seconds()
    if readings < settings.clear_readings or seconds < settings.clear_seconds:
        return msgspec.structs.replace(episode, inside_since=since, inside_readings=readings), None
    why = f"{readings} readings over {seconds:g} s lay inside every limit, the last {_value(reading)}"
    return None, _end_of(reading, episode, "cleared", now, why, _absence(readings, seconds, why))


def _decide(episode: Episode, held: Sequence[CarriedLimit]) -> Episode:
    """The episode with the limits broken now: the weightiest first, those broken before behind them."""
    clauses = tuple(dict.fromkeys((*(c.clause_id for c in held), *episode.clauses)))
    if episode.limit is not None and held[0].limit.severity < episode.severity:
        return msgspec.structs.replace(episode, clauses=tuple(dict.fromkeys((*episode.clauses, *clauses))))
    limit = held[0].limit
    return msgspec.structs.replace(episode, clauses=clauses, limit=limit.text("en"), severity=limit.severity)


def _end(
    state: SensorState,
    episode: Episode,
    how: RiskState,
    observed_at: datetime,
    now: datetime,
    reason: str,
    absence: Absence | None,
) -> Risk:
    ended = msgspec.structs.replace(episode, sequence=episode.sequence + 1)
    return _risk(state, ended, how, observed_at, state.heard_at, now, reason=reason, absence=absence)


def _end_of(
    reading: Reading, episode: Episode, how: RiskState, now: datetime, reason: str, absence: Absence | None
) -> Risk:
    ended = msgspec.structs.replace(episode, sequence=episode.sequence + 1)
    return _of_reading(reading, ended, how, now, reason, absence)


def _of_reading(
    reading: Reading, episode: Episode, how: RiskState, now: datetime, reason: str, absence: Absence | None = None
) -> Risk:
    state = SensorState(
        mine=reading.mine,
        sensor=reading.sensor,
        place=reading.place,
        position="",
        heard_at=reading.read_at,
        last=_measured(reading, episode.limit),
    )
    return _risk(state, episode, how, reading.captured_at, reading.read_at, now, reason=reason, absence=absence)


def _risk(
    state: SensorState,
    episode: Episode,
    how: RiskState,
    observed_at: datetime,
    read_at: datetime,
    now: datetime,
    *,
    reason: str,
    absence: Absence | None = None,
) -> Risk:
    last = state.last and msgspec.structs.replace(state.last, limit=episode.limit)
    return Risk(
        mine=state.mine,
        risk_id=episode.risk_id,
        sequence=episode.sequence,
        state=how,
        type=episode.type,
        source=state.sensor,
        source_kind="sensor",
        place=state.place,
        zone=None,
        confidence=1.0,
        started_at=episode.started_at,
        observed_at=observed_at,
        read_at=read_at,
        published_at=now,
        measured=(last,) if last else (),
        clauses=episode.clauses,
        absence=absence,
        reason=reason,
    )


def _absence(readings: int, seconds: float, reason: str) -> Absence:
    return Absence(
        full_scans=readings, seconds=seconds, zone_in_view=True, camera_moved=False, persons_in_zone=0, reason=reason
    )


def _measured(reading: Reading, limit: str | None) -> Measured:
    return Measured(
        sensor=reading.sensor,
        quantity=reading.quantity,
        value=reading.value,
        unit=reading.unit,
        captured_at=reading.captured_at,
        limit=limit,
    )


def _key(carried: CarriedLimit) -> str:
    return f"{carried.clause_id}|{carried.limit.text('en')}"


def _value(reading: Reading) -> str:
    return f"{reading.quantity} at {reading.value:g} {reading.unit}"
