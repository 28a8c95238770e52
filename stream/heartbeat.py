"""What each running stage says of itself: that it lives, since when, and what it has counted."""

import json
import os
import socket
import threading
import time
from collections import Counter
from datetime import datetime

import structlog
from sqlalchemy import Column, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Field, Session, SQLModel, col, select

from stream import latency, trouble
from stream.database import UtcDateTime, reading, writing
from stream.messages import AnyMessage, utc_now
from stream.outage import Outage

INTERVAL = 1.0
"""Seconds between two writes of the same heartbeat."""
FRESH = 30.0
"""Seconds after which a heartbeat says nothing any more; a stage with a long batch in hand writes none meanwhile."""

_MOST_TROUBLES = 50
"""Subjects told of between two writes; beyond them only the counters tell."""
FOLDED, FOLDED_DEATHS = "folded_incarnations", "folded_deaths"
"""Counters of the row that stands for incarnations of long ago."""
_EARLIER = "earlier:"
_logger = structlog.get_logger()


class StageHeartbeat(SQLModel, table=True):
    """One incarnation of one stage; its counters grow until it ends, a restart begins a new row."""

    __tablename__ = "stage_heartbeat"

    stage: str = Field(primary_key=True)
    instance: str = Field(primary_key=True)
    mine: str = Field(index=True)
    started_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    beat_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False, index=True))
    ready: bool = False
    ended: bool = False
    counters: str = "{}"


class Heartbeat:
    """Counts what a stage does and writes it down at most once a second. Safe to use from several threads."""

    def __init__(self, engine: Engine, mine: str, stage: str) -> None:
        self._engine = engine
        self.outage = Outage(engine)
        self._mine = mine
        self._stage = stage
        self._instance = f"{socket.gethostname()}:{os.getpid()}:{time.time_ns()}"
        self._started_at = utc_now()
        self._counters: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._troubles: dict[trouble.Subject, trouble.Told] = {}
        self._clock = trouble.ClockWatch()
        self._ready = False
        self._written = 0.0

    def count(self, name: str, amount: int = 1) -> None:
        """Add ``amount`` to a counter."""
        if amount:
            with self._lock:
                self._counters[name] += amount

    def done(self, message: AnyMessage) -> None:
        """Count how old ``message`` is now that the stage is done with it."""
        seconds = latency.age(message)
        if seconds is not None:
            for name, amount in latency.counted(seconds):
                self.count(name, amount)

    def trouble(self, kind: trouble.Kind, subject: str, text: str) -> None:
        """Tell the doctor of something that was dealt with: what came to ``subject``, and what to do about it."""
        name = trouble.subject_of(kind, subject)
        with self._lock:
            before = self._troubles.get(name)
            if before is not None or len(self._troubles) < _MOST_TROUBLES:
                self._troubles[name] = trouble.Told(text, (before.times if before else 0) + 1, utc_now())

    def no_room(self, error: BaseException) -> bool:
        """Whether ``error`` is of a database without room: then that is told, here once and to the doctor."""
        said = self.outage.tell(error)
        if said is not None:
            self.trouble("retrying", "database", said)
        return said is not None

    def ready(self) -> None:
        """Say that the stage has loaded what it needs and is at work."""
        self._ready = True
        self._write(ended=False)

    def beat(self) -> None:
        """Write the heartbeat down when the last one is older than INTERVAL."""
        if time.monotonic() - self._written >= INTERVAL:
            self._write(ended=False)

    def close(self) -> None:
        """Write the final counters down."""
        self._write(ended=True)

    def _write(self, *, ended: bool) -> None:
        self._written = time.monotonic()
        self._look_at_clock()
        with self._lock:
            counters = json.dumps(self._counters)
            told, self._troubles = self._troubles, {}
        row = StageHeartbeat(
            stage=self._stage,
            instance=self._instance,
            mine=self._mine,
            started_at=self._started_at,
            beat_at=utc_now(),
            ready=self._ready,
            ended=ended,
            counters=counters,
        )
        try:
            with writing(self._engine) as session:
                session.merge(row)
                trouble.write(session, self._mine, self._stage, told)
        except SQLAlchemyError as error:  # a stage must not die of a database that is away for a while
            if not self.no_room(error):
                _logger.warning("heartbeat not written", stage=self._stage, reason=str(error))
            with self._lock:
                self._troubles = told | self._troubles
        else:
            self.outage.written()

    def _look_at_clock(self) -> None:
        moved = self._clock.step()
        if moved is not None:
            way = "forward" if moved > 0 else "back"
            self.trouble(
                "clock",
                socket.gethostname(),
                f"The clock was set {way} by {abs(moved):.0f} s: times before and after it do not fit together. "
                "Let it follow a time server (NTP), which slews and does not jump.",
            )


def fresh(heartbeat: StageHeartbeat, now: datetime) -> bool:
    """The incarnation was at work a moment ago."""
    return not heartbeat.ended and (now - heartbeat.beat_at).total_seconds() <= FRESH


def stages_since(engine: Engine, mine: str, since: datetime) -> list[StageHeartbeat]:
    """The heartbeats of every stage incarnation that started at ``since`` or later."""
    with reading(engine) as session:
        return list(
            session.exec(
                select(StageHeartbeat).where(StageHeartbeat.mine == mine, col(StageHeartbeat.started_at) >= since)
            ).all()
        )


def fold(engine: Engine, mine: str, before: datetime) -> int:
    """Add up incarnations that were last heard of before that time into one row a stage; answers how many went.

    Their counters stay, so that a total never falls; how many they were, and how many ended without saying so, is
    counted with them (``FOLDED``, ``FOLDED_DEATHS``).
    """
    with writing(engine) as session:
        old = session.exec(
            select(StageHeartbeat)
            .where(
                StageHeartbeat.mine == mine,
                col(StageHeartbeat.beat_at) < before,
                col(StageHeartbeat.instance).not_like(f"{_EARLIER}%"),
            )
            .order_by(col(StageHeartbeat.stage), col(StageHeartbeat.instance))
        ).all()
        for row in old:
            _fold_in(session, row)
        return len(old)


def _fold_in(session: Session, row: StageHeartbeat) -> None:
    name = f"{_EARLIER}{row.mine}"
    whole = session.get(StageHeartbeat, (row.stage, name)) or StageHeartbeat(
        stage=row.stage, instance=name, mine=row.mine, started_at=row.started_at, beat_at=row.beat_at, ended=True
    )
    counted = Counter(json.loads(whole.counters)) + Counter(json.loads(row.counters))
    counted.update({FOLDED: 1, FOLDED_DEATHS: int(not row.ended)})
    whole.counters = json.dumps(counted)
    whole.started_at, whole.beat_at = min(whole.started_at, row.started_at), max(whole.beat_at, row.beat_at)
    session.delete(row)
    session.add(whole)
    session.flush()


def total(heartbeats: list[StageHeartbeat]) -> Counter[str]:
    """The counters of several incarnations added up."""
    result: Counter[str] = Counter()
    for heartbeat in heartbeats:
        result.update(json.loads(heartbeat.counters))
    return result
