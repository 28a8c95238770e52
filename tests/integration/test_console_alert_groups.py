"""What the console shows of alerts that belong together, of calls, emergency plans, policies and the ledger."""

from datetime import timedelta

from fastapi.testclient import TestClient
from msgspec.structs import replace
from sqlmodel import select

from disposal.alert import Alert
from disposal.escalation import calls_of
from disposal.intake import take_all
from disposal.ledger import Usage, Use, book
from disposal.policy import ship_policy
from disposal.regroup import regroup
from disposal.roster import DutyWanted, add_duty
from disposal.settings import DisposalSettings
from disposal.sweep import sweep
from rules.warning import say
from stream.database import reading, writing
from stream.messages import Risk, utc_now
from tests.integration.console_client import person, send
from tests.integration.console_mine import MINE, Mine

SETTINGS = DisposalSettings()


def test_a_suppressed_alert_is_shown_with_its_cause_and_the_cause_with_what_it_explains(
    mine: Mine, client: TestClient
) -> None:
    small, large = mine.raise_risk("belt-wear"), mine.raise_risk("belt-tear")
    hole = mine.raise_risk("belt-hole")
    other = mine.raise_risk("foreign-object")
    assert regroup(mine.engine, MINE, SETTINGS, utc_now()) == 2
    queue = client.get("/").text
    assert f'id="r-{large}"' in queue
    assert f'id="r-{small}"' not in queue
    assert "explains 2 smaller" in queue
    assert "4 of this place and cause" in queue
    suppressed = client.get("/?tab=suppressed").text
    assert f'id="r-{small}"' in suppressed
    assert "Suppressed: the belt is torn" in suppressed
    page = client.get(f"/alerts/{large}").text
    assert f'href="/alerts/{hole}"' in page
    assert "Smaller alerts that this one explains" in page
    assert f'href="/alerts/{other}"' in page
    assert f'href="/alerts/{large}"' in client.get(f"/alerts/{small}").text
    send(client, "/preferences", {"language": "zh"})
    assert "输送带撕裂，其余损伤由此引起" in client.get(f"/alerts/{small}").text


def test_chattering_and_raised_severity_are_said_on_queue_and_page(mine: Mine, client: TestClient) -> None:
    identity = mine.raise_risk("smoke")
    with writing(mine.engine) as session:
        alert = session.get_one(Alert, identity)
        alert.severity_raised, alert.severity_zh, alert.severity_en = True, "相互印证", "camera and sensor agree"
        alert.restless, alert.raisings, alert.folded = "chattering", 5, 4
    for page in ("/", f"/alerts/{identity}"):
        said = client.get(page).text
        assert "camera and sensor agree" in said
        assert "chattering: 3 times or more in a minute" in said
        assert ("×5" if page == "/" else "4 more times") in said


def test_a_warning_says_on_queue_and_page_that_its_limit_is_not_broken_until_it_is(
    mine: Mine, client: TestClient
) -> None:
    now = utc_now()
    told = say("methane at 0.8 %", "Gas in returns, >= 1 %", 12, now)
    warning = Risk(
        mine=MINE, risk_id="0" * 32, sequence=0, state="raised", type="methane-high", source="ch4-2",
        source_kind="sensor", place="return-2", zone=None, confidence=1.0, started_at=now, observed_at=now,
        read_at=now, published_at=now, reason=told,
    )  # fmt: skip
    with writing(mine.engine) as session:
        (taken,) = take_all(session, [warning], None, SETTINGS, now)
    clock = f"{now + timedelta(minutes=12):%Y-%m-%d %H:%M} UTC"
    for page in ("/", f"/alerts/{taken.alert_id}"):
        assert "early warning, limit not broken yet" in client.get(page).text
    assert f"on the trend it would in about 12 min, at {clock}" in client.get(f"/alerts/{taken.alert_id}").text
    send(client, "/preferences", {"language": "zh"})
    page = client.get(f"/alerts/{taken.alert_id}").text
    assert "预警，尚未超限" in page
    assert f"尚未超过“Gas in returns, &gt;= 1 %”的限值；按趋势约12分钟后（{clock}）超过" in page
    broken = replace(warning, sequence=1, state="updated", reason="methane at 1.1 % breaks Gas in returns")
    with writing(mine.engine) as session:
        take_all(session, [broken], None, SETTINGS, utc_now())
    for address in ("/", f"/alerts/{taken.alert_id}"):
        assert "预警，尚未超限" not in client.get(address).text
    assert "此后" in client.get(f"/alerts/{taken.alert_id}").text
    assert "甲烷 1.1 %，超过“Gas in returns”的限值" in client.get(f"/alerts/{taken.alert_id}").text


