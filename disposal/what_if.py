"""What drafts of clauses would change: past alerts judged by the code book in force, and by that with the drafts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Engine
from sqlmodel import col, select

from disposal.alert import Alert
from disposal.backtest import past_facts
from disposal.document import Bilingual, Reason, StoredMatch, Verdict
from disposal.policy import CONDITIONS, AreaReading, Cited, ClosureFacts, ClosurePolicy, may_close
from disposal.policy import in_force as policy_in_force
from disposal.request import citable, stored
from disposal.situation import current_site, events_of, telling
from disposal.steps import Finder
from rules.clause import Provision, in_force, limits_in_force
from rules.limits import ACTIONS, applicable
from rules.what_if import as_published, broken_limits
from stream.database import reading
from stream.messages import Risk
from stream.site import Site

MOST_ALERTS = 2000
"""Alerts that are replayed at most, the newest first."""
NO_LIMIT = "none"
"""The action where a measured value breaks no limit."""
_ACTION: Mapping[str, tuple[str, str]] = {
    **{str(action): names for action, names in ACTIONS.items()},
    NO_LIMIT: ("未超限", "no limit is broken"),
    "": ("", ""),
}


class Book(NamedTuple):
    """A code book to judge by: its provisions, and what finds them for a risk."""

    provisions: Sequence[Provision]
    finder: Finder


class Outcome(NamedTuple):
    """What an alert comes to: the clauses that it cites, the action of the severest limit broken, the verdict.

    ``action`` is None where nothing was measured, ``verdict`` where no policy would be asked.
    """

    citations: tuple[StoredMatch, ...]
    action: str | None
    verdict: Verdict | None


@dataclass(frozen=True)
class Effect:
    """What would change for one alert. Severity and closure are (before, after), None where they stay.

    ``reworded``: clauses cited before and after, in another version.
    """

    alert: str
    type: str
    place: str
    raised_at: datetime
    added: tuple[Bilingual, ...]
    dropped: tuple[Bilingual, ...]
    reworded: tuple[Bilingual, ...]
    severity: tuple[str, str] | None
    closure: tuple[bool, bool] | None
    reasons: tuple[Bilingual, ...]

    def as_dict(self) -> dict[str, Any]:
        """Every field by name, fit for JSON."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


class Replay(NamedTuple):
    """How many alerts were replayed since when, and those that would change; ``left_out``: older ones that were not."""

    since: datetime
    alerts: int
    left_out: int
    effects: tuple[Effect, ...]


def what_if(
    engine: Engine,
    mine: str,
    drafts: Iterable[Provision],
    finder: Callable[[Sequence[Provision]], Finder],
    *,
    days: int,
    at: datetime,
) -> Replay:
    """Judge the alerts of the last ``days`` by what is in force at ``at``, and by that with ``drafts`` in it.

    ``finder`` makes what finds clauses among given provisions. Alerts that a stricter limit would newly raise are not
    told: only what became an alert is replayed.
    """
    standing = in_force(engine, mine, at)
    supposed = as_published(standing, drafts, at)
    before, after = Book(standing, finder(standing)), Book(supposed, finder(supposed))
    since = at - timedelta(days=days)
    with reading(engine) as session:
        alerts = session.exec(
            select(Alert)
            .where(Alert.mine == mine, col(Alert.committed_at) >= since, col(Alert.committed_at) <= at)
            .order_by(col(Alert.committed_at).desc(), col(Alert.id))
        ).all()
        policy_row = policy_in_force(session, mine)
    policy, site = policy_row.read() if policy_row else None, current_site(engine, mine)
    judge = _Judge(engine, policy, site, at)
    found = [judge.effect(alert, before, after) for alert in alerts[:MOST_ALERTS]]
    return Replay(
        since, len(alerts[:MOST_ALERTS]), len(alerts[MOST_ALERTS:]), tuple(effect for effect in found if effect)
    )


