"""Risk events become alerts: each is linked to its alert once, however often and in whatever order they arrive."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlmodel import Session, col, select

from disposal.alert import Alert, AlertEvent, AlertRisk, Episode, alert_identity, episode_of, fingerprint
from disposal.audit import append
from disposal.settings import DisposalSettings
from stream.catalogue import RISK_TYPES, RiskType
from stream.errors import PoisonError
from stream.messages import Risk, encode
from stream.site import Site

Effect = Literal["known", "raised", "folded", "returned", "lost", "recurred", "noted"]
"""What an event led to; ``known``: it was there already, ``noted``: kept, and nothing else changed."""
_ACTOR = "disposal"


class Taken(NamedTuple):
    """The alert that an event belongs to, what it led to, and how the alert stood before and after."""

    alert_id: str
    effect: Effect
    before: dict[str, Any]
    after: dict[str, Any]


def take_all(
    session: Session, risks: Sequence[Risk], site: Site | None, settings: DisposalSettings, now: datetime
) -> list[Taken]:
    """Store risk events and bring their alerts up to date, with their audit lines, in the session's transaction.

    Raises PoisonError for a risk type that this release does not know.
    """
    taken = [_take(session, risk, site, settings, now) for risk in risks]
    # Audit lines come last: who writes one keeps other writers waiting until the transaction ends.
    for risk, one in zip(risks, taken, strict=True):
        if one.effect not in ("known", "noted"):
            append(session, risk.mine, _ACTOR, one.effect, f"alert/{one.alert_id}", one.before, one.after)
    return taken


def _take(session: Session, risk: Risk, site: Site | None, settings: DisposalSettings, now: datetime) -> Taken:
    kind = RISK_TYPES.get(risk.type)
    if kind is None:
        raise PoisonError(
            f"Risk {risk.risk_id} is of type {risk.type!r}, which the catalogue does not have: upgrade this stage."
        )
    known = session.get(AlertRisk, (risk.mine, risk.risk_id, risk.sequence))
    if known is not None:
        return Taken(known.alert_id, "known", {}, {})
    alert, fresh, folded = _alert_for(session, risk, kind, site, settings, now)
    event = AlertRisk(
        mine=risk.mine,
        risk_id=risk.risk_id,
        sequence=risk.sequence,
        alert_id=alert.id,
        state=risk.state,
        type=risk.type,
        published_at=risk.published_at,
        content=encode(risk),
    )
    before = {} if fresh else {"alert": str(alert.state), "episode": alert.episode}
    session.add(alert)
    session.flush()
    session.add(event)
    session.flush()
    effect = _update(session, alert, risk, settings, now, fresh=fresh, folded=folded)
    after = {"alert": str(alert.state), "episode": alert.episode, "risk": risk.risk_id, "sequence": risk.sequence}
    return Taken(alert.id, effect, before, after)


def _alert_for(
    session: Session, risk: Risk, kind: RiskType, site: Site | None, settings: DisposalSettings, now: datetime
) -> tuple[Alert, bool, bool]:
    """The alert of this risk, whether it is new, and whether the risk was folded into it as a repeat just now."""
    linked = session.exec(
        select(AlertRisk.alert_id).where(AlertRisk.mine == risk.mine, AlertRisk.risk_id == risk.risk_id).limit(1)
    ).first()
    if linked is not None:
        return _locked(session, linked), False, False
    mark = fingerprint(risk)
    open_one = session.exec(
        select(Alert.id)
        .where(Alert.mine == risk.mine, Alert.fingerprint == mark, col(Alert.closed).is_(False))
        .order_by(col(Alert.committed_at))
        .limit(1)
    ).first()
    if open_one is not None:
        return _locked(session, open_one), False, True
    return _new(risk, kind, mark, site, settings, now), True, False


def _locked(session: Session, alert_id: str) -> Alert:
    return session.exec(select(Alert).where(Alert.id == alert_id).with_for_update()).one()


def _new(risk: Risk, kind: RiskType, mark: str, site: Site | None, settings: DisposalSettings, now: datetime) -> Alert:
    place = site.place(risk.place) if site else None
    return Alert(
        id=alert_identity(risk.mine, risk.risk_id),
        mine=risk.mine,
        fingerprint=mark,
        type=kind.id,
        grade=kind.grade,
        priority=kind.priority,
        place=risk.place,
        source=risk.source,
        source_kind=risk.source_kind,
        zone=risk.zone,
        latching=kind.latching,
        confidence=risk.confidence,
        raised_at=risk.started_at,
        committed_at=now,
        updated_at=now,
        responsible_zh=place.responsible.zh if place else "",
        responsible_en=place.responsible.en if place else "",
        escalate_at=settings.escalation.due(kind.priority, now),
        step="match",
        due_at=now,
    )


def _update(
    session: Session, alert: Alert, risk: Risk, settings: DisposalSettings, now: datetime, *, fresh: bool, folded: bool
) -> Effect:
    """Move the alert to what all its events together say."""
    was = alert.episode
    events = session.exec(
        select(AlertRisk.risk_id, AlertRisk.sequence, AlertRisk.state).where(AlertRisk.alert_id == alert.id)
    ).all()
    alert.episode = episode_of(events)
    alert.updated_at = now
    alert.revision += 1
    alert.folded += folded
    alert.raised_at = min(alert.raised_at, risk.started_at)
    if alert.closed:
        return "noted"
    _move(alert, settings, now)
    if alert.step == "decide" and (folded or alert.episode != was):
        alert.due_at = now
    session.add(alert)
    return _effect(was, alert.episode, fresh=fresh, folded=folded)


def _move(alert: Alert, settings: DisposalSettings, now: datetime) -> None:
    """A hazard seen to end returns to normal; one that is back, or that nobody can see any more, is active."""
    if alert.episode == "cleared" and alert.active:
        alert.move(AlertEvent.RETURN)
        alert.returned_at = now
    elif alert.episode != "cleared" and not alert.active:
        alert.move(AlertEvent.RAISE)
        alert.acked_by = alert.acked_at = alert.returned_at = None
        alert.escalated, alert.escalate_at = 0, settings.escalation.due(alert.priority, now)


def _effect(was: str, episode: Episode | str, *, fresh: bool, folded: bool) -> Effect:
    if fresh:
        return "raised"
    if folded:
        return "folded"
    if episode == was:
        return "noted"
    changes: dict[str, Effect] = {"cleared": "returned", "lost": "lost", "ongoing": "recurred"}
    return changes[episode]
