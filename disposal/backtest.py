"""A closure policy over stored history: what it would close, why it would not, and what people had decided."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Engine
from sqlmodel import Session, col, func, or_, select

from disposal.alert import Alert, AlertRisk, episode_of
from disposal.audit import AuditLine, append
from disposal.document import Document, Verdict
from disposal.errors import PolicyError
from disposal.policy import ClosureFacts, ClosurePolicy, PolicyVersion, may_close
from disposal.sampling import upper_bound
from disposal.situation import FLOOD_MINUTES, TROUBLE, area_readings, cited, document_faults, events_of
from stream.database import reading, writing
from stream.health import health_of
from stream.messages import Risk

_AGREES = ("close", "reject", "uphold")
"""Decisions with which a person says that nothing was left to do."""


class Judged(NamedTuple):
    """What a person decided of an alert's document, and when."""

    decision: str
    by: str
    at: datetime | None
    reason: str


class Replayed(NamedTuple):
    """One alert of the past: when the policy would have judged it, how, and what people said of it, oldest first."""

    alert: str
    type: str
    place: str
    at: datetime
    verdict: Verdict
    people: tuple[Judged, ...]

    @property
    def agreed(self) -> bool | None:
        """Whether people agreed that nothing was left to do, by their last word; None where nobody has judged."""
        return self.people[-1].decision in _AGREES if self.people else None


def find_policy(engine: Engine, mine: str, name: str) -> PolicyVersion:
    """The policy ``name@version``, or the newest version of ``name``. Raises PolicyError where there is none."""
    wanted, _, version = name.partition("@")
    query = select(PolicyVersion).where(PolicyVersion.mine == mine, PolicyVersion.name == wanted)
    if version:
        query = query.where(PolicyVersion.version == (int(version) if version.isdecimal() else -1))
    with reading(engine) as session:
        row = session.exec(query.order_by(col(PolicyVersion.version).desc())).first()
        if row is None:
            known = [p.id for p in session.exec(select(PolicyVersion).where(PolicyVersion.mine == mine)).all()]
            raise PolicyError(
                f"Mine {mine} has no policy {name[:80]!r}: it has {', '.join(sorted(known)) or 'none at all'}."
            )
        return row


def replay(engine: Engine, mine: str, policy: ClosurePolicy, since: datetime, until: datetime) -> list[Replayed]:
    """Every alert committed in that time, judged on what was known at the moment when it would have been judged.

    That is when the hazard had stayed away for as long as the policy asks, and no earlier than the document was there;
    where it was never seen to end, at the last that was heard of it. The daily cap counts what the replay closes. Of
    the site the present version is taken, and a source that has ever spoken counts as heard.
    """
    with reading(engine) as session:
        alerts = session.exec(
            select(Alert).where(Alert.mine == mine, col(Alert.committed_at) >= since, col(Alert.committed_at) < until)
        ).all()
        moments = [(_moment(session, alert, policy, until), alert) for alert in alerts]
    closed: Counter[str] = Counter()
    found = []
    for at, alert in sorted(moments, key=lambda m: (m[0], m[1].id)):
        facts = _facts(engine, alert, policy, at, closed[f"{at:%Y-%m-%d}"])
        verdict = may_close(policy, facts)
        closed[f"{at:%Y-%m-%d}"] += verdict.close
        found.append(Replayed(alert.id, alert.type, alert.place, at, verdict, _people(engine, alert.id)))
    return found


def past_facts(engine: Engine, alert: Alert, policy: ClosurePolicy, until: datetime) -> ClosureFacts:
    """What was known of that alert when the policy would have judged it, with none closed before it on that day."""
    with reading(engine) as session:
        at = _moment(session, alert, policy, until)
    return _facts(engine, alert, policy, at, 0)


def report(replayed: Sequence[Replayed]) -> dict[str, Any]:
    """The replay as plain data: the sums first, then each alert that would close, then each that would not.

    ``barred_by`` counts the conditions that failed; an alert may fail several. ``wrong_at_most`` is the upper bound
    of the share of wrong closures (95 %) that the judgements of people allow.
    """
    closes = [r for r in replayed if r.verdict.close]
    judged = [r for r in closes if r.agreed is not None]
    wrong = sum(not r.agreed for r in judged)
    barred = Counter(reason.condition for r in replayed for reason in r.verdict.reasons if not reason.ok)
    return {
        "alerts": len(replayed),
        "would_close": len(closes),
        "judged_by_people": len(judged),
        "people_disagreed": wrong,
        "wrong_at_most": round(upper_bound(wrong, len(judged)), 4),
        "barred_by": dict(barred.most_common()),
        "closing": [_plain(r) for r in closes],
        "staying": [_plain(r) for r in replayed if not r.verdict.close],
    }


def mark_backtested(engine: Engine, row: PolicyVersion, actor: str, found: Mapping[str, Any]) -> None:
    """A draft that was replayed is BACKTESTED from now on, with the sums in its audit line; others stay as they are."""
    with writing(engine) as session:
        known = session.get(PolicyVersion, (row.mine, row.name, row.version), with_for_update=True)
        if known is None or known.state != "DRAFT":
            return
        known.state = "BACKTESTED"
        session.add(known)
        after = {"state": known.state, "alerts": found["alerts"], "would_close": found["would_close"]}
        append(session, known.mine, actor, "backtest-policy", f"policy/{known.id}", {"state": "DRAFT"}, after)


