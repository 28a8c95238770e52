"""What each source was last known to do."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Column, Engine
from sqlmodel import Field, SQLModel, col, select

from stream.database import UtcDateTime, reading, writing
from stream.messages import Health, utc_now


class SourceHealth(SQLModel, table=True):
    """The latest health message of one source; ``since`` is when it took on its present status."""

    __tablename__ = "source_health"

    mine: str = Field(primary_key=True, max_length=63)
    source: str = Field(primary_key=True, max_length=63)
    source_kind: str
    status: str
    detail: str
    observed_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    since: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))


def store_health(engine: Engine, messages: Sequence[Health]) -> None:
    """Store the latest of ``messages`` for each source; one that is older than what is stored changes nothing."""
    if not messages:
        return
    with writing(engine) as session:
        for message in sorted(messages, key=lambda m: m.observed_at):
            row = session.get(SourceHealth, (message.mine, message.source))
            # A time that has not come yet is that of a clock that was set back since: what comes now is newer.
            if row is not None and message.observed_at < row.observed_at <= utc_now():
                continue
            same = row is not None and row.status == message.status
            session.merge(
                SourceHealth(
                    mine=message.mine,
                    source=message.source,
                    source_kind=message.source_kind,
                    status=message.status,
                    detail=message.detail,
                    observed_at=message.observed_at,
                    since=row.since if row is not None and same else message.observed_at,
                )
            )


def health_of(engine: Engine, mine: str, source: str | None = None) -> list[SourceHealth]:
    """What is known of all sources of a mine, or of one, by source."""
    query = select(SourceHealth).where(SourceHealth.mine == mine).order_by(col(SourceHealth.source))
    if source is not None:
        query = query.where(SourceHealth.source == source)
    with reading(engine) as session:
        return list(session.exec(query).all())
