"""Numeric limits that clauses carry: what one is, which apply to a place, which a value breaks, which loosens which.

A limit as it stands in the code book (TOML), below its clause::

    [[clause.limits]]
    quantity = "methane"          # stream.site.Quantity
    comparison = ">="             # one of COMPARISONS: the reading that breaks the limit
    value = 1.0
    unit = "%"                    # the unit of the quantity in stream.site.UNITS
    places = ["return-airway"]    # kinds of place from PLACE_KINDS; ["any"] holds everywhere
    hold_seconds = 0              # for how long readings break the limit before it counts
    action = "withdraw"           # one of ACTIONS
    warn_minutes = 15             # tell so long before the trend of the readings would break it; 0: do not
"""

import operator
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import msgspec

from stream.catalogue import RISK_TYPES
from stream.site import UNITS

PLACE_KINDS: dict[str, tuple[str, str]] = {
    "any": ("任何地点", "any place"),
    "shaft": ("井筒", "shaft"),
    "intake-airway": ("进风巷", "intake airway"),
    "return-airway": ("采区或工作面回风巷", "return airway of a district or face"),
    "main-return-airway": ("总回风巷或一翼回风巷", "main return airway"),
    "working-face": ("采煤工作面", "coal face"),
    "upper-corner": ("工作面上隅角", "upper corner of a face"),
    "heading": ("掘进工作面", "heading"),
    "belt-roadway": ("带式输送机巷", "belt roadway"),
    "haulage-roadway": ("轨道运输巷", "haulage roadway"),
    "roadway": ("巷道", "roadway"),
    "chamber": ("机电设备硐室", "machinery chamber"),
    "sump": ("水仓", "sump"),
    "coal-bunker": ("煤仓", "coal bunker"),
    "goaf": ("采空区", "goaf"),
    "blasting-site": ("爆破地点", "blasting site"),
    "surface": ("地面", "surface"),
    "open-pit": ("露天采场", "open pit"),
}
"""What a place can be, as clauses speak of it: the values of ``stream.site.Place.kind``, with names (zh, en)."""

