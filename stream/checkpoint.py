"""What a stage remembers together with how far it has read, so that a restart goes on with the same episodes."""

from datetime import datetime

from sqlalchemy import Column, Engine
from sqlmodel import Field, SQLModel

from stream.database import UtcDateTime, reading, writing
from stream.log import Position, Topic
from stream.messages import utc_now


class Checkpoint(SQLModel, table=True):
    """State of one stage for one partition, valid for everything up to and including ``offset``."""

    __tablename__ = "checkpoint"

    stage: str = Field(primary_key=True)
    topic: str = Field(primary_key=True)
    partition: int = Field(primary_key=True)
    offset: int
    state: bytes
    written_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))


def save_checkpoints(engine: Engine, stage: str, entries: list[tuple[Position, bytes]]) -> None:
    """Store the state of each partition with its offset, all in one transaction."""
    now = utc_now()
    with writing(engine) as session:
        for position, state in entries:
            session.merge(
                Checkpoint(
                    stage=stage,
                    topic=position.topic,
                    partition=position.partition,
                    offset=position.offset,
                    state=state,
                    written_at=now,
                )
            )


def load_checkpoint(engine: Engine, stage: str, topic: Topic, partition: int) -> tuple[Position, bytes] | None:
    """The position up to which the stage had come in this partition, and its state then; None on a first start."""
    with reading(engine) as session:
        row = session.get(Checkpoint, (stage, topic, partition))
    return None if row is None else (Position(topic, partition, row.offset), row.state)
