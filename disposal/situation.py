"""What is known about an alert when its document is drafted or its closure is judged, read in one go."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine
from sqlmodel import Session, col, func, select

from disposal.alert import Alert, AlertRisk
from disposal.checks import passed
from disposal.document import Document, DocumentContent, StoredMatch
from disposal.known import known_for
from disposal.policy import AreaReading, Cited, ClosureFacts, ClosurePolicy
from disposal.request import DraftRequest, confirmations, facts_of
from disposal.roster import responsible_for
from disposal.second_look import analysed_frame, barred, evidence_picture
from disposal.settings import PrivacySettings
from rules.clause import get, in_force, limits_in_force, versions
from rules.errors import ClauseError
from rules.limits import applicable
from rules.matcher import holds_at
from stream.database import reading
from stream.errors import ConfigurationError
from stream.health import health_of
from stream.messages import Risk
from stream.readings import latest
from stream.site import Site, load_site

FLOOD_MINUTES = 10
"""ISA-18.2 counts alarms in ten minutes to tell a flood."""
TROUBLE = ("camera-blind", "camera-moved", "camera-frozen", "camera-offline", "sensor-stale")
"""Risk types that tell of a source that cannot be believed."""


def events_of(session: Session, alert_id: str) -> list[Risk]:
    """The risk events behind an alert, in the order in which they were published."""
    rows = session.exec(
        select(AlertRisk)
        .where(AlertRisk.alert_id == alert_id)
        .order_by(col(AlertRisk.published_at), col(AlertRisk.risk_id), col(AlertRisk.sequence))
    ).all()
    return [row.risk for row in rows]


def telling(events: Sequence[Risk]) -> Risk:
    """The event that tells most of the hazard: the last one in which it was there, else the last of all."""
    return next((e for e in reversed(events) if e.state in ("raised", "updated")), events[-1])


def is_private(events: Sequence[Risk], privacy: PrivacySettings | None) -> bool:
    """Whether any risk behind the alert is private; without settings all of them are."""
    return privacy is None or any(privacy.covers(e.place, e.source, e.source_kind, e.type) for e in events)


def reporters(events: Sequence[Risk]) -> tuple[str, ...]:
    """Who has reported it by hand."""
    return tuple(dict.fromkeys(e.source.removeprefix("person:") for e in events if e.source_kind == "person"))


def telling_of(alert: Alert, events: Sequence[Risk]) -> Risk:
    """The event that tells most of what the alert is named after, also where another hazard was joined to it."""
    return telling([e for e in events if e.type == alert.type] or events)


def disturbances(alert: Alert) -> tuple[str, ...]:
    """What about the alert itself asks for a person: suppressed, chattering, raised in severity, doubted by a model."""
    return tuple(
        name
        for name, there in (
            ("suppressed", alert.suppressed_by is not None),
            ("chattering", alert.restless == "chattering"),
            ("severity", alert.severity_raised),
            ("picture", barred(alert)),
        )
        if there
    )


def current_site(engine: Engine, mine: str) -> Site | None:
    """The mine's site, or None where none was ever stored."""
    try:
        return load_site(engine, mine)[1]
    except ConfigurationError:
        return None


def draft_request(
    engine: Engine,
    alert: Alert,
    document: Document,
    language: str,
    at: datetime,
    privacy: PrivacySettings | None = None,
) -> DraftRequest:
    """Everything that the document may be drafted from."""
    site = current_site(engine, alert.mine)
    with reading(engine) as session:
        events = events_of(session, alert.id)
        previous = session.exec(
            select(Document.reason).where(Document.alert_id == alert.id, Document.version == document.version - 1)
        ).first()
    risk = telling_of(alert, events)
    joined = [telling([e for e in events if e.source == source]) for source in dict.fromkeys(e.source for e in events)]
    known = known_for(engine, alert.mine, alert.type)
    return DraftRequest(
        type=alert.type,
        facts=(
            *facts_of(risk, site, alert.episode, alert.folded, known.note),
            *confirmations(alert, [e for e in joined if e.source != risk.source], site),
        ),
        matches=still_in_force(engine, document.read_matches(), at),
        responsible=responsible_for(engine, alert.mine, site, alert.place, at),
        remarks=tuple(text for text in (*dict.fromkeys(e.note for e in events), previous) if text),
        measured=tuple(m for e in (risk, *(e for e in joined if e.source != risk.source)) for m in e.measured),
        at=at,
        language=language,
        subject=f"alert/{alert.id}",
        private=is_private(events, privacy),
        people=reporters(events),
        picture=evidence_picture(risk),
        frame=analysed_frame(risk),
        usual=known.usual,
        template=known.template,
    )


def still_in_force(engine: Engine, matches: Sequence[StoredMatch], at: datetime) -> tuple[StoredMatch, ...]:
    """Those of the clauses that hold at ``at``: one may have ended since it was found, and then nothing may cite it."""
    book = versions(engine, [m.version_id for m in matches])
    holding = {p.version_id for p in book if p.state not in ("DRAFT", "REVIEWED") and holds_at(p, at)}
    return tuple(m for m in matches if m.version_id in holding)


