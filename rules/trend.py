"""Where the readings of the last minutes lead: the slope that noise does not move, and when it would break a limit."""

from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import NamedTuple

WINDOW_SECONDS = 600.0
"""Seconds over which a trend is taken."""
SPACING_SECONDS = 15.0
"""Readings closer to each other than this are kept as one, the latest."""
LEAST_POINTS, LEAST_SECONDS = 8, 150.0
"""A trend takes so many points over so many seconds."""
STEADY = 0.8
"""The share of pairs of points that rise (or fall): below it, the values only wander."""


class Point(NamedTuple):
    """One value and when it was measured."""

    at: datetime
    value: float


class Trend(NamedTuple):
    """A change a minute, and where it stands now without the noise of the last value."""

    slope: float
    level: float
    steady: float


def remembered(points: Sequence[Point], at: datetime, value: float) -> tuple[Point, ...]:
    """The points of the window with one more; a reading from before the last point changes nothing."""
    if points and at < points[-1].at:
        return tuple(points)
    kept = [p for p in points if (at - p.at).total_seconds() <= WINDOW_SECONDS]
    if len(kept) >= 2 and (at - kept[-2].at).total_seconds() < SPACING_SECONDS:
        kept.pop()
    return (*kept, Point(at, value))


def trend(points: Sequence[Point]) -> Trend | None:
    """The trend of these points (Theil 1950, Sen 1968: the median of the slopes of all pairs), None for too few."""
    if len(points) < LEAST_POINTS or (points[-1].at - points[0].at).total_seconds() < LEAST_SECONDS:
        return None
    minutes = [(p.at - points[0].at).total_seconds() / 60 for p in points]
    slopes = [
        (points[j].value - points[i].value) / (minutes[j] - minutes[i])
        for i in range(len(points))
        for j in range(i + 1, len(points))
        if minutes[j] > minutes[i]
    ]
    slope = median(slopes)
    level = median(p.value + slope * (minutes[-1] - m) for p, m in zip(points, minutes, strict=True))
    along = sum(s * slope > 0 for s in slopes) / len(slopes)
    return Trend(slope, level, along)


def minutes_until(found: Trend | None, limit: float, *, upper: bool) -> float | None:
    """In how many minutes the trend breaks a limit; None where it does not lead there, or only wanders."""
    if found is None or found.steady < STEADY or found.slope == 0 or (found.slope > 0) != upper:
        return None
    ahead = (limit - found.level) / found.slope
    return max(0.0, ahead) if ahead > -1 else None
