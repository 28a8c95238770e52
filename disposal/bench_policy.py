"""What the closure policy does over a month: simulated risks through its own conditions, sampling and suspension."""

import contextlib
import math
import statistics
from collections import Counter, deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from disposal.document import Verdict
from disposal.errors import PolicyError
from disposal.policy import SHIPPED, AreaReading, Cited, ClosureFacts, ClosurePolicy, may_close
from disposal.sampling import Tally, exceeds, require_proven, sampled, sampling_share
from stream.catalogue import RISK_TYPES
from stream.messages import Absence

RISKS, DAYS = 10_000, 30
SOURCES = 40
SOUND_WRONG, BAD_WRONG = 0.001, 0.02
"""The share of closable risks whose hazard is still there although everything measured says that it has ended."""
_START = datetime(2026, 1, 1, tzinfo=UTC)
_JUDGED_AFTER = timedelta(hours=8)
"""A sampled closure is judged by the next shift."""
_ROUTINE = 0.75
_TROUBLE: Mapping[str, float] = {
    "lost": 0.06, "ongoing": 0.03, "moved": 0.005, "hidden": 0.01, "blind": 0.005, "skipped": 0.01,
    "person": 0.02, "out": 0.01, "missing": 0.02, "undrafted": 0.002, "repealed": 0.002,
}  # fmt: skip
"""How often each thing that bars a closure befalls a simulated risk: this project's assumptions, not a survey."""
_CLEAN = AreaReading(sensor="ch4", quantity="methane", value=0.2, unit="%", within=True)


class Event(NamedTuple):
    """One simulated risk at the moment when its closure is judged; ``wrong``: its hazard has not really ended."""

    at: datetime
    id: str
    facts: ClosureFacts
    wrong: float


class Month(NamedTuple):
    """What a month came to. ``missed`` counts the conditions that barred listed general risks seen to end."""

    closed: int
    closed_before_suspension: int
    sampled: int
    waiting: int
    judged_in_shadow: int
    active: int
    suspended: bool
    wrong_injected: int
    wrong_caught: int
    routine: int
    routine_closed: int
    missed: Counter[str]


def measure(material: Path, *, short: bool) -> Mapping[str, Any]:
    """Months with a sound policy, and months in which it goes bad once it is active, each by its own seed.

    ``closed`` to ``routine_not_closed`` are of the first sound month, ``wrong_injected`` and ``wrong_caught`` of the
    first bad one, ``suspended_after`` the median of all bad ones (None: one was never suspended). Every figure is of
    the time after the policy had proven itself in shadow, where nothing closes. Everything is simulated, so
    ``material`` is not looked at.
    """
    del material
    seeds = range(3 if short else 20)
    sound = [simulate(SOUND_WRONG, seed) for seed in seeds]
    bad = [simulate(BAD_WRONG, seed) for seed in seeds]
    first = sound[0]
    after = [month.closed_before_suspension for month in bad]
    return {
        "risks": RISKS,
        "days": DAYS,
        "months": len(seeds),
        "judged_in_shadow": first.judged_in_shadow,
        "closed": first.closed,
        "waiting": first.waiting,
        "human_share": round((first.waiting + first.sampled) / max(1, first.active), 4),
        "routine_closed_share": round(first.routine_closed / max(1, first.routine), 4),
        "routine_not_closed": dict(first.missed.most_common()),
        "false_suspensions": sum(month.suspended for month in sound),
        "wrong_injected": bad[0].wrong_injected,
        "wrong_caught": bad[0].wrong_caught,
        "suspended_after": statistics.median_high(after) if all(month.suspended for month in bad) else None,
        "suspended_after_most": max(after),
        "closed_after_suspension": sum(month.closed - month.closed_before_suspension for month in bad),
    }


def simulate(wrong_share: float, seed: int, policy: ClosurePolicy = SHIPPED, risks: int = RISKS) -> Month:
    """One month: the policy is sound in shadow and becomes active once it is proven, and then ``wrong_share`` holds."""
    run = _Run(policy, wrong_share)
    for event in _events(seed, policy, risks):
        run.take(event)
    return run.month()


