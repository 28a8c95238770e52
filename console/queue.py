"""The queue: every alert that waits for somebody, the most urgent one first and unmistakable."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import ColumnElement, and_, case, func, or_
from sqlmodel import Session, col, select

from console.alert_view import card
from console.auth import anybody_logged_in
from console.names import Names
from console.pages import language, render
from console.services import services
from console.urgent import PRIORITIES, rank, shelved, still_open
from disposal.alert import Alert, AlertState
from disposal.document import EFFECTS, Document, DocumentState
from stream.database import reading

Tab = Literal["open", "waiting", "auto", "closed", "shelved"]
TABS: tuple[Tab, ...] = get_args(Tab)
STATES = tuple(state.value for state in AlertState)
ROWS = 300
"""Rows that a page shows at most; what comes behind is named in a line below and found by filtering."""
COUNTED = 10_000
"""Rows behind the page that are counted; with a million closed alerts, counting them all would take a second."""

_IN_HAND = (DocumentState.APPROVED, DocumentState.ISSUED, DocumentState.RECTIFYING, DocumentState.ACCEPTANCE)
_BY_POLICY = (DocumentState.AUTO_CLOSED, DocumentState.SAMPLED, DocumentState.UPHELD)

router = APIRouter()


@dataclass(frozen=True)
class Wanted:
    """What a dispatcher has asked to see."""

    tab: Tab = "open"
    priority: str = ""
    state: str = ""
    place: str = ""

    @property
    def narrowed(self) -> bool:
        """Something is left out by a filter."""
        return bool(self.priority or self.state or self.place)


@dataclass(frozen=True)
class Row:
    """One alert as a line of the queue."""

    alert: Alert
    document_state: str | None

    @property
    def version(self) -> str:
        """Changes whenever the line would look different."""
        return f"{self.alert.updated_at.timestamp():.6f}-{self.alert.state}-{self.document_state}-{self.alert.folded}"


@router.get("/", dependencies=[anybody_logged_in()], include_in_schema=False)
def queue_page(request: Request) -> Response:
    """The queue with its tabs, filters, the top alert and at most 300 rows."""
    ours = services(request)
    wanted = wanted_of(request)
    tongue = language(request)
    with reading(ours.engine) as session:
        rows = find_rows(session, ours.mine, wanted)
        counts = count_tabs(session, ours.mine)
        total = len(rows) if len(rows) < ROWS else count_rows(session, ours.mine, wanted, COUNTED)
        chosen = _chosen(rows, request.query_params.get("selected", ""))
        shown = None if chosen is None else card(session, chosen.alert)
    return render(
        request,
        "queue.html",
        wanted=wanted,
        rows=rows,
        counts=counts,
        total=total,
        counted=COUNTED,
        card=shown,
        is_top=shown is not None and bool(rows) and rows[0].alert.id == shown.alert.id,
        names=Names(ours.names.site(), tongue),
        tabs=TABS,
        priorities=PRIORITIES,
        states=STATES,
        done=request.query_params.get("done", ""),
        effects=EFFECTS,
    )


@router.get("/urgent", dependencies=[anybody_logged_in()], include_in_schema=False)
def urgent_strip(request: Request) -> Response:
    """What pages other than the queue load anew on a change."""
    return render(request, "urgent.html")


def wanted_of(request: Request) -> Wanted:
    """What the address asks for; anything unknown counts as not asked."""
    query = request.query_params
    tab: Tab = next((known for known in TABS if known == query.get("tab")), "open")
    priority, state = query.get("priority", ""), query.get("state", "")
    return Wanted(
        tab=tab,
        priority=priority if priority in PRIORITIES else "",
        state=state if state in STATES else "",
        place=query.get("place", "")[:63],
    )


def find_rows(session: Session, mine: str, wanted: Wanted, limit: int = ROWS) -> list[Row]:
    """The alerts wanted: undecided ones first, then by priority, unacknowledged before acknowledged, oldest first.

    What is closed comes newest first.
    """
    order: tuple[Any, ...] = (
        case((col(Document.state).in_(_IN_HAND), 1), else_=0),
        rank(),
        col(Alert.acked),
        col(Alert.committed_at),
    )
    if wanted.tab in ("auto", "closed"):
        order = (col(Alert.closed_at).desc(),)
    rows = session.exec(
        select(Alert, Document.state)
        .outerjoin(Document, _current_document())
        .where(*_conditions(mine, wanted))
        .order_by(*order)
        .limit(limit)
    ).all()
    return [Row(alert, state) for alert, state in rows]


def count_rows(session: Session, mine: str, wanted: Wanted, most: int | None = None) -> int:
    """How many alerts are wanted, shown or not; counted no further than one above ``most``."""
    found = (
        select(Alert.id)
        .outerjoin(Document, _current_document())
        .where(*_conditions(mine, wanted))
        .limit(None if most is None else most + 1)
        .subquery()
    )
    return session.exec(select(func.count()).select_from(found)).one()


def count_tabs(session: Session, mine: str) -> dict[str, int]:
    """How many alerts wait behind each tab that somebody has to look at; what is closed is not counted."""
    return {tab: count_rows(session, mine, Wanted(tab=tab)) for tab in ("open", "waiting", "shelved")}


def _chosen(rows: list[Row], selected: str) -> Row | None:
    """The row whose card is shown: the selected one while it is in the list, else the first."""
    return next((row for row in rows if row.alert.id == selected), rows[0] if rows else None)


def _conditions(mine: str, wanted: Wanted) -> list[ColumnElement[bool]]:
    by_tab: dict[Tab, tuple[ColumnElement[bool], ...]] = {
        "open": still_open(),
        "waiting": (*still_open(), col(Document.state) == DocumentState.PENDING_APPROVAL),
        "shelved": (col(Alert.closed).is_(False), shelved()),
        "auto": (col(Alert.closed).is_(True), col(Document.state).in_(_BY_POLICY)),
        "closed": (
            col(Alert.closed).is_(True),
            or_(col(Document.state).is_(None), col(Document.state).not_in(_BY_POLICY)),
        ),
    }
    conditions = [col(Alert.mine) == mine, *by_tab[wanted.tab]]
    if wanted.priority:
        conditions.append(col(Alert.priority) == wanted.priority)
    if wanted.place:
        conditions.append(col(Alert.place) == wanted.place)
    if wanted.state:
        conditions.append(_in_state(AlertState(wanted.state)))
    return conditions


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
