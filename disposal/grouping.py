"""Which alerts belong together, pure: by place and cause, explained by a larger one, joined from camera and sensor.

Suppressed by design (ISA-18.2) is an alert whose larger cause stands beside it: it stays in the tables and on the page,
with its cause named, and comes back by itself when the cause has gone. A major hazard is never suppressed.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from disposal.document import Bilingual
from stream.catalogue import RISK_TYPES

RANKS = {"critical": 0, "high": 1, "medium": 2, "low": 3}
"""Priorities by urgency."""
CHATTERING_TIMES, CHATTERING_WITHIN = 3, timedelta(minutes=1)
"""The same alarm this often in this time chatters (EEMUA 191)."""
RECURRING_TIMES, RECURRING_WITHIN = 4, timedelta(hours=8)
"""The same alarm this often in a shift recurs; our own choice."""

Scope = Literal["source", "place"]
_CAUSES: Mapping[str, tuple[str, ...]] = {
    "fire": ("fire", "smoke", "carbon-monoxide-high", "temperature-high"),
    "air": ("methane-high", "oxygen-low", "wind-speed-low", "wind-speed-high", "dust-high"),
    "water": ("standing-water", "water-level-high"),
    "belt": (
        "belt-hole",
        "belt-impact",
        "belt-puncture",
        "belt-tear",
        "belt-wear",
        "belt-deviation",
        "foreign-object",
        "coal-pile-up",
    ),
    "persons": (
        "no-helmet",
        "no-vest",
        "person-in-restricted-zone",
        "person-present",
        "person-on-belt",
        "person-on-track",
        "person-alone",
        "crowding",
        "vehicle-near-person",
    ),
    "sight": ("camera-blind", "camera-moved", "camera-frozen", "camera-offline", "sensor-stale"),
    "guard": ("missing-guard",),
}
_CAUSE_OF = {kind: cause for cause, kinds in _CAUSES.items() for kind in kinds}
CAUSES: Mapping[str, Bilingual] = {
    "fire": Bilingual("火情", "fire"),
    "air": Bilingual("通风瓦斯", "gas and air"),
    "water": Bilingual("水情", "water"),
    "belt": Bilingual("输送带", "belt"),
    "persons": Bilingual("人员行为", "persons"),
    "sight": Bilingual("监测设备", "cameras and sensors"),
    "guard": Bilingual("防护", "guards"),
    "report": Bilingual("人工上报", "reports"),
}
"""What the causes are called."""


class Rule(NamedTuple):
    """A larger type explains smaller ones that come from the same source, or anywhere at the same place; and why."""

    larger: str
    smaller: tuple[str, ...]
    scope: Scope
    why: Bilingual


RULES: tuple[Rule, ...] = (
    Rule(
        "camera-offline",
        ("camera-blind", "camera-moved", "camera-frozen"),
        "source",
        Bilingual("摄像机已离线，画面异常由此引起", "the camera is offline: what is wrong with its picture follows"),
    ),
    Rule(
        "smoke",
        ("camera-blind",),
        "place",
        Bilingual("烟雾遮挡画面", "smoke hides the view"),
    ),
    Rule(
        "belt-tear",
        ("belt-hole", "belt-impact", "belt-puncture", "belt-wear", "belt-deviation"),
        "place",
        Bilingual("输送带撕裂，其余损伤由此引起", "the belt is torn: its other damage is part of that"),
    ),
    Rule(
        "person-on-belt",
        ("person-in-restricted-zone", "person-present"),
        "source",
        Bilingual("同一人已在输送带上", "the same person is on the belt"),
    ),
    Rule(
        "person-on-track",
        ("person-in-restricted-zone", "person-present"),
        "source",
        Bilingual("同一人已在轨道上", "the same person is on the track"),
    ),
    Rule(
        "person-in-restricted-zone",
        ("person-present",),
        "source",
        Bilingual("同一人已在禁区内", "the same person is in the restricted zone"),
    ),
    Rule(
        "wind-speed-low",
        ("dust-high",),
        "place",
        Bilingual("风量不足，粉尘不能排出", "too little air: dust is not carried off"),
    ),
)
"""Which larger hazard explains which smaller; the types form no circle."""

CONFIRMED_BY: Mapping[str, tuple[str, ...]] = {
    "smoke": ("carbon-monoxide", "temperature"),
    "fire": ("carbon-monoxide", "temperature"),
    "standing-water": ("water-level",),
}
"""What a camera sees, and the quantities of sensors at the same place that confirm it."""
RISING_WITHIN = timedelta(minutes=10)
_RISE: Mapping[str, float] = {"carbon-monoxide": 6.0, "temperature": 3.0, "water-level": 0.1}
"""In the quantity's own unit: so much more than ten minutes ago is a rise; starting values of this project."""