def test_calls_are_listed_and_answered_and_the_emergency_plan_opens_with_its_call_list(mine: Mine) -> None:
    dispatcher, officer = person(mine, "dispatcher"), person(mine, "officer")
    add_duty(mine.engine, MINE, DutyWanted("", 0, 0, "Zhao Jianguo", "8001", "Sun Lei", "8002"), "UTC", "officer")
    alert_id = mine.raise_risk("methane-high", "ch4-2", "return-2")
    sweep(mine.engine, MINE, SETTINGS, utc_now() + timedelta(hours=1))
    page = dispatcher.get(f"/alerts/{alert_id}").text
    assert "Zhao Jianguo" in page
    assert "not acknowledged yet" in page
    assert f'href="/emergency/{alert_id}" data-key="z"' in page
    with reading(mine.engine) as session:
        (call,) = calls_of(session, alert_id)
    assert send(dispatcher, f"/emergency/{alert_id}/answered", {"call": call.id}).status_code == 303
    assert send(dispatcher, f"/emergency/{alert_id}/answered", {"call": "page/none"}).status_code == 404
    assert "acknowledged by dispatcher" in dispatcher.get(f"/alerts/{alert_id}").text
    empty = dispatcher.get(f"/emergency/{alert_id}").text
    assert "has entered no emergency plan" in empty
    fields = {"cause": "air", "steps_en": "Cut the power\nWithdraw", "steps_zh": "断电", "calls": "Rescue team 8119"}
    assert send(officer, "/emergency", fields).status_code == 303
    assert send(officer, "/emergency", fields | {"calls": ""}).status_code == 422
    plan = dispatcher.get(f"/emergency/{alert_id}").text
    assert plan.index("Zhao Jianguo") < plan.index("Rescue team 8119") < plan.index("Cut the power")
    assert "Rescue team 8119" in dispatcher.get("/emergency").text
    minor = mine.raise_risk("belt-wear")
    assert 'data-key="z"' not in dispatcher.get(f"/alerts/{minor}").text


def test_policies_are_seen_stopped_by_dispatchers_and_activated_by_officers_only_when_proven(mine: Mine) -> None:
    ship_policy(mine.engine, MINE)
    dispatcher, officer = person(mine, "dispatcher"), person(mine, "officer")
    page = officer.get("/policy").text
    assert "routine@1" in page
    assert "Not proven yet" in page
    refused = send(officer, "/policy/activate", {"policy": "routine@1"})
    assert (refused.status_code, "Not activated" in refused.text) == (422, True)
    assert send(officer, "/policy/approve", {"policy": "routine@1"}).status_code == 422
    assert send(dispatcher, "/policy/activate", {"policy": "routine@1"}).status_code == 403
    assert send(dispatcher, "/policy/stop", {"reason": "drill"}).status_code == 303
    assert send(dispatcher, "/policy/stop", {"reason": ""}).status_code == 422


def test_the_ledger_is_shown_by_backend(mine: Mine, client: TestClient) -> None:
    use = Use("openai:m", "draft-1.en", "a" * 64, "", Usage(1200, 300, 150), 0.0123, 2.5)
    mine.draft(mine.raise_risk("belt-wear"))
    with writing(mine.engine) as session:
        identity = session.exec(select(Alert.id)).one()
        book(session, MINE, f"{identity}-1", [use], "openai:m", utc_now())
    page = client.get("/figures/drafting").text
    for said in ("openai:m", "1,200", "0.0123"):
        assert said in page
