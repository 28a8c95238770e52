"""Accounts that are limited to some cameras: whatever they ask, nothing of another camera comes back."""

import json
import re
from datetime import UTC, timedelta
from itertools import product

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, select

from console.accounts import Account, limit_account
from console.app import create_app
from console.auth import declared_roles
from console.live_queue import Change, LiveQueue, View
from console.names import SiteNames
from console.painter import Painter
from console.performance import Period
from console.performance_rows import performance_of
from console.queue_rows import TABS, Wanted, count_rows, find_rows
from console.scope import FREE, FREE_TO_SEND, narrowed
from console.urgent import PRIORITIES
from console.web_settings import WebSettings
from disposal.alert import AlertRisk
from disposal.audit import AuditLine
from stream.database import reading, writing
from stream.messages import utc_now
from tests.integration.console_client import log_in, send, token_of
from tests.integration.console_mine import MINE, SITE, Mine
from tests.integration.console_server import Running
from tests.integration.test_console_live import browser, listening

ROLES = ("dispatcher", "officer", "auditor")
SOURCES = [*(camera.id for camera in SITE.cameras), *(sensor.id for sensor in SITE.sensors)]
SETTINGS = WebSettings(language="en", login_attempts=50, address_attempts=200)


class Two:
    """A mine with alerts of three sources, and accounts of three roles that may see one of them."""

    def __init__(self, mine: Mine) -> None:
        self.mine = mine
        self.own = mine.raise_risk("person-on-belt")
        mine.picture = mine.picture[:-2] + b"\x00\xff\xd9"  # another camera's picture is another picture
        self.others = [
            mine.raise_risk("person-on-belt", "cam-shaft", "belt-3"),
            mine.raise_risk("no-helmet", "cam-shaft", "shaft"),
            mine.raise_risk("methane-high", "ch4-2", "return-2"),
            mine.raise_risk("no-vest", "cam-shaft", "shaft"),
        ]
        mine.draft(self.others[0])
        mine.close_by_policy(self.others[3])
        with reading(mine.engine) as session:
            event = session.exec(select(AlertRisk).where(AlertRisk.alert_id == self.others[0])).one()
        self.picture, self.risk_id = event.risk.evidence[0].sha256, event.risk_id
        now = utc_now()
        with writing(mine.engine) as session:
            password = session.get_one(Account, "account-dispatcher").password_hash
            session.add_all(
                Account(
                    id=f"limited-{role}", mine=MINE, name=f"limited-{role}", role=role, password_hash=password,
                    sources=json.dumps(["cam-belt"]), created_at=now, changed_at=now,
                )
                for role in ROLES
            )  # fmt: skip

    def hidden(self) -> list[str]:
        """What must never come back."""
        return [*self.others, self.picture, "cam-shaft", "Shaft camera", "Methane T2"]


@pytest.fixture(scope="module")
def two(shared_mine: Mine) -> Two:
    return Two(shared_mine)


@pytest.fixture(scope="module")
def app(two: Two) -> FastAPI:
    return create_app(two.mine.engine, MINE, two.mine.evidence, two.mine.log, SETTINGS)


@pytest.fixture(scope="module")
def clients(app: FastAPI) -> dict[str, TestClient]:
    made = {role: TestClient(app, client=(f"10.1.0.{n}", 50_000)) for n, role in enumerate(ROLES)}
    for role, client in made.items():
        assert log_in(client, f"limited-{role}").headers["location"] == "/"
    return made


def asked(route: APIRoute, two: Two, alert_id: str, picture: str, camera: str) -> str:
    """The route's address with parts that name this alert, its picture and its camera."""
    name = f"{alert_id}-1.pdf" if route.path.startswith("/documents") else f"{picture}.jpg"
    parts = {"alert_id": alert_id, "name": name, "camera": camera, "risk_id": two.risk_id, "identity": "belt-code:12"}
    parts |= {"kind": "callouts"}
    return re.sub(r"\{(\w+)[^}]*\}", lambda part: parts.get(part[1], "no-such"), route.path)


