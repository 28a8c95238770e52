"""The duty roster: who answers for which place in which shift, to be seen by all and edited by officers."""

import re

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.auth import allowed, anybody_logged_in, text_field
from console.errors import MissingError, WrongInputError
from console.pages import language, render, see_other
from console.services import services
from disposal.errors import RosterError
from disposal.roster import LONGEST, DutyWanted, add_duty, on_duty, remove_duty, roster
from stream.messages import utc_now

_EDITING = allowed("officer", "administrator")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_FIELDS = ("place", "begins", "ends", "person", "contact", "deputy", "deputy_contact")

router = APIRouter()


@router.get("/duty", dependencies=[anybody_logged_in()], include_in_schema=False)
def duty_page(request: Request) -> Response:
    """Who is on duty now, for each place, and the whole roster."""
    return _page(request)


@router.post("/duty", dependencies=[_EDITING], include_in_schema=False)
def take_duty(request: Request) -> Response:
    """Enter a duty."""
    ours = services(request)
    begins, ends = (_TIME.fullmatch(text_field(request, name, 5)) for name in ("begins", "ends"))
    place = text_field(request, "place", 63)
    person = text_field(request, "person", LONGEST)
    if begins is None or ends is None or not person or (place and ours.names.site().place(place) is None):
        return _refused(request, WrongInputError("error.duty"))
    wanted = DutyWanted(
        place,
        int(begins[1]) * 60 + int(begins[2]),
        int(ends[1]) * 60 + int(ends[2]),
        person,
        *(text_field(request, name, LONGEST) for name in ("contact", "deputy", "deputy_contact")),
    )
    try:
        add_duty(ours.engine, ours.mine, wanted, ours.settings.time_zone, request.state.visitor.name)
    except RosterError:
        return _refused(request, WrongInputError("error.duty-taken"))
    return see_other("/duty")


@router.post("/duty/{identity}/remove", dependencies=[_EDITING], include_in_schema=False)
def take_removal(request: Request, identity: str) -> Response:
    """Take a duty off the roster."""
    ours = services(request)
    if not (identity.isascii() and identity.isalnum()):
        raise MissingError
    try:
        remove_duty(ours.engine, ours.mine, identity, request.state.visitor.name)
    except RosterError as error:
        raise MissingError from error
    return see_other("/duty")


def _refused(request: Request, error: WrongInputError) -> Response:
    return _page(request, status=error.status, sentence=error.sentence(language(request)))


def _page(request: Request, *, status: int = 200, sentence: str = "") -> Response:
    ours = services(request)
    duties = roster(ours.engine, ours.mine)
    places = ours.names.site().places
    return render(
        request,
        "duty.html",
        status,
        duties=duties,
        places=places,
        now=[(place.id, on_duty(duties, place.id, utc_now())) for place in places],
        sentence=sentence,
        typed={name: text_field(request, name, LONGEST) for name in _FIELDS} if sentence else {},
    )
