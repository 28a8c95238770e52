"""Shelving: an alert set aside for a while by a person, with a reason, and never for longer than the maximum."""

from datetime import datetime, timedelta
from typing import Literal

from disposal.alert import Alert
from disposal.errors import AlreadyDecidedError, ShelvingError

LONGEST = timedelta(hours=8)
"""The maximum unless the mine sets another one: a shift, so that nobody inherits what is shelved unseen."""


def may_be_shelved(alert: Alert) -> bool:
    """Whether an alert of this kind may be set aside at all: no major hazard, no imminent danger, nothing closed."""
    return alert.grade != "major" and alert.priority != "critical" and not alert.latching and not alert.closed


def is_shelved(alert: Alert, now: datetime) -> bool:
    """Whether it is set aside now."""
    return alert.shelved_until is not None and alert.shelved_until > now


def refuse_shelving(
    alert: Alert, decision: Literal["shelve", "unshelve"], until: datetime | None, now: datetime, longest: timedelta
) -> None:
    """Raise where the alert cannot be shelved until then, or be taken off the shelf.

    AlreadyDecidedError where it was closed, or is where the decision would put it; ShelvingError for what must never
    be set aside, and for a time that is none, over, or further away than ``longest``.
    """
    if alert.closed:
        raise AlreadyDecidedError(alert.id, "it was closed", alert.closed_by or "nobody known", alert.closed_at)
    shelved = is_shelved(alert, now)
    if decision == "unshelve":
        if not shelved:
            raise ShelvingError("The alert is not shelved: its time was over, or somebody took it off before.")
        return
    if shelved:
        raise AlreadyDecidedError(
            alert.id, f"it was shelved until {alert.shelved_until:%H:%M} UTC", alert.shelved_by or "nobody known", None
        )
    if not may_be_shelved(alert):
        raise ShelvingError("A major hazard or an imminent danger cannot be shelved: acknowledge it and act on it.")
    if until is None or not now < until <= now + longest:
        minutes = longest.total_seconds() / 60
        raise ShelvingError(f"An alert is shelved until a time to come, at most {minutes:g} minutes from now.")


def shelve(alert: Alert, until: datetime | None, actor: str | None, reason: str | None) -> None:
    """Set it aside until then, or, with None for all of them, put it back."""
    alert.shelved_until, alert.shelved_by, alert.shelved_reason = until, actor, reason
