"""From an alert to its decision, step by step, on a real database."""

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlmodel import select

from disposal.alert import Alert
from disposal.audit import AuditLine, verify
from disposal.decision import decide
from disposal.document import Document, DocumentState, Verdict
from disposal.drafter import Draft, Drafter
from disposal.intake import take_all
from disposal.notify import Outbox
from disposal.policy import ClosurePolicy, activate_for_demo, put_in_shadow, put_policy, ship_policy
from disposal.request import DraftRequest
from disposal.settings import DisposalSettings, DrafterSettings
from disposal.steps import Steps
from disposal.summary import summary
from rules.matcher import Match
from rules.revision import repeal
from stream.database import open_database, reading, writing
from stream.messages import Risk, utc_now
from stream.readings import store_readings
from tests.unit.disposal_world import MINE, SITE, TaggedFinder, furnish, later, reading_of, risk, well

ALL = ("match", "draft", "decide")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    return engine


@pytest.fixture
def steps(engine: Engine) -> Steps:
    return Steps(
        engine, MINE, lambda: TaggedFinder(engine), Drafter([], DrafterSettings()), DisposalSettings(), lambda _: None
    )


def send(engine: Engine, *risks: Risk) -> None:
    with writing(engine) as session:
        take_all(session, risks, SITE, DisposalSettings(), utc_now())


def work(steps: Steps) -> int:
    count = 0
    while steps.do_next(ALL, "tester"):
        count += 1
        assert count < 50, "it never comes to rest"
    return count


def stood_still(engine: Engine, seconds: float = 60) -> None:
    """Let the hazard be gone for so long already, and what waits be due."""
    with writing(engine) as session:
        for alert in session.exec(select(Alert)).all():
            if alert.returned_at is not None:
                alert.returned_at -= timedelta(seconds=seconds)
            alert.due_at = utc_now() if alert.step != "none" else None
            session.add(alert)


def documents(engine: Engine) -> list[Document]:
    with reading(engine) as session:
        return list(session.exec(select(Document).order_by(Document.alert_id, Document.version)).all())  # type: ignore[arg-type]


def failing(document: Document) -> set[str]:
    verdict = document.read_verdict()
    assert verdict is not None
    return {r.condition for r in verdict.reasons if not r.ok}


def actions(engine: Engine) -> list[str]:
    with reading(engine) as session:
        return [line.action for line in session.exec(select(AuditLine).order_by(AuditLine.sequence)).all()]  # type: ignore[arg-type]


def test_a_routine_hazard_waits_for_its_end_and_closes_with_its_reasons(engine: Engine, steps: Steps) -> None:
    activate_for_demo(engine, MINE)
    first = risk()
    send(engine, first)
    work(steps)
    (document,) = documents(engine)
    assert (document.state, document.backend) == ("CHECKED", "composer")
    send(engine, later(first, "cleared"))
    work(steps)
    assert documents(engine)[0].state == "CHECKED", "it has to stay away for a while first"
    stood_still(engine)
    work(steps)
    (document,) = documents(engine)
    assert document.state in (DocumentState.AUTO_CLOSED, DocumentState.SAMPLED)
    assert failing(document) == set()
    assert (document.policy, document.would_close, document.decided_by) == ("demo@1", True, "demo@1")
    with reading(engine) as session:
        alert = session.exec(select(Alert)).one()
        assert [o.subject for o in session.exec(select(Outbox)).all()] == [f"document/{document.id}"]
    assert (alert.closed, alert.closed_by, alert.state, alert.step) == (True, "demo@1", "NORMAL", "none")
    assert actions(engine)[3:] == ["raised", "matched", "drafted", "returned", "auto-close"]
    assert verify(engine, MINE).whole


def test_in_shadow_nothing_closes_and_the_verdict_is_kept(engine: Engine, steps: Steps) -> None:
    ship_policy(engine, MINE)
    first = risk()
    send(engine, first)
    work(steps)
    assert documents(engine)[0].state == "PENDING_APPROVAL"
    send(engine, later(first, "cleared"))
    stood_still(engine)
    work(steps)
    (document,) = documents(engine)
    verdict = document.read_verdict()
    assert isinstance(verdict, Verdict)
    assert (document.state, verdict.close, verdict.shadow, verdict.policy) == (
        "PENDING_APPROVAL",
        True,
        True,
        "routine@1",
    )
    assert (document.would_close, document.auto_closed_at) == (True, None)


