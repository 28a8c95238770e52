"""A policy over what has happened: it sees what was known then, and nothing that came later."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine
from sqlmodel import select
from typer.testing import CliRunner

from console.cli import app
from console.schema import prepare
from disposal.alert import Alert
from disposal.audit import AuditLine, append, verify
from disposal.backtest import Replayed, find_policy, mark_backtested, replay, report
from disposal.decision import decide
from disposal.drafter import Drafter
from disposal.errors import PolicyError
from disposal.intake import take_all
from disposal.policy import SHIPPED, put_policy
from disposal.settings import DisposalSettings, DrafterSettings
from disposal.steps import Steps
from stream.database import open_database, reading, writing
from stream.messages import Risk, utc_now
from stream.readings import store_readings
from tests.unit.disposal_world import MINE, SITE, TaggedFinder, furnish, later, reading_of, risk


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    prepare(engine)
    furnish(engine)
    return engine


def handle(engine: Engine, *risks: Risk) -> str:
    """Take them in and have the documents written, with no policy at all; answers the alert's id."""
    with writing(engine) as session:
        taken = take_all(session, risks, SITE, DisposalSettings(), utc_now())
    steps = Steps(
        engine, MINE, lambda: TaggedFinder(engine), Drafter([], DrafterSettings()), DisposalSettings(), lambda _: None
    )
    while steps.do_next(("match", "draft", "decide"), "tester"):
        pass
    return taken[0].alert_id


def ended(engine: Engine, kind: str = "no-helmet", **changes: Any) -> str:
    first = risk(kind, **changes)
    return handle(engine, first, later(first, "cleared"))


def replayed(engine: Engine, until: datetime | None = None, **changes: Any) -> list[Replayed]:
    now = utc_now()
    policy = msgspec.structs.replace(SHIPPED, **changes)
    return replay(engine, MINE, policy, now - timedelta(days=1), until or now + timedelta(minutes=5))


def failed(one: Replayed) -> set[str]:
    return {r.condition for r in one.verdict.reasons if not r.ok}


def test_what_would_close_and_what_a_person_had_said_of_it(engine: Engine) -> None:
    agreed, refused = ended(engine), ended(engine, source="cam-2", place="roadway")
    left = ended(engine, zone="zone-2")
    decide(engine, MINE, agreed, "close", "ann", reason="gone", document_version=1)
    decide(engine, MINE, refused, "approve", "bob", document_version=1)
    found = {one.alert: one for one in replayed(engine)}
    assert all(one.verdict.close for one in found.values()), [failed(one) for one in found.values()]
    assert [found[a].agreed for a in (agreed, refused, left)] == [True, False, None]
    said = report(list(found.values()))
    assert (said["alerts"], said["would_close"], said["judged_by_people"], said["people_disagreed"]) == (3, 3, 2, 1)
    assert said["wrong_at_most"] == pytest.approx(0.9747, abs=1e-4)
    people = {one["alert"]: one["people"] for one in said["closing"]}
    assert [(p["decision"], p["by"], p["reason"]) for p in people[agreed]] == [("close", "ann", "gone")]
    assert people[left] == []


def test_what_would_not_close_says_why(engine: Engine) -> None:
    first = risk(zone="zone-3")
    alerts = {
        "cleared": handle(engine, first, later(first, "lost")),
        "general": ended(engine, "person-on-belt"),
        "listed": ended(engine, "person-in-restricted-zone"),
        "confidence": ended(engine, confidence=0.3, zone="zone-4"),
        "not-by-hand": handle(engine, risk("hand-raised", source="person:ann", source_kind="person")),
    }
    found = {one.alert: one for one in replayed(engine)}
    assert {name: name in failed(found[alert]) for name, alert in alerts.items()} == dict.fromkeys(alerts, True)
    said = report(list(found.values()))
    assert said["would_close"] == 0
    assert len(said["staying"]) == 5
    assert all(one["why_not"] for one in said["staying"])
    assert said["barred_by"]["not-by-hand"] == 1


