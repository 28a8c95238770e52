"""What a run came to: counts and latencies, read from the stored risk events, alerts and documents."""

from collections import Counter
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Engine, and_, or_
from sqlmodel import Session, col, select

from disposal.alert import Alert, AlertRisk
from disposal.document import Document, DocumentState
from stream.database import reading

Percentiles = dict[str, float | None]


class Summary(NamedTuple):
    """Counts of one run.

    ``risks`` are distinct raised risks, ``documents`` checked ones, ``undrafted`` raised risks whose alert has no
    checked document yet, ``failed`` documents that could not be written for good and went to a person without one;
    ``latency_ms`` has p50, p95 and p99 of ``frame_to_risk`` (picture or reading read until its risk was published) and
    ``risk_to_document`` (alert committed until its document was checked), or None.
    """

    risks: int
    risks_by_type: dict[str, int]
    alerts: int
    documents: int
    auto_closed: int
    pending: int
    undrafted: int
    failed: int
    latency_ms: dict[str, Percentiles]


def summary(engine: Engine, mine: str, since: datetime) -> Summary:
    """Counts of everything that was published, committed or drafted at ``since`` or later."""
    with reading(engine) as session:
        raised = _raised(session, mine, since)
        documents = session.exec(select(Document).where(Document.mine == mine, col(Document.created_at) >= since)).all()
        written = col(Document.checked_at).is_not(None)
        drafted = set(
            session.exec(
                select(Document.alert_id).where(Document.mine == mine, or_(written, _given_up())).distinct()
            ).all()
        )
        rows = select(Alert.id, Alert.committed_at).where(Alert.mine == mine, col(Alert.committed_at) >= since)
        committed = {identity: at for identity, at in session.exec(rows).all()}  # noqa: C416  # rows are no pairs to mypy
    checked = [d for d in documents if d.checked_at is not None]
    by_type = Counter(event.type for event in raised)
    return Summary(
        risks=len(raised),
        risks_by_type=dict(sorted(by_type.items())),
        alerts=len(committed),
        documents=len(checked),
        auto_closed=sum(d.auto_closed_at is not None for d in documents),
        pending=sum(d.state == DocumentState.PENDING_APPROVAL for d in documents),
        undrafted=sum(event.alert_id not in drafted for event in raised),
        failed=sum(d.checked_at is None and d.state == DocumentState.PENDING_APPROVAL for d in documents),
        latency_ms={
            "frame_to_risk": percentiles([_ms(event.risk.read_at, event.published_at) for event in raised]),
            "risk_to_document": percentiles(
                [
                    _ms(committed[d.alert_id], d.checked_at)
                    for d in checked
                    if d.version == 1 and d.alert_id in committed and d.checked_at is not None
                ]
            ),
        },
    )


def _given_up() -> ColumnElement[bool]:
    """Nothing was written after every try, and the alert went before a person as it is: nothing more is to come."""
    return and_(col(Document.checked_at).is_(None), col(Document.state) == DocumentState.PENDING_APPROVAL)


def percentiles(values: list[float]) -> Percentiles:
    """p50, p95 and p99 of ``values`` by the nearest rank, rounded to a tenth; None where there are none."""
    ordered = sorted(values)
    return {
        f"p{share}": round(ordered[max(0, -(-len(ordered) * share // 100) - 1)], 1) if ordered else None
        for share in (50, 95, 99)
    }


def _raised(session: Session, mine: str, since: datetime) -> list[AlertRisk]:
    return list(
        session.exec(
            select(AlertRisk).where(
                AlertRisk.mine == mine, AlertRisk.state == "raised", col(AlertRisk.published_at) >= since
            )
        ).all()
    )


def _ms(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds() * 1000.0