Comparison = Literal[">", ">=", "<", "<="]
COMPARISONS: dict[Comparison, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
"""How a reading that breaks a limit stands to its value: methane ``> 1.0``, oxygen ``< 20``."""

Action = Literal["watch", "stop-work", "power-off", "withdraw"]
ACTIONS: dict[Action, tuple[str, str]] = {
    "watch": ("查明原因，采取措施", "find the cause and put it right"),
    "stop-work": ("停止作业", "stop work"),
    "power-off": ("停止作业，切断电源", "stop work and cut the power"),
    "withdraw": ("停止作业，切断电源，撤出人员", "stop work, cut the power and withdraw everybody"),
}
"""What a broken limit asks for, from mild to severe, with its wording (zh, en)."""

LONGEST_WARNING = 120
"""Minutes ahead that a trend can be believed at most."""
_SEVERITY: dict[Action, int] = {action: rank for rank, action in enumerate(ACTIONS)}


class Limit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A numeric limit: the reading ``value comparison self.value``, held for ``hold_seconds``, breaks it."""

    quantity: str
    comparison: Comparison
    value: float
    unit: str
    places: tuple[str, ...] = ("any",)
    hold_seconds: float = 0.0
    action: Action = "watch"
    warn_minutes: float = 0.0

    def __post_init__(self) -> None:
        if self.quantity not in UNITS:
            raise ValueError(f"there is no quantity {self.quantity!r}: write one of {', '.join(UNITS)}")
        unit, low, high = UNITS[self.quantity]
        if self.unit != unit:
            raise ValueError(f"{self.quantity} is given in {self.unit!r}: write {unit!r}")
        if not low <= self.value <= high:
            raise ValueError(f"a limit of {self.value:g} {unit} lies outside what {self.quantity} can be")
        if self.hold_seconds < 0:
            raise ValueError("hold_seconds is below zero")
        if not 0 <= self.warn_minutes <= LONGEST_WARNING:
            raise ValueError(f"warn_minutes is {self.warn_minutes:g}: write 0 to {LONGEST_WARNING}")
        if risk_type_of(self.quantity, self.comparison) is None:
            raise ValueError(f"no risk type stands for {self.quantity} {self.comparison}")
        unknown = [p for p in self.places if p not in PLACE_KINDS]
        if unknown or not self.places:
            named = ", ".join(unknown) or "none"
            raise ValueError(f"places are {named}: write some of {', '.join(PLACE_KINDS)}")

    @property
    def upper(self) -> bool:
        """Whether values above the limit break it."""
        return self.comparison in (">", ">=")

    @property
    def severity(self) -> int:
        """The rank of the action, 0 for the mildest."""
        return _SEVERITY[self.action]

    def broken_by(self, value: float) -> bool:
        """Whether that value breaks the limit."""
        return COMPARISONS[self.comparison](value, self.value)

    def clear_of(self, value: float, hysteresis: float) -> bool:
        """Whether that value lies inside by ``hysteresis`` (a share of the limit's value)."""
        margin = abs(self.value) * hysteresis
        return not self.broken_by(value + margin if self.upper else value - margin)

    def holds_at(self, place_kind: str) -> bool:
        """Whether the limit is meant for that kind of place."""
        return "any" in self.places or place_kind in self.places

    def text(self, language: str) -> str:
        """The limit in words, ``zh`` or ``en``."""
        place = "、".join(PLACE_KINDS[p][0] for p in self.places)
        if language == "zh":
            hold = f"，持续{self.hold_seconds:g}秒" if self.hold_seconds else ""
            return f"{place} {self.comparison} {self.value:g} {self.unit}{hold}：{ACTIONS[self.action][0]}"
        place = ", ".join(PLACE_KINDS[p][1] for p in self.places)
        hold = f" for {self.hold_seconds:g} s" if self.hold_seconds else ""
        return f"{place} {self.comparison} {self.value:g} {self.unit}{hold}: {ACTIONS[self.action][1]}"


class CarriedLimit(NamedTuple):
    """A limit and the clause version in force that carries it."""

    clause_id: str
    version_id: str
    title: str
    limit: Limit

    @property
    def name(self) -> str:
        """The clause by its title, with the value that it sets."""
        return f"{self.title}, {self.limit.comparison} {self.limit.value:g} {self.limit.unit}"


def read_limits(rows: Iterable[dict[str, Any]]) -> tuple[Limit, ...]:
    """Limits from plain data. Raises ValueError that says what does not fit."""
    try:
        return tuple(msgspec.convert(dict(row), Limit, strict=False) for row in rows)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def risk_type_of(quantity: str, comparison: Comparison) -> str | None:
    """The id of the risk type that a broken limit of that quantity and direction stands for."""
    ending = "-high" if comparison in (">", ">=") else "-low"
    return next((t.id for t in RISK_TYPES.values() if t.quantity == quantity and t.id.endswith(ending)), None)


def applicable(limits: Iterable[CarriedLimit], quantity: str, place_kind: str) -> tuple[CarriedLimit, ...]:
    """The limits that hold for that quantity in that kind of place."""
    return tuple(c for c in limits if c.limit.quantity == quantity and c.limit.holds_at(place_kind))


def by_weight(limits: Iterable[CarriedLimit]) -> tuple[CarriedLimit, ...]:
    """The limits with the one that decides first: the severest action, then the strictest value."""
    return tuple(sorted(limits, key=lambda c: (-c.limit.severity, *_strictness(c.limit), c.clause_id)))


def loosened(tighter: Limit, national: Iterable[Limit]) -> Limit | None:
    """The national limit that ``tighter`` would loosen, or None.

    Held against the national limits of the same quantity, direction and an overlapping kind of place: those with the
    same action where there are any, else all of them. A later value, a stricter comparison sign needed, or a longer
    hold time at the same value loosens.
    """
    rivals = [n for n in national if n.quantity == tighter.quantity and n.upper == tighter.upper and _meet(n, tighter)]
    rivals = [n for n in rivals if n.action == tighter.action] or rivals
    return next((n for n in sorted(rivals, key=_strictness) if _strictness(tighter) > _strictness(n)), None)


def _strictness(limit: Limit) -> tuple[float, bool, float]:
    """A key that grows as the limit gets looser."""
    return (
        limit.value if limit.upper else -limit.value,
        limit.comparison in (">", "<"),
        limit.hold_seconds,
    )


def _meet(one: Limit, other: Limit) -> bool:
    return "any" in one.places or "any" in other.places or bool(set(one.places) & set(other.places))