class _Run:
    """A policy on its way from shadow to activity, and maybe to suspension."""

    def __init__(self, policy: ClosurePolicy, wrong_share: float) -> None:
        self._policy = policy
        self._wrong_share = wrong_share
        self._state = "SHADOW"
        self._tally = Tally(0, 0)
        self._count: Counter[str] = Counter()
        self._missed: Counter[str] = Counter()
        self._closed_on: Counter[str] = Counter()
        self._due: deque[tuple[datetime, bool]] = deque()

    def take(self, event: Event) -> None:
        """Judge a risk's closure after every sampled closure that people have judged by then."""
        while self._due and self._due[0][0] <= event.at:
            self._judged(self._due.popleft()[1])
        day = f"{event.at:%Y-%m-%d}"
        facts = msgspec.structs.replace(event.facts, closed_today=self._closed_on[day])
        verdict = may_close(self._policy, facts)
        if self._state == "SHADOW":
            self._watch(event, verdict)
            return
        closes = verdict.close and self._state == "ACTIVE"
        self._count["active"] += 1
        self._count["closed" if closes else "waiting"] += 1
        if facts.type in self._policy.types and facts.episode == "cleared":
            self._count["routine"] += 1
            self._count["routine_closed"] += closes
            if not closes:
                self._missed.update([r.condition for r in verdict.reasons if not r.ok] or ["suspended"])
        if closes:
            self._closed_on[day] += 1
            self._close(event)

    def month(self) -> Month:
        """What it came to."""
        count, suspended = self._count, self._state == "SUSPENDED"
        return Month(
            closed=count["closed"],
            closed_before_suspension=count["before"] if suspended else count["closed"],
            sampled=count["sampled"],
            waiting=count["waiting"],
            judged_in_shadow=count["shadow"],
            active=count["active"],
            suspended=suspended,
            wrong_injected=count["injected"],
            wrong_caught=count["caught"],
            routine=count["routine"],
            routine_closed=count["routine_closed"],
            missed=self._missed,
        )

    def _watch(self, event: Event, verdict: Verdict) -> None:
        """In shadow people judge, blind, everything that would close."""
        if not verdict.close:
            return
        wrong = event.wrong < min(self._wrong_share, SOUND_WRONG)
        self._tally = Tally(self._tally.judged + 1, self._tally.wrong + wrong)
        self._count["shadow"] = self._tally.judged
        with contextlib.suppress(PolicyError):
            require_proven(self._tally, self._policy.target)
            self._state = "ACTIVE"

    def _close(self, event: Event) -> None:
        wrong = event.wrong < self._wrong_share
        self._count["injected"] += wrong
        if sampled(event.id, sampling_share(self._tally, self._policy)):
            self._count["sampled"] += 1
            self._due.append((event.at + _JUDGED_AFTER, wrong))

    def _judged(self, wrong: bool) -> None:
        self._tally = Tally(self._tally.judged + 1, self._tally.wrong + wrong)
        self._count["caught"] += wrong
        if self._state == "ACTIVE" and exceeds(self._tally, self._policy.target):
            self._state = "SUSPENDED"
            self._count["before"] = self._count["closed"]


def _events(seed: int, policy: ClosurePolicy, risks: int) -> list[Event]:
    """Risks in order: more by day than by night, more on some sources than on others, and three floods of them."""
    chance = np.random.default_rng(seed)
    hours = chance.uniform(0, DAYS * 24, risks * 3)
    hours = np.sort(hours[chance.uniform(size=hours.size) < 0.6 + 0.4 * np.sin((hours % 24 - 6) / 24 * 2 * math.pi)])
    hours = np.sort(chance.choice(hours, risks, replace=False))
    floods = chance.uniform(0, DAYS * 24, 3)
    for flood in floods:
        begin = int(np.searchsorted(hours, flood))
        hours[begin : begin + 40] = flood
    weights = 1 / np.arange(1, SOURCES + 1) ** 0.5
    sources = chance.choice(SOURCES, risks, p=weights / weights.sum())
    listed = sorted(policy.types)
    others = sorted(RISK_TYPES.keys() - set(listed) - {"hand-raised"})
    history: dict[tuple[str, int], deque[datetime]] = {}
    lately: deque[datetime] = deque()
    routine = chance.uniform(size=risks) < _ROUTINE
    kinds = [
        listed[n % len(listed)] if known and listed else others[n % len(others)]
        for n, known in zip(chance.integers(0, 10**6, risks).tolist(), routine.tolist(), strict=True)
    ]
    rolled = chance.uniform(size=(risks, len(_TROUBLE))) < np.array(list(_TROUBLE.values()))
    measured = np.stack(
        [
            chance.poisson(3, risks),
            chance.exponential(5, risks),
            chance.exponential(30, risks),
            chance.beta(12, 3, risks),
        ],
        axis=1,
    )
    wrong = chance.uniform(size=risks).tolist()
    events = []
    for number in range(risks):
        at = _START + timedelta(hours=float(hours[number]))
        cause = (kinds[number], int(sources[number]))
        before = history.setdefault(cause, deque())
        _remember(before, at, timedelta(hours=policy.shift_hours))
        _remember(lately, at, timedelta(minutes=10))
        befalls = {name for name, so in zip(_TROUBLE, rolled[number].tolist(), strict=True) if so}
        facts = _facts(kinds[number], befalls, measured[number].tolist(), len(before), len(lately))
        events.append(Event(at, f"{seed}/{number}", facts, wrong[number]))
    return events


def _remember(times: deque[datetime], at: datetime, span: timedelta) -> None:
    """Add a time to those of the last ``span``."""
    while times and times[0] < at - span:
        times.popleft()
    times.append(at)


def _facts(kind: str, befalls: set[str], measured: list[float], recurrences: int, lately: int) -> ClosureFacts:
    """What is found at the end of a risk: mostly everything in order, now and then something of ``_TROUBLE``."""
    scans, seconds, stable, confidence = measured
    episode = next((e for e in ("lost", "ongoing") if e in befalls), "cleared")
    absence = Absence(
        full_scans=1 if "skipped" in befalls else 3 + int(scans),
        seconds=3.0 + seconds,
        zone_in_view="hidden" not in befalls,
        camera_moved="moved" in befalls,
        persons_in_zone=int("person" in befalls),
        reason="simulated",
    )
    value = None if "missing" in befalls else 1.4 if "out" in befalls else _CLEAN.value
    within = value == _CLEAN.value
    return ClosureFacts(
        type=kind,
        source_kind="sensor" if RISK_TYPES[kind].quantity else "camera",
        episode=episode,
        absence=absence if episode == "cleared" else None,
        camera_trouble=("camera-blind",) if "blind" in befalls else (),
        stable_seconds=30.0 + stable,
        readings=(msgspec.structs.replace(_CLEAN, value=value, within=within),),
        confidence=confidence,
        recurrences=recurrences,
        alerts_lately=lately,
        shelved=False,
        document_faults=("responsible",) if "undrafted" in befalls else (),
        citations=(Cited(version_id="cn-coal:18@1", retrieved=True, in_force="repealed" not in befalls),),
        closed_today=None,
    )
