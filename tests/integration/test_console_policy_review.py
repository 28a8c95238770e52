"""The officer's pages of a policy: history replayed, the trial in shadow, and the closures that wait to be judged."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlmodel import select

from console import policy_review_page
from console.accounts import add_user
from console.schema import prepare
from disposal.audit import AuditLine
from disposal.decision import decide
from disposal.document import Document, DocumentState, Verdict, to_json
from disposal.policy import SHIPPED, put_policy
from stream.database import open_database, reading, writing
from stream.evidence import EvidenceStore
from stream.log import open_log
from stream.messages import utc_now
from stream.settings import LogSettings
from tests.integration.console_client import person, send
from tests.integration.console_mine import MINE, PASSWORD, Mine
from tests.unit.disposal_world import furnish
from tests.unit.test_disposal_backtest import ended


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mine]:
    """A mine whose helmets have ended as a policy would close them, with a draft of such a policy."""
    folder: Path = tmp_path_factory.mktemp("mine")
    engine = open_database(f"sqlite:///{folder / 'mine.db'}")
    prepare(engine)
    furnish(engine)
    for role in ("dispatcher", "officer", "auditor"):
        add_user(engine, MINE, role, role, PASSWORD)
    with writing(engine) as session:
        put_policy(session, MINE, msgspec.structs.replace(SHIPPED, stable_seconds=0.0), "author")
    log = open_log(LogSettings(folder=folder / "log", frames_bytes=16 * 1024**2))
    opened = Mine(folder, engine, EvidenceStore(folder / "evidence"), log, b"")
    yield opened
    opened.close()


def shadowed(mine: Mine, alert_id: str, **changes: object) -> None:
    """Let the alert's document be one that the policy would have closed."""
    with writing(mine.engine) as session:
        document = session.exec(select(Document).where(Document.alert_id == alert_id)).one()
        document.policy, document.would_close = "routine@1", True
        for name, value in changes.items():
            setattr(document, name, value)
        session.add(document)


def test_the_backtest_is_shown_alert_by_alert_and_names_none_that_waits(mine: Mine) -> None:
    agreed, refused = ended(mine.engine), ended(mine.engine, source="cam-2", place="roadway")
    waiting, barred = ended(mine.engine, zone="zone-2"), ended(mine.engine, "person-on-belt")
    decide(mine.engine, MINE, agreed, "close", "ann", reason="gone again", document_version=1)
    decide(mine.engine, MINE, refused, "approve", "bob", document_version=1)
    decide(mine.engine, MINE, barred, "approve", "carl", document_version=1)
    officer, auditor = person(mine, "officer"), person(mine, "auditor")
    page = auditor.get("/policy/backtest?policy=routine@1&days=1").text
    closing, staying = page.split('id="closing"')[1].split('id="staying"')
    assert f"/alerts/{agreed}" in closing
    assert "gone again" in closing
    assert "ann" in closing
    assert closing.count("against the policy") == 1
    assert f"/alerts/{barred}" in staying
    assert "Approve · carl" in staying
    assert "A general hazard" in staying
    assert waiting not in closing + staying
    assert "does not know what the policy says" in page
    assert 'action="/policy/backtest"' not in page  # an auditor changes nothing
    assert send(auditor, "/policy/backtest", {"policy": "routine@1"}).status_code == 403
    assert 'action="/policy/backtest"' in officer.get("/policy/backtest?policy=routine@1").text
    assert send(officer, "/policy/backtest", {"policy": "routine@1", "days": "1"}).status_code == 303
    with reading(mine.engine) as session:
        line = session.exec(select(AuditLine).where(AuditLine.action == "backtest-policy")).one()
    assert (line.actor, line.subject) == ("officer", "policy/routine@1")
    for missing in ("other@1", "routine@9", "", "../etc"):
        assert officer.get("/policy/backtest", params={"policy": missing}).status_code == 404
    assert person(mine, "dispatcher").get("/policy/backtest?policy=routine@1").status_code == 403


def test_too_much_history_is_refused_with_the_way_to_go(mine: Mine, monkeypatch: pytest.MonkeyPatch) -> None:
    ended(mine.engine, zone="zone-7")
    monkeypatch.setattr(policy_review_page, "MOST", 0)
    answer = person(mine, "officer").get("/policy/backtest?policy=routine@1")
    assert answer.status_code == 422
    assert "minewatch policy backtest" in answer.text


def test_whoever_decides_is_not_told_what_a_policy_on_trial_would_do(mine: Mine) -> None:
    officer, alert_id = person(mine, "officer"), ended(mine.engine, zone="blind-1")
    said = Verdict(close=True, reasons=(), policy="trial@1", shadow=True)
    shadowed(mine, alert_id, verdict=to_json(said), policy="trial@1")

    def told() -> tuple[bool, bool]:
        page = officer.get(f"/alerts/{alert_id}").text
        over_api = officer.get(f"/api/v1/alerts/{alert_id}").json()["document"]["verdict"]
        return "The policy would close it" in page, over_api is not None

    assert told() == (False, False)
    assert "shown after your decision" in officer.get(f"/alerts/{alert_id}").text
    decide(mine.engine, MINE, alert_id, "close", "ann", reason="gone", document_version=1)
    assert told() == (True, True)


def test_shadow_results_show_what_was_judged_blind_and_only_count_the_rest(mine: Mine) -> None:
    right, wrong, waiting = (ended(mine.engine, zone=f"shadow-{n}") for n in range(3))
    decide(mine.engine, MINE, right, "reject", "ann", reason="a shadow on the wall", document_version=1)
    decide(mine.engine, MINE, wrong, "approve", "bob", document_version=1)
    for alert_id in (right, wrong, waiting):
        shadowed(mine, alert_id)
    page = person(mine, "officer").get("/policy/shadow?policy=routine@1").text
    judged = page.split('id="judged"')[1]
    assert f"/alerts/{right}" in judged
    assert "a shadow on the wall" in judged
    assert (judged.count("✓"), judged.count("✗")) == (1, 1)
    assert waiting not in judged
    assert "Judged again by a person</dt><dd>2 · " in page
    assert "97.5 %" in page  # the bound of one wrong in two


def test_the_sampling_queue_lists_what_waits_with_its_bound(mine: Mine) -> None:
    officer = person(mine, "officer")
    assert "No closure waits" in officer.get("/policy/samples").text
    waiting = ended(mine.engine, zone="sample-1")
    shadowed(mine, waiting, state=DocumentState.SAMPLED.value, auto_closed_at=utc_now())
    page = officer.get("/policy/samples").text
    assert '<small id="waiting">1</small>' in page
    assert f"/alerts/{waiting}" in page.split('id="samples"')[1]
    assert "routine@1</dt>" in page
    assert 'href="/policy/samples"' in officer.get("/policy").text
    assert 'href="/policy/samples"' not in person(mine, "dispatcher").get("/policy").text
