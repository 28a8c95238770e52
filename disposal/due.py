"""What is due next, read off states and due times; and the leases under which each step is done."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import Engine, and_, case
from sqlmodel import Session, col, or_, select

from disposal.alert import Alert
from disposal.audit import append
from disposal.document import DocumentState
from stream.catalogue import RISK_TYPES
from stream.database import reading, writing

_RANKS = {"critical": 0, "high": 1, "medium": 2, "low": 3}
BACK_OFF = (1.0, 5.0, 30.0)
"""Seconds before a failed step is tried again; after the last one it is left to a person."""
_AT_ONCE = ("match", "draft")
"""Steps that wait for nothing but their turn, or for BACK_OFF after a failure."""
_SLACK = 30.0


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


class Claim(NamedTuple):
    """An alert taken under a lease, as it was then."""

    alert: Alert
    owner: str


class Line(NamedTuple):
    """What the audit says of a step."""

    actor: str
    action: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


class Result(NamedTuple):
    """What a step came to: ``apply`` writes it in a transaction, where the alert is still the claim's.

    ``unchanged``: it was judged on the alert as it was, and holds only while nothing has happened to it.
    """

    claim: Claim
    apply: Callable[[Session, Alert], Line | None]
    unchanged: bool = False


def _due(mine: str, steps: Sequence[str], now: datetime, seconds: float) -> tuple[Any, ...]:
    """What may be taken at ``now``: times that nobody can have meant are those of a clock that was set back since."""
    unmeant = now + timedelta(seconds=max(seconds, BACK_OFF[-1]) + _SLACK)
    return (
        Alert.mine == mine,
        col(Alert.closed).is_(False),
        col(Alert.step).in_(steps),
        or_(col(Alert.due_at) <= now, and_(col(Alert.step).in_(_AT_ONCE), col(Alert.due_at) > unmeant)),
        or_(col(Alert.lease_until).is_(None), col(Alert.lease_until) <= now, col(Alert.lease_until) > unmeant),
    )


def claim(
    engine: Engine, mine: str, steps: Sequence[str], owner: str, now: datetime, seconds: float, limit: int = 1
) -> list[Claim]:
    """Take the most urgent alerts that have one of ``steps`` due, ``limit`` at most, for ``seconds``."""
    conditions = _due(mine, steps, now, seconds)
    with reading(engine) as session:
        # Looked at without a lock first: most looks find nothing, and the write lock is for those who write.
        if session.exec(select(Alert.id).where(*conditions).limit(1)).first() is None:
            return []
    rank = case(_RANKS, value=col(Alert.priority), else_=len(_RANKS))
    with writing(engine) as session:
        alerts = session.exec(
            select(Alert)
            .where(*conditions)
            .order_by(rank, col(Alert.committed_at), col(Alert.id))
            .limit(limit)
            .with_for_update(skip_locked=True)
        ).all()
        for alert in alerts:
            alert.lease_owner, alert.lease_until = owner, now + timedelta(seconds=seconds)
            session.add(alert)
        session.flush()
        session.expunge_all()
    return [Claim(alert, owner) for alert in alerts]


def finish(engine: Engine, results: Sequence[Result]) -> list[Claim]:
    """Commit results together with their audit lines, and give the leases back; answers the claims that were not held.

    A result is dropped where its alert was decided, or taken by somebody else, or, with ``unchanged``, where anything
    at all has happened to it since it was taken.
    """
    by_id = {r.claim.alert.id: r for r in results}
    dropped: list[Claim] = []
    with writing(engine) as session:
        # Locked in one order, and audit lines last, so that no two writers wait for each other.
        query = select(Alert).where(col(Alert.id).in_(by_id)).order_by(col(Alert.id)).with_for_update()
        lines: list[tuple[Alert, Line]] = []
        for alert in session.exec(query).all():
            result = by_id[alert.id]
            if not _held(alert, result):
                dropped.append(result.claim)
                continue
            alert.lease_owner = alert.lease_until = None
            line = result.apply(session, alert)
            session.add(alert)
            if line is not None:
                lines.append((alert, line))
        for alert, line in lines:
            append(session, alert.mine, line.actor, line.action, f"alert/{alert.id}", line.before, line.after)
    return dropped


def _held(alert: Alert, result: Result) -> bool:
    taken = result.claim
    if alert.closed or alert.lease_owner != taken.owner or alert.step != taken.alert.step:
        return False
    return not result.unchanged or alert.revision == taken.alert.revision


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
