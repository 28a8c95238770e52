"""The readings of an alert's place around the event, drawn with the limits that clauses carry."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache

from markupsafe import Markup
from sqlalchemy import Engine

from console.names import Names
from console.plot import Level, Point, Tick, line
from console.translations import text
from disposal.alert import Alert
from rules.clause import change_counter, in_force, limits_in_force
from rules.limits import CarriedLimit, applicable, by_weight
from stream.messages import Measured
from stream.readings import StoredReading, series
from stream.site import Sensor, Site

BEFORE, AFTER = timedelta(minutes=30), timedelta(minutes=30)
"""How much of the time around the event is drawn."""
MOST_SENSORS = 4
MOST_POINTS = 600
"""Points of a line; of more readings, each stretch keeps its lowest and its highest."""


@dataclass(frozen=True)
class Trend:
    """One sensor's plot; ``limits`` are those drawn, with the clauses that carry them."""

    sensor: str
    plot: Markup
    limits: tuple[CarriedLimit, ...]


def trends_of(
    engine: Engine,
    alert: Alert,
    site: Site,
    measured: Sequence[Measured],
    *,
    zone: tzinfo,
    language: str,
) -> list[Trend]:
    """A plot for each sensor of the alert's place that said something then; those that raised it come first."""
    place = site.place(alert.place)
    first = [m.sensor for m in measured]
    sensors = [s for s in site.sensors if s.place == alert.place or s.id in first]
    sensors.sort(key=lambda s: (s.id not in first, s.id))
    since, until = alert.raised_at - BEFORE, alert.raised_at + AFTER
    names, found = Names(site, language), []
    for sensor in sensors[:MOST_SENSORS]:
        readings = series(engine, alert.mine, sensor.id, since, until)
        if readings:
            limits = _limits(engine, alert, sensor, place.kind if place else "any")
            plot = draw(readings, limits, alert.raised_at, zone, language, names.source(sensor.id))
            found.append(Trend(sensor.id, plot, limits))
    return found


def draw(
    readings: Sequence[StoredReading],
    limits: Sequence[CarriedLimit],
    event: datetime,
    zone: tzinfo,
    language: str,
    name: str,
) -> Markup:
    """The readings from 30 minutes before ``event`` to 30 after it, with the limits across and the event upright."""
    since, span = event - BEFORE, BEFORE + AFTER
    points = [Point((r.captured_at - since) / span, r.value) for r in readings]
    ticks = [Tick(n / 4, f"{(since + n * span / 4).astimezone(zone):%H:%M}") for n in range(5)]
    unit, quantity = readings[0].unit, text(language, f"quantity.{readings[0].quantity}")
    label = text(
        language,
        "trend.label",
        sensor=name,
        quantity=quantity,
        unit=unit,
        low=f"{min(r.value for r in readings):g}",
        high=f"{max(r.value for r in readings):g}",
    )
    levels = [Level(c.limit.value, f"{c.limit.comparison} {c.limit.value:g} {unit}") for c in limits]
    moment = Tick(0.5, text(language, "trend.event", at=f"{event.astimezone(zone):%H:%M:%S}"))
    return line(thinned(points), label=label, ticks=ticks, levels=levels, moments=[moment])


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most ``most`` points: the lowest and the highest of each stretch, in order; no peak is lost."""
    if len(points) <= most:
        return list(points)
    size = -(-len(points) // (most // 2))
    kept = []
    for first in range(0, len(points), size):
        stretch = points[first : first + size]
        ends = {min(stretch, key=lambda p: p.value), max(stretch, key=lambda p: p.value)}
        kept += sorted(ends, key=lambda p: p.at)
    return kept


def _limits(engine: Engine, alert: Alert, sensor: Sensor, place_kind: str) -> tuple[CarriedLimit, ...]:
    carried = _carried(engine, alert.mine, alert.raised_at, change_counter(engine))
    chosen: dict[float, CarriedLimit] = {}
    for limit in by_weight(applicable(carried, sensor.quantity, place_kind)):
        chosen.setdefault(limit.limit.value, limit)  # one line a value: that of the severest action
    return tuple(chosen.values())[:3]


@lru_cache(maxsize=64)
def _carried(engine: Engine, mine: str, at: datetime, _change: int) -> tuple[CarriedLimit, ...]:
    """The limits in force then, read once until the code book changes: a page is drawn anew at every change."""
    return limits_in_force(in_force(engine, mine, at))