@pytest.mark.parametrize("kind", ["methane-high", "belt-wear"])
def test_everything_else_goes_to_a_person_at_once(engine: Engine, steps: Steps, kind: str) -> None:
    activate_for_demo(engine, MINE)
    first = risk(kind)
    send(engine, first)
    work(steps)
    assert documents(engine)[0].state == "PENDING_APPROVAL"
    send(engine, later(first, "cleared"))
    stood_still(engine)
    work(steps)
    (document,) = documents(engine)
    assert document.state == "PENDING_APPROVAL"
    assert failing(document)


def test_a_hazard_raised_by_hand_never_closes_by_itself(engine: Engine, steps: Steps) -> None:
    activate_for_demo(engine, MINE)
    first = risk(source="person:ann", source_kind="person", zone=None, note="有人未戴安全帽")
    send(engine, first, later(first, "cleared"))
    stood_still(engine)
    work(steps)
    (document,) = documents(engine)
    assert document.state == "PENDING_APPROVAL"
    assert "not-by-hand" in failing(document)


def test_what_is_lost_goes_to_a_person(engine: Engine, steps: Steps) -> None:
    activate_for_demo(engine, MINE)
    first = risk()
    send(engine, first)
    work(steps)
    send(engine, later(first, "lost"))
    work(steps)
    (document,) = documents(engine)
    assert (document.state, "cleared" in failing(document)) == ("PENDING_APPROVAL", True)


def test_a_routine_hazard_that_does_not_end_goes_to_a_person(engine: Engine, steps: Steps) -> None:
    activate_for_demo(engine, MINE)
    send(engine, risk())
    work(steps)
    with writing(engine) as session:
        alert = session.exec(select(Alert)).one()
        alert.committed_at -= timedelta(hours=1)
        alert.due_at = utc_now()
    work(steps)
    assert documents(engine)[0].state == "PENDING_APPROVAL"


GONE = "return"


@pytest.mark.parametrize(
    "trouble", ["gas over its limit", "no reading", "clause repealed", "camera blind", "camera unknown"]
)
def test_what_is_wrong_around_it_bars_closing(engine: Engine, steps: Steps, trouble: str) -> None:
    activate_for_demo(engine, MINE)
    first = risk(source="cam-2", place=GONE)
    send(engine, first)
    work(steps)
    send(engine, later(first, "cleared"))
    expected = {
        "gas over its limit": "readings", "no reading": "readings", "clause repealed": "citations",
        "camera blind": "camera", "camera unknown": "camera",
    }  # fmt: skip
    if trouble == "gas over its limit":
        store_readings(engine, [reading_of(1.3, utc_now() + timedelta(seconds=1))])
    elif trouble == "no reading":
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM reading"))
    elif trouble == "clause repealed":
        repeal(engine, "cn-coal:18", "somebody", utc_now())
    elif trouble == "camera blind":
        send(engine, risk("camera-blind", source="cam-2", place=GONE, zone=None))
    else:
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM source_health"))
    stood_still(engine)
    work(steps)
    document = next(d for d in documents(engine) if d.read_matches())
    assert (document.state, failing(document)) == ("PENDING_APPROVAL", {expected[trouble]})


def test_clean_air_where_there_are_sensors_lets_it_close(engine: Engine, steps: Steps) -> None:
    activate_for_demo(engine, MINE)
    first = risk(source="cam-2", place=GONE)
    send(engine, first)
    work(steps)
    send(engine, later(first, "cleared"))
    stood_still(engine)
    well(engine)
    work(steps)
    assert documents(engine)[0].auto_closed_at is not None


def test_the_daily_cap_holds_for_closures_that_come_together(engine: Engine, steps: Steps) -> None:
    with writing(engine) as session:
        row = put_policy(session, MINE, ClosurePolicy(types=("no-helmet",), daily_cap=3, sample=1.0), "ann")
        put_in_shadow(session, row, "bob")
        row.state = "ACTIVE"
        session.add(row)
    first = [risk(zone=f"zone-{n}") for n in range(8)]
    send(engine, *first)
    work(steps)
    send(engine, *(later(r, "cleared") for r in first))
    stood_still(engine)
    work(steps)
    states = Counter(d.state for d in documents(engine))
    assert states == {"SAMPLED": 3, "PENDING_APPROVAL": 5}
    assert {frozenset(failing(d)) for d in documents(engine) if d.state == "PENDING_APPROVAL"} == {frozenset({"cap"})}


