"""What every page says of the queue: how many alerts nobody has acknowledged, and the most urgent of them."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func
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
    """The unacknowledged open alerts of the mine: counted off an index, so that a flood of them costs little."""
    unacked = (col(Alert.mine) == mine, *still_open(), col(Alert.acked).is_(False))
    counts = session.exec(select(Alert.priority, func.count()).where(*unacked).group_by(Alert.priority)).all()
    by_priority = dict(counts)
    most = next((priority for priority in (*PRIORITIES, *by_priority) if by_priority.get(priority)), None)
    top = None
    if most is not None:
        these = select(Alert).where(*unacked, Alert.priority == most)
        top = session.exec(these.order_by(col(Alert.committed_at), col(Alert.id)).limit(1)).first()
    return Urgent(sum(by_priority.values()), by_priority.get("critical", 0), top)


def still_open() -> tuple[ColumnElement[bool], ...]:
    """Neither closed nor shelved, nor suppressed by a larger alert."""
    return (col(Alert.closed).is_(False), ~shelved(), col(Alert.suppressed_by).is_(None))


def shelved() -> ColumnElement[bool]:
    """Shelved, and the time for which it was shelved is not over."""
    return and_(col(Alert.shelved_until).is_not(None), col(Alert.shelved_until) > utc_now())


def suppressed() -> ColumnElement[bool]:
    """Explained by a larger alert (suppressed by design)."""
    return col(Alert.suppressed_by).is_not(None)
