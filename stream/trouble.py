"""What went wrong in a stage of late and was dealt with: for the doctor, which can look at no process from inside."""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from sqlalchemy import Column, Engine, delete
from sqlmodel import Field, Session, SQLModel, col, select

from stream.database import UtcDateTime, reading

Kind = Literal["put-aside", "retrying", "restarted", "delivery", "drafting", "clock"]
STEP = 5.0
"""Seconds by which the clock must leave its course at once to be said to have been set."""
_KEPT = timedelta(days=1)
_LONGEST_SUBJECT, _LONGEST_TEXT = 120, 500


class StageTrouble(SQLModel, table=True):
    """One kind of trouble of one stage with one subject: how often it came, and what was said of it last."""

    __tablename__ = "stage_trouble"

    mine: str = Field(primary_key=True, max_length=63)
    stage: str = Field(primary_key=True, max_length=63)
    kind: str = Field(primary_key=True, max_length=20)
    subject: str = Field(primary_key=True, max_length=_LONGEST_SUBJECT)
    text: str
    count: int
    first_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    last_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))


class Told(NamedTuple):
    """What was said of a trouble since it was last written down, and how often it came."""

    text: str
    times: int
    at: datetime


Subject = tuple[Kind, str]


def subject_of(kind: Kind, subject: str) -> Subject:
    """The name under which a trouble is counted; what comes from outside may be of any length."""
    return kind, subject.replace("\0", "")[:_LONGEST_SUBJECT] or "-"


def write(session: Session, mine: str, stage: str, told: Mapping[Subject, Told]) -> None:
    """Add to what is known of a stage, and forget what is older than a day."""
    for (kind, subject), one in told.items():
        row = session.get(StageTrouble, (mine, stage, kind, subject))
        text = one.text.replace("\0", "").partition("\n")[0][:_LONGEST_TEXT]
        if row is None:
            row = StageTrouble(
                mine=mine, stage=stage, kind=kind, subject=subject, text=text, count=0, first_at=one.at, last_at=one.at
            )
        row.text, row.count, row.last_at = text, row.count + one.times, one.at
        session.add(row)
    if told:
        latest = max(one.at for one in told.values())
        session.exec(
            delete(StageTrouble).where(
                col(StageTrouble.mine) == mine,
                col(StageTrouble.stage) == stage,
                col(StageTrouble.last_at) < latest - _KEPT,
            )
        )


def troubles(engine: Engine, mine: str, since: datetime) -> list[StageTrouble]:
    """What came at ``since`` or later, by stage, kind and subject."""
    order = (col(StageTrouble.stage), col(StageTrouble.kind), col(StageTrouble.subject))
    with reading(engine) as session:
        query = select(StageTrouble).where(StageTrouble.mine == mine, col(StageTrouble.last_at) >= since)
        return list(session.exec(query.order_by(*order)).all())


class ClockWatch:
    """Notices that the clock was set: by how many seconds it left the course of the monotonic one since last asked."""

    def __init__(self) -> None:
        self._course = time.time() - time.monotonic()

    def step(self) -> float | None:
        """Seconds by which it was set since the last question, forward above nought; None where it was not."""
        course = time.time() - time.monotonic()
        moved, self._course = course - self._course, course
        return moved if abs(moved) >= STEP else None
