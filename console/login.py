"""Logging in and out, and replacing a password."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.accounts import SHORTEST_PASSWORD
from console.auth import anybody_logged_in, cookie_name, everybody, secret_field, text_field
from console.errors import RefusedError, WrongInputError
from console.pages import language, local_path, render, see_other, set_session_cookie
from console.services import services
from console.sessions import change_password, log_in, log_out
from console.translations import text

router = APIRouter()


@router.get("/login", dependencies=[everybody()], include_in_schema=False)
def login_page(request: Request) -> Response:
    """The login form; whoever is logged in already goes on."""
    target = local_path(request.query_params.get("next", "/"))
    if request.state.visitor is not None:
        return see_other(target)
    return render(request, "login.html", target=target)


@router.post("/login", dependencies=[everybody()], include_in_schema=False)
def take_login(request: Request) -> Response:
    """Open a session under a fresh token, whatever token the browser came with."""
    ours = services(request)
    target = local_path(text_field(request, "next"))
    if request.state.visitor is not None:
        log_out(ours.engine, request.state.visitor.token_hash)
    try:
        token = log_in(
            ours.engine,
            ours.mine,
            ours.settings,
            name=text_field(request, "name", 63),
            password=secret_field(request, "password"),
            address=request.client.host if request.client else "",
            browser=request.headers.get("user-agent", ""),
        )
    except RefusedError as error:
        return render(request, "login.html", error.status, target=target, sentence=error.sentence(language(request)))
    response = see_other(target)
    set_session_cookie(request, response, cookie_name(ours.settings), token)
    return response


@router.post("/logout", dependencies=[anybody_logged_in(password_due=True)], include_in_schema=False)
def take_logout(request: Request) -> Response:
    """End the session on the server and in the browser."""
    ours = services(request)
    log_out(ours.engine, request.state.visitor.token_hash)
    response = see_other("/login")
    response.delete_cookie(cookie_name(ours.settings), path="/")
    return response


@router.get("/password", dependencies=[anybody_logged_in(password_due=True)], include_in_schema=False)
def password_page(request: Request) -> Response:
    """The form that replaces the visitor's password."""
    return render(request, "password.html", shortest=SHORTEST_PASSWORD)


@router.post("/password", dependencies=[anybody_logged_in(password_due=True)], include_in_schema=False)
def take_password(request: Request) -> Response:
    """Replace the password and every session that was opened with the old one."""
    ours = services(request)
    new = secret_field(request, "new")
    try:
        if new != secret_field(request, "again"):
            raise WrongInputError("error.passwords-differ")
        token = change_password(
            ours.engine,
            ours.mine,
            ours.settings,
            request.state.visitor,
            old=secret_field(request, "old"),
            new=new,
            browser=request.headers.get("user-agent", ""),
        )
    except WrongInputError as error:
        sentence = text(language(request), error.key, **error.values)
        return render(request, "password.html", error.status, shortest=SHORTEST_PASSWORD, sentence=sentence)
    response = see_other("/")
    set_session_cookie(request, response, cookie_name(ours.settings), token)
    return response
