"""Which alerts a larger one explains now, and which a sensor's rise makes graver: looked at again as things change."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Engine, or_
from sqlmodel import Session, col, select

from disposal.alert import Alert
from disposal.audit import append
from disposal.document import Bilingual
from disposal.grouping import CONFIRMED_BY, RISING_WITHIN, Explained, Known, explained, rising
from disposal.joining import raise_severity
from disposal.settings import DisposalSettings
from stream.catalogue import RISK_TYPES
from stream.database import reading, writing
from stream.readings import StoredReading

_ACTOR = "disposal"
_QUANTITIES = {
    "carbon-monoxide": Bilingual("一氧化碳", "carbon monoxide"),
    "temperature": Bilingual("温度", "temperature"),
    "water-level": Bilingual("水位", "water level"),
}


class _Changes(NamedTuple):
    suppressed: dict[str, Explained]
    freed: frozenset[str]
    graver: dict[str, Bilingual]
    explains: dict[str, int]

    @property
    def ids(self) -> set[str]:
        return {*self.suppressed, *self.freed, *self.graver, *self.explains}


def regroup(
    engine: Engine, mine: str, settings: DisposalSettings, now: datetime, places: Collection[str] | None = None
) -> int:
    """Suppress what a larger alert explains, free what none explains any more, raise what a sensor confirms.

    ``places``: only alerts there; None: wherever one is suppressed, or could be explained or raised. Answers how many
    alerts were changed. A row that somebody else writes just now is left to the next look.
    """
    with reading(engine) as session:
        wanted = _places(session, mine) if places is None else set(places)
        changes = _changes(session, mine, wanted, now) if wanted else _Changes({}, frozenset(), {}, {})
    if not changes.ids:
        return 0
    with writing(engine) as session:
        query = select(Alert).where(col(Alert.id).in_(changes.ids), col(Alert.closed).is_(False))
        rows = session.exec(query.order_by(col(Alert.id)).with_for_update(skip_locked=True)).all()
        told = [told for row in rows for told in _apply(row, changes, settings, now)]
        session.add_all(rows)
        for alert_id, action, after in told:
            append(session, mine, _ACTOR, action, f"alert/{alert_id}", None, after)
    return len(told)


def _places(session: Session, mine: str) -> set[str]:
    """Places with more than one open alert, or with one that a sensor may confirm."""
    rows = session.exec(
        select(Alert.place, Alert.type, Alert.suppressed_by, Alert.severity_raised).where(
            Alert.mine == mine, col(Alert.closed).is_(False)
        )
    ).all()
    seen: set[str] = set()
    found: set[str] = set()
    for place, kind, suppressed, raised in rows:
        if place in seen or suppressed is not None or (kind in CONFIRMED_BY and not raised):
            found.add(place)
        seen.add(place)
    return found


def _changes(session: Session, mine: str, places: Collection[str], now: datetime) -> _Changes:
    alerts = session.exec(
        select(Alert).where(
            Alert.mine == mine,
            col(Alert.closed).is_(False),
            # A camera's trouble is explained wherever the camera was when it was raised.
            or_(col(Alert.place).in_(places), col(Alert.suppressed_by).is_not(None)),
        )
    ).all()
    found = explained(
        Known(
            a.id,
            a.type,
            a.source,
            a.source_kind,
            a.place,
            a.active,
            a.shelved_until is not None and a.shelved_until > now,
        )
        for a in alerts
    )
    explains = Counter(e.by for e in found.values())
    return _Changes(
        {a.id: found[a.id] for a in alerts if a.id in found and a.suppressed_by != found[a.id].by},
        frozenset(a.id for a in alerts if a.suppressed_by is not None and a.id not in found),
        _graver(session, mine, alerts, now),
        {a.id: explains[a.id] for a in alerts if a.explains != explains[a.id]},
    )


def _graver(session: Session, mine: str, alerts: Sequence[Alert], now: datetime) -> dict[str, Bilingual]:
    """What cameras see and a sensor's rise at the place confirms, though no limit is broken yet."""
    graver = {}
    for alert in alerts:
        quantities = CONFIRMED_BY.get(alert.type, ())
        if not quantities or alert.source_kind != "camera" or alert.severity_raised or not alert.active:
            continue
        rows = session.exec(
            select(StoredReading)
            .where(
                StoredReading.mine == mine,
                StoredReading.place == alert.place,
                col(StoredReading.quantity).in_(quantities),
                col(StoredReading.captured_at) >= now - RISING_WITHIN,
            )
            .order_by(col(StoredReading.captured_at))
        ).all()
        for sensor in dict.fromkeys(row.sensor for row in rows):
            own = [row for row in rows if row.sensor == sensor]
            rise = rising(own[0].quantity, [(row.captured_at, row.value) for row in own], now)
            if rise is not None:
                graver[alert.id] = _told_rise(alert, own[-1], rise)
                break
    return graver


def _told_rise(alert: Alert, row: StoredReading, rise: tuple[float, float]) -> Bilingual:
    kind, name = RISK_TYPES[alert.type], _QUANTITIES[row.quantity]
    said = f"{rise[0]:g} → {rise[1]:g} {row.unit}"
    return Bilingual(
        f"摄像机看到{kind.zh}，同一地点{name.zh}上升：{said}（{row.sensor}）",
        f"{kind.en} seen by the camera and {name.en} rising at the same place: {said} ({row.sensor})",
    )


def _apply(
    alert: Alert, changes: _Changes, settings: DisposalSettings, now: datetime
) -> list[tuple[str, str, dict[str, object]]]:
    alert.updated_at = now
    alert.explains = changes.explains.get(alert.id, alert.explains)
    if alert.id in changes.graver:
        why = changes.graver[alert.id]
        raise_severity(alert, why.zh, why.en, settings, now)
        return [(alert.id, "severity-raised", {"priority": alert.priority, "why": why.en})]
    if alert.id in changes.suppressed:
        cause = changes.suppressed[alert.id]
        alert.suppressed_by, alert.suppressed_zh, alert.suppressed_en = cause.by, cause.why.zh, cause.why.en
        alert.revision += 1
        return [(alert.id, "suppressed", {"by": cause.by, "why": cause.why.en})]
    if alert.id in changes.freed:
        before = alert.suppressed_by
        alert.suppressed_by, alert.suppressed_zh, alert.suppressed_en = None, "", ""
        alert.revision += 1
        if not alert.acked:
            alert.escalated, alert.escalate_at = 0, settings.escalation.due(alert.priority, now)
        return [(alert.id, "unsuppressed", {"was": before})]
    return []
