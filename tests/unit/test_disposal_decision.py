import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from disposal.alert import Alert, AlertEvent, AlertState
from disposal.audit import AuditLine, verify
from disposal.decision import LONGEST_REASON, decide, raise_by_hand
from disposal.document import Document, DocumentState
from disposal.errors import AlertError, AlreadyDecidedError, ReasonMissingError, StateError
from disposal.notify import Outbox
from stream.database import open_database, reading, writing
from stream.errors import ConfigurationError
from stream.log import open_log
from stream.messages import Evidence, Risk, decode, utc_now
from stream.settings import LogSettings
from tests.unit.disposal_world import MINE, furnish


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    return engine


def alert(engine: Engine, document: str | None = "PENDING_APPROVAL", **fields: Any) -> str:
    now = utc_now()
    row = Alert(
        id="a1", mine=MINE, fingerprint="f", type="no-helmet", grade="general", priority="medium", place="roadway",
        source="cam-1", source_kind="camera", raised_at=now, committed_at=now, updated_at=now, escalate_at=now, step="none",
    )  # fmt: skip
    for name, value in fields.items():
        setattr(row, name, value)
    with writing(engine) as session:
        session.add(row)
        session.flush()
        if document:
            row.document_version = 1
            session.add(
                Document(id="a1-1", alert_id="a1", mine=MINE, version=1, state=document, content="{}", created_at=now)
            )
    return row.id


def load(engine: Engine) -> tuple[Alert, Document]:
    with reading(engine) as session:
        return session.get_one(Alert, "a1"), session.get_one(Document, "a1-1")


def test_acknowledging_needs_no_document_and_is_done_once(engine: Engine) -> None:
    alert(engine, None)
    outcome = decide(engine, MINE, "a1", "acknowledge", "ann")
    assert (outcome.alert_state, outcome.document_state) == ("ACKED", None)
    with pytest.raises(AlreadyDecidedError) as caught:
        decide(engine, MINE, "a1", "acknowledge", "bob")
    assert (caught.value.who, "acknowledged" in str(caught.value)) == ("ann", True)


def test_an_approved_document_goes_out_with_its_audit_line(engine: Engine) -> None:
    alert(engine)
    outcome = decide(engine, MINE, "a1", "approve", "ann", document_version=1)
    row, document = load(engine)
    assert (outcome.document_state, document.decided_by, row.acked_by, row.escalate_at) == (
        "APPROVED",
        "ann",
        "ann",
        None,
    )
    with reading(engine) as session:
        assert [o.subject for o in session.exec(select(Outbox)).all()] == ["document/a1-1"]
        (line,) = session.exec(select(AuditLine)).all()
    assert (line.action, line.actor, line.sequence) == ("approve", "ann", outcome.audit_sequence)


def test_the_second_of_two_deciders_is_told_who_was_first(engine: Engine) -> None:
    alert(engine)
    decide(engine, MINE, "a1", "approve", "ann", document_version=1)
    with pytest.raises(AlreadyDecidedError) as caught:
        decide(engine, MINE, "a1", "reject", "bob", reason="no", document_version=1)
    assert caught.value.who == "ann"
    assert "approve" in str(caught.value)


