"""The rows of the queue: which alerts a dispatcher asked for, in which order, and how many more there are."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any, Literal, NamedTuple, Self, get_args

from sqlalchemy import ColumnElement, and_, func, not_, or_
from sqlalchemy.orm import load_only
from sqlmodel import Session, col, select

from console.closed_rows import BY_POLICY, reach
from console.urgent import PRIORITIES, shelved, still_open, suppressed
from disposal.alert import Alert, AlertState
from disposal.document import Document, DocumentState
from disposal.shelving import is_shelved
from stream.catalogue import RISK_TYPES
from stream.site import Site

Tab = Literal["open", "waiting", "auto", "closed", "shelved", "suppressed"]
TABS: tuple[Tab, ...] = get_args(Tab)
STATES = tuple(state.value for state in AlertState)
ROWS = 300
"""Rows that a page shows at most; what comes behind is named in a line below and found by filtering."""
COUNTED = 1000
"""Rows that are counted; to a person more of them say nothing else, and counting a million takes a second."""
CLOSED_TABS: tuple[Tab, ...] = ("auto", "closed")
COUNTED_TABS: tuple[Tab, ...] = ("open", "waiting", "shelved", "suppressed")
"""The tabs that somebody has to look at; what is closed is not counted."""

_IN_HAND = (DocumentState.APPROVED, DocumentState.ISSUED, DocumentState.RECTIFYING, DocumentState.ACCEPTANCE)
_SHOWN = (
    Alert.id, Alert.type, Alert.priority, Alert.place, Alert.source, Alert.active, Alert.acked, Alert.latched,
    Alert.episode, Alert.folded, Alert.committed_at, Alert.updated_at, Alert.closed, Alert.closed_at,
    Alert.shelved_until, Alert.suppressed_by, Alert.suppressed_zh, Alert.suppressed_en, Alert.explains,
    Alert.severity_raised, Alert.restless, Alert.raisings, Alert.early,
)  # fmt: skip
_LAST = 10_000_000_000.0


class Term(NamedTuple):
    """One word of a search, and what has it in its name, in either language."""

    word: str
    types: frozenset[str]
    places: frozenset[str]
    sources: frozenset[str]

    @classmethod
    def of(cls, word: str, site: Site) -> Self:
        """What the site and the catalogue call by that word."""

        def names(things: Iterable[tuple[str, str, str]]) -> frozenset[str]:
            return frozenset(i for i, *known in things if any(word.casefold() in n.casefold() for n in (i, *known)))

        return cls(
            word,
            names((kind.id, kind.zh, kind.en) for kind in RISK_TYPES.values()),
            names((place.id, place.name.zh, place.name.en) for place in site.places),
            names((camera.id, camera.name.zh, camera.name.en) for camera in site.cameras)
            | names((sensor.id, sensor.name.zh, sensor.name.en) for sensor in site.sensors),
        )


@dataclass(frozen=True)
class Wanted:
    """What a dispatcher has asked to see; ``before``: of what is closed, what was closed earlier than that."""

    tab: Tab = "open"
    priority: str = ""
    state: str = ""
    place: str = ""
    terms: tuple[Term, ...] = ()
    before: datetime | None = None

    @property
    def narrowed(self) -> bool:
        """Something is left out by a filter."""
        return bool(self.priority or self.state or self.place or self.terms or self.before)


@dataclass(frozen=True)
class Row:
    """One alert as a line of the queue."""

    alert: Alert
    document_state: str | None

    @property
    def version(self) -> str:
        """Changes whenever the line would look different."""
        alert = self.alert
        return f"{alert.updated_at.timestamp():.6f}-{alert.state}-{self.document_state}-{alert.folded}-{alert.closed:d}"

    def key(self, tab: Tab) -> str:
        """The line's place in the tab: lines stand in the order of their keys."""
        alert = self.alert
        if tab in CLOSED_TABS:
            return f"{_LAST - (alert.closed_at or alert.committed_at).timestamp():.6f}|{alert.id}"
        place = PRIORITIES.index(alert.priority) if alert.priority in PRIORITIES else len(PRIORITIES)
        hand = self.document_state in _IN_HAND
        return f"{hand:d}|{place}|{alert.acked:d}|{alert.committed_at.timestamp():017.6f}|{alert.id}"


