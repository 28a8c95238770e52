"""The outbox: what has to leave the house, written in the transaction that decides it and delivered afterwards."""

from datetime import datetime

from sqlalchemy import Column, Index, Text
from sqlmodel import Field, Session, SQLModel

from stream.database import UtcDateTime
from stream.messages import utc_now


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
