"""The test alarm: a record on the risks' own way that becomes an audit line and a message out, and never an alert."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from disposal.audit import AuditLine, append, canonical
from disposal.notify import post
from stream.database import writing
from stream.messages import Risk, risk_identity, utc_now

TYPE = "test-alarm"
"""Stands in place of a risk type on the log; the catalogue does not know it, so that nothing takes it for a hazard."""
ARRIVED = "test-alarm"
"""The audit's word for a test alarm that has come through to the tables."""


def made_test(mine: str, shift: datetime) -> Risk:
    """The test alarm of the shift that began then; the same one however often it is made."""
    now = utc_now()
    return Risk(
        mine=mine, risk_id=risk_identity("console", TYPE, None, f"{shift:%Y%m%dT%H%M%S}"), sequence=0, state="raised",
        type=TYPE, source="console", source_kind="person", place="none", zone=None, confidence=1.0, started_at=shift,
        observed_at=now, read_at=now, published_at=now, reason="test alarm",
    )  # fmt: skip


def subject_of(shift: datetime) -> str:
    """What the audit calls the test of the shift that began then."""
    return f"test/{shift:%Y%m%dT%H%M%SZ}"


def take_tests(engine: Engine, risks: Sequence[Risk]) -> list[Risk]:
    """Write test alarms down, each once, with a message out; answers the risks that are none."""
    for test in (risk for risk in risks if risk.type == TYPE):
        subject = subject_of(test.started_at)
        with writing(engine) as session:
            if found(session, test.mine, subject, ARRIVED) is None:
                seconds = round((utc_now() - test.published_at).total_seconds(), 3)
                post(session, test.mine, TYPE, subject, canonical({"seconds": seconds}), key=f"{test.mine}/{subject}")
                append(session, test.mine, "disposal", ARRIVED, subject, None, {"seconds": seconds})
    return [risk for risk in risks if risk.type != TYPE]


def found(session: Session, mine: str, subject: str, action: str) -> AuditLine | None:
    """The first audit line of that word about the test."""
    query = select(AuditLine).where(AuditLine.mine == mine, AuditLine.subject == subject, AuditLine.action == action)
    return session.exec(query.order_by(col(AuditLine.sequence)).limit(1)).first()
