"""The queue: every alert that waits for somebody, the most urgent one first and unmistakable."""

from datetime import UTC, datetime
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from console.alert_view import card
from console.auth import anybody_logged_in
from console.names import Names
from console.pages import language, render, wants_page
from console.queue_rows import (
    CLOSED_TABS,
    COUNTED,
    ROWS,
    STATES,
    TABS,
    Row,
    Tab,
    Term,
    Wanted,
    count_rows,
    count_tabs,
    counted,
    find_closed,
    find_rows,
)
from console.services import services
from console.urgent import PRIORITIES
from disposal.alert import Alert
from disposal.document import EFFECTS
from stream.database import reading

_ASKED = ("priority", "state", "place", "words", "before")
_LONGEST_ID = 32
_WORDS = 5
"""Words of a search that are looked at."""
FIRST = 40
"""Lines that a browser lays out before it paints; no screen shows more of them beside the card."""

router = APIRouter()


@router.get("/", dependencies=[anybody_logged_in()], include_in_schema=False)
def queue_page(request: Request) -> Response:
    """The queue with its tabs, filters, the top alert and at most 300 rows."""
    ours = services(request)
    wanted = wanted_of(request)
    tongue = language(request)
    with reading(ours.engine) as session:
        rows, since = _found(session, ours.mine, wanted)
        counts = count_tabs(session, ours.mine)
        total = len(rows) if len(rows) < ROWS else count_rows(session, ours.mine, wanted, COUNTED)
        chosen = _chosen(rows, request.query_params.get("selected", ""))
        whole = None if chosen is None else session.get(Alert, chosen.alert.id, populate_existing=True)
        shown = None if whole is None else card(session, whole)
    names = Names(ours.names.site(), tongue)
    painted = [ours.painter.line(row, wanted.tab, tongue, names) for row in rows]
    first = FIRST if wants_page(request) else ROWS
    return render(
        request,
        "queue.html",
        wanted=wanted,
        rows=rows,
        painted=painted[:first],
        rest=painted[first:],
        counts={tab: counted(number) for tab, number in counts.items()},
        total=counted(total) if since is None or total > COUNTED else f"{total}+",
        since=since,
        further="" if since is None else _further(request, since),
        more=total > len(rows),
        card=shown,
        is_top=shown is not None and bool(rows) and rows[0].alert.id == shown.alert.id,
        names=names,
        words=words_of(request),
        view=view_of(request),
        most=ROWS,
        tabs=TABS,
        priorities=PRIORITIES,
        states=STATES,
        done=request.query_params.get("done", ""),
        effects=EFFECTS,
    )


@router.get("/card", dependencies=[anybody_logged_in()], include_in_schema=False)
def card_alone(request: Request) -> Response:
    """The card of one alert, for a queue whose lines came by themselves. Empty where the alert is not there."""
    ours = services(request)
    wanted = request.query_params.get("selected", "")
    with reading(ours.engine) as session:
        alert = session.get(Alert, wanted) if wanted.isascii() and len(wanted) <= _LONGEST_ID else None
        shown = card(session, alert) if alert is not None and alert.mine == ours.mine else None
    top = request.query_params.get("top") == wanted
    return render(request, "card.html", card=shown, is_top=top, wanted=Wanted())


@router.get("/urgent", dependencies=[anybody_logged_in()], include_in_schema=False)
def urgent_strip(request: Request) -> Response:
    """What pages other than the queue load anew on a change."""
    return render(request, "urgent.html")


def wanted_of(request: Request) -> Wanted:
    """What the address asks for; anything unknown counts as not asked."""
    query = request.query_params
    tab: Tab = next((known for known in TABS if known == query.get("tab")), "open")
    priority, state = query.get("priority", ""), query.get("state", "")
    site = services(request).names.site()
    return Wanted(
        tab=tab,
        priority=priority if priority in PRIORITIES else "",
        state=state if state in STATES else "",
        place=query.get("place", "")[:63].replace("\x00", ""),
        terms=tuple(Term.of(word, site) for word in words_of(request).split()[:_WORDS]),
        before=_moment(query.get("before", "")) if tab in CLOSED_TABS else None,
    )


def view_of(request: Request) -> str:
    """What the stream of changes is asked to tell: the same as the page."""
    asked = {name: request.query_params.get(name, "")[:100] for name in _ASKED}
    return urlencode(asked | {"tab": wanted_of(request).tab})


def words_of(request: Request) -> str:
    """What was typed into the search field."""
    return request.query_params.get("words", "").replace("\x00", "").strip()[:100]


def _chosen(rows: list[Row], selected: str) -> Row | None:
    """The row whose card is shown: the selected one while it is in the list, else the first."""
    return next((row for row in rows if row.alert.id == selected), rows[0] if rows else None)


def _found(session: Session, mine: str, wanted: Wanted) -> tuple[list[Row], datetime | None]:
    """The lines of the page, and how far back was looked for them where that was not to the end."""
    if wanted.tab not in CLOSED_TABS:
        return find_rows(session, mine, wanted), None
    rows, since = find_closed(session, mine, wanted)
    return rows, since


def _further(request: Request, since: datetime) -> str:
    """The address of the page that looks on from there, for the same."""
    asked = {name: request.query_params.get(name, "")[:100] for name in ("tab", *_ASKED)}
    return "/?" + urlencode({name: value for name, value in asked.items() if value} | {"before": since.isoformat()})


def _moment(asked: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(asked[:40])
        return None if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