def _plain(one: Replayed) -> dict[str, Any]:
    failed = [r for r in one.verdict.reasons if not r.ok]
    return {
        "alert": one.alert,
        "type": one.type,
        "place": one.place,
        "at": one.at.isoformat(),
        "why_not": {r.condition: r.figures for r in failed},
        "figures": {r.condition: r.figures for r in one.verdict.reasons if r.ok},
        "people": [
            {"decision": p.decision, "by": p.by, "at": p.at.isoformat() if p.at else None, "reason": p.reason}
            for p in one.people
        ],
        "agreed": one.agreed,
    }


def _moment(session: Session, alert: Alert, policy: ClosurePolicy, until: datetime) -> datetime:
    """When the policy would have judged: after the first end that held for long enough, else at the last event."""
    events = events_of(session, alert.id)
    drafted = session.exec(select(func.min(Document.checked_at)).where(Document.alert_id == alert.id)).one()
    for number, event in enumerate(events):
        if event.state != "cleared" or episode_of(_told(events[: number + 1])) != "cleared":
            continue
        stable = event.published_at + timedelta(seconds=policy.stable_seconds)
        if all(later.published_at > stable for later in events[number + 1 :]):
            return max(min(max(stable, drafted or stable), until), event.published_at)
    return max(events[-1].published_at, drafted or events[-1].published_at)


def _told(events: Sequence[Risk]) -> list[tuple[str, int, str]]:
    return [(e.risk_id, e.sequence, e.state) for e in events]


def _facts(engine: Engine, alert: Alert, policy: ClosurePolicy, at: datetime, closed: int) -> ClosureFacts:
    with reading(engine) as session:
        events = [e for e in events_of(session, alert.id) if e.published_at <= at]
        document = session.exec(
            select(Document)
            .where(Document.alert_id == alert.id, col(Document.checked_at) <= at)
            .order_by(col(Document.version).desc())
        ).first()
        recurrences = _recurrences(session, alert, at - timedelta(hours=policy.shift_hours), at)
        lately = session.exec(
            select(func.count())
            .select_from(Alert)
            .where(
                Alert.mine == alert.mine,
                col(Alert.committed_at) >= at - timedelta(minutes=FLOOD_MINUTES),
                col(Alert.committed_at) <= at,
            )
        ).one()
        trouble = _trouble(session, alert, at)
        shelved = _shelved(session, alert, at)
    last = max(events, key=lambda e: (e.published_at, e.sequence))
    cleared = last.state == "cleared"
    return ClosureFacts(
        type=alert.type,
        source_kind=alert.source_kind,
        episode=episode_of(_told(events)),
        absence=last.absence if cleared else None,
        camera_trouble=trouble if health_of(engine, alert.mine, alert.source) else None,
        stable_seconds=(at - last.published_at).total_seconds() if cleared else None,
        readings=area_readings(engine, alert.mine, alert.place, at, past=True),
        confidence=min((e.confidence for e in events if e.state in ("raised", "updated")), default=None),
        recurrences=recurrences,
        alerts_lately=lately,
        shelved=shelved,
        disturbances=("severity",) if alert.severity_raised else (),
        document_faults=document_faults(document) if document else None,
        citations=cited(engine, alert.mine, document, at) if document else (),
        closed_today=closed,
    )


def _recurrences(session: Session, alert: Alert, since: datetime, until: datetime) -> int:
    return session.exec(
        select(func.count(func.distinct(AlertRisk.risk_id)))
        .join(Alert, col(Alert.id) == col(AlertRisk.alert_id))
        .where(
            Alert.mine == alert.mine,
            Alert.fingerprint == alert.fingerprint,
            col(AlertRisk.published_at) >= since,
            col(AlertRisk.published_at) <= until,
        )
    ).one()


def _trouble(session: Session, alert: Alert, at: datetime) -> tuple[str, ...]:
    """What was open about the source then."""
    query = select(Alert.type).where(
        Alert.mine == alert.mine,
        Alert.source == alert.source,
        col(Alert.type).in_(TROUBLE),
        col(Alert.committed_at) <= at,
        or_(col(Alert.closed_at).is_(None), col(Alert.closed_at) > at),
        Alert.id != alert.id,
    )
    return tuple(session.exec(query).all())


def _shelved(session: Session, alert: Alert, at: datetime) -> bool:
    """Whether it was shelved then, by the audit: the row itself only tells of now."""
    line = session.exec(
        select(AuditLine)
        .where(
            AuditLine.mine == alert.mine,
            AuditLine.subject == f"alert/{alert.id}",
            col(AuditLine.action).in_(("shelve", "unshelve", "unshelved")),
            col(AuditLine.at) <= at,
        )
        .order_by(col(AuditLine.sequence).desc())
    ).first()
    if line is None or line.action != "shelve":
        return False
    until = json.loads(line.after).get("shelved_until")
    return until is not None and datetime.fromisoformat(until) > at


def _people(engine: Engine, alert_id: str) -> tuple[Judged, ...]:
    with reading(engine) as session:
        rows = session.exec(
            select(Document)
            .where(Document.alert_id == alert_id, col(Document.decided_by).is_not(None))
            .order_by(col(Document.version))
        ).all()
    return tuple(
        Judged(r.decision or "", r.decided_by or "", r.decided_at, r.reason) for r in rows if r.decision != "auto-close"
    )
