"""What a stage remembers together with how far it has read, so that a restart goes on with the same episodes."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import structlog
from sqlalchemy import Column, Engine
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel, col, select, update

from stream.database import UtcDateTime, reading, writing
from stream.log import Position, Topic
from stream.messages import utc_now

_UNWRITTEN = b""
"""The state of a partition that was taken and of which nothing was saved yet."""
_logger = structlog.get_logger()


class Checkpoint(SQLModel, table=True):
    """State of one stage for one partition, valid for everything up to and including ``offset``.

    ``epoch`` counts who has taken the partition: only the latest may write.
    """

    __tablename__ = "checkpoint"

    stage: str = Field(primary_key=True)
    topic: str = Field(primary_key=True)
    partition: int = Field(primary_key=True)
    offset: int
    state: bytes
    written_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    epoch: int = 0


class Saved(NamedTuple):
    """The position up to which a stage had come in a partition, and its state then."""

    position: Position
    state: bytes


class Checkpoints:
    """The checkpoints of one stage that one process has taken and may write.

    Whoever takes a partition shuts out who had it: what a worker that was paused still wants to save when it wakes
    does not replace what its heir has saved since.
    """

    def __init__(self, engine: Engine, stage: str) -> None:
        self._engine = engine
        self._stage = stage
        self._epochs: dict[tuple[str, int], int] = {}

    def take(self, topic: Topic, partition: int) -> Saved | None:
        """Take a partition over; answers what was saved of it, None on a first start."""
        try:
            row = self._taken(topic, partition)
        except IntegrityError:  # another process has taken it first for the first time: take it from that one
            row = self._taken(topic, partition)
        self._epochs[topic, partition] = row.epoch
        return _saved(row)

    def save(self, entries: Sequence[tuple[Position, bytes]]) -> None:
        """Store the state of each partition with its offset in one transaction; what others took is passed over."""
        now = utc_now()
        with writing(self._engine) as session:
            late = [position for position, state in entries if not self._written(session, position, state, now)]
        for position in late:
            _logger.warning(
                "late checkpoint refused, another worker goes on", stage=self._stage, position=str(position)
            )

    def _taken(self, topic: Topic, partition: int) -> Checkpoint:
        with writing(self._engine) as session:
            row = session.get(Checkpoint, (self._stage, topic, partition), with_for_update=True)
            if row is None:
                row = Checkpoint(
                    stage=self._stage,
                    topic=topic,
                    partition=partition,
                    offset=-1,
                    state=_UNWRITTEN,
                    written_at=utc_now(),
                )
            row.epoch += 1
            session.add(row)
            session.flush()
            session.expunge(row)
        return row

    def _written(self, session: Session, position: Position, state: bytes, now: datetime) -> bool:
        here = (col(Checkpoint.stage) == self._stage, col(Checkpoint.topic) == position.topic)
        epoch = self._epochs.get(position[:2], 0)  # none has that of what was never taken
        ours = (col(Checkpoint.partition) == position.partition, col(Checkpoint.epoch) == epoch)
        values = {"offset": position.offset, "state": state, "written_at": now}
        return bool(session.exec(update(Checkpoint).where(*here, *ours).values(**values)).rowcount)


def load_checkpoint(engine: Engine, stage: str, topic: Topic, partition: int) -> Saved | None:
    """What was saved of this partition, to look at; None where nothing was."""
    with reading(engine) as session:
        row = session.get(Checkpoint, (stage, topic, partition))
    return _saved(row) if row is not None else None


def all_checkpoints(engine: Engine, stage: str) -> list[Saved]:
    """What was saved of each partition of a stage, to look at."""
    with reading(engine) as session:
        rows = session.exec(select(Checkpoint).where(Checkpoint.stage == stage).order_by(col(Checkpoint.partition)))
        return [saved for row in rows if (saved := _saved(row)) is not None]


def _saved(row: Checkpoint) -> Saved | None:
    if row.state == _UNWRITTEN:
        return None
    return Saved(Position(row.topic, row.partition, row.offset), row.state)  # type: ignore[arg-type]
