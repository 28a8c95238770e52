"""The mine's emergency plans and call lists, by cause: what a dispatcher opens with one key for a major hazard."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Column, Engine, Text
from sqlmodel import Field, SQLModel, col, select

from disposal.audit import append
from disposal.errors import EmergencyError
from disposal.grouping import CAUSES, cause_of
from stream.database import UtcDateTime, reading, writing
from stream.messages import utc_now

EVERY = ""
"""The cause of the plan that serves where a cause has none of its own."""
LONGEST = 8000


class EmergencyPlan(SQLModel, table=True):
    """One plan: its steps, a line each in either language, and whom to call, a line each in that order."""

    __tablename__ = "emergency_plan"

    mine: str = Field(primary_key=True, max_length=63)
    cause: str = Field(primary_key=True, max_length=20)
    steps_zh: str = Field(default="", sa_column=Column(Text, nullable=False))
    steps_en: str = Field(default="", sa_column=Column(Text, nullable=False))
    calls: str = Field(default="", sa_column=Column(Text, nullable=False))
    changed_by: str
    changed_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))

    def steps(self, language: str) -> list[str]:
        """The steps in ``language`` (zh or en), else in the other one."""
        said = (self.steps_zh or self.steps_en) if language == "zh" else (self.steps_en or self.steps_zh)
        return lines(said)

    def call_list(self) -> list[str]:
        """Whom to call."""
        return lines(self.calls)


class Wording(NamedTuple):
    """What somebody enters."""

    steps_zh: str
    steps_en: str
    calls: str


def lines(text: str) -> list[str]:
    """The lines of a text that say something."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def plans(engine: Engine, mine: str) -> dict[str, EmergencyPlan]:
    """The mine's plans by cause."""
    with reading(engine) as session:
        rows = session.exec(select(EmergencyPlan).where(EmergencyPlan.mine == mine).order_by(col(EmergencyPlan.cause)))
        return {row.cause: row for row in rows}


def plan_for(engine: Engine, mine: str, kind: str) -> EmergencyPlan | None:
    """The plan for a hazard of that type: its cause's own, else the one for every cause, else None."""
    known = plans(engine, mine)
    return known.get(cause_of(kind)) or known.get(EVERY)


def put_plan(engine: Engine, mine: str, cause: str, wording: Wording, actor: str) -> EmergencyPlan:
    """Store the plan for a cause, with its audit line. Raises EmergencyError for an unknown cause or an empty plan."""
    if cause not in (EVERY, *CAUSES):
        raise EmergencyError(f"There is no cause {cause[:20]!r}: choose one of {', '.join(CAUSES)}, or every.")
    said = Wording(*("\n".join(lines(text.replace("\x00", "")))[:LONGEST] for text in wording))
    if not (said.steps_zh or said.steps_en) or not said.calls:
        raise EmergencyError("An emergency plan has steps and a list of whom to call: enter both, a line each.")
    with writing(engine) as session:
        row = session.get(EmergencyPlan, (mine, cause), with_for_update=True)
        before = said._replace(steps_zh=row.steps_zh, steps_en=row.steps_en, calls=row.calls)._asdict() if row else None
        row = row or EmergencyPlan(mine=mine, cause=cause, changed_by=actor, changed_at=utc_now())
        row.steps_zh, row.steps_en, row.calls = said
        row.changed_by, row.changed_at = actor, utc_now()
        session.add(row)
        append(session, mine, actor, "put-emergency-plan", f"emergency/{cause or 'every'}", before, said._asdict())
        session.flush()
        session.expunge(row)
    return row
