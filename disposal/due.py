"""What is due next, read off states and due times; and the leases under which each step is done."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import Engine, case
from sqlmodel import Session, col, or_, select

from disposal.alert import Alert
from disposal.document import DocumentState
from stream.catalogue import RISK_TYPES
from stream.database import reading, writing

_RANKS = {"critical": 0, "high": 1, "medium": 2, "low": 3}
BACK_OFF = (1.0, 5.0, 30.0)
"""Seconds before a failed step is tried again; after the last one it is left to a person."""


class Move(NamedTuple):
    """What to do about the closure of an alert.

    ``wait``: nothing until ``until`` (None: until its risk says something new); ``person``: put it before a person;
    ``judge``: ask the policy and act on it; ``watch``: ask it and only store what it says; ``rest``: nothing any more.
    """

    action: Literal["wait", "person", "judge", "watch", "rest"]
    until: datetime | None = None


class Standing(NamedTuple):
    """What the next move is read off."""

    type: str
    source_kind: str
    episode: str
    committed_at: datetime
    returned_at: datetime | None
    document: DocumentState


def next_move(
    standing: Standing,
    listed: Sequence[str],
    state: str | None,
    stable_seconds: float,
    ongoing_seconds: float,
    now: datetime,
) -> Move:
    """What to do now. Only a listed general hazard that no person raised waits for its end; a person gets all else."""
    kind = RISK_TYPES.get(standing.type)
    routine = (
        standing.type in listed and standing.source_kind != "person" and kind is not None and kind.grade == "general"
    )
    waiting = standing.document is DocumentState.CHECKED
    if state not in ("ACTIVE", "SHADOW") or not routine:
        return Move("person") if waiting else Move("rest")
    if state == "SHADOW" and waiting:
        return Move("person")
    if state == "ACTIVE" and not waiting:
        return Move("rest")
    act: Literal["judge", "watch"] = "judge" if state == "ACTIVE" else "watch"
    if standing.episode == "ongoing":
        return _while_ongoing(standing.committed_at + timedelta(seconds=ongoing_seconds), state, now)
    if standing.episode == "cleared" and standing.returned_at is not None:
        stable_at = standing.returned_at + timedelta(seconds=stable_seconds)
        return Move(act) if now >= stable_at else Move("wait", stable_at)
    return Move(act)


def _while_ongoing(until: datetime, state: str, now: datetime) -> Move:
    if state == "SHADOW":
        return Move("wait")
    return Move("person") if now >= until else Move("wait", until)


class LeaseLostError(Exception):
    """Somebody else has taken or done the step meanwhile; what was worked out is dropped. Never leaves this package."""


class Claim(NamedTuple):
    """An alert taken under a lease, as it was then."""

    alert: Alert
    owner: str

    @property
    def revision(self) -> int:
        """The alert's revision that the step is judged on."""
        return self.alert.revision


def _due(mine: str, steps: Sequence[str], now: datetime) -> tuple[Any, ...]:
    return (
        Alert.mine == mine,
        col(Alert.closed).is_(False),
        col(Alert.step).in_(steps),
        col(Alert.due_at) <= now,
        or_(col(Alert.lease_until).is_(None), col(Alert.lease_until) <= now),
    )


def claim(engine: Engine, mine: str, steps: Sequence[str], owner: str, now: datetime, seconds: float) -> Claim | None:
    """Take the most urgent alert that has one of ``steps`` due, for ``seconds``; None where there is none."""
    conditions = _due(mine, steps, now)
    with reading(engine) as session:
        # Looked at without a lock first: most looks find nothing, and the write lock is for those who write.
        if session.exec(select(Alert.id).where(*conditions).limit(1)).first() is None:
            return None
    rank = case(_RANKS, value=col(Alert.priority), else_=len(_RANKS))
    with writing(engine) as session:
        alert = session.exec(
            select(Alert)
            .where(*conditions)
            .order_by(rank, col(Alert.committed_at), col(Alert.id))
            .limit(1)
            .with_for_update(skip_locked=True)
        ).first()
        if alert is None:
            return None
        alert.lease_owner, alert.lease_until = owner, now + timedelta(seconds=seconds)
        session.add(alert)
        session.flush()
        session.expunge(alert)
    return Claim(alert, owner)


@contextmanager
def finishing(engine: Engine, taken: Claim, *, unchanged: bool = False) -> Iterator[tuple[Session, Alert]]:
    """A transaction in which the step's result is committed, and the lease given back.

    Raises LeaseLostError where the alert was decided, or taken by somebody else, or, with ``unchanged``, where
    anything at all has happened to it since it was taken.
    """
    with writing(engine) as session:
        alert = session.exec(select(Alert).where(Alert.id == taken.alert.id).with_for_update()).one()
        if alert.lease_owner != taken.owner or alert.step != taken.alert.step or alert.closed:
            raise LeaseLostError
        if unchanged and alert.revision != taken.revision:
            raise LeaseLostError
        alert.lease_owner = alert.lease_until = None
        yield session, alert
        session.add(alert)


def release(engine: Engine, taken: Claim, due_at: datetime, *, failed: bool) -> None:
    """Give a lease back without a result; the step is due again at ``due_at``."""
    with writing(engine) as session:
        alert = session.exec(select(Alert).where(Alert.id == taken.alert.id).with_for_update()).one()
        if alert.lease_owner != taken.owner:
            return
        alert.lease_owner = alert.lease_until = None
        alert.due_at = due_at
        alert.attempts += failed
        session.add(alert)
