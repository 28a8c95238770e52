"""Sensor and camera at one place: what the one sees and the other measures becomes one alert of raised severity."""

from datetime import datetime

from sqlmodel import Session, col, select

from disposal.alert import Alert, fingerprint
from disposal.document import OPEN, Document, DocumentState, document_identity
from disposal.grouping import confirms, leading, partners, raised_priority
from disposal.settings import DisposalSettings
from stream.catalogue import RISK_TYPES
from stream.messages import Risk


def find_confirmed(session: Session, risk: Risk, mark: str, now: datetime) -> str | None:
    """The open alert at the risk's place that this risk confirms, or is confirmed by; the oldest, or None.

    Only one whose hazard is there and whose document nobody has decided on: what was signed stays as it was signed.
    """
    others = partners(risk.type)
    if risk.source_kind == "person" or not others:
        return None
    alerts = session.exec(
        select(Alert)
        .where(
            Alert.mine == risk.mine,
            Alert.place == risk.place,
            col(Alert.closed).is_(False),
            col(Alert.type).in_({*others, risk.type}),
        )
        .order_by(col(Alert.committed_at))
    ).all()
    for alert in alerts:
        if mark in alert.joined.splitlines():
            return alert.id
        shelved = alert.shelved_until is not None and alert.shelved_until > now
        if not alert.active or shelved or risk.state not in ("raised", "updated"):
            continue
        if _own(alert, risk) and _undecided(session, alert):
            return alert.id
    return None


def join(session: Session, alert: Alert, risk: Risk, settings: DisposalSettings, now: datetime) -> None:
    """Let the alert stand for both: named after the graver, one priority up, announced and drafted anew."""
    kinds = [RISK_TYPES[alert.type], RISK_TYPES[risk.type]]
    alert.joined = "\n".join((*alert.joined.splitlines(), fingerprint(risk)))
    alert.type = leading(alert.type, risk.type)
    lead = RISK_TYPES[alert.type]
    alert.grade, alert.latching = lead.grade, alert.latching or lead.latching
    alert.priority = lead.priority
    alert.confidence = max(alert.confidence, risk.confidence)
    zh, en = "、".join(k.zh for k in kinds), ", ".join(k.en for k in kinds)
    raise_severity(alert, f"摄像机与传感器相互印证：{zh}", f"camera and sensor agree: {en}", settings, now)
    alert.early = False
    _draft_anew(session, alert, now)


def crossed(session: Session, alert: Alert, settings: DisposalSettings, now: datetime) -> None:
    """The limit that the alert warned of is broken now: people are asked again, an open document is drafted anew."""
    alert.early = False
    alert.call_again()
    alert.escalated, alert.escalate_at = 0, settings.escalation.due(alert.priority, now)
    if _undecided(session, alert):
        _draft_anew(session, alert, now)


def _draft_anew(session: Session, alert: Alert, now: datetime) -> None:
    previous = session.get(Document, document_identity(alert.id, alert.document_version))
    if previous is not None:
        previous.state = DocumentState.RETURNED
        session.add(previous)
    alert.step, alert.due_at, alert.lease_owner, alert.lease_until = "match", now, None, None


def raise_severity(alert: Alert, zh: str, en: str, settings: DisposalSettings, now: datetime) -> None:
    """One priority up, with the reason; whoever had acknowledged it is asked again, and nothing suppresses it."""
    alert.priority = raised_priority(alert.priority)
    alert.severity_raised, alert.severity_zh, alert.severity_en = True, zh, en
    alert.suppressed_by, alert.suppressed_zh, alert.suppressed_en = None, "", ""
    alert.call_again()
    alert.escalated, alert.escalate_at = 0, settings.escalation.due(alert.priority, now)
    alert.updated_at = now
    alert.revision += 1


def _own(alert: Alert, risk: Risk) -> bool:
    return confirms(alert.type, alert.source_kind, risk.type, risk.source_kind)


def _undecided(session: Session, alert: Alert) -> bool:
    document = session.get(Document, document_identity(alert.id, alert.document_version))
    return document is None or DocumentState(document.state) in OPEN
