"""What people's decisions say of the hazards behind alerts."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from disposal.alert import Alert
from disposal.decision import decide
from disposal.document import Decision, Document, document_identity
from disposal.intake import take_all
from disposal.judgement import judged
from disposal.settings import DisposalSettings
from stream.database import open_database, writing
from stream.messages import utc_now
from tests.unit.disposal_world import MINE, SITE, furnish, later, risk

LONG_AGO = utc_now() - timedelta(days=1)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    return engine


def alert(engine: Engine, name: str, state: str = "PENDING_APPROVAL") -> str:
    """An alert of one risk, told twice, whose document waits in that state."""
    seen = risk("no-helmet", risk_id=name, zone=name)
    with writing(engine) as session:
        [taken, _] = take_all(session, [seen, later(seen, "updated")], SITE, DisposalSettings(), utc_now())
        session.get_one(Alert, taken.alert_id).document_version = 1
        identity = document_identity(taken.alert_id, 1)
        row = Document(id=identity, alert_id=taken.alert_id, mine=MINE, version=1, state=state, created_at=utc_now())
        session.add(row)
    return taken.alert_id


@pytest.mark.parametrize(
    ("decision", "state", "verdict"),
    [
        ("reject", "PENDING_APPROVAL", "false-alarm"),
        ("approve", "PENDING_APPROVAL", "confirmed"),
        ("close", "ACCEPTANCE", "confirmed"),
        ("rectify", "ISSUED", "confirmed"),
        ("overturn", "SAMPLED", "confirmed"),
        ("uphold", "SAMPLED", None),
        ("return", "PENDING_APPROVAL", None),
        ("acknowledge", "PENDING_APPROVAL", None),
    ],
)
def test_a_decision_says_whether_the_hazard_was_there(
    engine: Engine, decision: Decision, state: str, verdict: str | None
) -> None:
    """The risk counts once, however often it was told."""
    name = alert(engine, "one", state)
    decide(engine, MINE, name, decision, "ann", reason="a sack", document_version=1)
    found = judged(engine, MINE, LONG_AGO)
    expected = [] if verdict is None else [("one", "raised", name, verdict)]
    assert [(one.risk.risk_id, one.risk.state, one.alert, one.verdict) for one in found] == expected
    assert all(one.reason == "a sack" for one in found)
    assert judged(engine, "south", LONG_AGO) == judged(engine, MINE, utc_now()) == []


def test_the_last_word_counts(engine: Engine) -> None:
    name = alert(engine, "one")
    decide(engine, MINE, name, "reject", "ann", reason="a sack", document_version=1)
    decide(engine, MINE, name, "reopen", "bob", reason="no sack", document_version=1)
    assert judged(engine, MINE, LONG_AGO) == [], "whoever reopens has not yet said what it was"