class Known(NamedTuple):
    """An open alert as grouping sees it; ``active``: its hazard is there, or nobody can say that it has ended."""

    id: str
    type: str
    source: str
    source_kind: str
    place: str
    active: bool
    shelved: bool


class Explained(NamedTuple):
    """The alert that explains another one, and why."""

    by: str
    why: Bilingual


class Restless(NamedTuple):
    """An alarm that comes and goes: how, and how often in the time that is looked at."""

    kind: Literal["chattering", "recurring"]
    times: int


def cause_of(kind: str) -> str:
    """The cause that alerts of that type are grouped under; what is reported stands for itself."""
    return _CAUSE_OF.get(kind, "report")


def group_of(place: str, kind: str, identity: str) -> str:
    """The group of an alert: those with the same place and cause. Reports by persons are never grouped."""
    cause = cause_of(kind)
    return f"{place}|{identity}" if cause == "report" else f"{place}|{cause}"


def may_be_suppressed(kind: str, source_kind: str) -> bool:
    """Whether an alert of that type may ever be: nothing major, latching or imminent, and no report by a person."""
    known = RISK_TYPES.get(kind)
    if known is None or source_kind == "person":
        return False
    return known.grade == "general" and not known.latching and known.priority != "critical"


def explained(alerts: Iterable[Known]) -> dict[str, Explained]:
    """Which alerts are explained by a larger one now, and by which; an explanation is never itself explained."""
    known = sorted(alerts, key=lambda a: a.id)
    direct: dict[str, Explained] = {}
    for small in known:
        if may_be_suppressed(small.type, small.source_kind):
            found = next((e for e in (_explains(large, small) for large in known) if e is not None), None)
            if found is not None:
                direct[small.id] = found
    return {small: Explained(_root(found.by, direct), found.why) for small, found in direct.items()}


def _explains(large: Known, small: Known) -> Explained | None:
    if large.id == small.id or not large.active or large.shelved or large.source_kind == "person":
        return None
    for rule in RULES:
        if rule.larger != large.type or small.type not in rule.smaller:
            continue
        same = large.source == small.source if rule.scope == "source" else large.place == small.place
        if same:
            return Explained(large.id, rule.why)
    return None


def _root(identity: str, direct: Mapping[str, Explained]) -> str:
    while identity in direct:
        identity = direct[identity].by
    return identity


def confirms(first: str, first_kind: str, second: str, second_kind: str) -> bool:
    """Whether one of two risk types is what a camera sees and the other a sensor's alarm that confirms it."""
    if {first_kind, second_kind} != {"camera", "sensor"}:
        return False
    seen, measured = (first, second) if first_kind == "camera" else (second, first)
    kind = RISK_TYPES.get(measured)
    return kind is not None and kind.quantity is not None and kind.quantity in CONFIRMED_BY.get(seen, ())


def partners(kind: str) -> frozenset[str]:
    """The risk types that one of this type can be joined with; most have none."""
    known = RISK_TYPES.get(kind)
    if known is None:
        return frozenset()
    if kind in CONFIRMED_BY:
        return frozenset(t.id for t in RISK_TYPES.values() if t.quantity in CONFIRMED_BY[kind])
    return frozenset(seen for seen, quantities in CONFIRMED_BY.items() if known.quantity in quantities)


def leading(first: str, second: str) -> str:
    """Of two joined types the one that names the alert: the graver, then the more urgent, then the first."""

    def weight(kind: str) -> tuple[bool, int]:
        known = RISK_TYPES[kind]
        return (known.grade != "major", RANKS[known.priority])

    return min((first, second), key=weight)


def raised_priority(priority: str) -> str:
    """One step more urgent; what is critical stays so."""
    return next((p for p, rank in RANKS.items() if rank == RANKS[priority] - 1), priority)


def rising(quantity: str, values: Sequence[tuple[datetime, float]], now: datetime) -> tuple[float, float] | None:
    """The lowest value of the last ten minutes and the latest one, where it has risen by more than noise; else None.

    ``values``: (captured, value) in any order; times to come are left out.
    """
    window = sorted(v for v in values if now - RISING_WITHIN <= v[0] <= now)
    if quantity not in _RISE or len(window) < 3:
        return None
    latest = window[-1][1]
    lowest = min(value for _, value in window[:-1])
    last_three = [value for _, value in window[-3:]]
    if latest - lowest < _RISE[quantity] or last_three[-1] < last_three[0]:
        return None
    return lowest, latest


def restless(times: Iterable[datetime], now: datetime) -> Restless | None:
    """Whether an alarm that was raised at these times chatters, or recurs in this shift."""
    past = sorted(t for t in times if t <= now)
    lately = sum(now - t <= CHATTERING_WITHIN for t in past)
    if lately >= CHATTERING_TIMES:
        return Restless("chattering", lately)
    shift = sum(now - t <= RECURRING_WITHIN for t in past)
    return Restless("recurring", shift) if shift >= RECURRING_TIMES else None
