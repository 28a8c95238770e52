"""The handover of a shift, and the shift's report to print and file."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.auth import allowed, anybody_logged_in, text_field, whole_field
from console.errors import HandedOverError, MissingError, NoFontError, RefusedError, WrongInputError
from console.figures import Figures
from console.names import Names
from console.pages import language, render, see_other
from console.performance import Performance
from console.performance_page import shown
from console.performance_rows import Span, performance_of, period_of
from console.security import FORM_BYTES
from console.services import Services, services
from console.translations import Phrases, text
from disposal.errors import FontMissingError, HandoverError
from disposal.handover import (
    LONGEST_NOTE,
    Handover,
    Item,
    Standing,
    hand_over,
    handover,
    handovers,
    standing,
    take_over,
)
from disposal.paper import Block, Bullet, Heading, Line, Rows, Title
from disposal.paper_pdf import write_pdf
from stream.database import reading
from stream.messages import utc_now

_SIGNING = allowed("dispatcher", "officer", "administrator")
_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)

router = APIRouter()


@router.get("/handover", dependencies=[anybody_logged_in()], include_in_schema=False)
def handover_page(request: Request) -> Response:
    """What this shift leaves to the next, and the handovers that were signed."""
    return _page(request)


@router.post("/handover", dependencies=[_SIGNING], include_in_schema=False)
def sign_out(request: Request) -> Response:
    """Sign this shift out."""
    ours = services(request)
    since, now, until = _shift(ours)
    try:
        note = whole_field(request, "note", LONGEST_NOTE)
    except WrongInputError as error:
        return _page(request, error)
    hand_over(ours.engine, ours.mine, request.state.visitor.name, note, since, now, until)
    return see_other("/handover")


@router.post("/handover/{identity}/take", dependencies=[_SIGNING], include_in_schema=False)
def sign_in(request: Request, identity: str) -> Response:
    """Take a shift over."""
    ours = services(request)
    with reading(ours.engine) as session:
        if not _ID.fullmatch(identity) or handover(session, ours.mine, identity) is None:
            raise MissingError
    try:
        take_over(ours.engine, ours.mine, identity, request.state.visitor.name)
    except HandoverError:
        return _page(request, HandedOverError())
    return see_other("/handover")


@router.get("/shift-report.pdf", dependencies=[anybody_logged_in()], include_in_schema=False)
def shift_report(request: Request) -> Response:
    """The report of ``?span=`` (this shift or the last), or of the handover ``?id=`` with both signatures."""
    ours, tongue = services(request), language(request)
    identity = request.query_params.get("id", "")
    with reading(ours.engine) as session:
        signed = handover(session, ours.mine, identity) if _ID.fullmatch(identity) else None
        if identity and signed is None:
            raise MissingError
        since, now, until = _shift(ours)
        said = signed.standing if signed else standing(session, ours.mine, since, now, until)
    span: Span = "last-shift" if request.query_params.get("span") == "last-shift" else "shift"
    settings = ours.settings
    at = signed.given_at if signed else now
    period = period_of(span, at, ours.zone, shift_hours=settings.shift_hours, first_shift=settings.first_shift)
    found, _ = performance_of(ours.engine, ours.mine, period, now, settings.operators)
    paper = list(_paper(found, said, signed, Figures(tongue, ours.zone), Names(ours.names.site(), tongue), tongue))
    try:
        data = write_pdf(paper, tongue)
    except FontMissingError as error:
        raise NoFontError from error
    name = f"shift-{ours.mine}-{period.since:%Y%m%dT%H%M}Z-{tongue}.pdf"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(data, media_type="application/pdf", headers=headers)


def _shift(ours: Services) -> tuple[datetime, datetime, datetime]:
    """When this shift began, now, and when the next one ends."""
    now, settings = utc_now(), ours.settings
    period = period_of("shift", now, ours.zone, shift_hours=settings.shift_hours, first_shift=settings.first_shift)
    return period.since, now, period.since + timedelta(hours=2 * settings.shift_hours)


def _page(request: Request, error: RefusedError | None = None) -> Response:
    ours = services(request)
    since, now, until = _shift(ours)
    with reading(ours.engine) as session:
        said = standing(session, ours.mine, since, now, until)
        signed = handovers(session, ours.mine)
    return render(
        request,
        "handover.html",
        error.status if error else 200,
        since=since,
        standing=said,
        moment=datetime.fromisoformat,
        signed=signed,
        waiting=next((one for one in signed if not one.taken_by), None),
        sentence=error.sentence(language(request)) if error else "",
        typed=text_field(request, "note", FORM_BYTES) if error else "",
    )


def _paper(
    found: Performance, said: Standing, signed: Handover | None, figures: Figures, names: Names, tongue: str
) -> Iterator[Block]:
    """The report, block by block."""
    said_here = Phrases(tongue)
    yield Title(text(tongue, "handover.report"))
    yield Line(f"{figures.full(found.period.since)} – {figures.full(found.period.until)}")
    if signed is not None:
        taken = f"{signed.taken_by}, {figures.full(signed.taken_at)}" if signed.taken_at else "–"
        yield Rows(
            (
                (text(tongue, "handover.given"), f"{signed.given_by}, {figures.full(signed.given_at)}"),
                (text(tongue, "handover.taken"), taken),
                (text(tongue, "handover.note"), signed.note or "–"),
            )
        )
    yield Heading(f"{text(tongue, 'handover.open')} {said.opened}")
    yield from _items(said.open, figures, names, tongue)
    for part, items in (("shelved", said.shelved), ("due", said.due)):
        yield Heading(f"{text(tongue, 'handover.' + part)} {len(items)}")
        yield from _items(items, figures, names, tongue)
    yield Heading(text(tongue, "handover.learned"))
    for action, actor, at, subject, reason in said.learned:
        what = said_here.known(f"action.{action}", action)
        yield Bullet(f"{figures.clock(datetime.fromisoformat(at))} {actor}: {what} ({subject}) {reason}".strip())
    yield Heading(f"{text(tongue, 'figures.title')} · {text(tongue, 'figures.alarms', count=found.alerts)}")
    yield Rows(
        tuple(
            (
                text(tongue, f"metric.{m.name}"),
                f"{shown(m, m.value, figures)}  ({text(tongue, 'figures.at-most', value=shown(m, m.target, figures))})",
            )
            for m in found.metrics
        )
    )
    yield Heading(text(tongue, "figures.false"))
    if not found.false_alarms:
        yield Line(text(tongue, "figures.nothing"))
    for false in found.false_alarms[:30]:
        share = text(tongue, "figures.false-of", rejected=false.rejected, decided=false.decided)
        yield Bullet(f"{names.source(false.source)} · {names.type(false.type)}: {share}")


def _items(items: tuple[Item, ...], figures: Figures, names: Names, tongue: str) -> Iterator[Block]:
    for item in items:
        at = figures.full(datetime.fromisoformat(item.at)) if item.at else ""
        rank = text(tongue, f"priority.{item.priority}")
        note = _noted(item.note, Phrases(tongue))
        yield Bullet(f"{rank} · {names.type(item.type)} · {names.place(item.place)} · {at} {note}".rstrip())


def _noted(note: str, phrases: Phrases) -> str:
    """A state in words; a reason that a person gave stays as it is."""
    return phrases.known(f"document.{note}", phrases.known(f"state.{note}", note))
