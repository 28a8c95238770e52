"""An early warning in words: written by the stage that watches the limits, read by whoever shows or drafts it."""

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_SAID = re.compile(
    r"early warning: (?P<reading>.+) has not broken (?P<limit>.+) yet; on the trend it would in about"
    r" (?P<minutes>\d+) min, at (?P<clock>\d{4}-\d\d-\d\d \d\d:\d\d) UTC",
    re.DOTALL,
)


class EarlyWarning(NamedTuple):
    """A reading on its way to a limit: what was measured, the clause that sets the limit, and when it would be broken.

    ``clock``: year, month, day, hour and minute in UTC.
    """

    reading: str
    limit: str
    minutes: int
    clock: str

    @property
    def zh(self) -> str:
        """When the limit would be broken, and that it is not."""
        return f"尚未超限；按趋势约{self.minutes}分钟后（{self.clock} UTC）超过限值"

    @property
    def en(self) -> str:
        """The same in English."""
        return f"the limit is not broken yet; on the trend it would be in about {self.minutes} min ({self.clock} UTC)"


def say(reading: str, limit: str, minutes: float, measured_at: datetime) -> str:
    """The reason of a warning: ``reading`` leads to ``limit`` in so many minutes from ``measured_at``."""
    ahead = max(1, round(minutes))
    clock = f"{measured_at.astimezone(UTC) + timedelta(minutes=ahead):%Y-%m-%d %H:%M}"
    return f"early warning: {reading} has not broken {limit} yet; on the trend it would in about {ahead} min, at {clock} UTC"


def early_warning(reason: str) -> EarlyWarning | None:
    """The warning that a risk's reason tells of; None where the risk is no warning."""
    found = _SAID.fullmatch(reason)
    return EarlyWarning(found["reading"], found["limit"], int(found["minutes"]), found["clock"]) if found else None
