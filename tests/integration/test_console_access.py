"""Every route against every role, and everything that a request can be refused for."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from sqlmodel import col, select
from starlette.routing import Mount

from console.accounts import ROLES, Account, add_user
from console.alert import DECIDERS
from console.app import create_app
from console.auth import declared_roles
from console.web_settings import WebSettings
from disposal.audit import AuditLine, head_in, verify
from disposal.document import EFFECTS
from stream.database import reading, writing
from tests.integration.console_client import log_in, send, token_of
from tests.integration.console_mine import MINE, PASSWORD, Mine

SETTINGS = WebSettings(language="en", login_attempts=3, address_attempts=200, upload_bytes=200_000)


@pytest.fixture(scope="module")
def mine(shared_mine: Mine) -> Mine:
    return shared_mine


@pytest.fixture(scope="module")
def app(mine: Mine) -> FastAPI:
    return create_app(mine.engine, MINE, mine.evidence, mine.log, SETTINGS)


@pytest.fixture(scope="module")
def clients(app: FastAPI) -> dict[str, TestClient]:
    made = {role: TestClient(app, client=(f"10.0.0.{n}", 50_000)) for n, role in enumerate(ROLES)}
    for role, client in made.items():
        assert log_in(client, role).headers["location"] == "/"
    return made


@pytest.fixture
def guest(app: FastAPI) -> TestClient:
    return TestClient(app, client=("10.9.9.9", 50_000))


def routes(app: FastAPI) -> list[APIRoute]:
    return [route for route in app.routes if isinstance(route, APIRoute)]


def filled(route: APIRoute) -> str:
    """The route's address with parts that name nothing."""
    parts = {
        "code": "nothing",
        "edition": "nothing",
        "kind": "nothing",
        "key": "nothing",
        "alert_id": "0" * 32,
        "identity": "no-code:1",
        "name": "x.jpg",
        "risk_id": "0" * 32,
        "camera": "no-such",
        "digest": "0" * 64,
    }
    return route.path.format(**parts)


def test_every_route_declares_its_roles(app: FastAPI) -> None:
    others = [route for route in app.routes if not isinstance(route, APIRoute)]
    assert [(type(route), getattr(route, "path", "")) for route in others] == [(Mount, "/static")]
    undeclared = [route.path for route in routes(app) if declared_roles(route) is None]
    assert undeclared == []
    assert len(routes(app)) > 25


def test_a_route_that_declares_nothing_is_noticed() -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.get("/forgotten")(lambda: None)
    assert [declared_roles(route) for route in app.routes] == [None]


def test_what_is_open_to_everybody_is_this_and_nothing_else(app: FastAPI) -> None:
    public = {(route.path, *sorted(route.methods)) for route in routes(app) if not declared_roles(route)}
    assert public == {
        ("/login", "GET"), ("/login", "POST"), ("/preferences", "POST"), ("/healthz", "GET"),
    }  # fmt: skip


def test_each_role_opens_its_routes_and_no_other(app: FastAPI, clients: dict[str, TestClient]) -> None:
    seen, tokens = 0, {role: token_of(client) for role, client in clients.items()}
    for route, role in product(routes(app), ROLES):
        if route.path in ("/login", "/logout", "/events"):
            continue
        method = "POST" if "POST" in route.methods else "GET"
        client = clients[role]
        fields = {"form_token": tokens[role]} if method == "POST" else None
        answer = client.request(method, filled(route), data=fields, follow_redirects=False)
        roles = declared_roles(route)
        assert roles is not None
        refused = answer.status_code == 403
        assert refused == bool(roles and role not in roles), (method, route.path, role, answer.status_code)
        unready = route.path == "/readyz"  # no stage is at work here, and it says so
        assert answer.status_code < 500 or unready, (method, route.path, role)
        seen += 1
    assert seen > 100


def test_a_guest_opens_nothing_but_what_is_public(app: FastAPI, guest: TestClient) -> None:
    guest.get("/login")
    for route in routes(app):
        if not declared_roles(route):
            continue
        method = "POST" if "POST" in route.methods else "GET"
        answer = guest.request(method, filled(route), follow_redirects=False)
        if route.path.startswith("/api/v"):
            assert answer.status_code == 401, (method, route.path)
            continue
        assert answer.status_code == 303, (method, route.path)
        assert answer.headers["location"].startswith("/login")
        script = guest.request(method, filled(route), headers={"X-Requested-With": "console"})
        assert script.status_code == 401


def test_every_decision_is_a_post_with_roles_of_its_own(app: FastAPI) -> None:
    taken = {route.path: route for route in routes(app) if route.path.startswith("/alerts/{alert_id}/")}
    others = {"/alerts/{alert_id}/edit", "/alerts/{alert_id}/reassign"}
    assert set(taken) == {f"/alerts/{{alert_id}}/{decision}" for decision in EFFECTS} | others
    for decision, roles in DECIDERS.items():
        route = taken[f"/alerts/{{alert_id}}/{decision}"]
        assert route.methods == {"POST"}
        assert declared_roles(route) == frozenset(roles)
        assert "auditor" not in roles


