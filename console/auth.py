"""Who may open which page: every route declares its roles, and every form is checked to be one of ours."""

import hashlib
import hmac
import ipaddress
import secrets
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.params import Depends as Declared
from fastapi.routing import APIRoute
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.routing import BaseRoute

from console.accounts import ROLES, Role
from console.api_tokens import MONITOR, find_machine, watched_by_token
from console.errors import (
    ForbiddenError,
    ForgedFormError,
    NotLoggedInError,
    PasswordDueError,
    TokenRefusedError,
    WrongInputError,
)
from console.scope import admit
from console.services import services
from console.sessions import Visitor, find_visitor
from console.web_settings import WebSettings

FORM_FIELD = "form_token"
FORM_HEADER = "x-form-token"
UPLOAD_PATH = "/hazards"
CODE_PATH = "/codes/import"
FORM_PATH = "/knowledge/form"
UPLOADS = frozenset((UPLOAD_PATH, CODE_PATH, FORM_PATH))
"""The addresses that take a file each: a photo of a hazard, a code, and the mine's own form."""
MOST_FIELDS = 400
"""Fields of one form; a clause with a dozen limits, each for many kinds of place, has some 300."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Gate:
    """Lets a request through to its route, or not. Leaves ``visitor`` and ``form`` on the request's state."""

    def __init__(self, roles: frozenset[str] | None, *, password_due: bool = False) -> None:
        self.roles = roles
        self._password_due = password_due

    async def __call__(self, request: Request) -> Visitor | None:
        """The visitor; None only where everybody may come in.

        Raises NotLoggedInError, PasswordDueError, ForbiddenError, OutOfScopeError, MissingError and ForgedFormError.
        """
        visitor = await run_in_threadpool(find_by_cookie, request)
        request.state.visitor = visitor
        if self.roles is not None:
            if visitor is None:
                raise NotLoggedInError
            if visitor.must_change and not self._password_due:
                raise PasswordDueError
            if visitor.role not in self.roles:
                raise ForbiddenError(role=visitor.role)
            await run_in_threadpool(within_scope, request, visitor)
        if request.method not in _SAFE:
            await _check_form(request, visitor)
        return visitor


class MachineGate(Gate):
    """Lets machines that watch the house through, besides people of its roles.

    A machine shows a token of the role ``monitor``, or of the gate's roles. As long as the mine has no token of the
    role ``monitor``, one that asks from this very host needs none.
    """

    async def __call__(self, request: Request) -> Visitor | None:
        """None for a machine of this host. Raises TokenRefusedError besides what ``Gate`` raises."""
        if given := request.headers.get("authorization"):
            request.state.visitor = await run_in_threadpool(machine, request, given)
            if request.state.visitor.role not in (self.roles or frozenset()) | {MONITOR}:
                raise ForbiddenError(role=request.state.visitor.role)
            return None
        if _from_this_host(request) and not await run_in_threadpool(_needs_token, request):
            request.state.visitor = None
            return None
        return await super().__call__(request)


def machine(request: Request, given: str) -> Visitor:
    """Whose token an ``Authorization`` header shows. Raises TokenRefusedError where it shows none that is good."""
    scheme, _, token = given.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenRefusedError
    ours = services(request)
    return find_machine(ours.engine, ours.mine, token.strip())


def within_scope(request: Request, visitor: Visitor) -> None:
    """Refuse an account that is limited to some sources what tells of others. Raises what ``scope.admit`` raises."""
    if visitor.sources is not None:
        ours, route = services(request), request.scope["route"]
        sends = request.method not in _SAFE
        admit(ours.engine, ours.mine, visitor.sources, route.path, request.path_params, sends=sends)


def allowed(*roles: Role, password_due: bool = False) -> Declared:
    """A route for these roles; ``password_due``: also while a one-time password is still to be replaced."""
    return Depends(Gate(frozenset(roles), password_due=password_due))  # type: ignore[no-any-return]


def anybody_logged_in(*, password_due: bool = False) -> Declared:
    """A route for every role."""
    return allowed(*ROLES, password_due=password_due)


