"""The duty roster: who answers for a place at a time, looked up by code and never made up by a model."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Column, Engine
from sqlmodel import Field, Session, SQLModel, col, select

from disposal.audit import append
from disposal.document import Bilingual
from disposal.errors import RosterError
from disposal.request import responsible_of
from stream.database import UtcDateTime, reading, writing
from stream.messages import utc_now
from stream.site import Site

DAY = 24 * 60
"""Minutes of a day."""
LONGEST = 80
"""Characters that a name or a contact may have."""


class Duty(SQLModel, table=True):
    """One person's duty, the same every day: for one place, or with ``place`` empty for every place without its own.

    ``begins`` and ``ends`` are minutes of the local day in ``time_zone`` (empty: this machine's); a shift that ends
    when it begins, or before, goes on into the next day.
    """

    __tablename__ = "duty"

    id: str = Field(primary_key=True, max_length=32)
    mine: str = Field(index=True, max_length=63)
    place: str = Field(default="", max_length=63)
    begins: int
    ends: int
    time_zone: str = Field(default="", max_length=63)
    person: str
    contact: str = ""
    deputy: str = ""
    deputy_contact: str = ""
    created_by: str = ""
    created_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))

    def covers(self, at: datetime) -> bool:
        """Whether the shift is on at that time."""
        local = at.astimezone(ZoneInfo(self.time_zone) if self.time_zone else None)
        return (local.hour * 60 + local.minute - self.begins) % DAY < self.minutes

    @property
    def minutes(self) -> int:
        """How long the shift lasts."""
        return (self.ends - self.begins) % DAY or DAY

    def overlaps(self, other: "Duty") -> bool:
        """Whether both have the same place at some minute of the day."""
        apart = (other.begins - self.begins) % DAY
        return self.place == other.place and (apart < self.minutes or DAY - apart < other.minutes)

    def said(self) -> Bilingual:
        """Who it is and how to reach them, as a document names them."""
        zh = self.person + (f"（{self.contact}）" if self.contact else "")
        en = self.person + (f" ({self.contact})" if self.contact else "")
        if self.deputy:
            zh += f"；副职：{self.deputy}" + (f"（{self.deputy_contact}）" if self.deputy_contact else "")
            en += f"; deputy: {self.deputy}" + (f" ({self.deputy_contact})" if self.deputy_contact else "")
        return Bilingual(zh, en)


class DutyWanted(NamedTuple):
    """What somebody enters: the place (empty: all others), minutes of the local day, who, and how to reach them."""

    place: str
    begins: int
    ends: int
    person: str
    contact: str = ""
    deputy: str = ""
    deputy_contact: str = ""


def on_duty(duties: Iterable[Duty], place: str, at: datetime) -> Duty | None:
    """Who answers for the place at that time: its own duty before one for every place; None where not clear."""
    now = [duty for duty in duties if duty.covers(at)]
    for wanted in (place, ""):
        found = [duty for duty in now if duty.place == wanted]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def responsible_for(engine: Engine, mine: str, site: Site | None, place: str, at: datetime) -> Bilingual:
    """Who a document names. Empty where the roster names nobody: then nothing closes by itself and a person settles it.

    A mine that keeps no roster at all has the duty that its site names for the place.
    """
    duties = roster(engine, mine)
    if not duties:
        return responsible_of(site.place(place) if site else None)
    found = on_duty(duties, place, at)
    return found.said() if found else Bilingual()


def roster(engine: Engine, mine: str) -> list[Duty]:
    """The mine's duties by place and beginning."""
    with reading(engine) as session:
        return duties_in(session, mine)


def add_duty(engine: Engine, mine: str, wanted: DutyWanted, time_zone: str, actor: str) -> Duty:
    """Enter a duty, with its audit line.

    Raises RosterError where it names nobody, no time of the day, or a shift that somebody has already.
    """
    wanted = wanted._replace(
        person=_clean(wanted.person),
        contact=_clean(wanted.contact),
        deputy=_clean(wanted.deputy),
        deputy_contact=_clean(wanted.deputy_contact),
    )
    if not wanted.person:
        raise RosterError("A duty needs a person: enter who has it.")
    if not (0 <= wanted.begins < DAY and 0 <= wanted.ends < DAY):
        raise RosterError("A shift begins and ends at a time of the day, 00:00 to 23:59.")
    row = Duty(
        id=uuid.uuid4().hex,
        mine=mine,
        time_zone=time_zone,
        created_by=actor,
        created_at=utc_now(),
        **wanted._asdict(),
    )
    with writing(engine) as session:
        for other in duties_in(session, mine, lock=True):
            if row.overlaps(other):
                raise RosterError(
                    f"{other.person} has that shift already: remove that duty first, or enter another time."
                )
        session.add(row)
        append(session, mine, actor, "add-duty", f"duty/{row.id}", None, _told(row))
    return row


def remove_duty(engine: Engine, mine: str, identity: str, actor: str) -> None:
    """Take a duty off the roster, with its audit line. Raises RosterError where there is no such one."""
    with writing(engine) as session:
        row = session.get(Duty, identity)
        if row is None or row.mine != mine:
            raise RosterError("There is no such duty: somebody may have removed it before.")
        before = _told(row)
        session.delete(row)
        append(session, mine, actor, "remove-duty", f"duty/{identity}", before, None)


def duties_in(session: Session, mine: str, *, lock: bool = False) -> list[Duty]:
    """The mine's duties by place and beginning, in the session's transaction."""
    query = select(Duty).where(Duty.mine == mine).order_by(col(Duty.place), col(Duty.begins), col(Duty.id))
    return list(session.exec(query.with_for_update() if lock else query).all())


def _told(row: Duty) -> dict[str, object]:
    return {name: getattr(row, name) for name in (*DutyWanted._fields, "time_zone")}


def _clean(text: str) -> str:
    return "".join(sign for sign in text if sign.isprintable()).strip()[:LONGEST]