def test_two_at_once_one_wins(engine: Engine) -> None:
    alert(engine)
    results: list[object] = []
    start = threading.Barrier(4)

    def run(who: str) -> None:
        start.wait()
        try:
            results.append(decide(engine, MINE, "a1", "approve", who, document_version=1))
        except AlreadyDecidedError as error:
            results.append(error)

    threads = [threading.Thread(target=run, args=(f"user-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(r, AlreadyDecidedError) for r in results) == 3
    assert len(results) == 4
    assert verify(engine, MINE).lines == 1


def test_an_older_version_of_the_document_is_not_decided(engine: Engine) -> None:
    alert(engine)
    with pytest.raises(AlreadyDecidedError, match="version 1 of its document was written"):
        decide(engine, MINE, "a1", "approve", "ann", document_version=0)
    assert load(engine)[1].state == "PENDING_APPROVAL"


def test_returning_needs_a_reason_and_has_it_drafted_again(engine: Engine) -> None:
    alert(engine)
    with pytest.raises(ReasonMissingError):
        decide(engine, MINE, "a1", "return", "ann", reason="  ", document_version=1)
    decide(engine, MINE, "a1", "return", "ann", reason="which belt?", document_version=1)
    row, document = load(engine)
    assert (document.state, document.reason, row.step, row.due_at is not None) == (
        "RETURNED",
        "which belt?",
        "match",
        True,
    )


@pytest.mark.parametrize("latching", [False, True])
def test_a_false_alarm_ends_everything(engine: Engine, latching: bool) -> None:
    alert(engine, latching=latching)
    outcome = decide(engine, MINE, "a1", "reject", "ann", reason="a lamp" * LONGEST_REASON, document_version=1)
    row, document = load(engine)
    assert (outcome.alert_state, row.closed, document.state) == (AlertState.NORMAL, True, "REJECTED")
    assert len(document.reason) == LONGEST_REASON
    with pytest.raises(AlreadyDecidedError, match="closed"):
        decide(engine, MINE, "a1", "acknowledge", "bob")


def test_what_is_still_there_is_not_closed(engine: Engine) -> None:
    alert(engine)
    with pytest.raises(StateError, match="still there"):
        decide(engine, MINE, "a1", "close", "ann", reason="done", document_version=1)
    with writing(engine) as session:
        row = session.get_one(Alert, "a1")
        row.episode = "cleared"
        row.move(AlertEvent.RETURN)
    assert decide(engine, MINE, "a1", "close", "ann", reason="done", document_version=1).document_state == "CLOSED"


def test_a_major_hazard_closes_by_acceptance_of_somebody_else(engine: Engine) -> None:
    alert(engine, "ISSUED", grade="major", latching=True, episode="cleared", active=False)
    with pytest.raises(StateError, match="acceptance"):
        decide(engine, MINE, "a1", "close", "ann", reason="done", document_version=1)
    decide(engine, MINE, "a1", "start", "ann", document_version=1)
    decide(engine, MINE, "a1", "rectify", "ann", document_version=1)
    with pytest.raises(StateError, match="somebody else"):
        decide(engine, MINE, "a1", "close", "ann", reason="done", document_version=1)
    outcome = decide(engine, MINE, "a1", "close", "bob", reason="seen on site", document_version=1)
    assert (outcome.alert_state, outcome.document_state) == (AlertState.NORMAL, "CLOSED")


def test_a_closed_alert_is_reopened_with_a_reason_and_drafted_anew(engine: Engine) -> None:
    alert(engine, DocumentState.CLOSED, closed=True, closed_by="ann", active=False, acked=True, acked_by="ann")
    outcome = decide(engine, MINE, "a1", "reopen", "bob", reason="it is back", document_version=1)
    row, document = load(engine)
    assert (outcome.alert_state, document.state) == ("UNACK", "REOPENED")
    assert (row.closed, row.closed_by, row.acked_by, row.step) == (False, None, None, "match")


def test_an_alert_of_another_mine_is_not_there(engine: Engine) -> None:
    alert(engine)
    for mine, name in (("south", "a1"), (MINE, "nothing")):
        with pytest.raises(AlertError):
            decide(engine, mine, name, "acknowledge", "ann")


def test_a_hazard_raised_by_hand_is_a_risk_on_the_log(engine: Engine, tmp_path: Path) -> None:
    log = open_log(LogSettings(folder=tmp_path / "log"))
    photo = Evidence(sha256="0" * 64, media_type="image/jpeg", kind="photo", captured_at=utc_now())
    try:
        name = raise_by_hand(log, engine, MINE, "roadway", "hand-raised", " 支护松动 ", "ann", photo)
        consumer = log.subscribe("test", ["risks"])
        (record,) = consumer.poll(10, 10)
        consumer.close()
        with pytest.raises(ReasonMissingError):
            raise_by_hand(log, engine, MINE, "roadway", "hand-raised", " ", "ann")
        with pytest.raises(ConfigurationError, match="no place 'moon'"):
            raise_by_hand(log, engine, MINE, "moon", "hand-raised", "x", "ann")
        with pytest.raises(ConfigurationError, match="no risk type"):
            raise_by_hand(log, engine, MINE, "roadway", "dragons", "x", "ann")
    finally:
        log.close()
    found = decode(record.value)
    assert isinstance(found, Risk)
    assert (found.risk_id, found.source_kind, found.note, found.evidence) == (name, "person", "支护松动", (photo,))
    assert record.key == f"{MINE}/person:ann"