def test_no_route_shows_anything_of_another_camera(app: FastAPI, two: Two, clients: dict[str, TestClient]) -> None:
    routes = [route for route in app.routes if isinstance(route, APIRoute) and declared_roles(route)]
    tokens = {role: token_of(client) for role, client in clients.items()}
    for route, role in product(routes, ROLES):
        if route.path in ("/events", "/logout", "/password"):
            continue
        method = "POST" if "POST" in (route.methods or ()) else "GET"
        client = clients[role]
        sent = {"form_token": tokens[role]} if method == "POST" else None
        address = asked(route, two, two.others[0], two.picture, "cam-shaft")
        answer = client.request(method, address, data=sent, follow_redirects=False)
        where = (method, address, role, answer.status_code)
        free = route.path in (FREE_TO_SEND if method == "POST" else FREE)
        if (
            not free
            and "{" in route.path
            and route.path.split("/")[1] in ("alerts", "evidence", "documents", "emergency")
        ):
            assert answer.status_code == (404 if role in (declared_roles(route) or ()) else 403), where
        elif not free:  # over the API people only look: what they send there is refused before anything
            assert answer.status_code in (403, 404) or (answer.status_code == 401 and "/api/" in address), where
        said = answer.text.replace(address, "")
        shown = [word for word in two.hidden() if word in said]
        assert not shown or address == "/api/v1/openapi.json", (where, shown)


def test_an_alert_of_another_camera_is_not_there_and_cannot_be_decided(
    two: Two, clients: dict[str, TestClient]
) -> None:
    client, other = clients["dispatcher"], two.others[0]
    before = two.mine.alert(other)
    for address in (
        f"/alerts/{other}",
        f"/api/v1/alerts/{other}",
        f"/evidence/{two.picture}.jpg",
        f"/documents/{other}-1.pdf",
    ):
        assert client.get(address).status_code == 404, address
    for act in ("acknowledge", "approve", "shelve", "edit", "reassign"):
        assert send(client, f"/alerts/{other}/{act}", {"reason": "x", "document_version": "1"}).status_code == 404, act
    assert two.mine.alert(other).revision == before.revision
    assert not two.mine.alert(other).acked
    listed = client.get("/api/v1/alerts").json()["alerts"]
    assert [alert["id"] for alert in listed] == [two.own]


def test_what_is_its_own_is_shown_decided_and_exported(two: Two, clients: dict[str, TestClient]) -> None:
    client = clients["dispatcher"]
    page = client.get("/").text
    assert f'id="r-{two.own}"' in page
    assert 'data-count="1"' in page  # of the strip, which sounds
    with reading(two.mine.engine) as session:
        event = session.exec(select(AlertRisk).where(AlertRisk.alert_id == two.own)).one()
    assert client.get(f"/evidence/{event.risk.evidence[0].sha256}.jpg").status_code == 200
    assert "Belt head camera" in client.get("/wall").text
    assert "alarms,alarms,1," in client.get("/figures.csv").text
    assert send(client, f"/alerts/{two.own}/acknowledge").status_code == 303
    assert two.mine.alert(two.own).acked_by == "limited-dispatcher"


def test_pages_of_its_own_alert_name_none_of_the_others(two: Two, clients: dict[str, TestClient]) -> None:
    """One of the others is of the same type, place and cause, so that it would stand there as similar and related."""
    two.mine.draft(two.own)
    client = clients["officer"]
    for address in (
        f"/alerts/{two.own}",
        f"/alerts/{two.own}/edit",
        f"/api/v1/alerts/{two.own}",
        f"/emergency/{two.own}",
        f"/card?selected={two.own}",
        *(f"/?words={word}" for word in ("shaft", "Methane", two.others[1])),
        f"/card?selected={two.others[0]}",
    ):
        answer = client.get(address)
        assert answer.status_code == 200, address
        said = answer.text.replace(address.partition("=")[2] or " ", "")
        assert not [word for word in two.hidden() if word in said], address
    whole = TestClient(client.app, client=("10.1.0.9", 50_000))
    log_in(whole, "officer")
    assert two.others[0] in whole.get(f"/alerts/{two.own}").text


def test_what_it_has_reported_itself_it_sees(two: Two, clients: dict[str, TestClient]) -> None:
    reported = two.mine.raise_risk("hand-raised", "person:limited-officer", "shaft")
    assert clients["officer"].get(f"/alerts/{reported}").status_code == 200
    assert clients["auditor"].get(f"/alerts/{reported}").status_code == 404
    two.others.append(reported)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sources=st.frozensets(st.sampled_from([*SOURCES, "person:limited-officer"])),
    tab=st.sampled_from(TABS),
    priority=st.sampled_from(["", *PRIORITIES]),
    place=st.sampled_from(["", *(place.id for place in SITE.places)]),
)
def test_a_narrowed_read_is_the_whole_without_the_others(
    two: Two, sources: frozenset[str], tab: str, priority: str, place: str
) -> None:
    wanted = Wanted(tab=tab, priority=priority, place=place)  # type: ignore[arg-type]
    with reading(two.mine.engine) as session:
        expected = [r.alert.id for r in find_rows(session, MINE, wanted) if r.alert.source in sources]
    engine = narrowed(two.mine.engine, sources)
    with reading(engine) as session:
        assert [row.alert.id for row in find_rows(session, MINE, wanted)] == expected
        assert count_rows(session, MINE, wanted) == len(expected)
    now = utc_now()
    period = Period(now - timedelta(hours=12), now + timedelta(hours=1))
    found, _ = performance_of(engine, MINE, period, now, 1)
    assert {row.name for row in found.top} <= sources