def everybody() -> Declared:
    """A route that needs no login; said out loud, so that a forgotten declaration never means this."""
    return Depends(Gate(None))  # type: ignore[no-any-return]


def machines_and(*roles: Role) -> Declared:
    """A route for what watches the house from outside, and for these roles."""
    return Depends(MachineGate(frozenset(roles)))  # type: ignore[no-any-return]


def declared_roles(route: BaseRoute) -> frozenset[str] | None:
    """The roles that a route declares, empty for everybody. None where it declares nothing, which no route may."""
    if not isinstance(route, APIRoute):
        return None
    for dependency in route.dependant.dependencies:
        if isinstance(dependency.call, Gate):
            return dependency.call.roles or frozenset()
    return None


def cookie_name(settings: WebSettings) -> str:
    """Browsers share cookies among the ports of a host; with the port in its name, two consoles log nobody out."""
    secure = "__Host-" if settings.tls_key is not None else ""
    return f"{secure}minewatch-{settings.port}"


def find_by_cookie(request: Request) -> Visitor | None:
    """The visitor whose session the request's cookie opens."""
    ours = services(request)
    token = request.cookies.get(cookie_name(ours.settings))
    if not token:
        return None
    try:
        return find_visitor(ours.engine, ours.mine, ours.settings, token, request.headers.get("user-agent", ""))
    except NotLoggedInError:
        return None


def form_token(secret: str) -> str:
    """A token for one page's forms; another one on each page, so that compression gives nothing of the secret away."""
    salt = secrets.token_hex(8)
    return f"{salt}.{_signed(secret, salt)}"


def guest_secret(request: Request) -> str:
    """What the forms of somebody not logged in are signed with: a cookie that ``pages.render`` sets where missing."""
    return request.cookies.get(guest_cookie(request), "")


def guest_cookie(request: Request) -> str:
    """The name of the cookie that ties a login form to its browser."""
    return cookie_name(services(request).settings) + "-form"


def text_field(request: Request, name: str, limit: int = 2000) -> str:
    """A text field of the form, without surrounding blanks; empty where missing, cut at ``limit`` signs."""
    return secret_field(request, name).replace("\x00", "").strip()[:limit]


def whole_field(request: Request, name: str, most: int) -> str:
    """A text that is kept as it was written, or not at all. Raises WrongInputError where it is longer than ``most``."""
    typed = text_field(request, name, most + 1)
    if len(typed) > most:
        raise WrongInputError("error.text-long", most=most)
    return typed


def secret_field(request: Request, name: str) -> str:
    """A field exactly as it was typed."""
    value = form(request).get(name, "")
    return "" if isinstance(value, UploadFile) else value


def form(request: Request) -> FormData:
    """The form that was sent with the request."""
    found = request.state.form
    assert isinstance(found, FormData)
    return found


def _needs_token(request: Request) -> bool:
    ours = services(request)
    try:
        return watched_by_token(ours.engine, ours.mine)
    except SQLAlchemyError:
        return False  # that the database does not answer is just what is asked for


def _from_this_host(request: Request) -> bool:
    """Behind a proxy everybody seems to ask from this host, so that a request handed on counts as nobody's."""
    handed_on = any(name in request.headers for name in ("forwarded", "x-forwarded-for", "x-real-ip", "via"))
    try:
        return not handed_on and request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


async def _check_form(request: Request, visitor: Visitor | None) -> None:
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site not in {None, "same-origin", "none"}:
        raise ForgedFormError
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise ForgedFormError
    files = int(request.url.path in UPLOADS)
    request.state.form = await request.form(max_files=files, max_fields=MOST_FIELDS, max_part_size=256 * 1024)
    given = request.headers.get(FORM_HEADER) or text_field(request, FORM_FIELD)
    secret = guest_secret(request) if visitor is None else visitor.form_secret
    salt, _, signature = given.partition(".")
    if not secret or not hmac.compare_digest(_signed(secret, salt).encode(), signature.encode()):
        await request.close()
        raise ForgedFormError


def _signed(secret: str, salt: str) -> str:
    return hmac.new(secret.encode(), salt.encode(), hashlib.sha256).hexdigest()
