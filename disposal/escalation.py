"""The chain that is called when nobody acknowledges: page, next person, siren; who is called is read off the roster."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, NamedTuple

from sqlalchemy import Column, Index
from sqlmodel import Field, Session, SQLModel, col, select

from disposal.audit import append, canonical
from disposal.notify import post
from disposal.roster import Duty, on_duty
from stream.database import UtcDateTime

Link = Literal["page", "next-person", "siren"]
CHAIN: tuple[Link, ...] = ("page", "next-person", "siren")
_ACTOR = "disposal"


class Called(NamedTuple):
    """Who is called at one link of the chain; for the siren, and where the roster names nobody, the person is empty."""

    link: Link
    person: str = ""
    contact: str = ""


class Call(SQLModel, table=True):
    """One call out of the chain, for an alert that nobody acknowledged or a document that is overdue."""

    __tablename__ = "escalation_call"
    __table_args__ = (Index("escalation_call_alert", "mine", "alert_id", "called_at"),)

    id: str = Field(primary_key=True, max_length=120)
    mine: str = Field(max_length=63)
    alert_id: str = Field(foreign_key="alert.id", max_length=32)
    subject: str
    link: str
    person: str = ""
    contact: str = ""
    called_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    acked_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    acked_by: str | None = None


def people(duties: Iterable[Duty], place: str, at: datetime) -> tuple[tuple[str, str], ...]:
    """Everybody who can be called for the place at that time, in order, each once: (name, contact).

    Who has the place's own duty, their deputy, then whoever has the duty of every other place, and that deputy.
    """
    all_duties = list(duties)
    found: dict[str, str] = {}
    for duty in (on_duty(all_duties, place, at), on_duty([d for d in all_duties if not d.place], "", at)):
        for person, contact in ((duty.person, duty.contact), (duty.deputy, duty.deputy_contact)) if duty else ():
            if person:
                found.setdefault(person, contact)
    return tuple(found.items())


def called(step: int, known: tuple[tuple[str, str], ...]) -> Called:
    """Who is called at that step, counted from 0: the first person, the next ones, and after the last the siren.

    With nobody on the roster the first call goes out without a name, so that it is seen where pages are received, and
    the siren comes next.
    """
    if not known:
        return Called("page") if step == 0 else Called("siren")
    if step >= min(len(known), len(CHAIN) - 1):
        return Called("siren")
    return Called("page" if step == 0 else "next-person", *known[step])


def call(
    session: Session,
    mine: str,
    alert_id: str,
    subject: str,
    who: Called,
    said: Mapping[str, object],
    key: str,
    now: datetime,
) -> None:
    """Write down that somebody is called, with what has to go out; its audit line is the caller's."""
    identity = f"{who.link}/{key}"
    if session.get(Call, identity) is not None:
        return
    fields = {"link": who.link, "person": who.person, "contact": who.contact}
    row = Call(id=identity, mine=mine, alert_id=alert_id, subject=subject, called_at=now, link=who.link)
    row.person, row.contact = who.person, who.contact
    session.add(row)
    kind = "siren" if who.link == "siren" else "escalation"
    post(session, mine, kind, subject, canonical({**said, **fields, "call": identity}), key=identity)


def acknowledge_calls(session: Session, mine: str, alert_id: str, actor: str, now: datetime) -> list[Call]:
    """Somebody has taken the alert: every call for it is acknowledged, and a siren that was sounded is told so."""
    query = select(Call).where(Call.mine == mine, Call.alert_id == alert_id, col(Call.acked_at).is_(None))
    calls = list(session.exec(query.order_by(col(Call.called_at), col(Call.id)).with_for_update()).all())
    for one in calls:
        one.acked_at, one.acked_by = now, actor
        session.add(one)
        if one.link == "siren":
            said = {"call": one.id, "alert": alert_id, "acknowledged_by": actor}
            post(session, mine, "siren-acknowledged", one.subject, canonical(said), key=f"{one.id}/acknowledged")
    return calls


def acknowledge_call(session: Session, mine: str, identity: str, actor: str, now: datetime) -> Call | None:
    """Who was called has answered: that call is acknowledged, with its audit line; None where it is not open."""
    row = session.get(Call, identity, with_for_update=True)
    if row is None or row.mine != mine or row.acked_at is not None:
        return None
    row.acked_at, row.acked_by = now, actor
    session.add(row)
    after = {"call": identity, "link": row.link, "person": row.person}
    append(session, mine, actor, "call-acknowledged", f"alert/{row.alert_id}", None, after)
    return row


def calls_of(session: Session, alert_id: str) -> list[Call]:
    """The calls for an alert, oldest first."""
    return list(
        session.exec(select(Call).where(Call.alert_id == alert_id).order_by(col(Call.called_at), col(Call.id))).all()
    )
