"""Shelving: set aside by a person for a while, never what must not be, and back in the queue by itself."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from disposal.alert import Alert
from disposal.audit import AuditLine, verify
from disposal.decision import decide
from disposal.errors import AlreadyDecidedError, ReasonMissingError, ShelvingError
from disposal.intake import take_all
from disposal.settings import DisposalSettings
from disposal.shelving import LONGEST, is_shelved, may_be_shelved
from disposal.sweep import sweep
from stream.catalogue import RISK_TYPES
from stream.database import open_database, reading, writing
from stream.messages import Risk, utc_now
from tests.unit.disposal_world import MINE, SITE, furnish, later, risk


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    return engine


def raised(engine: Engine, first: Risk | None = None) -> str:
    with writing(engine) as session:
        return take_all(session, [first or risk()], SITE, DisposalSettings(), utc_now())[0].alert_id


def alert(engine: Engine, identity: str) -> Alert:
    with reading(engine) as session:
        return session.get_one(Alert, identity)


def shelve(engine: Engine, identity: str, minutes: float = 30, who: str = "ann", **more: Any) -> None:
    until = utc_now() + timedelta(minutes=minutes)
    decide(engine, MINE, identity, "shelve", who, reason="maintenance", until=until, **more)


def lines(engine: Engine, action: str) -> list[AuditLine]:
    with reading(engine) as session:
        return list(session.exec(select(AuditLine).where(AuditLine.action == action)).all())


def test_until_when_by_whom_and_why_are_kept_and_audited(engine: Engine) -> None:
    identity = raised(engine)
    before = alert(engine, identity)
    shelve(engine, identity)
    row = alert(engine, identity)
    assert (row.shelved_by, row.shelved_reason) == ("ann", "maintenance")
    assert is_shelved(row, utc_now())
    assert (row.state, row.acked, row.escalate_at) == (before.state, False, before.escalate_at), "nothing else changes"
    (line,) = lines(engine, "shelve")
    assert row.shelved_until is not None
    assert json.loads(line.after)["shelved_until"] == row.shelved_until.isoformat()
    assert json.loads(line.after)["reason"] == "maintenance"
    assert "shelved_until" not in json.loads(line.before)


def test_a_version_of_the_document_that_came_since_does_not_matter(engine: Engine) -> None:
    identity = raised(engine)
    shelve(engine, identity, document_version=7)
    assert alert(engine, identity).shelved_by == "ann"


@pytest.mark.parametrize("kind", sorted(RISK_TYPES))
def test_no_major_hazard_and_no_imminent_danger_can_be_shelved(engine: Engine, kind: str) -> None:
    known = RISK_TYPES[kind]
    source = {"source_kind": "person", "source": "person:ann"} if "person" in known.seen_by else {}
    identity = raised(engine, risk(kind, **source))
    barred = known.grade == "major" or known.latching or known.priority == "critical"
    assert may_be_shelved(alert(engine, identity)) is not barred
    if not barred:
        shelve(engine, identity)
        return
    with pytest.raises(ShelvingError, match="cannot be shelved"):
        shelve(engine, identity)
    assert alert(engine, identity).shelved_until is None


@pytest.mark.parametrize("minutes", [None, 0, -5, LONGEST.total_seconds() / 60 + 1])
def test_never_without_an_end_nor_beyond_the_maximum(engine: Engine, minutes: float | None) -> None:
    identity = raised(engine)
    until = None if minutes is None else utc_now() + timedelta(minutes=minutes)
    with pytest.raises(ShelvingError, match="at most 480 minutes"):
        decide(engine, MINE, identity, "shelve", "ann", reason="r", until=until)
    assert lines(engine, "shelve") == []


def test_the_mines_own_maximum_counts(engine: Engine) -> None:
    identity = raised(engine)
    with pytest.raises(ShelvingError, match="at most 10 minutes"):
        shelve(engine, identity, 11, longest_shelving=timedelta(minutes=10))
    shelve(engine, identity, 10, longest_shelving=timedelta(minutes=10))


def test_it_needs_a_reason(engine: Engine) -> None:
    identity = raised(engine)
    with pytest.raises(ReasonMissingError):
        decide(engine, MINE, identity, "shelve", "ann", reason=" ", until=utc_now() + timedelta(minutes=5))


def test_the_second_of_two_is_told_who_was_first(engine: Engine) -> None:
    identity = raised(engine)
    shelve(engine, identity)
    with pytest.raises(AlreadyDecidedError) as caught:
        shelve(engine, identity, who="bob")
    assert caught.value.who == "ann"
    assert len(lines(engine, "shelve")) == 1


def test_it_is_taken_off_by_a_person_once(engine: Engine) -> None:
    identity = raised(engine)
    shelve(engine, identity)
    decide(engine, MINE, identity, "unshelve", "bob")
    row = alert(engine, identity)
    assert (row.shelved_until, row.shelved_by, row.shelved_reason) == (None, None, None)
    (line,) = lines(engine, "unshelve")
    assert json.loads(line.before)["shelved_by"] == "ann"
    with pytest.raises(ShelvingError, match="not shelved"):
        decide(engine, MINE, identity, "unshelve", "bob")
    assert verify(engine, MINE).whole


def test_its_end_returns_it_to_the_queue_and_passes_it_on_where_nobody_acknowledged(engine: Engine) -> None:
    identity = raised(engine)
    shelve(engine, identity, 60)
    due = alert(engine, identity).escalate_at
    assert due is not None
    assert sweep(engine, MINE, DisposalSettings(), due + timedelta(seconds=1)) == 0
    over = utc_now() + timedelta(minutes=61)
    assert sweep(engine, MINE, DisposalSettings(), over) == 2
    row = alert(engine, identity)
    assert not is_shelved(row, utc_now())
    assert row.escalated == 1
    (line,) = lines(engine, "unshelved")
    assert json.loads(line.before)["by"] == "ann"


def test_what_is_closed_is_neither_shelved_nor_stays_on_the_shelf(engine: Engine) -> None:
    identity = raised(engine, first := risk())
    with writing(engine) as session:
        take_all(session, [later(first, "cleared")], SITE, DisposalSettings(), utc_now())
    shelve(engine, identity)
    with writing(engine) as session:
        row = session.get_one(Alert, identity)
        row.closed, row.closed_by = True, "bob"
        row.shelved_until = row.shelved_by = row.shelved_reason = None
    for decision in ("shelve", "unshelve"):
        with pytest.raises(AlreadyDecidedError, match="closed"):
            decide(engine, MINE, identity, decision, "ann", reason="r", until=utc_now() + timedelta(minutes=5))  # type: ignore[arg-type]
