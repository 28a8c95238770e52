"""What machines read of the console: who may, and what it says of the stages, the log and the database."""

import pytest
from fastapi.testclient import TestClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as metrics

from console.api_tokens import make_token, revoke_token, tokens_of
from console.app import create_app
from console.web_settings import WebSettings
from stream.health import store_health
from stream.heartbeat import Heartbeat
from stream.messages import Health, Reading, encode, utc_now
from tests.integration.console_client import log_in
from tests.integration.console_mine import MINE, Mine

HERE = ("127.0.0.1", 50_000)
ELSEWHERE = ("10.0.0.9", 50_000)
MACHINE_PAGES = ("/metrics", "/readyz")
NEEDED = ("console", "disposal", "limits", "vision", "sensing", "capture")


def client(mine: Mine, address: tuple[str, int], token: str = "") -> TestClient:
    """Something that asks from ``address``; ``token`` is the name of one to be made for it."""
    asking = TestClient(
        create_app(mine.engine, MINE, mine.evidence, mine.log, WebSettings(language="en")), client=address
    )
    if token:
        made = make_token(mine.engine, MINE, token, "monitor", 90, "administrator")
        asking.headers["Authorization"] = f"Bearer {made}"
    return asking


def at_work(mine: Mine, *stages: str) -> dict[str, Heartbeat]:
    beats = {stage: Heartbeat(mine.engine, MINE, stage) for stage in stages}
    for beat in beats.values():
        beat.ready()
    return beats


def sample(text: str, name: str, **labels: str) -> float:
    [found] = [
        s.value
        for family in metrics(text)
        for s in family.samples
        if s.name == name and labels.items() <= s.labels.items()
    ]
    return found


@pytest.mark.parametrize("page", MACHINE_PAGES)
def test_without_a_token_only_this_host_may_read(mine: Mine, page: str) -> None:
    at_work(mine, *NEEDED)
    assert client(mine, HERE).get(page).status_code == 200
    assert client(mine, ("::1", 50_000)).get(page).status_code == 200
    assert client(mine, ELSEWHERE).get(page, follow_redirects=False).status_code == 303
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        answer = client(mine, HERE).get(page, headers={header: "10.0.0.9"}, follow_redirects=False)
        assert answer.status_code == 303, header


@pytest.mark.parametrize("page", MACHINE_PAGES)
def test_with_a_token_only_who_shows_it_may_read(mine: Mine, page: str) -> None:
    at_work(mine, *NEEDED)
    for number, address in enumerate((HERE, ELSEWHERE)):
        caller = client(mine, address, f"prometheus-{number}")
        token = caller.headers.pop("Authorization").removeprefix("Bearer ")
        assert caller.get(page, headers={"Authorization": f"Bearer {token}"}).status_code == 200
        assert caller.get(page, follow_redirects=False).status_code == 303
        for wrong in (f"Bearer {token}x", "Bearer ", f"Basic {token}", "Bearer ünïcode".encode()):
            assert caller.get(page, headers={"Authorization": wrong}).status_code == 401, wrong
    for row in tokens_of(mine.engine, MINE):
        assert revoke_token(mine.engine, MINE, row.id, "administrator")
    assert client(mine, HERE).get(page).status_code == 200
    assert client(mine, HERE).get(page, headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_a_token_for_watching_opens_the_metrics_alone(mine: Mine) -> None:
    caller = client(mine, ELSEWHERE, "prometheus")
    for page in ("/", "/wall", "/clauses"):
        answer = caller.get(page, follow_redirects=False)
        assert answer.headers["location"].startswith("/login")
    alert_id = mine.raise_risk("no-vest")
    for page in ("/api/v1/alerts", f"/api/v1/alerts/{alert_id}", "/api/v1/openapi.json"):
        assert caller.get(page).status_code == 403
    assert caller.post("/api/v1/hazards", json={}, headers={"Idempotency-Key": "12345678"}).status_code == 403
    auditor = make_token(mine.engine, MINE, "auditor", "auditor", 90, "administrator")
    assert caller.get("/metrics", headers={"Authorization": f"Bearer {auditor}"}).status_code == 403


def test_an_administrator_may_look_and_an_auditor_may_not(mine: Mine) -> None:
    for role, status in (("administrator", 200), ("auditor", 403)):
        person = client(mine, ELSEWHERE)
        log_in(person, role)
        assert person.get("/metrics").status_code == status


def test_figures_follow_what_the_stages_and_the_log_say(mine: Mine) -> None:
    beats = at_work(mine, "vision", "limits", "capture")
    caller = client(mine, HERE)
    assert sample(caller.get("/metrics").text, "minewatch_lag_records", stage="limits") == 0
    at = utc_now()
    message = Reading(
        mine=MINE, sensor="ch4-2", place="return-2", quantity="methane", value=0.4, unit="%", sequence=1, captured_at=at, read_at=at
    )  # fmt: skip
    mine.log.append("readings", f"{MINE}/ch4-2", encode(message))
    store_health(
        mine.engine,
        [Health(mine=MINE, source='cam "1"\n', source_kind="camera", status="offline", detail="x", observed_at=at)],
    )
    beats["limits"].done(message)
    beats["limits"].count("readings")
    beats["limits"].close()
    text = caller.get("/metrics").text
    assert sample(text, "minewatch_lag_records", stage="limits", topic="readings", mine=MINE) == 1
    assert sample(text, "minewatch_readings_total", stage="limits") == 1
    assert sample(text, "minewatch_latency_seconds_count", stage="limits") == 1
    assert sample(text, "minewatch_latency_seconds_bucket", stage="limits", le="0.05") in (0, 1)
    assert sample(text, "minewatch_stage_up", stage="limits") == 0
    assert sample(text, "minewatch_stage_up", stage="vision") == 1
    assert sample(text, "minewatch_source_up", source='cam "1"\n') == 0
    assert sample(text, "minewatch_log_up") == 1


def test_openmetrics_is_answered_where_it_is_asked_for(mine: Mine) -> None:
    at_work(mine, "vision")
    answer = client(mine, HERE).get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert any(family.name == "minewatch_stage_up" for family in open_metrics(answer.text))


def test_the_house_is_ready_when_every_stage_with_work_is(mine: Mine) -> None:
    caller = client(mine, HERE)
    at_work(mine, *NEEDED[:-1])
    answer = caller.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["The stage capture was never started: 'minewatch run --only capture'."]
    capture = at_work(mine, "capture")["capture"]
    assert caller.get("/readyz").json() == {"status": "ok"}
    capture.close()
    assert caller.get("/readyz").status_code == 200


def test_a_log_that_does_not_answer_is_said(mine: Mine) -> None:
    at_work(mine, *NEEDED)
    caller = client(mine, HERE)
    mine.log.close()
    answer = caller.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"][0].startswith("The log does not answer: ")
    assert sample(caller.get("/metrics").text, "minewatch_log_up") == 0
