"""The history of readings: for the policy's questions about an area, and for plots."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Engine, Index, func
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, SQLModel, col, select

from stream.database import UtcDateTime, reading, writing
from stream.messages import Reading

_SHARE = 500


class StoredReading(SQLModel, table=True):
    """One value of one sensor at one time, in the unit of its quantity."""

    __tablename__ = "reading"
    __table_args__ = (Index("ix_reading_place", "mine", "place", "quantity", "captured_at"),)

    mine: str = Field(primary_key=True, max_length=63)
    sensor: str = Field(primary_key=True, max_length=63)
    captured_at: datetime = Field(sa_column=Column(UtcDateTime, primary_key=True))
    place: str
    quantity: str
    value: float
    unit: str


def store_readings(engine: Engine, readings: Sequence[Reading]) -> None:
    """Store readings in one transaction; one that is there already (same mine, sensor and time) stays as it is."""
    if not readings:
        return
    rows = [
        {
            "mine": r.mine,
            "sensor": r.sensor,
            "captured_at": r.captured_at,
            "place": r.place,
            "quantity": r.quantity,
            "value": r.value,
            "unit": r.unit,
        }
        for r in readings
    ]
    insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    with writing(engine) as session:
        session.connection().execute(insert(StoredReading).on_conflict_do_nothing(), rows)


def latest(
    engine: Engine,
    mine: str,
    *,
    place: str | None = None,
    sensor: str | None = None,
    until: datetime | None = None,
) -> list[StoredReading]:
    """The newest reading of each sensor (captured by ``until``), of one place or sensor where given, by sensor."""
    wanted: list[Any] = [StoredReading.mine == mine]
    if place is not None:
        wanted.append(StoredReading.place == place)
    if sensor is not None:
        wanted.append(StoredReading.sensor == sensor)
    if until is not None:
        wanted.append(col(StoredReading.captured_at) <= until)
    newest = (
        select(col(StoredReading.sensor), func.max(col(StoredReading.captured_at)).label("at"))
        .where(*wanted)
        .group_by(col(StoredReading.sensor))
        .subquery()
    )
    query = (
        select(StoredReading)
        .join(
            newest,
            (col(StoredReading.sensor) == newest.c.sensor) & (col(StoredReading.captured_at) == newest.c.at),
        )
        .where(*wanted)
        .order_by(col(StoredReading.sensor))
    )
    with reading(engine) as session:
        return list(session.exec(query).all())


def series(
    engine: Engine, mine: str, sensor: str, since: datetime, until: datetime | None = None
) -> list[StoredReading]:
    """The readings of a sensor captured from ``since`` on (before ``until``), in order of time."""
    query = select(StoredReading).where(
        StoredReading.mine == mine, StoredReading.sensor == sensor, col(StoredReading.captured_at) >= since
    )
    if until is not None:
        query = query.where(col(StoredReading.captured_at) < until)
    with reading(engine) as session:
        return list(session.exec(query.order_by(col(StoredReading.captured_at))).all())


def forget_readings(engine: Engine, mine: str, before: datetime, stopped: Callable[[], bool] = lambda: False) -> int:
    """Delete the readings of a mine that were captured before then, and answer how many.

    A share at a time, each in a transaction of its own, so that nobody who writes has to wait for long.
    """
    count = 0
    while not stopped():
        with writing(engine) as session:
            old = (
                select(col(StoredReading.sensor), col(StoredReading.captured_at))
                .where(StoredReading.mine == mine, col(StoredReading.captured_at) < before)
                .limit(_SHARE)
            )
            rows = session.exec(old).all()
            for sensor, captured_at in rows:
                session.delete(session.get_one(StoredReading, (mine, sensor, captured_at)))
        count += len(rows)
        if len(rows) < _SHARE:
            break
    return count
