"""What grouping, suppression and joining do to alerts in the tables: the same on SQLite and PostgreSQL."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import col, select

from disposal.alert import Alert
from disposal.audit import AuditLine, verify
from disposal.decision import decide
from disposal.document import Document
from disposal.drafter import Drafter
from disposal.intake import take_all
from disposal.regroup import regroup
from disposal.settings import DisposalSettings, DrafterSettings
from disposal.situation import disturbances
from disposal.steps import Steps
from disposal.sweep import sweep
from rules.matcher import Matcher
from rules.settings import MatcherSettings
from rules.warning import say
from stream.database import reading, writing
from stream.messages import Measured, Reading, Risk, utc_now
from stream.readings import store_readings
from tests.unit.disposal_world import MINE, SITE, TaggedFinder, later, risk

SETTINGS = DisposalSettings()


@pytest.fixture
def engine(furnished: Engine) -> Engine:
    return furnished


def send(engine: Engine, *risks: Risk) -> list[str]:
    with writing(engine) as session:
        return [t.effect for t in take_all(session, risks, SITE, SETTINGS, utc_now())]


def named(engine: Engine, kind: str) -> Alert:
    with reading(engine) as session:
        return session.exec(select(Alert).where(Alert.type == kind)).one()


def actions(engine: Engine) -> list[str]:
    with reading(engine) as session:
        return list(session.exec(select(AuditLine.action).order_by(col(AuditLine.sequence))).all())


def monoxide(at: datetime, **changes: object) -> Risk:
    value = Measured(
        sensor="co-1", quantity="carbon-monoxide", value=31.0, unit="ppm", captured_at=at, limit="> 24 ppm"
    )
    fields = {"source": "co-1", "source_kind": "sensor", "place": "roadway", "measured": (value,)}
    return risk("carbon-monoxide-high", **(fields | changes))


def test_a_smaller_alert_leaves_the_queue_with_its_cause_and_comes_back_when_the_cause_has_gone(engine: Engine) -> None:
    tear = risk("belt-tear", zone="belt")
    send(engine, risk("belt-wear", zone="belt"), tear)
    assert regroup(engine, MINE, SETTINGS, utc_now()) == 1
    small, large = named(engine, "belt-wear"), named(engine, "belt-tear")
    assert (small.suppressed_by, small.suppressed_en[:16], large.explains) == (large.id, "the belt is torn", 1)
    assert small.group_key == large.group_key
    assert large.suppressed_by is None
    assert disturbances(small) == ("suppressed",), "it never closes by itself while it is suppressed"
    assert regroup(engine, MINE, SETTINGS, utc_now()) == 0, "nothing is written where nothing changes"
    far = utc_now() + timedelta(hours=1)
    sweep(engine, MINE, SETTINGS, far)
    assert named(engine, "belt-wear").escalated == 0, "nobody is called out for what is suppressed"
    assert named(engine, "belt-tear").escalated == 1
    send(engine, later(tear, "cleared"))
    sweep(engine, MINE, SETTINGS, far)
    small = named(engine, "belt-wear")
    assert (small.suppressed_by, small.suppressed_en, named(engine, "belt-tear").explains) == (None, "", 0)
    assert small.escalate_at is not None
    assert small.escalate_at > far
    assert [a for a in actions(engine) if "suppressed" in a] == ["suppressed", "unsuppressed"]
    assert verify(engine, MINE).whole


def test_an_alert_that_is_closed_explains_nothing_any_more(engine: Engine) -> None:
    send(engine, risk("camera-offline", zone=None), risk("camera-blind", zone=None))
    sweep(engine, MINE, SETTINGS, utc_now())
    assert named(engine, "camera-blind").suppressed_by == named(engine, "camera-offline").id
    with writing(engine) as session:
        session.exec(select(Alert).where(Alert.type == "camera-offline")).one().closed = True
    sweep(engine, MINE, SETTINGS, utc_now())
    assert named(engine, "camera-blind").suppressed_by is None


@pytest.mark.parametrize("first", ["camera", "sensor"])
def test_smoke_seen_and_carbon_monoxide_over_its_limit_are_one_alert_of_raised_severity(
    engine: Engine, first: str
) -> None:
    smoke, gas = risk("smoke"), monoxide(utc_now())
    order = (smoke, gas) if first == "camera" else (gas, smoke)
    assert send(engine, *order) == ["raised", "joined"]
    with reading(engine) as session:
        alert = session.exec(select(Alert)).one()
    assert (alert.severity_raised, alert.priority, alert.grade, alert.latching) == (True, "critical", "major", True)
    assert "Smoke" in alert.severity_en
    assert "一氧化碳" in alert.severity_zh
    repeat = monoxide(utc_now()) if first == "camera" else risk("smoke")
    assert send(engine, repeat) == ["folded"]
    assert send(engine, *(later(r, "cleared") for r in order)) == ["noted", "noted"], "the repeat is still there"
    steps = Steps(engine, MINE, lambda: TaggedFinder(engine), Drafter([], DrafterSettings()), SETTINGS, lambda _: None)
    while steps.do_next(("match", "draft", "decide"), "tester"):
        pass
    with reading(engine) as session:
        content = session.exec(select(Document)).one().read_content()
    assert content is not None
    facts = {(f.name.en, f.value.en) for f in content.facts}
    assert ("Reading co-1", "31 ppm (limit > 24 ppm)") in facts
    assert any(name == "Severity raised because" for name, _ in facts)
    assert {value for name, value in facts if name.startswith("Hazard")} == {"Smoke", "Carbon monoxide over its limit"}


def test_a_general_hazard_joined_by_a_major_one_becomes_major_and_is_called_again(engine: Engine) -> None:
    send(engine, risk("standing-water"))
    steps = Steps(engine, MINE, lambda: TaggedFinder(engine), Drafter([], DrafterSettings()), SETTINGS, lambda _: None)
    while steps.do_next(("match", "draft", "decide"), "tester"):
        pass
    decide(engine, MINE, named(engine, "standing-water").id, "acknowledge", "li")
    assert send(engine, risk("water-level-high", source="wl-1", place="roadway")) == ["joined"]
    alert = named(engine, "water-level-high")
    assert (alert.grade, alert.priority, alert.latching, str(alert.state)) == ("major", "critical", True, "UNACK")
    while steps.do_next(("match", "draft", "decide"), "tester"):
        pass
    with reading(engine) as session:
        states = [d.state for d in session.exec(select(Document).order_by(col(Document.version))).all()]
    assert states == ["RETURNED", "PENDING_APPROVAL"], "one document waits for a person, the one that tells of both"


def methane(value: float, at: datetime, reason: str, **changes: object) -> Risk:
    measured = Measured(sensor="ch4-1", quantity="methane", value=value, unit="%", captured_at=at, limit="> 1 %")
    fields = {"source": "ch4-1", "source_kind": "sensor", "place": "return", "measured": (measured,)}
    return risk("methane-high", clauses=("cn-coal:172",), reason=reason, **(fields | changes))


def drafted(engine: Engine) -> list[Document]:
    """Every document, oldest first, once nothing is due any more; clauses are found as in production."""
    finder = Matcher(engine, MINE, MatcherSettings(model="none"))
    steps = Steps(engine, MINE, lambda: finder, Drafter([], DrafterSettings()), SETTINGS, lambda _: None)
    while steps.do_next(("match", "draft", "decide"), "tester"):
        pass
    with reading(engine) as session:
        return list(session.exec(select(Document).order_by(col(Document.version))).all())


def test_a_warning_says_that_the_limit_stands_and_when_it_would_be_broken_and_becomes_the_broken_limits_alert(
    engine: Engine,
) -> None:
    now = utc_now()
    warning = methane(0.8, now, say("methane at 0.8 %", "Methane in returns, > 1 %", 12, now))
    assert send(engine, warning) == ["raised"]
    alert = named(engine, "methane-high")
    assert alert.early
    (document,) = drafted(engine)
    content = document.read_content()
    assert content is not None
    assert "（预警，尚未超限）" in content.title.zh
    assert "early warning, not yet" in content.title.en
    facts = {f.name.en: f.value for f in content.facts}
    clock = f"{now + timedelta(minutes=12):%Y-%m-%d %H:%M}"
    assert (
        facts["Early warning"].en
        == f"the limit is not broken yet; on the trend it would be in about 12 min ({clock} UTC)"
    )
    assert facts["Early warning"].zh == f"尚未超限；按趋势约12分钟后（{clock} UTC）超过限值"
    assert [c.clause_id for c in content.citations][:1] == ["cn-coal:172"]
    (match,) = [m for m in document.read_matches() if m.clause_id == "cn-coal:172"]
    assert (match.bound, "not broken yet" in match.reason.en, "尚未突破" in match.reason.zh) == (True, True, True)
    decide(engine, MINE, alert.id, "acknowledge", "li")
    broken = methane(
        1.1, now, "methane at 1.1 % breaks Methane in returns", state="updated", sequence=1, risk_id=warning.risk_id
    )
    send(engine, broken)
    after = named(engine, "methane-high")
    assert (after.id, after.early, str(after.state)) == (alert.id, False, "UNACK"), (
        "whoever acknowledged is asked again"
    )
    old, new = drafted(engine)
    content = new.read_content()
    assert content is not None
    assert (old.state, new.state) == ("RETURNED", "PENDING_APPROVAL")
    assert "Early warning" not in {f.name.en for f in content.facts}
    assert "Methane over its limit (Main return)" in content.title.en
    assert "尚未" not in content.title.zh


def test_who_closed_a_warning_is_alerted_when_the_limit_is_broken_after_all(engine: Engine) -> None:
    now = utc_now()
    warning = methane(0.8, now, say("methane at 0.8 %", "Methane in returns, > 1 %", 12, now))
    send(engine, warning)
    first = named(engine, "methane-high")
    drafted(engine)
    decide(engine, MINE, first.id, "reject", "li", reason="calibration gas", document_version=1)
    broken = methane(
        1.1, now, "methane at 1.1 % breaks Methane in returns", state="updated", sequence=1, risk_id=warning.risk_id
    )
    assert send(engine, broken) == ["raised"]
    assert send(engine, broken) == ["known"]
    with reading(engine) as session:
        alerts = session.exec(select(Alert).order_by(col(Alert.committed_at))).all()
    assert [(a.closed, a.early) for a in alerts] == [(True, True), (False, False)]
    cleared = methane(0.4, now, "inside", state="cleared", sequence=2, risk_id=warning.risk_id)
    send(engine, cleared)
    with reading(engine) as session:
        assert [a.episode for a in session.exec(select(Alert).order_by(col(Alert.committed_at))).all()][1] == "cleared"


def test_what_was_signed_stays_and_other_places_and_reports_are_not_joined(engine: Engine) -> None:
    send(engine, risk("smoke"))
    steps = Steps(engine, MINE, lambda: TaggedFinder(engine), Drafter([], DrafterSettings()), SETTINGS, lambda _: None)
    while steps.do_next(("match", "draft", "decide"), "tester"):
        pass
    now = utc_now()
    assert send(engine, monoxide(now, place="return")) == ["raised"]
    assert send(engine, monoxide(now, source="person:li", source_kind="person")) == ["raised"]
    decide(engine, MINE, named(engine, "smoke").id, "approve", "li", document_version=1)
    assert send(engine, monoxide(now, source="co-2")) == ["raised"]


def test_smoke_seen_while_carbon_monoxide_rises_is_graver_before_any_limit_is_broken(engine: Engine) -> None:
    now = utc_now()
    send(engine, risk("smoke"), risk("standing-water"))
    decide(engine, MINE, named(engine, "smoke").id, "acknowledge", "li")

    def level(sensor: str, quantity: str, unit: str, values: list[float], place: str) -> None:
        rows = [
            Reading(
                mine=MINE, sensor=sensor, place=place, quantity=quantity, value=v, unit=unit, sequence=n,
                captured_at=now - timedelta(minutes=len(values) - n), read_at=now,
            )
            for n, v in enumerate(values)
        ]  # fmt: skip
        store_readings(engine, rows)

    level("co-9", "carbon-monoxide", "ppm", [4, 9, 15], "return")
    sweep(engine, MINE, SETTINGS, now)
    assert not named(engine, "smoke").severity_raised, "another place says nothing about this one"
    level("co-1", "carbon-monoxide", "ppm", [4, 9, 15], "roadway")
    level("wl-1", "water-level", "m", [0.2, 0.3, 0.5], "roadway")
    sweep(engine, MINE, SETTINGS, now)
    smoke, water = named(engine, "smoke"), named(engine, "standing-water")
    assert (smoke.severity_raised, str(smoke.state)) == (True, "UNACK"), "whoever acknowledged it is asked again"
    assert "4 → 15 ppm (co-1)" in smoke.severity_en
    assert (water.severity_raised, water.priority) == (True, "high")
    assert disturbances(water) == ("severity",)
    assert sweep(engine, MINE, SETTINGS, now) == 0, "once"


def test_chattering_and_recurring_are_noticed_once_and_bar_closure(engine: Engine) -> None:
    send(engine, risk())
    send(engine, risk())
    assert named(engine, "no-helmet").restless == ""
    send(engine, risk(), risk())
    alert = named(engine, "no-helmet")
    assert (alert.restless, alert.raisings) == ("chattering", 4)
    assert actions(engine).count("chattering") == 1
    assert disturbances(alert) == ("chattering",)
    hours = utc_now() - timedelta(hours=1)
    old = [risk("no-vest", published_at=hours + timedelta(minutes=n)) for n in (0, 15, 30, 45)]
    send(engine, *old)
    assert named(engine, "no-vest").restless == "recurring"