def test_a_returned_document_is_drafted_again_with_the_reason(engine: Engine, steps: Steps) -> None:
    send(engine, risk())
    work(steps)
    with reading(engine) as session:
        alert = session.exec(select(Alert)).one()
    decide(engine, MINE, alert.id, "return", "ann", reason="say which belt", document_version=1)
    work(steps)
    assert [(d.version, d.state) for d in documents(engine)] == [(1, "RETURNED"), (2, "PENDING_APPROVAL")]


def test_a_decision_that_comes_between_wins_over_the_step(engine: Engine) -> None:
    class Slow(TaggedFinder):
        def match(self, risk: Risk, at: datetime) -> list[Match]:
            with reading(engine) as session:
                alert = session.exec(select(Alert)).one()
            decide(engine, MINE, alert.id, "reject", "ann", reason="a lamp")
            return super().match(risk, at)

    send(engine, risk())
    steps = Steps(
        engine, MINE, lambda: Slow(engine), Drafter([], DrafterSettings()), DisposalSettings(), lambda _: None
    )
    work(steps)
    assert documents(engine) == []
    assert "matched" not in actions(engine)


def test_a_clause_that_ended_after_it_was_found_is_not_cited(engine: Engine, steps: Steps) -> None:
    send(engine, risk())
    assert steps.do_next(("match",), "tester")
    (found,) = documents(engine)
    assert [m.version_id for m in found.read_matches()] == ["cn-coal:18@1"]
    repeal(engine, "cn-coal:18", "approver", utc_now())
    work(steps)
    (document,) = documents(engine)
    content = document.read_content()
    assert content is not None
    assert content.citations == ()
    assert "No clause" in content.notice.en


def test_an_alert_whose_clauses_cannot_be_found_still_reaches_a_person(engine: Engine) -> None:
    class Broken(TaggedFinder):
        def match(self, risk: Risk, at: datetime) -> list[Match]:
            raise RuntimeError("no index")

    counts: list[str] = []
    steps = Steps(
        engine, MINE, lambda: Broken(engine), Drafter([], DrafterSettings()), DisposalSettings(), counts.append
    )
    activate_for_demo(engine, MINE)
    send(engine, risk())
    for _ in range(4):
        work(steps)
        stood_still(engine, 0)
    work(steps)
    (document,) = documents(engine)
    content = document.read_content()
    assert content is not None
    assert content.citations == ()
    assert "No clause" in content.notice.en
    assert counts.count("steps_failed") == 4


def test_a_document_that_cannot_be_written_for_good_is_counted_and_no_longer_waited_for(engine: Engine) -> None:
    class Broken(Drafter):
        def draft(self, request: DraftRequest) -> Draft:
            raise RuntimeError("no paper")

    since = utc_now()
    steps = Steps(
        engine, MINE, lambda: TaggedFinder(engine), Broken([], DrafterSettings()), DisposalSettings(), lambda _: None
    )
    send(engine, risk())
    work(steps)
    assert (summary(engine, MINE, since).undrafted, summary(engine, MINE, since).failed) == (1, 0), "it is tried again"
    for _ in range(5):
        stood_still(engine, 0)
        work(steps)
    found = summary(engine, MINE, since)
    assert (found.undrafted, found.failed, found.documents, found.pending) == (0, 1, 0, 1), "a run ends, and says so"


def test_the_summary_counts_what_was_done(engine: Engine, steps: Steps) -> None:
    since = utc_now()
    first = risk()
    send(engine, first, risk(), risk("methane-high"))
    before = summary(engine, MINE, since)
    assert (before.risks, before.alerts, before.documents, before.undrafted) == (3, 2, 0, 3)
    assert before.latency_ms["risk_to_document"] == {"p50": None, "p95": None, "p99": None}
    work(steps)
    after = summary(engine, MINE, since)
    assert after.risks_by_type == {"methane-high": 1, "no-helmet": 2}
    assert (after.alerts, after.documents, after.pending, after.undrafted, after.auto_closed) == (2, 2, 2, 0, 0)
    assert after.latency_ms["frame_to_risk"] == {"p50": 300.0, "p95": 300.0, "p99": 300.0}
    assert (after.latency_ms["risk_to_document"]["p50"] or 0) > 0
    assert summary(engine, MINE, utc_now()).risks == 0
    assert summary(engine, "south", since).alerts == 0
