"""Alerts that belong together: those of one place and cause, what explains an alert, and what it explains."""

from typing import NamedTuple

from sqlmodel import Session, col, func, select

from disposal.alert import Alert

SHOWN = 20


class Related(NamedTuple):
    """The alert that explains this one, those that it explains, and the others of its place and cause."""

    cause: Alert | None
    explained: tuple[Alert, ...]
    group: tuple[Alert, ...]


def group_size(session: Session, alert: Alert) -> int:
    """How many open alerts share place and cause with it, itself among them."""
    if alert.closed or not alert.group_key:
        return 1
    query = select(func.count()).where(
        Alert.mine == alert.mine, col(Alert.closed).is_(False), Alert.group_key == alert.group_key
    )
    return session.exec(query).one()


def related_to(session: Session, alert: Alert) -> Related:
    """What is open beside the alert and belongs to it, the oldest first."""
    opened = select(Alert).where(Alert.mine == alert.mine, col(Alert.closed).is_(False), Alert.id != alert.id)
    oldest = opened.order_by(col(Alert.committed_at)).limit(SHOWN)
    explained = session.exec(oldest.where(Alert.suppressed_by == alert.id)).all()
    named = {a.id for a in explained} | {alert.suppressed_by}
    group = session.exec(oldest.where(Alert.group_key == alert.group_key)).all() if alert.group_key else []
    cause = session.get(Alert, alert.suppressed_by) if alert.suppressed_by else None
    return Related(cause, tuple(explained), tuple(a for a in group if a.id not in named))
