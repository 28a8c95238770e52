"""One alert, gathered from its rows for the eye: picture, readings, document, timeline, and what comes next."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import or_
from sqlmodel import Session, col, select

from console.pictures import picture_address
from console.related import group_size
from disposal.alert import Alert, AlertRisk
from disposal.audit import AuditLine
from disposal.document import EFFECTS, OPEN, Bilingual, Decision, Document, DocumentState, Verdict
from disposal.shelving import is_shelved, may_be_shelved
from stream.messages import Evidence, Measured, Risk, utc_now

EVENTS = 200
"""Risk events that a page gathers at most, newest first; an episode that goes on for days has thousands."""

NextStep = Literal["acknowledge", "drafting", "decide", "rectify", "accept", "overdue", "sampled", "closed", "none"]
_KINDS = ("annotated", "photo", "frame", "context")
"""Pictures in the order in which one is chosen to stand for the alert."""


@dataclass(frozen=True)
class Picture:
    """A piece of evidence with the addresses under which it is shown."""

    evidence: Evidence
    full: str
    large: str
    small: str

    @property
    def is_clip(self) -> bool:
        """It moves."""
        return self.evidence.media_type.startswith("video/")


@dataclass(frozen=True)
class Card:
    """What a person sees first of an alert."""

    alert: Alert
    document: Document | None
    picture: Picture | None
    measured: tuple[Measured, ...]
    reason: str
    note: str
    measures: tuple[Bilingual, ...]
    cited: tuple[Bilingual, ...]
    next_step: NextStep
    group: int = 1

    @property
    def version(self) -> str:
        """Changes whenever the card would look different."""
        state = self.document.state if self.document else ""
        return f"{self.alert.id}-{self.alert.updated_at.timestamp():.6f}-{self.alert.state}-{state}"


@dataclass(frozen=True)
class Line:
    """One audit line of the timeline; ``reason`` is what a person gave."""

    at: datetime
    actor: str
    action: str
    reason: str
    states: tuple[str, str]


def card(session: Session, alert: Alert) -> Card:
    """The alert in short."""
    events = risk_events(session, alert.id, limit=20)
    document = current_document(session, alert)
    content = document.read_content() if document else None
    pictures = pictures_of(events)
    first = next((p for p in pictures if not p.is_clip), None)
    return Card(
        alert=alert,
        document=document,
        picture=first,
        measured=measured_of(events),
        reason=next((e.reason for e in events if e.reason), ""),
        note=next((e.note for e in events if e.note), ""),
        measures=content.measures if content else (),
        cited=tuple(citation.label for citation in content.citations) if content else (),
        next_step=next_step(alert, document.state if document else None),
        group=group_size(session, alert),
    )


def next_step(alert: Alert, document_state: str | None) -> NextStep:
    """What a person has to do now, if anything."""
    if document_state == DocumentState.SAMPLED:
        return "sampled"
    if alert.closed:
        return "closed"
    if not alert.acked:
        return "acknowledge"
    if document_state is None:
        return "drafting"
    state = DocumentState(document_state)
    if state is DocumentState.PENDING_APPROVAL:
        return "decide"
    if state in OPEN:
        return "drafting"
    if state is DocumentState.ACCEPTANCE:
        return "accept"
    if state is DocumentState.OVERDUE:
        return "overdue"
    return "rectify" if state in (DocumentState.APPROVED, DocumentState.ISSUED, DocumentState.RECTIFYING) else "none"


def possible(alert: Alert, document_state: str | None, role_allows: Iterable[Decision]) -> list[Decision]:
    """The decisions that fit what the alert and its document are now, among those of the visitor's role."""
    state = DocumentState(document_state) if document_state else DocumentState.DRAFT
    allowed = set(role_allows)
    result: list[Decision] = []
    for decision, effect in EFFECTS.items():
        if decision not in allowed:
            continue
        if decision == "acknowledge":
            if not alert.acked and not alert.closed:
                result.append(decision)
        elif effect.shelves is not None:
            if is_shelved(alert, utc_now()) is not effect.shelves and may_be_shelved(alert):
                result.append(decision)
        elif effect.sources is not None and state in effect.sources and _fits(alert, decision, state):
            result.append(decision)
    return result


def _fits(alert: Alert, decision: Decision, state: DocumentState) -> bool:
    """Closing straight away is offered only where the rules of ``disposal.decision`` would take it."""
    if decision != "close" or state is DocumentState.ACCEPTANCE:
        return True
    return alert.grade != "major" and (alert.episode != "ongoing" or alert.source_kind == "person")


def current_document(session: Session, alert: Alert) -> Document | None:
    """The document version in force for the alert."""
    return session.exec(
        select(Document).where(Document.alert_id == alert.id, Document.version == alert.document_version)
    ).first()


def told_verdict(document: Document | None) -> tuple[Verdict | None, bool]:
    """What the policy said, and whether that is kept back.

    While a policy is on trial, whoever decides must not know what it would do: his decision is what it is held against.
    """
    verdict = document.read_verdict() if document else None
    blind = verdict is not None and verdict.shadow and document is not None and document.decided_by is None
    return (None if blind else verdict), blind


def risk_events(session: Session, alert_id: str, limit: int = EVENTS) -> list[Risk]:
    """The risk events behind the alert, newest first."""
    rows = session.exec(
        select(AlertRisk)
        .where(AlertRisk.alert_id == alert_id)
        .order_by(col(AlertRisk.published_at).desc(), col(AlertRisk.sequence).desc())
        .limit(limit)
    ).all()
    return [row.risk for row in rows]


def pictures_of(events: Iterable[Risk]) -> list[Picture]:
    """Each piece of evidence once: pictures in which something is marked first, then newest first."""
    found: dict[str, Evidence] = {}
    for event in events:
        for evidence in event.evidence:
            found.setdefault(evidence.sha256, evidence)
    ordered = sorted(found.values(), key=lambda e: (_order(e), -e.captured_at.timestamp()))
    pictures = []
    for evidence in ordered:
        full = picture_address(evidence)
        if full is not None:
            large, small = picture_address(evidence, 960), picture_address(evidence, 480)
            pictures.append(Picture(evidence, full, large or full, small or full))
    return pictures


def measured_of(events: Iterable[Risk]) -> tuple[Measured, ...]:
    """The latest value of each sensor that the risk rests on."""
    latest: dict[str, Measured] = {}
    for event in events:
        for value in event.measured:
            if value.sensor not in latest or value.captured_at > latest[value.sensor].captured_at:
                latest[value.sensor] = value
    return tuple(latest.values())


def timeline(session: Session, mine: str, alert: Alert) -> list[Line]:
    """What happened to the alert and its documents, oldest first, from the audit."""
    rows = session.exec(
        select(AuditLine)
        .where(
            AuditLine.mine == mine,
            or_(
                col(AuditLine.subject) == f"alert/{alert.id}",
                col(AuditLine.subject).in_([f"document/{alert.id}-{n}" for n in range(1, alert.document_version + 1)]),
            ),
        )
        .order_by(col(AuditLine.sequence))
        .limit(EVENTS)
    ).all()
    return [_line(row) for row in rows]


def _line(row: AuditLine) -> Line:
    before, after = json.loads(row.before), json.loads(row.after)
    states = (str(before.get("document") or ""), str(after.get("document") or ""))
    return Line(
        row.at, row.actor, row.action, str(after.get("reason") or ""), states if states[0] != states[1] else ("", "")
    )


def _order(evidence: Evidence) -> int:
    return _KINDS.index(evidence.kind) if evidence.kind in _KINDS else len(_KINDS)
