"""What time alone makes due: alerts that nobody acknowledges, documents past their deadline, shelving that ends."""

from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Engine, SQLColumnExpression, or_
from sqlmodel import Session, col, select

from disposal.alert import Alert
from disposal.audit import append, canonical
from disposal.document import Document, DocumentState
from disposal.escalation import CHAIN, call, called, people
from disposal.intake import PRIORITIES
from disposal.notify import post
from disposal.regroup import regroup
from disposal.roster import Duty, duties_in
from disposal.settings import DisposalSettings
from stream.database import reading, writing

_ACTOR = "disposal"
_BATCH = 50
_SLACK = 30.0
"""Seconds by which clocks of several hosts may differ without anything being timed anew."""
_Row = TypeVar("_Row", Alert, Document)
_UNDER_WAY = (DocumentState.APPROVED, DocumentState.ISSUED, DocumentState.RECTIFYING)


def sweep(engine: Engine, mine: str, settings: DisposalSettings, now: datetime) -> int:
    """Do everything that is due at ``now``; answers how many alerts and documents were changed."""
    return regroup(engine, mine, settings, now) + _by_time(engine, mine, settings, now)


def _by_time(engine: Engine, mine: str, settings: DisposalSettings, now: datetime) -> int:
    with reading(engine) as session:
        looks = (_unseen, _late, _unshelving, _chased)
        if not (any(look(session, mine, now) for look in looks) or _unmeant(session, mine, settings, now)):
            return 0
    with writing(engine) as session:
        # All rows are locked before the first audit line, so that no two writers wait for each other.
        for alert in _unmeant(session, mine, settings, now):
            alert.escalate_at = settings.escalation.due(alert.priority, now)
            session.add(alert)
        unseen, late, ending = _unseen(session, mine, now), _late(session, mine, now), _unshelving(session, mine, now)
        chased = _chased(session, mine, now)
        duties = duties_in(session, mine) if unseen or late or chased else []
        for alert in unseen:
            _pass_on(session, alert, settings, duties, now)
        for document in late:
            _overdue(session, document)
        for document in (*late, *chased):
            _chase(session, document, settings, duties, now)
        for alert in ending:
            _unshelve(session, alert, now)
        return len(unseen) + len(late) + len(ending) + len(chased)


def _locked(
    session: Session, table: type[_Row], *where: ColumnElement[bool], order: SQLColumnExpression[Any] | None = None
) -> list[_Row]:
    """A batch of such rows, without those that another writer is at."""
    rows = select(table).where(*where).order_by(order).limit(_BATCH)
    return list(session.exec(rows.with_for_update(skip_locked=True)).all())


def _unseen(session: Session, mine: str, now: datetime) -> list[Alert]:
    where = (
        col(Alert.mine) == mine,
        col(Alert.closed).is_(False),
        col(Alert.acked).is_(False),
        col(Alert.escalate_at) <= now,
        col(Alert.suppressed_by).is_(None),
        or_(col(Alert.shelved_until).is_(None), col(Alert.shelved_until) <= now),
    )
    return _locked(session, Alert, *where, order=col(Alert.escalate_at))


def _unmeant(session: Session, mine: str, settings: DisposalSettings, now: datetime) -> list[Alert]:
    """Alerts to be passed on later than any setting asks for: the clock was set back since, and they are timed anew."""
    latest = max(settings.escalation.seconds(priority) for priority in PRIORITIES) + _SLACK
    where = (
        col(Alert.mine) == mine,
        col(Alert.closed).is_(False),
        col(Alert.acked).is_(False),
        col(Alert.escalate_at) > now + timedelta(seconds=latest),
    )
    return _locked(session, Alert, *where)


def _late(session: Session, mine: str, now: datetime) -> list[Document]:
    under_way = col(Document.state).in_(_UNDER_WAY)
    return _locked(session, Document, col(Document.mine) == mine, under_way, col(Document.deadline) <= now)


def _chased(session: Session, mine: str, now: datetime) -> list[Document]:
    """Overdue documents for which the next one is due to be called."""
    overdue = col(Document.state) == DocumentState.OVERDUE
    return _locked(session, Document, col(Document.mine) == mine, overdue, col(Document.escalate_at) <= now)


def _unshelving(session: Session, mine: str, now: datetime) -> list[Alert]:
    return _locked(session, Alert, col(Alert.mine) == mine, col(Alert.shelved_until) <= now)


def _pass_on(session: Session, alert: Alert, settings: DisposalSettings, duties: list[Duty], now: datetime) -> None:
    who = called(alert.escalated, people(duties, alert.place, now))
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
    subject = f"alert/{alert.id}"
    call(session, alert.mine, alert.id, subject, who, said, f"{alert.id}/{alert.escalated}/{alert.revision}", now)
    before = {"escalated": alert.escalated - 1}
    after = {"escalated": alert.escalated, "called": who.link, "person": who.person}
    append(session, alert.mine, _ACTOR, "escalated", subject, before, after)


def _chase(session: Session, document: Document, settings: DisposalSettings, duties: list[Duty], now: datetime) -> None:
    """Call for an overdue document: who answers for the place, then everybody else, but no siren for paper."""
    alert = session.get_one(Alert, document.alert_id)
    known = people(duties, alert.place, now)
    who = called(document.escalated, known)
    document.escalated += 1
    more = document.escalated < min(len(known), len(CHAIN) - 1)
    document.escalate_at = now + timedelta(seconds=settings.escalation.overdue) if more else None
    session.add(document)
    if who.link == "siren":
        return
    said = {"alert": alert.id, "document": document.id, "deadline": str(document.deadline), "place": alert.place}
    subject = f"document/{document.id}"
    call(session, document.mine, alert.id, subject, who, said, f"{document.id}/overdue/{document.escalated}", now)
    after = {"called": who.link, "person": who.person, "document": document.id}
    append(session, document.mine, _ACTOR, "chased", f"alert/{alert.id}", None, after)


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
