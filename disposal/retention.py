"""How long readings and evidence stay, and holds: what is held, or named by an alert that is kept, is never deleted.

Alerts, documents, clause versions, policies and the audit chain are rows that nothing deletes; what is deleted here is
old readings, and pieces of evidence that no alert that is kept names any more. One rule decides: ``Retention.spares``.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from sqlalchemy import Column, Engine, func, or_
from sqlmodel import Field, SQLModel, col, select

from disposal import audit
from disposal.alert import Alert
from disposal.document import Document
from disposal.errors import AlertError, ReasonMissingError
from disposal.evidence import named_evidence
from disposal.settings import RetentionSettings
from stream.database import UtcDateTime, reading, writing
from stream.evidence import EvidenceStore, Stored
from stream.heartbeat import fold
from stream.readings import forget_readings
from stream.site import SiteRevision

_logger = structlog.get_logger()


class EvidenceHold(SQLModel, table=True):
    """Somebody wants the evidence of one alert kept beyond its time: an inquiry, a court."""

    __tablename__ = "evidence_hold"

    alert_id: str = Field(primary_key=True, max_length=32, foreign_key="alert.id")
    mine: str = Field(index=True, max_length=63)
    placed_by: str
    reason: str
    placed_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))


_INCARNATIONS = timedelta(days=7)
"""How long each run of a stage keeps a row of its own."""


class Retention(NamedTuple):
    """What one sweep may delete. ``kept`` are digests that kept alerts name; times are seconds since the epoch."""

    kept: frozenset[str]
    born: float
    before: float

    def spares(self, piece: Stored) -> str | None:
        """Why the piece stays; None where it goes."""
        if piece.sha256 in self.kept:
            return "an alert that is kept names it"
        if piece.stored_at < self.born:
            return "it is older than the database, which cannot know what it is of"
        if piece.stored_at >= self.before:
            return "it is young, and its risk may still be on its way"
        return None


class Swept(NamedTuple):
    """What one sweep deleted."""

    readings: int
    pieces: int
    bytes: int


def place_hold(engine: Engine, mine: str, alert_id: str, who: str, reason: str, now: datetime) -> None:
    """Keep an alert's evidence until the hold is lifted. Raises AlertError and ReasonMissingError."""
    if not reason.strip():
        raise ReasonMissingError("A hold needs a reason: write who asked for it and why.")
    with writing(engine) as session:
        alert = session.get(Alert, alert_id)
        if alert is None or alert.mine != mine:
            raise AlertError(f"There is no alert {alert_id[:40]!r} at mine {mine}: check the number.")
        before = session.get(EvidenceHold, alert_id)
        session.merge(EvidenceHold(alert_id=alert_id, mine=mine, placed_by=who, reason=reason, placed_at=now))
        was = {"reason": before.reason} if before else None
        audit.append(session, mine, who, "hold-evidence", f"alert/{alert_id}", was, {"reason": reason})


def lift_hold(engine: Engine, mine: str, alert_id: str, who: str) -> None:
    """Let an alert's evidence go when its time has come. Raises AlertError where it is not held."""
    with writing(engine) as session:
        found = session.get(EvidenceHold, alert_id)
        if found is None or found.mine != mine:
            raise AlertError(f"The evidence of alert {alert_id[:40]!r} at mine {mine} is not on hold.")
        session.delete(found)
        audit.append(session, mine, who, "release-evidence", f"alert/{alert_id}", {"reason": found.reason}, None)


def holds(engine: Engine, mine: str) -> list[EvidenceHold]:
    """Every hold of the mine, oldest first."""
    query = select(EvidenceHold).where(EvidenceHold.mine == mine).order_by(col(EvidenceHold.placed_at))
    with reading(engine) as session:
        return list(session.exec(query).all())


def sweep(
    engine: Engine,
    store: EvidenceStore,
    mine: str,
    settings: RetentionSettings,
    now: datetime,
    stopped: Callable[[], bool] = lambda: False,
) -> Swept:
    """Delete what has outlived its time; an audit line says how much evidence that was."""
    fold(engine, mine, now - _INCARNATIONS)
    forgotten = forget_readings(engine, mine, now - timedelta(days=settings.readings_days), stopped)
    rule = rule_of(engine, mine, settings, now)
    if rule is None:
        return Swept(forgotten, 0, 0)
    pieces = size = 0
    for piece in store.stored(mine):
        if stopped():
            break
        if rule.spares(piece) is None and store.discard(mine, piece, rule.before):
            pieces, size = pieces + 1, size + piece.size
    if pieces:
        with writing(engine) as session:
            what = {"pieces": pieces, "bytes": size, "years": settings.evidence_years}
            audit.append(session, mine, "retention", "delete-evidence", f"evidence/{mine}", None, what)
        _logger.info("evidence deleted", pieces=pieces, bytes=size)
    return Swept(forgotten, pieces, size)


def rule_of(engine: Engine, mine: str, settings: RetentionSettings, now: datetime) -> Retention | None:
    """What may be deleted now; None where the database does not say since when it has known of this mine's evidence."""
    with reading(engine) as session:
        born = session.exec(select(func.min(SiteRevision.created_at)).where(SiteRevision.mine == mine)).one()
        limit = now - timedelta(days=365.25 * settings.evidence_years)
        held = select(EvidenceHold.alert_id).where(EvidenceHold.mine == mine)
        # A sampled closure is judged, and a rectified one signed, after its alert was closed: the last of them counts.
        dates = (Document.created_at, Document.decided_at, Document.rectified_at, Document.closed_at)
        younger = select(Document.alert_id).where(Document.mine == mine, or_(*(col(at) >= limit for at in dates)))
        over = select(Alert.id).where(
            Alert.mine == mine,
            col(Alert.closed),
            col(Alert.closed_at) < limit,
            col(Alert.id).not_in(held),
            col(Alert.id).not_in(younger),
        )
        outlived = frozenset(session.exec(over).all())
    if born is None:
        return None
    kept = frozenset(piece.sha256 for piece in named_evidence(engine, mine, outlived))
    return Retention(kept, born.timestamp(), (now - timedelta(days=settings.unnamed_days)).timestamp())
