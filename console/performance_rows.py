"""The rows behind the figures page, read through indexes: what it costs grows with the period, not with the history."""

from datetime import datetime, timedelta, tzinfo
from typing import Literal, get_args

from sqlalchemy import ColumnElement, Engine, Select, and_, func
from sqlalchemy import select as columns
from sqlalchemy.orm import Mapped
from sqlmodel import Session, col

from console.performance import STALE, Annunciation, Performance, Period, Raised, measure
from disposal.alert import Alert, AlertRisk
from disposal.document import Document
from disposal.policy import in_force
from disposal.triple import PERSON
from stream.database import reading

Span = Literal["shift", "last-shift", "month"]
SPANS: tuple[Span, ...] = get_args(Span)
MONTH = timedelta(days=30)
MOST_ROWS = 200_000
"""Alerts and raisings that one page is computed from at most; ten times what a month at the limit of ISA-18.2 holds."""


def period_of(span: Span, now: datetime, zone: tzinfo, *, shift_hours: int, first_shift: int) -> Period:
    """The period that ``span`` names, in shifts of ``shift_hours`` from ``first_shift`` o'clock, local time."""
    if span == "month":
        return Period(shift_start(now - MONTH, zone, shift_hours=shift_hours, first_shift=first_shift), now)
    begun = shift_start(now, zone, shift_hours=shift_hours, first_shift=first_shift)
    if span == "shift":
        return Period(begun, now)
    before = shift_start(begun - timedelta(minutes=1), zone, shift_hours=shift_hours, first_shift=first_shift)
    return Period(before, begun)


def shift_start(now: datetime, zone: tzinfo, *, shift_hours: int, first_shift: int) -> datetime:
    """When the shift began that is on at ``now``."""
    local = now.astimezone(zone)
    into = (local.hour - first_shift) % shift_hours
    begun = (local.replace(tzinfo=None) - timedelta(hours=into)).replace(minute=0, second=0, microsecond=0)
    return begun.replace(tzinfo=zone).astimezone(now.tzinfo)


def performance_of(
    engine: Engine, mine: str, period: Period, now: datetime, operators: int
) -> tuple[Performance, bool]:
    """The figures of the period, and whether it held more than they could be computed from."""
    with reading(engine) as session:
        rows = session.execute(raised_in(mine, period)).all()
        again = session.execute(raisings_in(mine, period)).all()
        stale = session.execute(stale_at(mine, now)).scalar_one()
    raised = [
        Raised(
            at,
            kind,
            priority,
            source,
            acked_at,
            decided_at,
            decision,
            by_policy=auto_closed_at is not None,
            corrected=(backend or "").startswith(PERSON),
        )
        for at, kind, priority, source, acked_at, decided_at, decision, auto_closed_at, backend in rows
    ]
    annunciations = [Annunciation(at, cause) for at, cause in again]
    cut = max(len(rows), len(again)) == MOST_ROWS
    return measure(period, raised, annunciations, stale, operators), cut


def raised_in(
    mine: str, period: Period
) -> Select[datetime, str, str, str, datetime | None, datetime | None, str | None, datetime | None, str | None]:
    """The alerts of the period, newest first, with what was decided of each."""
    return (
        columns(
            col(Alert.committed_at),
            col(Alert.type),
            col(Alert.priority),
            col(Alert.source),
            col(Alert.acked_at),
            col(Document.decided_at),
            col(Document.decision),
            col(Document.auto_closed_at),
            col(Document.backend),
        )
        .outerjoin_from(
            Alert,
            Document,
            and_(col(Document.alert_id) == col(Alert.id), col(Document.version) == col(Alert.document_version)),
        )
        .where(col(Alert.mine) == mine, *_within(col(Alert.committed_at), period))
        .order_by(col(Alert.committed_at).desc())
        .limit(MOST_ROWS)
    )


def raisings_in(mine: str, period: Period) -> Select[datetime, str]:
    """Every raising of the period, also those that were folded into an alert that was there."""
    return (
        columns(col(AlertRisk.published_at), col(Alert.fingerprint))
        .join_from(AlertRisk, Alert, col(Alert.id) == col(AlertRisk.alert_id))
        .where(
            col(AlertRisk.mine) == mine,
            col(AlertRisk.state) == "raised",
            *_within(col(AlertRisk.published_at), period),
        )
        .order_by(col(AlertRisk.published_at).desc())
        .limit(MOST_ROWS)
    )


def stale_at(mine: str, now: datetime) -> Select[int]:
    """How many open alerts have stood active for longer than 24 h."""
    return columns(func.count()).where(
        col(Alert.mine) == mine,
        col(Alert.closed).is_(False),
        col(Alert.active).is_(True),
        col(Alert.committed_at) < now - STALE,
    )


def policy_target(session: Session, mine: str) -> float | None:
    """The share of wrong closures that the policy in force bears; None where there is no policy."""
    policy = in_force(session, mine)
    return None if policy is None else policy.read().target


def _within(
    moment: ColumnElement[datetime] | Mapped[datetime], period: Period
) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return moment >= period.since, moment < period.until
