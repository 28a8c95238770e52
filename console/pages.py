"""Drawing pages: templates, language, theme, the times on the screen, and the tokens that each page's forms carry."""

import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.templating import Jinja2Templates

from console.auth import everybody, form_token, guest_cookie, guest_secret, text_field
from console.figures import Figures
from console.names import Names
from console.services import services
from console.sessions import Visitor
from console.shift_test import sentence, shift_of, state_of
from console.translations import LANGUAGES, Phrases
from console.urgent import Urgent, find_urgent
from stream.database import reading
from stream.messages import utc_now

YEAR = 365 * 24 * 3600
LANGUAGE_COOKIE = "minewatch-language"
THEME_COOKIE = "minewatch-theme"
THEMES = ("dark", "light")

router = APIRouter()
_templates = Jinja2Templates(directory=Path(__file__).parent / "templates")
_templates.env.trim_blocks = True
_templates.env.lstrip_blocks = True


def render(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """The page in the language and theme of whoever asks for it, with everything that each page needs."""
    ours = services(request)
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    tongue = language(request)
    secret = visitor.form_secret if visitor is not None else guest_secret(request) or secrets.token_hex(32)
    context = {
        "t": Phrases(tongue),
        "language": tongue,
        "other_language": next(known for known in LANGUAGES if known != tongue),
        "theme": theme(request),
        "visitor": visitor,
        "mine": ours.mine,
        "form_token": form_token(secret),
        "here": request.url.path,
        "figures": Figures(tongue, ours.zone),
        "names": Names(ours.names.site(), tongue),
        "urgent": Urgent(),
        "newest": 0,
        "tested": "",
        "server_now": utc_now(),
    }
    if visitor is not None and not visitor.must_change:
        # Read before the rest of the page: what changes in between is told again rather than missed.
        context["newest"] = ours.announcer.newest()
        with reading(ours.engine) as session:
            context["urgent"] = find_urgent(session, ours.mine)
            test = state_of(session, ours.mine, shift_of(ours, utc_now()))
        context["tested"] = sentence(test, tongue) if ours.settings.test_alarm else ""
    response = _templates.TemplateResponse(request, template, context | values, status_code=status)
    if visitor is None and not guest_secret(request):
        _set_cookie(request, response, guest_cookie(request), secret, None)
    return response


def language(request: Request) -> str:
    """The language that this browser has chosen, else the installation's."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    return chosen if chosen in LANGUAGES else services(request).settings.language


def theme(request: Request) -> str:
    """Dark unless this browser has chosen light."""
    return "light" if request.cookies.get(THEME_COOKIE) == "light" else "dark"


def local_path(target: str) -> str:
    """``target`` where it is a path on this console, else the queue: nobody is sent to another site from here."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or not target.startswith("/") or target.startswith("//") or "\\" in target:
        return "/"
    return target if target.isprintable() else "/"


def see_other(target: str) -> RedirectResponse:
    """Where to go on after a form was taken."""
    return RedirectResponse(local_path(target), status_code=303)


def wants_page(request: Request) -> bool:
    """The request came from following a link or sending a form, not from the page's own script or a machine."""
    if request.url.path.startswith("/api/v"):
        return False
    return request.headers.get("x-requested-with") != "console"


@router.post("/preferences", dependencies=[everybody()], include_in_schema=False)
async def preferences(request: Request) -> Response:
    """Remember language or theme for this browser, and go back to where it was chosen."""
    response = see_other(text_field(request, "back") or "/")
    if (chosen := text_field(request, "language")) in LANGUAGES:
        _set_cookie(request, response, LANGUAGE_COOKIE, chosen, YEAR)
    if (chosen := text_field(request, "theme")) in THEMES:
        _set_cookie(request, response, THEME_COOKIE, chosen, YEAR)
    return response


def set_session_cookie(request: Request, response: Response, name: str, token: str) -> None:
    """Hand the browser its session's token, readable by no script and sent to no other site."""
    hours = services(request).settings.session_hours
    _set_cookie(request, response, name, token, int(hours * 3600))


def _set_cookie(request: Request, response: Response, name: str, value: str, seconds: int | None) -> None:
    secure = services(request).settings.tls_key is not None
    response.set_cookie(name, value, max_age=seconds, httponly=True, samesite="strict", secure=secure, path="/")


def plain(request: Request, status: int, sentence: str) -> Response:
    """A page that needs nothing of the database."""
    context = {"language": language(request), "theme": theme(request), "sentence": sentence}
    return _templates.TemplateResponse(request, "plain.html", context, status_code=status)