def test_login_goes_on_to_a_page_of_the_console_only(app: FastAPI) -> None:
    for target, leads in (("/wall", "/wall"), ("https://elsewhere/", "/"), ("//elsewhere", "/")):
        client = TestClient(app, client=("10.0.1.1", 50_000))
        assert log_in(client, "auditor", target=target).headers["location"] == leads


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(app: FastAPI) -> None:
    client = TestClient(app, client=("10.0.1.2", 50_000))
    [cookie] = [c for c in log_in(client, "auditor").headers.get_list("set-cookie") if "minewatch-8350=" in c]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie


def test_the_token_changes_at_login_and_is_worth_nothing_after_logout(app: FastAPI) -> None:
    client = TestClient(app, client=("10.0.1.3", 50_000))
    client.cookies.set("minewatch-8350", "planted-by-somebody-else")
    log_in(client, "auditor")
    first = client.cookies.get("minewatch-8350", domain="testserver.local")
    assert first not in (None, "planted-by-somebody-else")
    assert send(client, "/logout").headers["location"] == "/login"
    client.cookies.clear()
    client.cookies.set("minewatch-8350", str(first))
    assert client.get("/", follow_redirects=False).status_code == 303


def test_a_wrong_login_says_so_and_too_many_have_to_wait(app: FastAPI) -> None:
    client = TestClient(app, client=("10.0.1.4", 50_000))
    for _ in range(SETTINGS.login_attempts):
        answer = log_in(client, "dispatcher", "not the password")
        assert answer.status_code == 401
        assert "Name and password do not fit together" in answer.text
    answer = log_in(client, "dispatcher")
    assert answer.status_code == 429
    assert "Too many failed attempts" in answer.text


def test_signing_in_and_out_and_what_failed_stand_in_the_audit(app: FastAPI, mine: Mine) -> None:
    client = TestClient(app, client=("10.0.1.9", 50_000))
    first = head_of(mine)
    log_in(client, "auditor", "not the password")
    log_in(client, "my password by mistake", "x")
    log_in(client, "auditor")
    chosen = "a lamp of my own"
    send(client, "/password", {"old": PASSWORD, "new": chosen, "again": chosen})
    send(client, "/logout")
    with reading(mine.engine) as session:
        lines = session.exec(select(AuditLine).where(col(AuditLine.sequence) > first).order_by(col(AuditLine.sequence)))
        told = [(line.actor, line.action, line.subject, line.after) for line in lines]
    where = '{"address":"10.0.1.9"}'
    assert told == [
        ("nobody", "sign-in-failed", "account/account-auditor", where),
        ("nobody", "sign-in-failed", "account/unknown", where),
        ("auditor", "sign-in", "account/account-auditor", where),
        ("auditor", "change-password", "account/account-auditor", "{}"),
        ("auditor", "sign-out", "account/account-auditor", "{}"),
    ]
    assert verify(mine.engine, MINE).whole
    with writing(mine.engine) as session:
        account = session.get_one(Account, "account-auditor")
        account.password_hash = session.get_one(Account, "account-officer").password_hash
        session.add(account)


def head_of(mine: Mine) -> int:
    with reading(mine.engine) as session:
        return head_in(session, MINE).sequence


def test_a_one_time_password_opens_only_the_page_that_replaces_it(app: FastAPI, mine: Mine) -> None:
    client = TestClient(app, client=("10.0.1.5", 50_000))
    one_time = add_user(mine.engine, MINE, "newcomer", "dispatcher")
    log_in(client, "newcomer", one_time)
    for page in ("/", "/wall", "/clauses", "/events", "/hazards/new"):
        assert client.get(page, follow_redirects=False).headers["location"] == "/password"
    chosen = "a lamp of my own"
    differs = send(client, "/password", {"old": one_time, "new": chosen, "again": chosen + "!"})
    assert differs.status_code == 422
    assert "The two new passwords differ" in differs.text
    changed = send(client, "/password", {"old": one_time, "new": chosen, "again": chosen})
    assert changed.headers["location"] == "/"
    assert client.get("/", follow_redirects=False).status_code == 200


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, ""),
        ({}, "0011223344556677.deadbeef"),
        ({}, "ünïcode.tökén"),
        ({"Origin": "https://elsewhere.example"}, None),
        ({"Origin": "null"}, None),
        ({"Sec-Fetch-Site": "cross-site"}, None),
        ({"Sec-Fetch-Site": "same-site"}, None),
    ],
)
def test_a_form_that_is_not_ours_does_nothing(
    clients: dict[str, TestClient], mine: Mine, headers: dict[str, str], token: str | None
) -> None:
    client = clients["dispatcher"]
    alert_id = mine.raise_risk("no-vest")
    fields = {"form_token": token_of(client) if token is None else token}
    answer = client.post(f"/alerts/{alert_id}/acknowledge", data=fields, headers=headers, follow_redirects=False)
    assert answer.status_code == 403
    assert not mine.alert(alert_id).acked


