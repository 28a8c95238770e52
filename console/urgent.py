"""What every page says of the queue: how many alerts nobody has acknowledged, and the most urgent of them."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, func
from sqlmodel import Session, col, select

from disposal.alert import Alert
from stream.messages import utc_now

PRIORITIES = ("critical", "high", "medium", "low")
"""The priorities of ISA-18.2, most urgent first."""


@dataclass(frozen=True)
class Urgent:
    """The unacknowledged alerts in short; ``top`` is the one to look at first."""

    count: int = 0
    critical: int = 0
    top: Alert | None = None


def find_urgent(session: Session, mine: str) -> Urgent:
    """The unacknowledged open alerts of the mine."""
    unacked = (col(Alert.mine) == mine, *still_open(), col(Alert.acked).is_(False))
    red = func.coalesce(func.sum(case((col(Alert.priority) == "critical", 1), else_=0)), 0)
    count, critical = session.exec(select(func.count(), red).select_from(Alert).where(*unacked)).one()
    top = session.exec(select(Alert).where(*unacked).order_by(rank(), col(Alert.committed_at)).limit(1)).first()
    return Urgent(count, critical, top)


def still_open() -> tuple[ColumnElement[bool], ...]:
    """Neither closed nor shelved."""
    return (col(Alert.closed).is_(False), ~shelved())


def shelved() -> ColumnElement[bool]:
    """Shelved, and the time for which it was shelved is not over."""
    return and_(col(Alert.shelved_until).is_not(None), col(Alert.shelved_until) > utc_now())


def rank() -> ColumnElement[int]:
    """0 for critical, growing as urgency falls."""
    places = {priority: place for place, priority in enumerate(PRIORITIES)}
    return case(places, value=col(Alert.priority), else_=len(PRIORITIES))
