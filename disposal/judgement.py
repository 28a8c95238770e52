"""What people said of the hazards behind alerts: there, or a false alarm. For teaching a detector, not for closing."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, NamedTuple

from sqlalchemy import Engine
from sqlmodel import col, select

from disposal.alert import AlertRisk
from disposal.document import Document
from stream.database import reading
from stream.messages import Risk

Verdict = Literal["confirmed", "false-alarm"]

VERDICTS: Mapping[str, Verdict] = {
    "reject": "false-alarm",
    "approve": "confirmed",
    "start": "confirmed",
    "rectify": "confirmed",
    "close": "confirmed",
    "overturn": "confirmed",
}
"""What a person's decision says of the hazard itself.

To return a document, to reopen it or to uphold a closure says nothing of whether there was something to see.
"""


class Judged(NamedTuple):
    """A risk as it was raised, and what a person said of its alert, when and why."""

    risk: Risk
    alert: str
    verdict: Verdict
    at: datetime
    reason: str


def judged(engine: Engine, mine: str, since: datetime) -> list[Judged]:
    """Every risk raised behind an alert that people judged since then, oldest judgement first.

    The last decision on an alert counts, for all that is folded into it; what was raised after it was not judged by it.
    """
    with reading(engine) as session:
        decided = session.exec(
            select(Document)
            .where(Document.mine == mine, col(Document.decision).is_not(None))
            .order_by(col(Document.alert_id), col(Document.version))
        ).all()
        last = {document.alert_id: document for document in decided}
        found = []
        for alert, document in last.items():
            verdict = VERDICTS.get(document.decision or "")
            at = document.decided_at
            if verdict is None or at is None or at < since:
                continue
            raised = session.exec(
                select(AlertRisk)
                .where(AlertRisk.alert_id == alert, AlertRisk.state == "raised", col(AlertRisk.published_at) <= at)
                .order_by(col(AlertRisk.published_at), col(AlertRisk.risk_id))
            ).all()
            found += [Judged(row.risk, alert, verdict, at, document.reason) for row in raised]
    return sorted(found, key=lambda one: (one.at, one.alert, one.risk.risk_id))
