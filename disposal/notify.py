"""The outbox: what has to leave the house, written in the transaction that decides it and delivered afterwards."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import structlog
from sqlalchemy import Column, Engine, Index, Text, or_
from sqlmodel import Field, Session, SQLModel, col, select

from disposal.audit import append, canonical
from disposal.callout import CallOuts, Destination, is_off_site
from disposal.document import Document, DocumentState
from disposal.errors import StaysOnSiteError
from disposal.settings import NotifySettings, PrivacySettings
from disposal.situation import events_of, is_private, reporters
from disposal.webhook import call
from stream.database import UtcDateTime, reading, writing
from stream.messages import utc_now

STAYS = "kept on the site: private"
"""The outcome of a message that is done without having left, because it is private and the webhook off the site."""
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 900.0
_BATCH = 50
_logger = structlog.get_logger()


class Outbox(SQLModel, table=True):
    """One message to deliver: what happened (``kind``), to which subject, and its JSON ``body``."""

    __tablename__ = "outbox"
    __table_args__ = (Index("outbox_due", "mine", "done_at", "due_at"),)

    id: str = Field(primary_key=True, max_length=120)
    mine: str = Field(max_length=63)
    kind: str
    subject: str
    body: str = Field(sa_column=Column(Text, nullable=False))
    created_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    due_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    attempts: int = 0
    done_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    outcome: str = ""
    lease_owner: str | None = None
    lease_until: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))


def post(session: Session, mine: str, kind: str, subject: str, body: str, *, key: str) -> None:
    """Put a message in the outbox within the session's transaction; the same ``key`` twice is the same message."""
    if session.get(Outbox, key) is not None:
        return
    now = utc_now()
    session.add(Outbox(id=key, mine=mine, kind=kind, subject=subject, body=body, created_at=now, due_at=now))