def test_it_judges_by_what_was_known_then(engine: Engine) -> None:
    alert = ended(engine, source="cam-2", place="return")
    cleared_at = utc_now()
    store_readings(engine, [reading_of(0.3, cleared_at + timedelta(seconds=20))])
    (one,) = replayed(engine)
    assert one.verdict.close, failed(one)
    store_readings(engine, [reading_of(1.4, cleared_at + timedelta(minutes=2))])
    ended(engine, "camera-moved", source="cam-2", place="return", zone=None)
    later_ones = {r.alert: r for r in replayed(engine)}
    assert "readings" not in failed(later_ones[alert]), "what was measured later was not known"
    store_readings(engine, [reading_of(1.4, cleared_at + timedelta(seconds=25))])
    assert "readings" in failed({r.alert: r for r in replayed(engine)}[alert])


def test_one_that_came_back_before_it_was_stable_is_judged_at_its_last_end(engine: Engine) -> None:
    first = risk()
    alert = handle(engine, first, later(first, "cleared"))
    again = risk(published_at=utc_now() + timedelta(seconds=10))
    handle(engine, again, later(again, "cleared", published_at=utc_now() + timedelta(seconds=20)))
    (one,) = replayed(engine)
    assert one.alert == alert
    assert one.at >= again.published_at + timedelta(seconds=30)
    (short,) = replayed(engine, stable_seconds=1.0)
    assert short.at < again.published_at, "for a policy that waits less it had ended before"


def test_too_short_a_time_since_the_end_is_said(engine: Engine) -> None:
    ended(engine)
    (one,) = replayed(engine, until=utc_now() + timedelta(seconds=1))
    assert failed(one) == {"stable"}


def test_the_cap_counts_what_the_replay_closes(engine: Engine) -> None:
    for number in range(3):
        ended(engine, zone=f"zone-{number}")
    found = replayed(engine, daily_cap=2)
    assert [one.verdict.close for one in found] == [True, True, False]
    assert failed(found[2]) == {"cap"}


def test_what_was_shelved_then_is_read_off_the_audit(engine: Engine) -> None:
    alert = ended(engine)
    until = utc_now() + timedelta(hours=1)
    with writing(engine) as session:
        append(session, MINE, "ann", "shelve", f"alert/{alert}", {}, {"shelved_until": until.isoformat()})
    assert "unshelved" in failed(replayed(engine)[0])
    with writing(engine) as session:
        append(session, MINE, "disposal", "unshelved", f"alert/{alert}", {}, {})
    assert "unshelved" not in failed(replayed(engine)[0])


def test_a_replay_changes_nothing_but_a_drafts_state(engine: Engine) -> None:
    ended(engine)
    with writing(engine) as session:
        put_policy(session, MINE, SHIPPED, "ann")
    row = find_policy(engine, MINE, "routine")
    assert row.id == "routine@1"
    with reading(engine) as session:
        before = session.exec(select(Alert)).one().model_dump()
        lines = len(session.exec(select(AuditLine)).all())
    found = report(replayed(engine))
    mark_backtested(engine, row, "ann", found)
    mark_backtested(engine, row, "ann", found)
    with reading(engine) as session:
        assert session.exec(select(Alert)).one().model_dump() == before
        assert len(session.exec(select(AuditLine)).all()) == lines + 1
    assert find_policy(engine, MINE, "routine@1").state == "BACKTESTED"
    assert verify(engine, MINE).whole


@pytest.mark.parametrize("name", ["other", "routine@2", "routine@x", "", "'; drop table alert"])
def test_a_policy_that_is_not_there_is_refused_with_those_that_are(engine: Engine, name: str) -> None:
    with writing(engine) as session:
        put_policy(session, MINE, SHIPPED, "ann")
    with pytest.raises(PolicyError, match="routine@1"):
        find_policy(engine, MINE, name)


def test_the_command_answers_with_one_object(engine: Engine, tmp_path: Path) -> None:
    ended(engine)
    with writing(engine) as session:
        put_policy(session, MINE, SHIPPED, "ann")
    config = tmp_path / "minewatch.toml"
    config.write_text(f'mine = "{MINE}"\n[database]\nurl = "sqlite:///{tmp_path / "minewatch.db"}"\n')
    arguments = [
        "policy",
        "backtest",
        "--policy",
        "routine@1",
        "--config",
        str(config),
        "--data",
        str(tmp_path / "data"),
    ]
    answer = CliRunner().invoke(app, [*arguments, "--days", "1", "--json"], catch_exceptions=False)
    found = json.loads(answer.stdout)
    assert (found["policy"], found["alerts"], found["mine"]) == ("routine@1", 1, MINE)
    assert set(found["staying"][0]["why_not"]) == {"stable"}
    plain = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "nobody decided" in plain.stdout