def find_rows(session: Session, mine: str, wanted: Wanted, limit: int = ROWS) -> list[Row]:
    """The alerts wanted: undecided ones first, then by priority, unacknowledged before acknowledged, oldest first.

    What is closed comes newest first, as far back as ``find_closed`` looks. One priority after the other is asked for,
    in the order of an index, so that a flood of thousands and a history of a million cost no more than the rows shown.
    """
    if wanted.tab in CLOSED_TABS:
        return find_closed(session, mine, wanted, limit).rows
    found: list[Row] = []
    state = col(Document.state)
    undecided = or_(state.is_(None), not_(state.in_(_IN_HAND)))
    priorities = [wanted.priority] if wanted.priority else PRIORITIES
    for which, priority, acked in product(
        (undecided, state.in_(_IN_HAND)), priorities, _ACKED_IN.get(wanted.state, (False, True))
    ):
        if len(found) < limit:
            these = (which, col(Alert.priority) == priority, col(Alert.acked).is_(acked))
            found += _rows(session, [*_conditions(mine, wanted), *these], _OLDEST, limit - len(found))
    return found


class Closed(NamedTuple):
    """Closed alerts, the newest first; ``since``: what was closed before was not looked at, None where all was."""

    rows: list[Row]
    since: datetime | None


def find_closed(session: Session, mine: str, wanted: Wanted, limit: int = ROWS) -> Closed:
    """The alerts wanted among so many closed ones that a page is quick however few of them fit."""
    reached = reach(session, mine, wanted)
    others = _conditions(mine, wanted)
    found: list[Row] = []
    for way in reached.ways:
        order = (col(Alert.closed_at) if way.at is None else way.at).desc()
        found += _rows(session, reached.conditions(way, wanted, others), (order,), limit)
    return Closed(sorted(found, key=lambda row: row.key(wanted.tab))[:limit], reached.since)


_OLDEST = (col(Alert.committed_at), col(Alert.id))
_ACKED_IN = {state.value: (state not in (AlertState.UNACK, AlertState.RTN_UNACK),) for state in AlertState}
"""What a state says of its being acknowledged, so that the other half is not asked for."""


def rows_of(session: Session, mine: str, alert_ids: Collection[str]) -> list[Row]:
    """The lines of these alerts, wherever they belong."""
    found = session.exec(
        select(Alert, Document.state)
        .outerjoin(Document, _current_document())
        .where(Alert.mine == mine, col(Alert.id).in_(alert_ids))
        .options(load_only(*_SHOWN))  # type: ignore[arg-type]
    ).all()
    return [Row(alert, state) for alert, state in found]


def fits(row: Row, wanted: Wanted, now: datetime) -> bool:
    """The row belongs to what is wanted; the same as the conditions of ``find_rows``, for a row at hand."""
    alert = row.alert
    filters = (
        (wanted.priority, alert.priority),
        (wanted.place, alert.place),
        (wanted.state, alert.state.value),
    )
    return (
        _in_tab(row, wanted.tab, now)
        and (wanted.before is None or (alert.closed_at or now) < wanted.before)
        and all(asked in ("", is_) for asked, is_ in filters)
        and all(
            alert.type in t.types or alert.place in t.places or alert.source in t.sources or alert.id.startswith(t.word)
            for t in wanted.terms
        )
    )


def _in_tab(row: Row, tab: Tab, now: datetime) -> bool:
    alert = row.alert
    if tab in CLOSED_TABS:
        return alert.closed and (row.document_state in BY_POLICY) == (tab == "auto")
    if tab == "suppressed":
        return not alert.closed and alert.suppressed_by is not None
    if alert.closed or is_shelved(alert, now) != (tab == "shelved"):
        return False
    if tab != "shelved" and alert.suppressed_by is not None:
        return False
    return tab != "waiting" or row.document_state == DocumentState.PENDING_APPROVAL