class Postman:
    """Delivers what the outbox holds, oldest first, at least once; the receiver knows a repeat by its ``id``."""

    def __init__(
        self,
        engine: Engine,
        mine: str,
        settings: NotifySettings,
        owner: str,
        count: Callable[[str], None],
        privacy: PrivacySettings | None = None,
    ) -> None:
        self._engine = engine
        self._mine = mine
        self._settings = settings
        self._owner = owner
        self._count = count
        self._privacy = privacy or PrivacySettings()
        self._guard = CallOuts(engine, mine)

    def deliver_next(self) -> bool:
        """Deliver the message that is due longest; answers whether there was one."""
        if not (self._settings.url or self._settings.siren_url):
            return self._log_all()
        message = self._take()
        if message is None:
            return False
        failure = self._deliver(message)
        self._settle(message, failure)
        return True

    def _due(self, now: datetime) -> tuple[Any, ...]:
        return (
            Outbox.mine == self._mine,
            col(Outbox.done_at).is_(None),
            col(Outbox.due_at) <= now,
            or_(col(Outbox.lease_until).is_(None), col(Outbox.lease_until) <= now),
        )

    def _log_all(self) -> bool:
        """Nobody is to be told: what is due goes to this process's own log and is done, some at a time."""
        now = utc_now()
        with reading(self._engine) as session:
            if session.exec(select(Outbox.id).where(*self._due(now)).limit(1)).first() is None:
                return False
        with writing(self._engine) as session:
            query = select(Outbox).where(*self._due(now)).order_by(col(Outbox.due_at), col(Outbox.id)).limit(_BATCH)
            rows = session.exec(query.with_for_update(skip_locked=True)).all()
            for row in rows:
                row.done_at, row.outcome, row.attempts = now, "logged", row.attempts + 1
                session.add(row)
                _logger.info("notice", kind=row.kind, subject=row.subject)
            _issue(session, rows, now)
        return bool(rows)

    def _take(self) -> Outbox | None:
        now = utc_now()
        conditions = self._due(now)
        with reading(self._engine) as session:
            if session.exec(select(Outbox.id).where(*conditions).limit(1)).first() is None:
                return None
        with writing(self._engine) as session:
            query = select(Outbox).where(*conditions).order_by(col(Outbox.due_at), col(Outbox.id)).limit(1)
            row = session.exec(query.with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            row.lease_owner, row.lease_until = self._owner, now + timedelta(seconds=self._settings.seconds + 30)
            session.add(row)
            session.flush()
            session.expunge(row)
            return row

    def _deliver(self, message: Outbox) -> str:
        """Deliver it; answers why that failed, or nothing."""
        url = self._settings.url_for(message.kind)
        if not url:
            _logger.info("notice", kind=message.kind, subject=message.subject)
            return ""
        to = Destination("webhook", urlsplit(url).hostname or "none", is_off_site(url, self._settings.where))
        said = {"id": message.id, "mine": message.mine, "kind": message.kind, "subject": message.subject}
        try:
            told = self._cleared(message, to)
        except StaysOnSiteError:
            return STAYS
        said |= {"created_at": message.created_at.isoformat(), "body": told}
        return call(url, self._settings.secret.get_secret_value(), said, self._settings.seconds)

    def _cleared(self, message: Outbox, to: Destination) -> str:
        """The body as it may leave. Raises StaysOnSiteError for a private one that would leave the site."""
        identity = message.subject.partition("/")[2].partition("-")[0]
        with reading(self._engine) as session:
            events = events_of(session, identity)
        # A call to people says nothing of what somebody wrote in a report.
        privacy = self._privacy if message.kind == "document" else self._privacy.model_copy(update={"reports": False})
        private = is_private(events, privacy)
        try:
            data = json.loads(message.body)
        except ValueError:
            data = message.body
        texts: list[str] = []
        shape = _leaves(data, texts)
        cleared = self._guard.clear_all(to, texts, subject=message.subject, private=private, names=reporters(events))
        if not to.off_site:
            return message.body
        back = shape([one.text for one in cleared])
        return back if isinstance(data, str) else canonical(back)

    def _settle(self, message: Outbox, failure: str) -> None:
        now = utc_now()
        with writing(self._engine) as session:
            row = session.exec(select(Outbox).where(Outbox.id == message.id).with_for_update()).one()
            if row.lease_owner != self._owner or row.done_at is not None:
                return
            row.lease_owner = row.lease_until = None
            row.attempts += 1
            if failure in ("", STAYS):
                row.done_at, row.outcome = now, failure or "delivered"
                _issue(session, [row], now)
            elif row.attempts >= self._settings.attempts:
                row.done_at, row.outcome = now, f"given up: {failure}"
                _logger.error("delivery given up", subject=row.subject, reason=failure)
            else:
                row.due_at = now + timedelta(seconds=min(_FIRST_PAUSE * 2 ** (row.attempts - 1), _LONGEST_PAUSE))
                row.outcome = failure
            session.add(row)
        self._count("deliveries_failed" if failure not in ("", STAYS) else "deliveries")


def _leaves(data: Any, texts: list[str]) -> Callable[[list[str]], Any]:
    """Collect the texts in it, and answer what puts others in their places."""
    if isinstance(data, str):
        texts.append(data)
        place = len(texts) - 1
        return lambda put: put[place]
    if isinstance(data, dict):
        parts = {key: _leaves(value, texts) for key, value in data.items()}
        return lambda put: {key: part(put) for key, part in parts.items()}
    if isinstance(data, list):
        items = [_leaves(value, texts) for value in data]
        return lambda put: [item(put) for item in items]
    return lambda _: data


def _issue(session: Session, rows: Sequence[Outbox], now: datetime) -> None:
    """A document that went out is issued; one that somebody is working on already stays where it is."""
    names = [row.subject.removeprefix("document/") for row in rows if row.kind == "document"]
    if not names:
        return
    query = select(Document).where(col(Document.id).in_(names)).order_by(col(Document.id)).with_for_update()
    issued = []
    for document in session.exec(query).all():
        document.issued_at = now
        if document.state == DocumentState.APPROVED:
            document.state = DocumentState.ISSUED
            issued.append(document)
        session.add(document)
    for document in issued:
        before, after = {"document": DocumentState.APPROVED}, {"document": document.state}
        append(session, document.mine, "disposal", "issued", f"alert/{document.alert_id}", before, after)
