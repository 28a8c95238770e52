"""The page on which an administrator makes tokens for machines and revokes them."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.api_tokens import LONGEST_DAYS, TOKEN_ROLES, make_token, revoke_token, tokens_of
from console.auth import allowed, text_field
from console.errors import MissingError, WrongInputError
from console.pages import language, render, see_other
from console.services import services
from stream.messages import utc_now

_WHO = allowed("administrator")

router = APIRouter()


@router.get("/tokens", dependencies=[_WHO], include_in_schema=False)
def tokens_page(request: Request) -> Response:
    """The tokens of this mine and the form for a new one."""
    return _page(request)


@router.post("/tokens", dependencies=[_WHO], include_in_schema=False)
def take_token(request: Request) -> Response:
    """Make a token and show it, this once."""
    ours = services(request)
    days = text_field(request, "days", 6)
    try:
        token = make_token(
            ours.engine,
            ours.mine,
            text_field(request, "name", 63),
            text_field(request, "role", 20),
            int(days) if days.isascii() and days.isdigit() else 0,
            request.state.visitor.name,
        )
    except WrongInputError as error:
        return _page(request, status=error.status, sentence=error.sentence(language(request)))
    return _page(request, token=token)


@router.post("/tokens/{identity}/revoke", dependencies=[_WHO], include_in_schema=False)
def take_revocation(request: Request, identity: str) -> Response:
    """Make a token worthless."""
    ours = services(request)
    known = identity.isascii() and identity.isalnum()
    if not known or not revoke_token(ours.engine, ours.mine, identity, request.state.visitor.name):
        raise MissingError
    return see_other("/tokens")


def _page(request: Request, *, status: int = 200, token: str = "", sentence: str = "") -> Response:
    ours = services(request)
    return render(
        request,
        "tokens.html",
        status,
        tokens=tokens_of(ours.engine, ours.mine),
        now=utc_now(),
        roles=TOKEN_ROLES,
        longest=LONGEST_DAYS,
        token=token,
        sentence=sentence,
        typed={name: text_field(request, name, 63) for name in ("name", "role", "days")} if sentence else {},
    )
