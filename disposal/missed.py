"""Clauses that the search missed: a person finds them in the code book and cites them all the same."""

import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime

import msgspec
from sqlalchemy import Engine

from disposal.document import Document, StoredMatch
from disposal.errors import EditError
from disposal.request import stored
from rules.clause import Provision, get, in_force
from rules.errors import ClauseError
from rules.matcher import hand_match, holds_at

_NUMBERED = re.compile(r"(?:(\w[\w.\-]*)[:\s]\s*)?第?\s*(\d[0-9A-Za-z.\-()]*)\s*条?(?:之(\d+))?")


def numbered(engine: Engine, mine: str, query: str, at: datetime) -> list[Provision]:
    """The clauses in force at ``at`` that ``query`` names by number (172, 第172条, 374-1, cn-coal:172); else none."""
    named = _NUMBERED.fullmatch(unicodedata.normalize("NFKC", query).strip())
    if named is None:
        return []
    code, number, inserted = named[1], named[2], named[3]
    wanted = f"{number}-{inserted}" if inserted else number
    found = in_force(engine, mine, at)
    return [p for p in found if p.number == wanted and code in (None, p.code) and not p.repeals]


def held(engine: Engine, mine: str, version_id: str, at: datetime) -> Provision | None:
    """The clause version if it was in force in this mine at ``at``; None for one that was not, or that is not there."""
    try:
        found = get(engine, version_id, at)
    except ClauseError:
        return None
    holds = found.state == "PUBLISHED" and found.mine in (None, mine) and holds_at(found, at)
    return found if holds and not found.repeals else None


def added(
    engine: Engine, mine: str, document: Document, chosen: object, at: datetime, by: str
) -> tuple[StoredMatch, ...]:
    """Of the ``chosen`` versions those that neither the search found nor the document cites, as ``by`` cites them.

    Raises EditError for one that was not in force in this mine at ``at``, when the hazard was there.
    """
    content = document.read_content()
    known = {m.version_id for m in document.read_matches()}
    known |= {c.version_id for c in content.citations} if content else set()
    wanted = [v for v in dict.fromkeys(chosen if isinstance(chosen, tuple) else ()) if v not in known]
    found = {version: held(engine, mine, version, at) for version in wanted}
    if missing := [version for version, provision in found.items() if provision is None]:
        raise EditError(
            f"Cite clauses that were found for the alert, or were in force on {at:%Y-%m-%d}: {missing[0][:80]!r} was not."
        )
    return cited_by(by, [p for p in found.values() if p is not None])


def cited_by(person: str, provisions: Iterable[Provision]) -> tuple[StoredMatch, ...]:
    """These clauses as they are kept with a document to which that person added them."""
    said = (f"{person}补充引用，检索未找到", f"Added by {person}: the search had not found it")
    found = stored(hand_match(provision, *said) for provision in provisions)
    return tuple(msgspec.structs.replace(match, by=person) for match in found)
