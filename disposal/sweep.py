"""What time alone makes due: alerts that nobody acknowledges, documents past their deadline, shelving that ends."""

from datetime import datetime

from sqlalchemy import Engine, or_
from sqlmodel import Session, col, select

from disposal.alert import Alert
from disposal.audit import append, canonical
from disposal.document import Document, DocumentState
from disposal.notify import post
from disposal.regroup import regroup
from disposal.settings import DisposalSettings
from stream.database import reading, writing

_ACTOR = "disposal"
_BATCH = 50
_UNDER_WAY = (DocumentState.APPROVED, DocumentState.ISSUED, DocumentState.RECTIFYING)


def sweep(engine: Engine, mine: str, settings: DisposalSettings, now: datetime) -> int:
    """Do everything that is due at ``now``; answers how many alerts and documents were changed."""
    return regroup(engine, mine, settings, now) + _by_time(engine, mine, settings, now)


def _by_time(engine: Engine, mine: str, settings: DisposalSettings, now: datetime) -> int:
    with reading(engine) as session:
        if not (_unseen(session, mine, now) or _late(session, mine, now) or _unshelving(session, mine, now)):
            return 0
    with writing(engine) as session:
        # All rows are locked before the first audit line, so that no two writers wait for each other.
        unseen, late, ending = _unseen(session, mine, now), _late(session, mine, now), _unshelving(session, mine, now)
        for alert in unseen:
            _pass_on(session, alert, settings, now)
        for document in late:
            _overdue(session, document)
        for alert in ending:
            _unshelve(session, alert, now)
        return len(unseen) + len(late) + len(ending)


def _unseen(session: Session, mine: str, now: datetime) -> list[Alert]:
    return list(
        session.exec(
            select(Alert)
            .where(
                Alert.mine == mine,
                col(Alert.closed).is_(False),
                col(Alert.acked).is_(False),
                col(Alert.escalate_at) <= now,
                col(Alert.suppressed_by).is_(None),
                or_(col(Alert.shelved_until).is_(None), col(Alert.shelved_until) <= now),
            )
            .order_by(col(Alert.escalate_at))
            .limit(_BATCH)
            .with_for_update(skip_locked=True)
        ).all()
    )


def _late(session: Session, mine: str, now: datetime) -> list[Document]:
    return list(
        session.exec(
            select(Document)
            .where(Document.mine == mine, col(Document.state).in_(_UNDER_WAY), col(Document.deadline) <= now)
            .limit(_BATCH)
            .with_for_update(skip_locked=True)
        ).all()
    )


def _unshelving(session: Session, mine: str, now: datetime) -> list[Alert]:
    return list(
        session.exec(
            select(Alert)
            .where(Alert.mine == mine, col(Alert.shelved_until) <= now)
            .limit(_BATCH)
            .with_for_update(skip_locked=True)
        ).all()
    )


def _pass_on(session: Session, alert: Alert, settings: DisposalSettings, now: datetime) -> None:
    alert.escalated += 1
    more = alert.escalated < settings.escalation.times
    alert.escalate_at = settings.escalation.due(alert.priority, now) if more else None
    alert.updated_at = now
    session.add(alert)
    said = {
        "alert": alert.id,
        "type": alert.type,
        "place": alert.place,
        "priority": alert.priority,
        "time": alert.escalated,
    }
    key = f"escalation/{alert.id}/{alert.escalated}/{alert.revision}"
    post(session, alert.mine, "escalation", f"alert/{alert.id}", canonical(said), key=key)
    before = {"escalated": alert.escalated - 1}
    append(session, alert.mine, _ACTOR, "escalated", f"alert/{alert.id}", before, {"escalated": alert.escalated})


def _overdue(session: Session, document: Document) -> None:
    before = {"document": document.state}
    document.state = DocumentState.OVERDUE
    session.add(document)
    said = {"alert": document.alert_id, "document": document.id, "deadline": str(document.deadline)}
    post(session, document.mine, "overdue", f"document/{document.id}", canonical(said), key=f"overdue/{document.id}")
    after = {"document": document.state}
    append(session, document.mine, _ACTOR, "overdue", f"alert/{document.alert_id}", before, after)


def _unshelve(session: Session, alert: Alert, now: datetime) -> None:
    before = {"shelved_until": alert.shelved_until, "by": alert.shelved_by}
    alert.shelved_until = alert.shelved_by = alert.shelved_reason = None
    alert.updated_at = now
    session.add(alert)
    append(session, alert.mine, _ACTOR, "unshelved", f"alert/{alert.id}", before, None)