def closure_facts(
    engine: Engine, alert: Alert, document: Document, policy: ClosurePolicy, now: datetime
) -> ClosureFacts:
    """Everything that automatic closure of this alert is judged by, as it is known now."""
    with reading(engine) as session:
        events = events_of(session, alert.id)
        recurrences = _recurrences(session, alert, now - timedelta(hours=policy.shift_hours))
        lately = _count_alerts(session, alert.mine, now - timedelta(minutes=FLOOD_MINUTES))
        closed = closed_on(session, alert.mine, now)
        trouble = _open_trouble(session, alert)
    last = max(events, key=lambda e: (e.published_at, e.sequence))
    return ClosureFacts(
        type=alert.type,
        source_kind=alert.source_kind,
        episode=alert.episode,
        absence=last.absence if last.state == "cleared" else None,
        camera_trouble=_camera_trouble(engine, alert, trouble),
        stable_seconds=(now - alert.returned_at).total_seconds() if alert.returned_at else None,
        readings=area_readings(engine, alert.mine, alert.place, now),
        confidence=min((e.confidence for e in events if e.state in ("raised", "updated")), default=None),
        recurrences=recurrences,
        alerts_lately=lately,
        shelved=alert.shelved_until is not None and alert.shelved_until > now,
        disturbances=disturbances(alert),
        document_faults=document_faults(document),
        citations=cited(engine, alert.mine, document, now),
        closed_today=closed,
    )


def area_readings(
    engine: Engine, mine: str, place: str, now: datetime, *, past: bool = False
) -> tuple[AreaReading, ...] | None:
    """What every sensor of the place says now, against every limit in force there; None where the place is unknown.

    A reading further from now than its sensor may be silent counts as missing, one from the future too. ``past``:
    readings later than ``now`` are stored, and were not known then.
    """
    site = current_site(engine, mine)
    where = site.place(place) if site else None
    if site is None or where is None:
        return None
    sensors = [s for s in site.sensors if s.place == place]
    if not sensors:
        return ()
    limits = limits_in_force(in_force(engine, mine, now))
    known = {row.sensor: row for row in latest(engine, mine, place=place, until=now if past else None)}
    found = []
    for sensor in sensors:
        row = known.get(sensor.id)
        fresh = row is not None and abs((now - row.captured_at).total_seconds()) <= sensor.silence_seconds
        held = applicable(limits, sensor.quantity, where.kind)
        within = row is not None and fresh and not any(c.limit.broken_by(row.value) for c in held)
        value = row.value if row is not None and fresh else None
        found.append(
            AreaReading(sensor=sensor.id, quantity=sensor.quantity, value=value, unit=sensor.unit, within=within)
        )
    return tuple(found)


def document_faults(document: Document) -> tuple[str, ...] | None:
    """What the document lacks; None where nothing was drafted."""
    content = document.read_content()
    if content is None:
        return None
    checks = document.read_checks()
    faults = [c.name for c in checks if not c.ok] if not passed(checks) else []
    return tuple(faults + _missing(content))


def _missing(content: DocumentContent) -> list[str]:
    elements = {
        "responsible": bool(content.responsible.text("zh")),
        "measures": bool(content.measures),
        "resources": bool(content.resources),
        "contingency": bool(content.contingency.text("zh")),
        "acceptance": bool(content.acceptance.text("zh")),
        "citations": bool(content.citations),
    }
    return [name for name, there in elements.items() if not there]


def cited(engine: Engine, mine: str, document: Document, now: datetime) -> tuple[Cited, ...]:
    """The document's citations: was each among its matches, is it in force now."""
    content = document.read_content()
    if content is None:
        return ()
    retrieved = {m.version_id for m in document.read_matches() if not m.by}
    return tuple(
        Cited(
            version_id=c.version_id,
            retrieved=c.version_id in retrieved,
            in_force=_holds(engine, mine, c.version_id, now),
        )
        for c in content.citations
    )


def _holds(engine: Engine, mine: str, version_id: str, now: datetime) -> bool:
    """Whether the clause version is in force in this mine now; one that is not there is not."""
    try:
        found = get(engine, version_id, now)
    except ClauseError:
        return False
    return found.state == "PUBLISHED" and found.mine in (None, mine) and holds_at(found, now)


def _camera_trouble(engine: Engine, alert: Alert, trouble: list[str]) -> tuple[str, ...] | None:
    """What is wrong with the source: open alerts about it, or what it says of itself; None where it never spoke."""
    known = health_of(engine, alert.mine, alert.source)
    if not known:
        return None
    return (*trouble, *(row.status for row in known if row.status == "offline"))


def _open_trouble(session: Session, alert: Alert) -> list[str]:
    return list(
        session.exec(
            select(Alert.type).where(
                Alert.mine == alert.mine,
                Alert.source == alert.source,
                col(Alert.type).in_(TROUBLE),
                col(Alert.closed).is_(False),
                Alert.id != alert.id,
            )
        ).all()
    )


def _recurrences(session: Session, alert: Alert, since: datetime) -> int:
    """Risks of the same cause raised since then, in this alert and in those before it."""
    return session.exec(
        select(func.count(func.distinct(AlertRisk.risk_id)))
        .join(Alert, col(Alert.id) == col(AlertRisk.alert_id))
        .where(Alert.mine == alert.mine, Alert.fingerprint == alert.fingerprint, col(AlertRisk.published_at) >= since)
    ).one()


def _count_alerts(session: Session, mine: str, since: datetime) -> int:
    return session.exec(
        select(func.count()).select_from(Alert).where(Alert.mine == mine, col(Alert.committed_at) >= since)
    ).one()


def closed_on(session: Session, mine: str, now: datetime) -> int:
    """How many alerts policies have closed on the UTC day of ``now``."""
    since = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return session.exec(
        select(func.count()).select_from(Document).where(Document.mine == mine, col(Document.auto_closed_at) >= since)
    ).one()