def test_the_stream_tells_only_of_its_own(two: Two) -> None:
    ids = [two.own, *two.others]
    queue = LiveQueue(two.mine.engine, MINE, SiteNames(two.mine.engine, MINE), Painter(UTC))
    changes = [Change(n, "raised", f"alert/{alert_id}") for n, alert_id in enumerate(ids, 1)]
    scope = frozenset({"cam-belt"})
    news = queue.look([*changes, Change(99, "activate-policy", "policy/routine@1")], [scope])
    assert news is not None
    for wanted in (Wanted(), Wanted(tab="auto"), None):
        told = news.text(View("en", wanted, scope), 0)
        assert f"alert/{two.own}" in told
        assert not [word for word in (*two.hidden(), "policy/") if word in told]
        assert "event: reload" in news.text(View("en", wanted, frozenset({"cam-shaft"})), 0)  # joined after the look
    assert all(f"alert/{alert_id}" in news.text(View("en", None), 0) for alert_id in ids)


def test_a_browser_hears_its_own_alerts_alone_and_what_is_taken_from_it_no_more(two: Two) -> None:
    with Running(two.mine) as running, browser(running, "limited-dispatcher") as client, listening(client) as stream:
        kinds = [next(stream) for _ in range(2)]
        assert [event.kind for event in kinds] == ["pulse", "reload"]  # nothing of what was missed is told by name
        other = two.mine.raise_risk("fire", "cam-shaft", "shaft")
        own = two.mine.raise_risk("smoke")
        heard = ""
        while f"alert/{own}" not in heard:
            heard += json.dumps(next(stream)._asdict())
        assert other not in heard
        two.others.append(other)
        with browser(running, "administrator") as boss:
            send_http(boss, "/accounts/limited-dispatcher/sources", {"reach": "some", "source": "cam-shaft"})
        assert client.get(f"/alerts/{own}").status_code == 404
        assert client.get(f"/alerts/{other}").status_code == 200
        assert limit_account(two.mine.engine, MINE, "limited-dispatcher", ["cam-belt"], "administrator")


def send_http(client: httpx.Client, address: str, fields: dict[str, str]) -> None:
    token = client.get("/password").text.split('name="form_token" value="')[1].split('"')[0]
    assert client.post(address, data={"form_token": token, **fields}).status_code == 303


def test_an_administrator_limits_accounts_and_the_audit_says_so(app: FastAPI, two: Two) -> None:
    boss = TestClient(app, client=("10.1.1.1", 50_000))
    log_in(boss, "administrator")
    page = boss.get("/accounts").text
    assert "limited-officer" in page
    assert "Shaft camera" in page
    address = "/accounts/limited-auditor/sources"
    for fields in ({"reach": "some"}, {"reach": "some", "source": "no-such"}):
        refused = send(boss, address, fields)
        assert refused.status_code == 422
        assert "Tick at least one camera" in refused.text
    assert send(boss, address, {"reach": "some", "source": "ch4-2"}).status_code == 303
    assert send(boss, address, {"reach": "whole"}).status_code == 303
    for nobody in ("account-administrator", "no-such"):
        assert send(boss, f"/accounts/{nobody}/sources", {"reach": "whole"}).status_code == 404
    with reading(two.mine.engine) as session:
        lines = session.exec(
            select(AuditLine)
            .where(AuditLine.action == "limit-account", AuditLine.subject == "account/limited-auditor")
            .order_by(col(AuditLine.sequence))
        ).all()
    assert [(line.actor, json.loads(line.before), json.loads(line.after)) for line in lines] == [
        ("administrator", {"sources": ["cam-belt"]}, {"sources": ["ch4-2"]}),
        ("administrator", {"sources": ["ch4-2"]}, {"sources": None}),
    ]
