"""Who is called when nobody acknowledges, overdue documents, emergency plans: the same on SQLite and PostgreSQL."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import col, select

from disposal.alert import Alert
from disposal.audit import AuditLine, verify
from disposal.decision import decide
from disposal.document import Document
from disposal.emergency import EVERY, Wording, plan_for, put_plan
from disposal.errors import EmergencyError
from disposal.escalation import Called, acknowledge_call, called, calls_of, people
from disposal.intake import take_all
from disposal.notify import Outbox, Postman
from disposal.roster import DutyWanted, add_duty, roster
from disposal.settings import DisposalSettings, NotifySettings
from disposal.sweep import sweep
from stream.database import reading, writing
from stream.messages import utc_now
from tests.unit.disposal_world import MINE, SITE, risk

SETTINGS = DisposalSettings()


@pytest.fixture
def engine(furnished: Engine) -> Engine:
    return furnished


@pytest.fixture
def alert_id(engine: Engine) -> str:
    with writing(engine) as session:
        return take_all(session, [risk("methane-high")], SITE, SETTINGS, utc_now())[0].alert_id


def pass_time(engine: Engine, times: int) -> None:
    for n in range(times):
        sweep(engine, MINE, SETTINGS, utc_now() + timedelta(hours=n + 1))


def chain(engine: Engine, alert_id: str) -> list[tuple[str, str]]:
    with reading(engine) as session:
        return [(c.link, c.person) for c in calls_of(session, alert_id)]


def outbox(engine: Engine, kind: str) -> list[dict[str, Any]]:
    with reading(engine) as session:
        return [json.loads(row.body) for row in session.exec(select(Outbox).where(Outbox.kind == kind)).all()]


def test_the_chain_goes_from_the_page_to_the_next_person_to_the_siren(engine: Engine, alert_id: str) -> None:
    add_duty(engine, MINE, DutyWanted("return", 0, 0, "赵建国", "8001", "孙磊", "8002"), "UTC", "officer")
    add_duty(engine, MINE, DutyWanted("", 0, 0, "Li", "8003"), "UTC", "officer")
    pass_time(engine, 5)
    assert chain(engine, alert_id) == [("page", "赵建国"), ("next-person", "孙磊"), ("siren", "")]
    page, following = outbox(engine, "escalation")
    assert (page["person"], page["contact"], page["type"], page["place"]) == (
        "赵建国",
        "8001",
        "methane-high",
        "return",
    )
    assert following["person"] == "孙磊"
    assert len(outbox(engine, "siren")) == 1
    with reading(engine) as session:
        lines = session.exec(select(AuditLine).where(AuditLine.action == "escalated")).all()
    assert [json.loads(line.after)["called"] for line in lines] == ["page", "next-person", "siren"]
    assert verify(engine, MINE).whole


def test_who_is_called_is_read_off_place_shift_and_deputies(engine: Engine) -> None:
    now = utc_now()
    minute = now.hour * 60 + now.minute
    on, off = (minute - 60) % 1440, (minute + 60) % 1440
    add_duty(engine, MINE, DutyWanted("return", on, off, "on shift", "1", "deputy", "2"), "UTC", "o")
    add_duty(engine, MINE, DutyWanted("return", off, on, "off shift"), "UTC", "o")
    add_duty(engine, MINE, DutyWanted("roadway", 0, 0, "elsewhere"), "UTC", "o")
    add_duty(engine, MINE, DutyWanted("", 0, 0, "everywhere", "3", "on shift", "1"), "UTC", "o")
    duties = roster(engine, MINE)
    assert people(duties, "return", now) == (("on shift", "1"), ("deputy", "2"), ("everywhere", "3"))
    assert people(duties, "face", now) == (("everywhere", "3"), ("on shift", "1"))
    assert people([], "return", now) == ()


def test_with_an_empty_roster_a_page_without_a_name_goes_out_and_the_siren_comes_next(
    engine: Engine, alert_id: str
) -> None:
    pass_time(engine, 3)
    assert chain(engine, alert_id)[:2] == [("page", ""), ("siren", "")]
    assert called(1, (("Li", ""),)) == Called("siren"), "one person alone has nobody behind them"


def test_acknowledging_the_alert_acknowledges_every_call_and_tells_the_siren(engine: Engine, alert_id: str) -> None:
    add_duty(engine, MINE, DutyWanted("", 0, 0, "赵建国", "8001", "孙磊", "8002"), "UTC", "officer")
    pass_time(engine, 3)
    with writing(engine) as session:
        first = calls_of(session, alert_id)[0]
        row = acknowledge_call(session, MINE, first.id, "赵建国", utc_now())
        assert row is not None
        assert acknowledge_call(session, MINE, first.id, "孙磊", utc_now()) is None, "once"
        assert acknowledge_call(session, "south", first.id, "孙磊", utc_now()) is None
    decide(engine, MINE, alert_id, "acknowledge", "li")
    with reading(engine) as session:
        assert [(c.link, c.acked_by) for c in calls_of(session, alert_id)] == [
            ("page", "赵建国"), ("next-person", "li"), ("siren", "li"),
        ]  # fmt: skip
    (told,) = outbox(engine, "siren-acknowledged")
    assert told["acknowledged_by"] == "li"
    pass_time(engine, 3)
    assert len(chain(engine, alert_id)) == 3, "nobody is called for what was acknowledged"


def test_the_siren_has_an_address_of_its_own() -> None:
    settings = NotifySettings(url="http://127.0.0.1:1/hook", siren_url="http://127.0.0.1:2/siren")
    assert settings.url_for("siren") == settings.url_for("siren-acknowledged") == "http://127.0.0.1:2/siren"
    assert settings.url_for("escalation") == "http://127.0.0.1:1/hook"
    assert NotifySettings(url="http://127.0.0.1:1/hook").url_for("siren") == "http://127.0.0.1:1/hook"
    with pytest.raises(ValueError, match="siren_url"):
        NotifySettings(siren_url="file:///etc/passwd")


def test_with_a_siren_alone_everything_else_goes_to_the_log(engine: Engine, alert_id: str) -> None:
    pass_time(engine, 3)
    carrier = Postman(engine, MINE, NotifySettings(siren_url="http://127.0.0.1:9/siren"), "t", lambda _: None)
    while carrier.deliver_next():
        pass
    with reading(engine) as session:
        outcomes = {row.kind: row.outcome for row in session.exec(select(Outbox)).all()}
    assert outcomes["escalation"] == "delivered"
    assert outcomes["siren"] not in ("", "delivered"), "the siren's address did not answer, and is tried again"


def test_an_overdue_document_is_chased_person_by_person_and_never_by_siren(engine: Engine, alert_id: str) -> None:
    add_duty(engine, MINE, DutyWanted("", 0, 0, "赵建国", "8001", "孙磊", "8002"), "UTC", "officer")
    now = utc_now()
    with writing(engine) as session:
        session.exec(select(Alert)).one().acked = True
        session.add(
            Document(
                id=f"{alert_id}-1", alert_id=alert_id, mine=MINE, version=1, state="RECTIFYING", created_at=now,
                deadline=now + timedelta(minutes=1),
            )
        )  # fmt: skip
    for hours in (1, 2, 3, 4):
        sweep(engine, MINE, SETTINGS, now + timedelta(hours=hours))
    assert chain(engine, alert_id) == [("page", "赵建国"), ("next-person", "孙磊")]
    with reading(engine) as session:
        assert session.exec(select(Document.state)).one() == "OVERDUE"
        told = session.exec(select(AuditLine.action).order_by(col(AuditLine.sequence))).all()
    assert list(told).count("chased") == 2


def test_a_document_that_was_put_right_is_chased_no_more(engine: Engine, alert_id: str) -> None:
    add_duty(engine, MINE, DutyWanted("", 0, 0, "赵建国", "8001", "孙磊", "8002"), "UTC", "officer")
    now = utc_now()
    with writing(engine) as session:
        alert = session.exec(select(Alert)).one()
        alert.acked, alert.document_version = True, 1
        session.add(
            Document(
                id=f"{alert_id}-1", alert_id=alert_id, mine=MINE, version=1, state="RECTIFYING", created_at=now,
                deadline=now + timedelta(minutes=1),
            )
        )  # fmt: skip
    sweep(engine, MINE, SETTINGS, now + timedelta(hours=1))
    decide(engine, MINE, alert_id, "rectify", "孙磊", document_version=1)
    sweep(engine, MINE, SETTINGS, now + timedelta(hours=9))
    assert chain(engine, alert_id) == [("page", "赵建国")]


def test_the_plan_of_the_cause_comes_before_the_one_for_every_cause(engine: Engine) -> None:
    assert plan_for(engine, MINE, "methane-high") is None
    put_plan(engine, MINE, EVERY, Wording("撤人", "Withdraw", "调度室 8000"), "officer")
    put_plan(engine, MINE, "air", Wording("断电\n\n撤人 ", "", "通风区 8001\n救护队 8119"), "officer")
    air, fire = plan_for(engine, MINE, "methane-high"), plan_for(engine, MINE, "smoke")
    assert air is not None
    assert fire is not None
    assert (air.steps("zh"), air.steps("en"), air.call_list()) == (
        ["断电", "撤人"],
        ["断电", "撤人"],
        ["通风区 8001", "救护队 8119"],
    )
    assert (fire.steps("en"), fire.call_list()) == (["Withdraw"], ["调度室 8000"])
    put_plan(engine, MINE, "air", Wording("撤人", "", "救护队 8119"), "other")
    with reading(engine) as session:
        last = session.exec(select(AuditLine).where(AuditLine.subject == "emergency/air")).all()[-1]
    assert json.loads(last.before)["steps_zh"] == "断电\n撤人"
    assert plan_for(engine, "south", "methane-high") is None
    for cause, wording in (
        ("war", Wording("a", "", "b")),
        ("air", Wording(" \n", "", "b")),
        ("air", Wording("a", "", "")),
    ):
        with pytest.raises(EmergencyError):
            put_plan(engine, MINE, cause, wording, "officer")
