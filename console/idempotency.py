"""Answers kept under the key that a machine sent with a request, so that sending it again changes nothing more."""

import json
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Column, Engine, Text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel, col, delete

from console.errors import ReusedKeyError
from disposal.audit import canonical
from stream.database import UtcDateTime, reading, writing
from stream.messages import utc_now

KEPT = timedelta(days=7)
"""How long an answer is kept; a machine that repeats itself after a week is not repeating a lost connection."""


class KeptAnswer(SQLModel, table=True):
    """The answer to one request of one token. ``request``: what was asked, as canonical JSON."""

    __tablename__ = "kept_answer"

    mine: str = Field(primary_key=True, max_length=63)
    token: str = Field(primary_key=True, max_length=32)
    key: str = Field(primary_key=True, max_length=200)
    request: str = Field(sa_column=Column(Text, nullable=False))
    status: int
    answer: str = Field(sa_column=Column(Text, nullable=False))
    kept_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False, index=True))


class Request(NamedTuple):
    """What a machine asks for: its mine, its token, the key it sent, and what it wants."""

    mine: str
    token: str
    key: str
    wanted: dict[str, Any]


class Answer(NamedTuple):
    """An HTTP status and the JSON that goes with it."""

    status: int
    content: dict[str, Any]


def find(engine: Engine, request: Request) -> Answer | None:
    """The answer that was given to this request before. Raises ReusedKeyError where the key stood for another one."""
    with reading(engine) as session:
        kept = session.get(KeptAnswer, request[:3])
    if kept is None:
        return None
    if kept.request != canonical(request.wanted):
        raise ReusedKeyError
    return Answer(kept.status, json.loads(kept.answer))


def keep(session: Session, request: Request, answer: Answer) -> None:
    """Keep the answer in the session's transaction, so that it is there exactly when what it tells of is."""
    now = utc_now()
    session.exec(delete(KeptAnswer).where(col(KeptAnswer.kept_at) < now - KEPT))
    session.add(
        KeptAnswer(
            mine=request.mine,
            token=request.token,
            key=request.key,
            request=canonical(request.wanted),
            status=answer.status,
            answer=canonical(answer.content),
            kept_at=now,
        )
    )
    session.flush()


def keep_first(engine: Engine, request: Request, answer: Answer) -> Answer:
    """Keep an answer that changed nothing, and give the one that holds: the first, where two came at once."""
    try:
        with writing(engine) as session:
            keep(session, request, answer)
    except IntegrityError:
        return find(engine, request) or answer
    return answer
