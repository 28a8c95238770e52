"""Risk events become alerts: each is linked to its alert once, however often and in whatever order they arrive."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, get_args

from sqlmodel import Session, col, select

from disposal.alert import Alert, AlertEvent, AlertRisk, Episode, alert_identity, episode_of, fingerprint
from disposal.audit import append
from disposal.grouping import RECURRING_WITHIN, Restless, group_of, restless
from disposal.joining import crossed, find_confirmed, join
from disposal.settings import DisposalSettings
from rules.warning import early_warning
from stream.catalogue import RISK_TYPES, Priority, RiskType
from stream.errors import PoisonError
from stream.messages import Risk, encode
from stream.site import Site

Effect = Literal["known", "raised", "folded", "joined", "returned", "lost", "recurred", "noted"]
"""What an event led to; ``known``: it was there already, ``noted``: kept, and nothing else changed."""
Link = Literal["fresh", "linked", "folded", "joined"]
"""How a risk comes to its alert: it opens one, belongs to it already, repeats its cause, or confirms it."""
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
"""Most urgent first."""
_ACTOR = "disposal"
_RAISINGS = 200
"""Raisings of an alarm that are looked at, the latest first."""


class Taken(NamedTuple):
    """The alert that an event belongs to, what it led to, and how the alert stood before and after.

    ``noticed``: the alarm was found to chatter or to recur with this event.
    """

    alert_id: str
    effect: Effect
    before: dict[str, Any]
    after: dict[str, Any]
    noticed: Restless | None = None


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
        if one.noticed is not None:
            after = {"times": one.noticed.times}
            append(session, risk.mine, _ACTOR, one.noticed.kind, f"alert/{one.alert_id}", None, after)
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
    alert, link = _alert_for(session, risk, kind, site, settings, now)
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
    before = {} if link == "fresh" else {"alert": str(alert.state), "episode": alert.episode}
    session.add(alert)
    session.flush()
    session.add(event)
    session.flush()
    effect = _update(session, alert, risk, settings, now, link)
    noticed = _notice(session, alert, now) if effect in ("raised", "folded", "recurred") else None
    after = {"alert": str(alert.state), "episode": alert.episode, "risk": risk.risk_id, "sequence": risk.sequence}
    if effect == "joined":
        after |= {"type": alert.type, "priority": alert.priority, "why": alert.severity_en}
    return Taken(alert.id, effect, before, after, noticed)


def _alert_for(
    session: Session, risk: Risk, kind: RiskType, site: Site | None, settings: DisposalSettings, now: datetime
) -> tuple[Alert, Link]:
    """The alert of this risk, and how the risk comes to it."""
    linked = session.exec(
        select(AlertRisk.alert_id)
        .where(AlertRisk.mine == risk.mine, AlertRisk.risk_id == risk.risk_id)
        .order_by(col(AlertRisk.sequence).desc())
        .limit(1)
    ).first()
    if linked is not None:
        alert = _locked(session, linked)
        if not (alert.closed and alert.early and _breaks(risk)):
            return alert, "linked"
    mark = fingerprint(risk)
    open_one = session.exec(
        select(Alert.id)
        .where(Alert.mine == risk.mine, Alert.fingerprint == mark, col(Alert.closed).is_(False))
        .order_by(col(Alert.committed_at))
        .limit(1)
    ).first()
    if open_one is not None:
        return _locked(session, open_one), "folded"
    confirmed = find_confirmed(session, risk, mark, now)
    if confirmed is not None:
        alert = _locked(session, confirmed)
        return alert, "folded" if mark in alert.joined.splitlines() else "joined"
    # Who closed a warning has decided nothing about the limit: that it is broken is an alert of its own.
    told = f"{risk.risk_id}/{risk.sequence}" if linked is not None else risk.risk_id
    return _new(risk, kind, mark, site, settings, now, alert_identity(risk.mine, told)), "fresh"


def _breaks(risk: Risk) -> bool:
    """Whether the event says that the hazard is there, and not only that it is coming."""
    return risk.state in ("raised", "updated") and early_warning(risk.reason) is None


def priority_at(priority: str, *, key_area: bool) -> str:
    """The priority of an alert: one level higher in a key area, so that it sorts and is passed on before others."""
    return PRIORITIES[max(0, PRIORITIES.index(priority) - 1)] if key_area else priority


def _locked(session: Session, alert_id: str) -> Alert:
    return session.exec(select(Alert).where(Alert.id == alert_id).with_for_update()).one()


def _new(
    risk: Risk,
    kind: RiskType,
    mark: str,
    site: Site | None,
    settings: DisposalSettings,
    now: datetime,
    identity: str,
) -> Alert:
    place = site.place(risk.place) if site else None
    priority = priority_at(kind.priority, key_area=place is not None and place.key_area)
    return Alert(
        id=identity,
        mine=risk.mine,
        fingerprint=mark,
        type=kind.id,
        grade=kind.grade,
        priority=priority,
        place=risk.place,
        source=risk.source,
        source_kind=risk.source_kind,
        zone=risk.zone,
        latching=kind.latching,
        confidence=risk.confidence,
        early=early_warning(risk.reason) is not None,
        raised_at=risk.started_at,
        committed_at=now,
        updated_at=now,
        responsible_zh=place.responsible.zh if place else "",
        responsible_en=place.responsible.en if place else "",
        escalate_at=settings.escalation.due(priority, now),
        group_key=group_of(risk.place, kind.id, risk.risk_id),
        step="match",
        due_at=now,
    )


def _update(
    session: Session, alert: Alert, risk: Risk, settings: DisposalSettings, now: datetime, link: Link
) -> Effect:
    """Move the alert to what all its events together say."""
    was = alert.episode
    events = session.exec(
        select(AlertRisk.risk_id, AlertRisk.sequence, AlertRisk.state).where(AlertRisk.alert_id == alert.id)
    ).all()
    alert.episode = episode_of(events)
    alert.updated_at = now
    alert.revision += 1
    alert.folded += link == "folded"
    alert.raised_at = min(alert.raised_at, risk.started_at)
    if alert.closed:
        return "noted"
    _move(alert, settings, now)
    if link == "joined":
        join(session, alert, risk, settings, now)
    elif alert.early and link != "fresh" and _breaks(risk):
        crossed(session, alert, settings, now)
    if alert.step == "decide" and (link == "folded" or alert.episode != was):
        alert.due_at = now
    session.add(alert)
    return _effect(was, alert.episode, link)


def _move(alert: Alert, settings: DisposalSettings, now: datetime) -> None:
    """A hazard seen to end returns to normal; one that is back, or that nobody can see any more, is active."""
    if alert.episode == "cleared" and alert.active:
        alert.move(AlertEvent.RETURN)
        alert.returned_at = now
    elif alert.episode != "cleared" and not alert.active:
        alert.move(AlertEvent.RAISE)
        alert.acked_by = alert.acked_at = alert.returned_at = None
        alert.escalated, alert.escalate_at = 0, settings.escalation.due(alert.priority, now)


def _notice(session: Session, alert: Alert, now: datetime) -> Restless | None:
    """Count how often the alarm was raised in this shift; answers what it was found to do with this raising."""
    times = session.exec(
        select(AlertRisk.published_at)
        .join(Alert, col(Alert.id) == col(AlertRisk.alert_id))
        .where(
            Alert.mine == alert.mine,
            Alert.fingerprint == alert.fingerprint,
            AlertRisk.state == "raised",
            col(AlertRisk.published_at) >= now - RECURRING_WITHIN,
        )
        .order_by(col(AlertRisk.published_at).desc())
        .limit(_RAISINGS)
    ).all()
    found = restless(times, now)
    was = alert.restless
    alert.raisings = max(len(times), 1)
    if found is None or found.kind == was or was == "chattering":
        return None
    alert.restless = found.kind
    return found


def _effect(was: str, episode: Episode | str, link: Link) -> Effect:
    if link != "linked":
        effects: dict[str, Effect] = {"fresh": "raised", "folded": "folded", "joined": "joined"}
        return effects[link]
    if episode == was:
        return "noted"
    changes: dict[str, Effect] = {"cleared": "returned", "lost": "lost", "ongoing": "recurred"}
    return changes[episode]
