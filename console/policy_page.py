"""The closure policies: what each version may close, what was judged of it, its activation and the kill switch."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.auth import allowed, anybody_logged_in, text_field
from console.errors import WrongInputError
from console.pages import language, render, see_other
from console.services import services
from disposal.activation import activate, approve, standings, stop_closing
from disposal.errors import PolicyError

_JUDGING = allowed("officer", "administrator")
_STOPPING = allowed("dispatcher", "officer", "administrator")
_LONGEST_ID = 80

router = APIRouter()


@router.get("/policy", dependencies=[anybody_logged_in()], include_in_schema=False)
def policy_page(request: Request) -> Response:
    """Every version of the mine's closure policies."""
    return _page(request)


@router.post("/policy/approve", dependencies=[_JUDGING], include_in_schema=False)
def take_approval(request: Request) -> Response:
    """Let a draft judge in shadow."""
    ours = services(request)
    try:
        approve(ours.engine, ours.mine, text_field(request, "policy", _LONGEST_ID), request.state.visitor.name)
    except PolicyError:
        return _page(request, WrongInputError("error.policy-approve"))
    return see_other("/policy")


@router.post("/policy/activate", dependencies=[_JUDGING], include_in_schema=False)
def take_activation(request: Request) -> Response:
    """Let a proven policy close from now on."""
    ours = services(request)
    try:
        activate(ours.engine, ours.mine, text_field(request, "policy", _LONGEST_ID), request.state.visitor.name)
    except PolicyError:
        return _page(request, WrongInputError("error.policy-activate"))
    return see_other("/policy")


@router.post("/policy/stop", dependencies=[_STOPPING], include_in_schema=False)
def take_stop(request: Request) -> Response:
    """The kill switch: nothing closes by policy any more."""
    ours = services(request)
    try:
        stop_closing(ours.engine, ours.mine, request.state.visitor.name, text_field(request, "reason", 1000))
    except PolicyError:
        return _page(request, WrongInputError("error.reason"))
    return see_other("/policy")


def _page(request: Request, error: WrongInputError | None = None) -> Response:
    ours = services(request)
    return render(
        request,
        "policy.html",
        error.status if error else 200,
        standings=[(one, one.row.read()) for one in standings(ours.engine, ours.mine)],
        sentence=error.sentence(language(request)) if error else "",
    )
