"""How the alarm system performs, computed from rows alone: the metrics of ISA-18.2 and EEMUA 191, each with its target.

The targets are those of ANSI/ISA-18.2-2016 (recommended performance metrics, for one operator position) and of
EEMUA Publication 191, which agree on them. No database here: what goes in are rows, what comes out are figures.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from scipy.special import betaincinv

from disposal.sampling import upper_bound

BUCKET = timedelta(minutes=10)
FLOOD_BEGINS, FLOOD_ENDS = 10, 5
"""Alarms of one operator in 10 minutes: above the first a flood begins, below the second it is over (ISA-18.2)."""
BUSY_HOUR = 30
CHATTERING_TIMES, CHATTERING_WITHIN = 3, timedelta(minutes=1)
"""The same alarm this often in this time chatters (EEMUA 191)."""
STALE = timedelta(hours=24)
PRIORITY_TARGETS: Mapping[str, float] = {"critical": 0.01, "high": 0.05, "medium": 0.15, "low": 0.80}
"""Shares of annunciated alarms by priority, for four priorities (ISA-18.2)."""
PRIORITY_SLACK = 1.5
"""How many times its target the share of a priority above low may be and still count as near it; our own choice."""
TOP = 10

Unit = Literal["count", "share", "seconds"]


class Raised(NamedTuple):
    """One alert as the figures need it. Times are UTC; ``decision`` is a person's last one on its document.

    ``corrected``: that document is a version that a person wrote.
    """

    at: datetime
    type: str
    priority: str
    source: str
    acked_at: datetime | None = None
    decided_at: datetime | None = None
    decision: str | None = None
    by_policy: bool = False
    corrected: bool = False


class Annunciation(NamedTuple):
    """One raising of a risk: ``cause`` is the same for the same source, type and zone."""

    at: datetime
    cause: str


class Metric(NamedTuple):
    """One figure beside its target; None where there is nothing to compute it from, or no target is known.

    ``met`` says whether the target is kept, None where that cannot be told.
    """

    name: str
    unit: Unit
    value: float | None
    target: float | None
    met: bool | None


class Ranked(NamedTuple):
    """A source or type with its number of alarms and its share of all."""

    name: str
    alarms: int
    share: float


class FalseAlarms(NamedTuple):
    """What persons decided of one source and type: how many alerts, and how many of them were false alarms."""

    source: str
    type: str
    decided: int
    rejected: int

    @property
    def share(self) -> float:
        """The share of false alarms."""
        return self.rejected / self.decided


class Corrections(NamedTuple):
    """Of one source and type: of how many alerts persons decided, and how many of the documents they had rewritten."""

    source: str
    type: str
    decided: int
    corrected: int

    @property
    def share(self) -> float:
        """The share of documents that were corrected."""
        return self.corrected / self.decided


class Times(NamedTuple):
    """Seconds that half and nine tenths of the alerts took at most, and the longest; ``handled``: how many."""

    handled: int
    median: float | None
    ninth: float | None
    longest: float | None


@dataclass(frozen=True)
class Period:
    """A stretch of time, its end excluded."""

    since: datetime
    until: datetime

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.until - self.since).total_seconds()


@dataclass(frozen=True)
class Closures:
    """Automatic closures among ``alerts``, and what persons found of those that they judged again."""

    alerts: int
    closed: int
    judged: int
    wrong: int

    @property
    def rate(self) -> float | None:
        """The share of alerts that the policy closed."""
        return self.closed / self.alerts if self.alerts else None

    @property
    def rate_bounds(self) -> tuple[float, float] | None:
        """The two-sided 95 % interval of the rate (Clopper and Pearson)."""
        return interval(self.closed, self.alerts) if self.alerts else None

    @property
    def wrong_bound(self) -> float:
        """The upper 95 % bound of the share of wrong closures (Clopper and Pearson); 1 where none was judged."""
        return upper_bound(self.wrong, self.judged)


@dataclass(frozen=True)
class Performance:
    """Everything that the page shows of one period."""

    period: Period
    alerts: int
    buckets: tuple[int, ...]
    metrics: tuple[Metric, ...]
    top: tuple[Ranked, ...]
    priorities: tuple[Ranked, ...]
    acknowledge: Times
    decide: Times
    closures: Closures
    false_alarms: tuple[FalseAlarms, ...]
    corrections: tuple[Corrections, ...]
    chattering: tuple[Ranked, ...]


def measure(
    period: Period, raised: Sequence[Raised], annunciations: Iterable[Annunciation], stale: int, operators: int = 1
) -> Performance:
    """The figures of a period, from the alerts raised in it, every raising, and how many stand for over 24 h."""
    counts = in_buckets(period, [row.at for row in raised])
    sources = ranked(row.source for row in raised)
    chatters = chattering(annunciations)
    return Performance(
        period=period,
        alerts=len(raised),
        buckets=counts,
        metrics=(*rates(period, counts, len(raised), operators), *_others(sources, len(chatters), stale)),
        top=sources[:TOP],
        priorities=_spread(raised),
        acknowledge=times((row.acked_at - row.at).total_seconds() for row in raised if row.acked_at),
        decide=times(
            (row.decided_at - row.at).total_seconds()
            for row in raised
            if row.decided_at and row.decision and not row.by_policy
        ),
        closures=closures(raised),
        false_alarms=false_alarms(raised),
        corrections=corrections(raised),
        chattering=chatters,
    )


def in_buckets(period: Period, moments: Iterable[datetime], width: timedelta = BUCKET) -> tuple[int, ...]:
    """How many moments fall into each stretch of ``width`` of the period; the last stretch may be cut short."""
    counted = Counter((moment - period.since) // width for moment in moments if period.since <= moment < period.until)
    whole = -((period.since - period.until) // width)
    return tuple(counted[n] for n in range(max(1, whole)))


def in_flood(counts: Sequence[int], operators: int = 1) -> tuple[bool, ...]:
    """Whether each 10 minutes belong to a flood: from more than ten alarms of an operator until fewer than five."""
    flooded, result = False, []
    for count in counts:
        flooded = count >= FLOOD_ENDS * operators if flooded else count > FLOOD_BEGINS * operators
        result.append(flooded)
    return tuple(result)


def rates(period: Period, counts: Sequence[int], alerts: int, operators: int) -> tuple[Metric, ...]:
    """Alarm rates of one operator, and how often they are too high."""
    tens = max(1.0, period.seconds / BUCKET.total_seconds())
    hours = [sum(counts[n : n + 6]) / operators for n in range(0, len(counts), 6)]
    above = sum(count > FLOOD_BEGINS * operators for count in counts)
    return (
        _at_most("per-ten", "count", alerts / tens / operators, 1),
        _at_most("most-in-ten", "count", max(counts) / operators, FLOOD_BEGINS),
        _at_most("per-hour", "count", alerts / max(1.0, tens / 6) / operators, 6),
        _at_most("busy-hours", "share", sum(hour > BUSY_HOUR for hour in hours) / len(hours), 0.01),
        _at_most("busy-tens", "share", above / len(counts), 0.01),
        _at_most("flood", "share", sum(in_flood(counts, operators)) / len(counts), 0.01),
    )


def ranked(names: Iterable[str]) -> tuple[Ranked, ...]:
    """Names by how often they occur, the most frequent first."""
    counted = Counter(names)
    total = counted.total()
    return tuple(Ranked(n, c, c / total) for n, c in sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def chattering(annunciations: Iterable[Annunciation]) -> tuple[Ranked, ...]:
    """Causes that were raised three times within a minute, with all their raisings, the most frequent first."""
    by_cause: defaultdict[str, list[datetime]] = defaultdict(list)
    total = 0
    for raising in annunciations:
        by_cause[raising.cause].append(raising.at)
        total += 1
    found = [Ranked(cause, len(at), len(at) / total) for cause, at in by_cause.items() if _chatters(sorted(at))]
    return tuple(sorted(found, key=lambda r: (-r.alarms, r.name)))


def times(seconds: Iterable[float]) -> Times:
    """Median, ninth decile and maximum of durations; each is one that really occurred."""
    ordered = sorted(max(0.0, value) for value in seconds)
    if not ordered:
        return Times(0, None, None, None)
    return Times(len(ordered), _quantile(ordered, 50), _quantile(ordered, 90), ordered[-1])


def closures(raised: Sequence[Raised]) -> Closures:
    """What the policy closed, and what persons who judged it again found; reopening one is finding it wrong."""
    closed = [row for row in raised if row.by_policy]
    wrong = sum(row.decision in ("overturn", "reopen") for row in closed)
    upheld = sum(row.decision == "uphold" for row in closed)
    return Closures(alerts=len(raised), closed=len(closed), judged=wrong + upheld, wrong=wrong)


def false_alarms(raised: Iterable[Raised]) -> tuple[FalseAlarms, ...]:
    """False alarms by source and type, those with the most of them first; types nobody rejected are left out."""
    found = [FalseAlarms(*one) for one in _counted(raised, lambda row: row.decision == "reject")]
    return tuple(sorted(found, key=lambda f: (-f.rejected, -f.share, f.source, f.type)))


def corrections(raised: Iterable[Raised]) -> tuple[Corrections, ...]:
    """Corrected documents by source and type, most of them first; types nobody corrected are left out."""
    found = [Corrections(*one) for one in _counted(raised, lambda row: row.corrected)]
    return tuple(sorted(found, key=lambda f: (-f.corrected, -f.share, f.source, f.type)))


def _counted(raised: Iterable[Raised], holds: Callable[[Raised], bool]) -> Iterator[tuple[str, str, int, int]]:
    """By source and type: how many alerts persons decided of, and of how many it ``holds``, where of any."""
    decided: Counter[tuple[str, str]] = Counter()
    held: Counter[tuple[str, str]] = Counter()
    for row in raised:
        if row.decision is not None:
            decided[row.source, row.type] += 1
            held[row.source, row.type] += holds(row)
    yield from ((*key, decided[key], count) for key, count in held.items() if count)


def interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided interval of a share by Clopper and Pearson (Biometrika 26, 1934)."""
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, trials - successes + 1, tail))
    high = 1.0 if successes == trials else float(betaincinv(successes + 1, trials - successes, 1 - tail))
    return low, high


