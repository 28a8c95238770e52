"""The code book as it would be with drafts in force: what a draft replaces, and which limits a value would break."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Engine

from rules.clause import Content, Provision, history, limits_in_force, listing
from rules.errors import ClauseError
from rules.limits import CarriedLimit, applicable, by_weight
from stream.messages import Measured


def drafts_of(engine: Engine, code: str, edition: str, numbers: Collection[str], at: datetime) -> list[Provision]:
    """The versions of that edition that wait for publication; of these ``numbers`` only, where any are given.

    Raises ClauseError where there is none.
    """
    found = [p for p in listing(engine, code, at, edition) if p.state in ("DRAFT", "REVIEWED")]
    found = [p for p in found if not numbers or p.number in numbers]
    if not found:
        named = f" numbered {', '.join(sorted(numbers))}" if numbers else ""
        raise ClauseError(f"Nothing of {code} {edition}{named} is a draft: import or write one first.")
    return found


def edited(engine: Engine, identity: str, content: Content, at: datetime) -> Provision:
    """The clause as it would read with ``content``, without a draft of it being kept. Raises ClauseError for none."""
    newest = history(engine, identity, at)[-1]
    return replace(newest, version_id=f"{identity}@draft", state="DRAFT", content=content, repeals=False)


def as_published(standing: Sequence[Provision], drafts: Iterable[Provision], at: datetime) -> list[Provision]:
    """What would be in force at ``at`` had ``drafts`` been published by then, whatever dates they are meant for."""
    by_clause = {p.clause_id: p for p in drafts}
    kept = [p for p in standing if p.clause_id not in by_clause]
    new = [
        replace(p, state="PUBLISHED", content=replace(p.content, effective_from=at, effective_to=None))
        for p in by_clause.values()
        if not p.repeals
    ]
    return sorted([*kept, *new], key=lambda p: (p.code, p.sort_key))


def broken_limits(
    provisions: Sequence[Provision], measured: Iterable[Measured], place_kind: str
) -> tuple[CarriedLimit, ...]:
    """The limits of these provisions that the values break in that kind of place, the weightiest first."""
    carried = limits_in_force(list(provisions))
    return by_weight(
        {c: None for m in measured for c in applicable(carried, m.quantity, place_kind) if c.limit.broken_by(m.value)}
    )
