"""The API as machines use it: alerts page by page, decisions taken once, tokens made and revoked, and hostile input."""

import json
import os
import subprocess
import sys
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, select

from console.api_tokens import ApiToken, make_token, revoke_token
from console.app import create_app
from console.web_settings import WebSettings
from disposal.audit import AuditLine, verify
from disposal.decision import decide
from stream.database import reading, writing
from stream.messages import Risk, decode, utc_now
from tests.integration.console_client import log_in, send
from tests.integration.console_mine import MINE, Mine
from tests.integration.console_server import Running

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def mine(shared_mine: Mine) -> Mine:
    return shared_mine


@pytest.fixture(scope="module")
def app(mine: Mine) -> FastAPI:
    return create_app(mine.engine, MINE, mine.evidence, mine.log, WebSettings(language="en"))


@pytest.fixture(scope="module")
def tokens(mine: Mine) -> dict[str, str]:
    return {
        role: make_token(mine.engine, MINE, f"gate-{role}", role, 30, "administrator")
        for role in ("dispatcher", "auditor")
    }


def machine(app: FastAPI, token: str) -> TestClient:
    return TestClient(app, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture(scope="module")
def dispatcher(app: FastAPI, tokens: dict[str, str]) -> TestClient:
    return machine(app, tokens["dispatcher"])


def decision(client: TestClient, alert_id: str, key: str, **wanted: Any) -> Any:
    return client.post(f"/api/v1/alerts/{alert_id}/decisions", json=wanted, headers={"Idempotency-Key": key})


def actions(mine: Mine, subject: str) -> list[tuple[str, str]]:
    with reading(mine.engine) as session:
        rows = session.exec(select(AuditLine).where(AuditLine.subject == subject).order_by(col(AuditLine.sequence)))
        return [(row.actor, row.action) for row in rows]


def test_alerts_come_page_by_page_and_none_twice_while_others_are_raised(mine: Mine, dispatcher: TestClient) -> None:
    before = {mine.raise_risk("no-vest", "cam-shaft", "shaft", age=n) for n in range(7)}
    seen: list[str] = []
    address = "/api/v1/alerts?place=shaft&limit=3"
    cursor = None
    while True:
        page = dispatcher.get(address + (f"&cursor={cursor}" if cursor else "")).json()
        seen += [alert["id"] for alert in page["alerts"]]
        mine.raise_risk("no-vest", "cam-shaft", "shaft")
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 7
    assert set(seen) == before


def test_filters_narrow_what_is_listed(mine: Mine, dispatcher: TestClient) -> None:
    gas = mine.raise_risk("methane-high", "ch4-2", "return-2")
    closed = mine.raise_risk("belt-hole")
    mine.close_by_policy(closed)

    def ids(query: str) -> set[str]:
        return {alert["id"] for alert in dispatcher.get(f"/api/v1/alerts?{query}").json()["alerts"]}

    assert ids("source=ch4-2") == {gas}
    assert gas in ids("priority=critical")
    assert closed in ids("closed=true")
    assert closed not in ids("closed=false&limit=200")
    later = quote((utc_now() + timedelta(hours=1)).isoformat())
    assert ids(f"since={later}") == set()
    assert gas in ids(f"until={later}&type=methane-high")


def test_one_alert_tells_its_document_reasons_evidence_history_and_what_can_be_decided(
    mine: Mine, dispatcher: TestClient, app: FastAPI, tokens: dict[str, str]
) -> None:
    alert_id = mine.raise_risk("belt-hole")
    mine.draft(alert_id)
    whole = dispatcher.get(f"/api/v1/alerts/{alert_id}").json()
    assert whole["alert"]["state"] == "UNACK"
    assert whole["document"]["state"] == "PENDING_APPROVAL"
    assert whole["document"]["content"]["measures"][0]["en"]
    assert whole["document"]["verdict"]["reasons"]
    assert whole["document"]["matches"][0]["clause_id"] == "belt-code:12"
    assert whole["evidence"][0]["media_type"] == "image/jpeg"
    assert whole["history"][0]["action"] == "raised"
    assert {"acknowledge", "approve"} <= set(whole["possible"])
    assert machine(app, tokens["auditor"]).get(f"/api/v1/alerts/{alert_id}").json()["possible"] == []


def test_the_same_key_brings_the_same_answer_and_decides_once(mine: Mine, dispatcher: TestClient) -> None:
    alert_id = mine.raise_risk("belt-hole")
    first = decision(dispatcher, alert_id, "key-0001", decision="acknowledge")
    assert first.status_code == 200
    assert first.json()["alert_state"] == "ACKED"
    again = decision(dispatcher, alert_id, "key-0001", decision="acknowledge")
    assert (again.status_code, again.json()) == (200, first.json())
    assert actions(mine, f"alert/{alert_id}").count(("api:gate-dispatcher", "acknowledge")) == 1
    other = decision(dispatcher, alert_id, "key-0001", decision="reject", reason="x")
    assert other.status_code == 422
    assert "stood for another request" in other.json()["sentence"]


def test_the_same_key_sent_at_once_from_many_sides_decides_once(
    mine: Mine, app: FastAPI, tokens: dict[str, str]
) -> None:
    alert_id = mine.raise_risk("belt-hole")
    mine.draft(alert_id)
    answers: list[tuple[int, str]] = []
    gate = threading.Barrier(6)

    def ask() -> None:
        client = machine(app, tokens["dispatcher"])
        gate.wait(10)
        answer = decision(client, alert_id, "at-once-1", decision="approve", document_version=1)
        answers.append((answer.status_code, answer.text))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 6
    assert {status for status, _ in answers} == {200}
    assert len({said for _, said in answers}) == 1
    assert actions(mine, f"alert/{alert_id}").count(("api:gate-dispatcher", "approve")) == 1


def test_another_ones_decision_is_shown_and_stays_the_answer(mine: Mine, dispatcher: TestClient) -> None:
    alert_id = mine.raise_risk("belt-hole")
    mine.draft(alert_id)
    decide(mine.engine, MINE, alert_id, "reject", "officer", reason="a shadow", document_version=1)
    answer = decision(dispatcher, alert_id, "too-late-1", decision="approve", document_version=1)
    assert answer.status_code == 409
    said = answer.json()
    assert (said["other"]["actor"], said["other"]["action"], said["other"]["reason"]) == (
        "officer",
        "reject",
        "a shadow",
    )
    assert said["alert"]["closed_by"] == "officer"
    decide(mine.engine, MINE, alert_id, "reopen", "officer", reason="it was there", document_version=1)
    assert decision(dispatcher, alert_id, "too-late-1", decision="approve", document_version=1).json() == said


def test_what_does_not_fit_or_lacks_its_reason_is_refused(mine: Mine, dispatcher: TestClient) -> None:
    alert_id = mine.raise_risk("belt-hole")
    soon = (utc_now() + timedelta(minutes=5)).isoformat()
    for number, (status, wanted) in enumerate(
        (
            (422, {"decision": "reject", "reason": "  "}),
            (409, {"decision": "start"}),
            (403, {"decision": "uphold"}),
            (422, {"decision": "explode"}),
            (422, {"decision": "approve", "more": 1}),
            (422, {"decision": "acknowledge", "reason": "a\x00b"}),
            (422, {"decision": "shelve", "reason": "repairs", "until": "0001-01-01T00:00:00Z"}),
            (422, {"decision": "shelve", "reason": "repairs", "until": "9999-12-31T23:59:59-14:00"}),
            (200, {"decision": "shelve", "reason": "repairs", "until": soon}),
        )
    ):
        answer = decision(dispatcher, alert_id, f"refused-{number}", **wanted)
        assert answer.status_code == status, (wanted, answer.text)
        assert answer.json().get("sentence") or status == 200
    assert dispatcher.post(f"/api/v1/alerts/{alert_id}/decisions", json={"decision": "acknowledge"}).status_code == 422
    assert not mine.alert(alert_id).acked
    assert decision(dispatcher, "0" * 32, "refused-nobody", decision="acknowledge").status_code == 404


def test_a_hazard_is_reported_once_however_often_it_is_sent(mine: Mine, dispatcher: TestClient) -> None:
    wanted = {"type": "hand-raised", "place": "shaft", "text": "water on the floor"}
    answers = [
        dispatcher.post("/api/v1/hazards", json=wanted, headers={"Idempotency-Key": "hazard-01"}) for _ in range(3)
    ]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    other = dispatcher.post("/api/v1/hazards", json=wanted, headers={"Idempotency-Key": "hazard-02"}).json()
    with closing(mine.log.subscribe("test-api", ["risks"])) as consumer:
        risks = [decode(record.value) for record in consumer.poll(100, 2.0)]
    mine_own = [r for r in risks if isinstance(r, Risk) and r.source == "person:api:gate-dispatcher"]
    assert [r.risk_id for r in mine_own] == [answers[0].json()["risk_id"], other["risk_id"]]
    for wrong in ({"type": "no-such"}, {"place": "nowhere"}, {"text": " "}, {"text": "x" * 5000}):
        answer = dispatcher.post("/api/v1/hazards", json=wanted | wrong, headers={"Idempotency-Key": "hazard-03"})
        assert answer.status_code == 422, wrong


def test_roles_and_tokens_bound_what_a_machine_may_do(mine: Mine, app: FastAPI, tokens: dict[str, str]) -> None:
    alert_id = mine.raise_risk("belt-hole")
    auditor = machine(app, tokens["auditor"])
    assert auditor.get("/api/v1/alerts").status_code == 200
    assert decision(auditor, alert_id, "auditor-1", decision="acknowledge").status_code == 403
    for header in (
        "",
        "Bearer",
        "Bearer mw_none",
        f"Basic {tokens['dispatcher']}",
        f"Bearer {tokens['dispatcher']}x",
        "Bearer ü",
    ):
        stranger = TestClient(app, headers={"Authorization": header.encode("utf-8")} if header else {})
        answer = stranger.get("/api/v1/alerts")
        assert answer.status_code == 401, header
        assert answer.headers["www-authenticate"] == "Bearer"
        assert stranger.get("/api/v1/openapi.json").status_code == 401
    assert machine(app, tokens["dispatcher"]).get("/", follow_redirects=False).status_code == 303
    person = TestClient(app)
    log_in(person, "dispatcher")
    assert person.get("/api/v1/alerts").status_code == 200
    assert decision(person, alert_id, "by-cookie", decision="acknowledge").status_code == 401
    assert not mine.alert(alert_id).acked


def test_an_administrator_makes_a_token_that_is_shown_once_and_revokes_it(mine: Mine, app: FastAPI) -> None:
    admin = TestClient(app)
    log_in(admin, "administrator")
    page = send(admin, "/tokens", {"name": "scada", "role": "auditor", "days": "30"}).text
    token = page.partition('<code id="token">')[2].partition("</code>")[0]
    assert token.startswith("mw_")
    assert token not in admin.get("/tokens").text
    with reading(mine.engine) as session:
        row = session.exec(select(ApiToken).where(ApiToken.name == "scada")).one()
    assert token not in row.model_dump_json()
    client = machine(app, token)
    assert client.get("/api/v1/alerts").status_code == 200
    for wrong in ({"name": "scada"}, {"name": "no name"}, {"role": "king"}, {"days": "-1"}, {"days": "9" * 6}):
        fields = {"name": "other", "role": "auditor", "days": "30"} | wrong
        assert send(admin, "/tokens", fields).status_code == 422, wrong
    assert send(admin, f"/tokens/{row.id}/revoke").status_code == 303
    assert client.get("/api/v1/alerts").status_code == 401
    assert send(admin, f"/tokens/{row.id}/revoke").status_code == 404
    assert actions(mine, f"token/{row.id}") == [("administrator", "make-token"), ("administrator", "revoke-token")]
    assert "revoked" in admin.get("/tokens").text
    assert verify(mine.engine, MINE).whole


def test_a_token_that_is_over_or_another_mines_opens_nothing(mine: Mine, app: FastAPI) -> None:
    over = make_token(mine.engine, MINE, "over", "auditor", 1, "administrator")
    foreign = make_token(mine.engine, "south", "foreign", "auditor", 1, "administrator")
    with writing(mine.engine) as session:
        row = session.exec(select(ApiToken).where(ApiToken.name == "over")).one()
        row.expires_at = utc_now()
        session.add(row)
    assert machine(app, over).get("/api/v1/alerts").status_code == 401
    assert machine(app, foreign).get("/api/v1/alerts").status_code == 401
    assert not revoke_token(mine.engine, "south", row.id, "administrator")


def test_the_api_describes_itself_to_those_signed_in(app: FastAPI, dispatcher: TestClient) -> None:
    told = dispatcher.get("/api/v1/openapi.json").json()
    served = {route.path for route in app.routes if getattr(route, "include_in_schema", False)} - {
        "/healthz",
        "/readyz",
    }
    assert set(told["paths"]) == {path for path in served if path.startswith("/api/")}
    for methods in told["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert operation["description"]
    person = TestClient(app)
    assert person.get("/api", follow_redirects=False).status_code == 303
    log_in(person, "auditor")
    assert "/api/v1/alerts/{alert_id}/decisions" in person.get("/api").text


TEXT = st.text(max_size=80) | st.sampled_from(
    ["", "\x00", "\ud800", "../../etc/passwd", "' OR 1=1 --", "9" * 400, "%00"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("decision", "reason", "document_version", "type", "place", "text")


def escaped(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_nothing_that_is_sent_brings_the_server_down(data: st.DataObject, dispatcher: TestClient) -> None:
    names = ("closed", "priority", "type", "place", "source", "since", "until", "limit", "cursor", "other")
    moments = st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00Z", "inf"])
    numbers = st.integers(-(10**30), 10**30).map(str)
    query = data.draw(st.dictionaries(st.sampled_from(names), TEXT | moments | numbers, max_size=4))
    address = "&".join(f"{name}={escaped(value)}" for name, value in query.items())
    identity = escaped(data.draw(TEXT.filter(lambda t: t not in ("", ".", ".."))))
    key = data.draw(st.none() | st.text(st.characters(max_codepoint=255, exclude_categories=("Cc",)), max_size=210))
    body = data.draw(
        st.binary(max_size=60)
        | (JSON | st.dictionaries(st.sampled_from(FIELDS), JSON)).map(lambda value: json.dumps(value).encode())
    )
    headers = {b"Content-Type": b"application/json"} | (
        {} if key is None else {b"Idempotency-Key": key.encode("latin-1")}
    )
    answers = [
        dispatcher.get(f"/api/v1/alerts?{address}"),
        dispatcher.get(f"/api/v1/alerts/{identity}"),
        dispatcher.post(f"/api/v1/alerts/{identity}/decisions", content=body, headers=headers),
        dispatcher.post("/api/v1/hazards", content=body, headers=headers),
    ]
    for answer in answers:
        assert answer.status_code < 500, (answer.request.url, body, answer.text)
        if answer.status_code >= 400:
            assert answer.json()["sentence"]


@pytest.mark.parametrize(
    "cursor", ["", "x", "e30", "W10", "WyJ4IiwieSJd", "WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzE0OjAwIiwieCJd", "W251bGwsbnVsbF0"]
)
def test_a_cursor_of_somebody_elses_making_is_refused(dispatcher: TestClient, cursor: str) -> None:
    answer = dispatcher.get(f"/api/v1/alerts?cursor={cursor}")
    assert answer.status_code == 422
    assert "none of ours" in answer.json()["sentence"]


def test_the_sample_client_acknowledges_the_oldest_alert_over_http(mine: Mine, tokens: dict[str, str]) -> None:
    oldest = mine.raise_risk("smoke", age=50_000)
    with Running(mine) as console:
        done = subprocess.run(
            [sys.executable, "samples/api_client.py", console.address, "shaft"],
            cwd=ROOT, env=os.environ | {"MINEWATCH_TOKEN": tokens["dispatcher"]}, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "acknowledged: ACKED" in done.stdout
    assert "reported: " in done.stdout
    assert mine.alert(oldest).acked_by == "api:gate-dispatcher"