def _others(sources: Sequence[Ranked], chatters: int, stale: int) -> tuple[Metric, ...]:
    share = sum(r.share for r in sources[:TOP]) if sources else None
    top = _at_most("top-ten", "share", share, 0.05)
    return (
        # Where no more than ten spoke at all, their share is the whole and says nothing.
        top if len(sources) > TOP else top._replace(met=None),
        _at_most("chattering", "count", chatters, 0),
        _at_most("stale", "count", stale, 4),
    )


def _spread(raised: Sequence[Raised]) -> tuple[Ranked, ...]:
    counted = Counter(row.priority for row in raised)
    return tuple(Ranked(p, counted[p], counted[p] / len(raised) if raised else 0.0) for p in PRIORITY_TARGETS)


def share_met(row: Ranked, alerts: int) -> bool | None:
    """Whether a priority's share is near its target: the urgent ones not far above, the low ones not far below."""
    if not alerts:
        return None
    target = PRIORITY_TARGETS[row.name]
    return row.share >= target / PRIORITY_SLACK if row.name == "low" else row.share <= target * PRIORITY_SLACK


def _at_most(name: str, unit: Unit, value: float | None, target: float) -> Metric:
    return Metric(name, unit, value, target, None if value is None else value <= target)


def _chatters(ordered: Sequence[datetime]) -> bool:
    last = CHATTERING_TIMES - 1
    return any(later - earlier <= CHATTERING_WITHIN for earlier, later in zip(ordered, ordered[last:], strict=False))


def _quantile(ordered: Sequence[float], percent: int) -> float:
    return ordered[-(-len(ordered) * percent // 100) - 1]
