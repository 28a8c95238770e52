"""The rows behind the officer's pages of closure policies: what was judged in shadow, and what waits to be judged."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, func
from sqlmodel import Session, col, select

from disposal.alert import Alert
from disposal.document import Document, DocumentState
from disposal.sampling import Tally, tally

SHOWN = 100
_AGREES = ("close", "reject")


class ShadowJudgement(NamedTuple):
    """One alert that the policy would have closed, and what a person decided who did not know that."""

    alert: str
    type: str
    place: str
    at: datetime | None
    decision: str
    by: str
    reason: str
    agreed: bool


class Sample(NamedTuple):
    """One closure that waits for a person to judge it again."""

    alert: str
    type: str
    place: str
    priority: str
    closed_at: datetime
    policy: str


class Samples(NamedTuple):
    """The closures that wait, the one that has waited longest first, and what was judged so far of their policies."""

    waiting: int
    listed: tuple[Sample, ...]
    tallies: tuple[tuple[str, Tally], ...]


def shadow_judgements(session: Session, mine: str, policy: str) -> tuple[tuple[ShadowJudgement, ...], int]:
    """The latest judgements, newest first, and how many closures in shadow nobody has judged yet.

    Those are counted and not named: whoever decides on them must not know what the policy would do.
    """
    would = _would_close(mine, policy)
    rows = session.exec(
        select(Document, Alert)
        .join(Alert, col(Alert.id) == col(Document.alert_id))
        .where(*would, col(Document.decided_by).is_not(None))
        .order_by(col(Document.decided_at).desc())
        .limit(SHOWN)
    ).all()
    waiting = session.exec(select(func.count()).where(*would, col(Document.decided_by).is_(None))).one()
    return tuple(_judgement(document, alert) for document, alert in rows), waiting


def samples(session: Session, mine: str) -> Samples:
    """What waits for a person, under whichever policy it was closed."""
    these = (Document.mine == mine, Document.state == DocumentState.SAMPLED)
    waiting = session.exec(select(func.count()).where(*these)).one()
    rows = session.exec(
        select(Document, Alert)
        .join(Alert, col(Alert.id) == col(Document.alert_id))
        .where(*these)
        .order_by(col(Document.auto_closed_at))
        .limit(SHOWN)
    ).all()
    listed = tuple(
        Sample(a.id, a.type, a.place, a.priority, d.auto_closed_at or d.created_at, d.policy) for d, a in rows
    )
    policies = sorted({sample.policy for sample in listed})
    return Samples(waiting, listed, tuple((policy, tally(session, mine, policy)) for policy in policies))


def undecided(session: Session, mine: str, alerts: list[str]) -> set[str]:
    """Those of the alerts whose document waits for a person."""
    query = select(Document.alert_id).where(
        Document.mine == mine,
        Document.state == DocumentState.PENDING_APPROVAL,
        col(Document.alert_id).in_(alerts),
    )
    return set(session.exec(query).all())


def _would_close(mine: str, policy: str) -> tuple[ColumnElement[bool], ...]:
    return (
        col(Document.mine) == mine,
        col(Document.policy) == policy,
        col(Document.would_close).is_(True),
        col(Document.auto_closed_at).is_(None),
    )


def _judgement(document: Document, alert: Alert) -> ShadowJudgement:
    return ShadowJudgement(
        alert.id,
        alert.type,
        alert.place,
        document.decided_at,
        document.decision or "",
        document.decided_by or "",
        document.reason,
        document.decision in _AGREES,
    )