def count_rows(session: Session, mine: str, wanted: Wanted, most: int | None = None) -> int:
    """How many alerts are wanted, shown or not; counted no further than one above ``most``."""
    if wanted.tab in CLOSED_TABS:
        reached = reach(session, mine, wanted)
        others = _conditions(mine, wanted)
        asked = [(reached.conditions(way, wanted, others), way.at) for way in reached.ways]
    else:
        asked = [(_conditions(mine, wanted), None)]
    joined = wanted.tab not in ("open", "shelved")
    found = sum(_count(session, conditions, order, most, joined=joined) for conditions, order in asked)
    return found if most is None else min(found, most + 1)


def _count(
    session: Session, conditions: list[ColumnElement[bool]], order: Any, most: int | None, *, joined: bool
) -> int:
    """What is counted, and the order, only say which index is read: one that holds all that is asked."""
    asked = select(Alert.mine).where(*conditions).order_by(*(() if order is None else (order,)))
    if joined:
        asked = asked.outerjoin(Document, _current_document())
    found = asked.limit(None if most is None else most + 1).subquery()
    return session.exec(select(func.count()).select_from(found)).one()


def count_tabs(session: Session, mine: str) -> dict[str, int]:
    """How many alerts wait behind each tab that somebody has to look at, counted to one above ``COUNTED``."""
    return {tab: count_rows(session, mine, Wanted(tab=tab), COUNTED) for tab in COUNTED_TABS}


def counted(number: int) -> str:
    """The number as far as it was counted."""
    return str(number) if number <= COUNTED else f"{COUNTED}+"


def _rows(session: Session, conditions: list[ColumnElement[bool]], order: Any, limit: int) -> list[Row]:
    found = session.exec(
        select(Alert, Document.state)
        .outerjoin(Document, _current_document())
        .where(*conditions)
        .order_by(*order)
        .limit(limit)
        .options(load_only(*_SHOWN))  # type: ignore[arg-type]
    ).all()
    return [Row(alert, state) for alert, state in found]


def _conditions(mine: str, wanted: Wanted) -> list[ColumnElement[bool]]:
    by_tab: dict[Tab, tuple[ColumnElement[bool], ...]] = {
        "open": still_open(),
        "waiting": (*still_open(), col(Document.state) == DocumentState.PENDING_APPROVAL),
        "shelved": (col(Alert.closed).is_(False), shelved()),
        "suppressed": (col(Alert.closed).is_(False), suppressed()),
        "auto": (col(Alert.closed).is_(True), col(Document.state).in_(BY_POLICY)),
        "closed": (
            col(Alert.closed).is_(True),
            or_(col(Document.state).is_(None), col(Document.state).not_in(BY_POLICY)),
        ),
    }
    conditions = [col(Alert.mine) == mine, *by_tab[wanted.tab]]
    if wanted.priority:
        conditions.append(col(Alert.priority) == wanted.priority)
    if wanted.place:
        conditions.append(col(Alert.place) == wanted.place)
    conditions += [_called(term) for term in wanted.terms]
    if wanted.state:
        conditions.append(_in_state(AlertState(wanted.state)))
    return conditions


def _called(term: Term) -> ColumnElement[bool]:
    return or_(
        col(Alert.type).in_(term.types),
        col(Alert.place).in_(term.places),
        col(Alert.source).in_(term.sources),
        col(Alert.id).startswith(term.word, autoescape=True),
    )


def _in_state(state: AlertState) -> ColumnElement[bool]:
    """The bits that make up an ISA-18.2 state, as ``disposal.alert.Bits`` reads them."""
    active, acked, latched = col(Alert.active), col(Alert.acked), col(Alert.latched)
    by_state = {
        AlertState.UNACK: and_(active.is_(True), acked.is_(False)),
        AlertState.ACKED: and_(active.is_(True), acked.is_(True)),
        AlertState.RTN_UNACK: and_(active.is_(False), acked.is_(False)),
        AlertState.LATCHED: and_(active.is_(False), acked.is_(True), latched.is_(True)),
        AlertState.NORMAL: and_(active.is_(False), acked.is_(True), latched.is_(False)),
    }
    return by_state[state]


def _current_document() -> ColumnElement[bool]:
    return and_(col(Document.alert_id) == col(Alert.id), col(Document.version) == col(Alert.document_version))
