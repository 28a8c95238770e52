"""How old what a stage reads is by the time the stage is done with it, kept as counts that only grow."""

from collections.abc import Mapping
from typing import NamedTuple

from stream.messages import AnyMessage, Frame, Reading, Risk, utc_now

BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Seconds: from what a dispatcher does not notice to what is no use to anybody."""

_PREFIX = "latency_le_"
_SUM = "latency_ms"


class Latency(NamedTuple):
    """A histogram: for each bound, how many inputs were at most that old (the last is all of them); and their sum."""

    counts: tuple[tuple[str, int], ...]
    seconds: float

    @property
    def total(self) -> int:
        """How many inputs were counted."""
        return self.counts[-1][1]


def age(message: AnyMessage) -> float | None:
    """Seconds since the picture or reading behind ``message`` was read at its source; None where there is none."""
    if not isinstance(message, Frame | Reading | Risk):
        return None
    return max(0.0, (utc_now() - message.read_at).total_seconds())


def counted(seconds: float) -> tuple[tuple[str, int], tuple[str, int]]:
    """What one input adds to a stage's counters: its bucket, and its milliseconds."""
    bound = next((str(bound) for bound in BOUNDS if seconds <= bound), "+Inf")
    return (_PREFIX + bound, 1), (_SUM, round(seconds * 1000))


def split(counters: Mapping[str, int]) -> tuple[dict[str, int], Latency]:
    """A stage's other counters, and the histogram that was among them."""
    others = {name: count for name, count in counters.items() if not name.startswith(_PREFIX) and name != _SUM}
    counts, below = [], 0
    for bound in (*map(str, BOUNDS), "+Inf"):
        below += counters.get(_PREFIX + bound, 0)
        counts.append((bound, below))
    return others, Latency(tuple(counts), counters.get(_SUM, 0) / 1000)
