"""Past alerts of the same type at the same place, and what was decided of them."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_
from sqlmodel import Session, col, select

from disposal.alert import Alert
from disposal.document import Document

LOOKED_AT = 50
SHOWN = 6


@dataclass(frozen=True)
class Past:
    """One past alert; ``decision`` is empty where nobody has decided, ``reason`` what a person gave."""

    id: str
    source: str
    at: datetime
    decision: str
    decided_by: str
    reason: str


@dataclass(frozen=True)
class Similar:
    """The latest few, and how the last fifty ended: decisions with how often each was taken, the commonest first."""

    latest: tuple[Past, ...]
    decisions: tuple[tuple[str, int], ...]
    total: int


def similar_to(session: Session, alert: Alert) -> Similar:
    """What became of earlier alerts of this type at this place, newest first."""
    rows = session.exec(
        select(Alert, Document)
        .outerjoin(
            Document,
            and_(col(Document.alert_id) == col(Alert.id), col(Document.version) == col(Alert.document_version)),
        )
        .where(
            Alert.mine == alert.mine,
            Alert.type == alert.type,
            Alert.place == alert.place,
            col(Alert.committed_at) < alert.committed_at,
        )
        .order_by(col(Alert.committed_at).desc())
        .limit(LOOKED_AT)
    ).all()
    past = [_past(earlier, document) for earlier, document in rows]
    counted = Counter(p.decision for p in past if p.decision)
    return Similar(tuple(past[:SHOWN]), tuple(counted.most_common()), len(past))


def _past(alert: Alert, document: Document | None) -> Past:
    if document is None:
        return Past(alert.id, alert.source, alert.committed_at, "", "", "")
    decision = document.decision or ("auto-close" if document.auto_closed_at else "")
    return Past(
        alert.id, alert.source, alert.committed_at, decision, document.decided_by or "", document.reason.strip()
    )