def difference(before: Outcome, after: Outcome) -> dict[str, Any]:
    """What is otherwise in ``after``: the fields of Effect that differ, with reasons; nothing where all is equal."""
    old = {m.clause_id: m for m in before.citations}
    new = {m.clause_id: m for m in after.citations}
    added = [new[i] for i in new if i not in old]
    dropped = [old[i] for i in old if i not in new]
    reworded = [new[i] for i in new if i in old and old[i].version_id != new[i].version_id]
    severity = (before.action or "", after.action or "") if before.action != after.action else None
    closes = tuple(bool(v and v.close) for v in (before.verdict, after.verdict))
    if not (added or dropped or reworded or severity or closes[0] != closes[1]):
        return {}
    reasons = [Bilingual(f"{m.label.zh}：{m.reason.zh}", f"{m.label.en}: {m.reason.en}") for m in added]
    reasons += [
        Bilingual(f"{m.label.zh}：不再适用", f"{m.label.en}: no longer among those that apply") for m in dropped
    ]
    if severity:
        old_zh, old_en, new_zh, new_en = (*_ACTION[severity[0]], *_ACTION[severity[1]])
        reasons.append(
            Bilingual(
                f"超限后的要求由“{old_zh}”变为“{new_zh}”",
                f"what the severest limit broken asks for goes from “{old_en}” to “{new_en}”",
            )
        )
    reasons += _turned(before.verdict, after.verdict)
    return {
        "added": tuple(m.label for m in added),
        "dropped": tuple(m.label for m in dropped),
        "reworded": tuple(m.label for m in reworded),
        "severity": severity,
        "closure": closes if closes[0] != closes[1] else None,
        "reasons": tuple(reasons),
    }


def closure_with(
    facts: ClosureFacts, citations: Sequence[StoredMatch], provisions: Sequence[Provision], place_kind: str
) -> ClosureFacts:
    """The facts as they would have been under these provisions: citations, readings within limits, what is missing."""
    faults = facts.document_faults
    if faults is not None:
        faults = (*(f for f in faults if f != "citations"), *(() if citations else ("citations",)))
    return msgspec.structs.replace(
        facts,
        citations=tuple(Cited(version_id=m.version_id, retrieved=True, in_force=True) for m in citations),
        document_faults=faults,
        readings=None if facts.readings is None else _held(facts.readings, provisions, place_kind),
    )


def _held(readings: Sequence[AreaReading], provisions: Sequence[Provision], place_kind: str) -> tuple[AreaReading, ...]:
    limits = limits_in_force(list(provisions))
    return tuple(
        msgspec.structs.replace(
            r,
            within=r.value is not None
            and not any(c.limit.broken_by(r.value) for c in applicable(limits, r.quantity, place_kind)),
        )
        for r in readings
    )


def _turned(before: Verdict | None, after: Verdict | None) -> list[Bilingual]:
    """The conditions of closure that fail on one side only."""
    if before is None or after is None:
        return []
    held = {r.condition: r.ok for r in before.reasons}
    return [_said(r) for r in after.reasons if held.get(r.condition) != r.ok]


def _said(reason: Reason) -> Bilingual:
    name = CONDITIONS[reason.condition]
    return Bilingual(
        f"{'满足' if reason.ok else '不满足'}“{name.zh}”：{reason.figures}",
        f"{'holds' if reason.ok else 'fails'}: {name.en} ({reason.figures})",
    )


class _Judge:
    """Judges one alert after the other; what was found for a risk is kept for the next that is alike."""

    def __init__(self, engine: Engine, policy: ClosurePolicy | None, site: Site | None, at: datetime) -> None:
        self._engine, self._policy, self._site, self._at = engine, policy, site, at
        self._found: dict[tuple[Any, ...], tuple[StoredMatch, ...]] = {}

    def effect(self, alert: Alert, before: Book, after: Book) -> Effect | None:
        with reading(self._engine) as session:
            risk = telling(events_of(session, alert.id))
        facts = None
        if self._policy is not None and alert.type in self._policy.types:
            facts = past_facts(self._engine, alert, self._policy, self._at)
        changed: Mapping[str, Any] = difference(
            self._outcome(risk, before, facts, "before"), self._outcome(risk, after, facts, "after")
        )
        if not changed:
            return None
        return Effect(alert=alert.id, type=alert.type, place=alert.place, raised_at=alert.raised_at, **changed)

    def _outcome(self, risk: Risk, book: Book, facts: ClosureFacts | None, side: str) -> Outcome:
        place = self._site.place(risk.place) if self._site else None
        kind = place.kind if place else ""
        action = None
        if risk.measured and risk.source_kind == "sensor":
            broken = broken_limits(book.provisions, risk.measured, kind)
            action = broken[0].limit.action if broken else NO_LIMIT
            risk = msgspec.structs.replace(risk, clauses=tuple(dict.fromkeys(c.clause_id for c in broken)))
        citations = self._citations(risk, book, side)
        verdict = None
        if facts is not None and self._policy is not None:
            verdict = may_close(self._policy, closure_with(facts, citations, book.provisions, kind))
        return Outcome(citations, action, verdict)

    def _citations(self, risk: Risk, book: Book, side: str) -> tuple[StoredMatch, ...]:
        key = (side, risk.type, risk.place, risk.note, risk.clauses, tuple((m.value, m.unit) for m in risk.measured))
        if key not in self._found:
            self._found[key] = citable(stored(book.finder.match(risk, self._at)))
        return self._found[key]
