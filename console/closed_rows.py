"""Ways to the closed alerts that somebody looks for: each along one index, newest first, and none of them too long.

There may be a million of them. A place, a priority, a type, a source and the beginning of an id each have an index;
what else is asked is checked on each alert that such a way passes. It passes so many, and no more: the page then says
how far back was looked, and offers to go on from there.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ColumnElement, and_, case, or_, select
from sqlmodel import Session

from disposal.alert import Alert
from disposal.document import Document, DocumentState

if TYPE_CHECKING:
    from console.queue_rows import Term, Wanted

WALKED = 10_000
"""Closed alerts that one page looks through at most."""
BY_POLICY = (DocumentState.AUTO_CLOSED, DocumentState.SAMPLED, DocumentState.UPHELD)
_MOST_WAYS = 8
"""A word that names more than these is so common that the newest alerts of any kind hold enough of it."""
_SHORTEST_ID = 4
_LONGEST_ID = 32
_BEHIND_HEX = "g"
"""Sorts behind every digit of an id."""
# The tables and not the classes: the reach is measured over every alert, also for an account that sees only some.
_ALERT: Any = Alert.__table__.c  # type: ignore[attr-defined]
_DOCUMENT: Any = Document.__table__.c  # type: ignore[attr-defined]


class Way(NamedTuple):
    """``leads``: what the index is entered with; ``at``: the time by which it is sorted, None where it holds few.

    ``besides``: what has to hold too, so that no two ways of a list lead to the same alert.
    """

    leads: tuple[ColumnElement[bool], ...]
    at: Any
    besides: tuple[ColumnElement[bool], ...] = ()


class Reach(NamedTuple):
    """Ways that together lead to all that is wanted, and since when; None: as far back as there are alerts."""

    ways: tuple[Way, ...]
    since: datetime | None

    def conditions(self, way: Way, wanted: "Wanted", others: list[ColumnElement[bool]]) -> list[ColumnElement[bool]]:
        """What a statement along ``way`` asks; ``others`` are checked on each alert and choose no index."""
        at = _ALERT.closed_at if way.at is None else way.at
        span = [at >= self.since] if self.since is not None else []
        span += [at < wanted.before] if wanted.before is not None else []
        # As a case it fits no index; as an inequality, PostgreSQL takes it for mostly true and keeps to the order.
        return [*way.leads, *span, case((and_(*others, *way.besides), 1), else_=0) != 0]


def reach(session: Session, mine: str, wanted: "Wanted") -> Reach:
    """Of the ways to what is wanted, those that reach furthest back with ``WALKED`` alerts."""
    found: Reach | None = None
    for ways in _choices(mine, wanted):
        ends = [_end(session, way, wanted.before, WALKED // len(ways)) for way in ways]
        one = Reach(ways, max((end for end in ends if end is not None), default=None))
        if one.since is None:
            return one
        if found is None or found.since is None or one.since < found.since:
            found = one
    return found or Reach((), None)


def _end(session: Session, way: Way, before: datetime | None, most: int) -> datetime | None:
    """When the last alert was closed that the way passes; None where it passes fewer than ``most``."""
    if way.at is None:
        return None
    asked = select(way.at).where(*way.leads).order_by(way.at.desc()).offset(most - 1).limit(1)
    if before is not None:
        asked = asked.where(way.at < before)
    found: datetime | None = session.connection().execute(asked).scalar()
    return found


def _choices(mine: str, wanted: "Wanted") -> Iterator[tuple[Way, ...]]:
    """Each a list of ways that leads to all that is wanted."""
    if wanted.tab == "auto":
        yield tuple(
            Way((_DOCUMENT.mine == mine, _DOCUMENT.state == state.value), _DOCUMENT.closed_at) for state in BY_POLICY
        )
    for column, asked in ((_ALERT.place, wanted.place), (_ALERT.priority, wanted.priority)):
        if asked:
            yield (_along(mine, column == asked),)
    for term in wanted.terms:
        called = _called(mine, term)
        if called is not None:
            yield called
    if wanted.tab == "closed":
        yield (_along(mine),)


def _called(mine: str, term: "Term") -> tuple[Way, ...] | None:
    """The ways to what a word may mean, none where it means nothing; None where it is too common for its own ways."""
    named = [
        column == one
        for column, ones in ((_ALERT.type, term.types), (_ALERT.place, term.places), (_ALERT.source, term.sources))
        for one in sorted(ones)
    ]
    is_id = 0 < len(term.word) <= _LONGEST_ID and set(term.word) <= set("0123456789abcdef")
    if len(named) > _MOST_WAYS or (is_id and len(term.word) < _SHORTEST_ID):
        return None
    ways = [_along(mine, one, besides=named[:place]) for place, one in enumerate(named)]
    if is_id:
        begins = (_ALERT.id >= term.word, _ALERT.id < term.word + _BEHIND_HEX)
        ways.append(Way(begins, None, _none_of(named)))
    return tuple(ways)


def _along(mine: str, *leads: ColumnElement[bool], besides: list[ColumnElement[bool]] | None = None) -> Way:
    return Way((_ALERT.mine == mine, _ALERT.closed.is_(True), *leads), _ALERT.closed_at, _none_of(besides or []))


def _none_of(conditions: list[ColumnElement[bool]]) -> tuple[ColumnElement[bool], ...]:
    return (~or_(*conditions),) if conditions else ()