def test_the_form_token_of_one_session_is_worth_nothing_in_another(clients: dict[str, TestClient], mine: Mine) -> None:
    alert_id = mine.raise_risk("no-vest")
    fields = {"form_token": token_of(clients["officer"])}
    assert clients["dispatcher"].post(f"/alerts/{alert_id}/acknowledge", data=fields).status_code == 403
    assert token_of(clients["officer"]) != token_of(clients["officer"])


def test_a_login_form_from_another_browser_is_refused(app: FastAPI, guest: TestClient) -> None:
    stolen = token_of(guest, "/login")
    other = TestClient(app, client=("10.0.1.6", 50_000))
    fields = {"form_token": stolen, "name": "auditor", "password": PASSWORD}
    assert other.post("/login", data=fields).status_code == 403


def test_a_session_taken_to_another_browser_opens_nothing(app: FastAPI, clients: dict[str, TestClient]) -> None:
    thief = TestClient(app, cookies=dict(clients["officer"].cookies), headers={"User-Agent": "another browser"})
    assert thief.get("/", follow_redirects=False).headers["location"].startswith("/login")


def test_every_answer_carries_strict_headers(clients: dict[str, TestClient], guest: TestClient) -> None:
    for client, page in product(
        (clients["auditor"], guest), ("/", "/login", "/healthz", "/nowhere", "/static/console.js")
    ):
        headers = client.get(page).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'self'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"]


def test_pages_hold_no_script_style_or_address_of_another_host(clients: dict[str, TestClient], mine: Mine) -> None:
    alert_id = mine.raise_risk("no-helmet", "cam-shaft", "shaft")
    for page in ("/", "/wall", "/clauses", "/clauses/belt-code:12", "/hazards/new", f"/alerts/{alert_id}"):
        text = clients["officer"].get(page).text
        assert text.count("<script") == 1
        assert ' style="' not in text
        assert " onclick" not in text
        assert "http://" not in text
        assert "https://" not in text


def test_health_is_told_to_everybody(guest: TestClient) -> None:
    assert guest.get("/healthz").json() == {"status": "ok"}


def test_a_console_without_its_tables_is_not_ready_and_says_so(tmp_path: Path, mine: Mine) -> None:
    from stream.database import open_database

    empty = open_database(f"sqlite:///{tmp_path / 'empty.db'}")
    client = TestClient(
        create_app(empty, MINE, mine.evidence, mine.log, SETTINGS),
        raise_server_exceptions=False,
        client=("127.0.0.1", 50_000),
    )
    assert client.get("/healthz").status_code == 200
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["The database does not answer."]
    assert client.get("/metrics").status_code == 503
    client.cookies.set("minewatch-8350", "x")
    answer = client.get("/")
    assert answer.status_code == 503
    assert "The database does not answer" in answer.text
    empty.dispose()


def test_language_and_theme_are_remembered_per_browser(app: FastAPI, guest: TestClient) -> None:
    page = guest.get("/login").text
    assert '<html lang="en" data-theme="dark">' in page
    for name, value in (("language", "zh"), ("theme", "light")):
        fields = {"form_token": token_of(guest, "/login"), name: value, "back": "/login"}
        assert guest.post("/preferences", data=fields, follow_redirects=False).headers["location"] == "/login"
    assert '<html lang="zh-CN" data-theme="light">' in guest.get("/login").text
    fields = {"form_token": token_of(guest, "/login"), "language": "xx", "theme": "<b>", "back": "//elsewhere"}
    assert guest.post("/preferences", data=fields, follow_redirects=False).headers["location"] == "/"
    assert '<html lang="zh-CN" data-theme="light">' in guest.get("/login").text
    del app


def test_too_large_a_form_is_refused_before_it_is_read(clients: dict[str, TestClient]) -> None:
    client = clients["dispatcher"]
    answer = client.post(
        "/clauses/x/edit", content=b"x" * 700_000, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert answer.status_code in (403, 413)
    answer = send(clients["officer"], "/clauses/belt-code:12/edit", {"text_en": "x" * 700_000})
    assert answer.status_code == 413
    assert "Too much was sent" in answer.text

    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b"y" * 10_000

    chunked = clients["officer"].post(
        "/clauses/belt-code:12/edit", content=endless(), headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert chunked.status_code == 413
