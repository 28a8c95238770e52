"""What a clause would match as it is being written: a situation in somebody's words, and the risks of the last days."""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Engine
from sqlmodel import Session, col, func, select

from disposal.alert import Alert
from disposal.document import Bilingual
from disposal.request import citable, stored
from disposal.situation import events_of, telling
from rules.clause import Provision, in_force
from rules.matcher import Match, Matcher
from rules.what_if import as_published
from stream.database import reading
from stream.messages import Risk

MOST_KINDS = 60
"""Kinds of risk at a place that are looked at, the most frequent first."""


class KindMatch(NamedTuple):
    """The alerts of one type at one place: how many there were, and what the clause would be to the newest of them.

    ``cited``: a document would cite it; else it was found (``score``), or not even that (None). ``reason`` says why.
    """

    type: str
    place: str
    alerts: int
    newest: str
    cited: bool
    score: float | None
    reason: Bilingual


class WouldMatch(NamedTuple):
    """``found``: what the situation finds, the clause among it or not; ``kinds``: the risks of the last days."""

    clause_id: str
    found: tuple[Match, ...]
    kinds: tuple[KindMatch, ...]
    days: int

    @property
    def alerts(self) -> int:
        """How many alerts of the last days would cite the clause."""
        return sum(kind.alerts for kind in self.kinds if kind.cited)


def would_match(
    engine: Engine, mine: str, drafted: Provision, matcher: Matcher, *, situation: str, days: int, at: datetime
) -> WouldMatch:
    """What ``drafted`` would match among all that is in force at ``at``. Raises EmbeddingError where no model loads."""
    supposed = matcher.over(as_published(in_force(engine, mine, at), [drafted], at))
    with reading(engine) as session:
        kinds = _kinds(session, mine, at - timedelta(days=days), at)
    found = tuple(supposed.search(situation, at=at)) if situation else ()
    matched = [_matched(supposed, drafted.clause_id, *kind, at) for kind in kinds]
    matched.sort(key=lambda kind: (not kind.cited, kind.score is None, -kind.alerts))
    return WouldMatch(drafted.clause_id, found, tuple(matched), days)


def _matched(matcher: Matcher, clause: str, alert: Alert, alerts: int, risk: Risk, at: datetime) -> KindMatch:
    matches = stored(matcher.match(risk, at))
    here = next((m for m in matches if m.clause_id == clause), None)
    cited = any(m.clause_id == clause for m in citable(matches))
    reason = here.reason if here else Bilingual()
    return KindMatch(alert.type, alert.place, alerts, alert.id, cited, here.score if here else None, reason)


def _kinds(session: Session, mine: str, since: datetime, until: datetime) -> list[tuple[Alert, int, Risk]]:
    recent = (Alert.mine == mine, col(Alert.committed_at) >= since, col(Alert.committed_at) <= until)
    groups = session.exec(
        select(Alert.type, Alert.place, func.count())
        .where(*recent)
        .group_by(col(Alert.type), col(Alert.place))
        .order_by(func.count().desc(), col(Alert.type), col(Alert.place))
        .limit(MOST_KINDS)
    ).all()
    found = []
    for kind, place, count in groups:
        newest = session.exec(
            select(Alert)
            .where(*recent, Alert.type == kind, Alert.place == place)
            .order_by(col(Alert.committed_at).desc(), col(Alert.id))
        ).first()
        events = events_of(session, newest.id) if newest else []
        if newest and events:
            found.append((newest, count, telling(events)))
    return found
