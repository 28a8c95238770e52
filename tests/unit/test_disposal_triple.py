"""Request, draft and approved text, as they are read out of the documents."""

from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine
from sqlmodel import select

from disposal.alert import Alert
from disposal.decision import decide
from disposal.document import Bilingual, document_identity
from disposal.drafter import Drafter
from disposal.editing import edit_document
from disposal.settings import DisposalSettings, DrafterSettings
from disposal.steps import Steps
from disposal.triple import triples
from stream.database import open_database, reading, writing
from tests.unit.disposal_world import MINE, TaggedFinder, furnish, risk
from tests.unit.test_disposal_steps import documents, send, work

WRITTEN = Bilingual("立即撤人并切断电源。", "Withdraw everybody and cut the power.")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    return engine


def alerts(engine: Engine, *kinds: str) -> list[str]:
    """Alerts of those types, each with a composed draft."""
    steps = Steps(
        engine, MINE, lambda: TaggedFinder(engine), Drafter([], DrafterSettings()), DisposalSettings(), lambda _: None
    )
    send(engine, *(risk(kind) for kind in kinds))
    work(steps)
    with reading(engine) as session:
        found = {alert.type: alert.id for alert in session.exec(select(Alert)).all()}
    return [found[kind] for kind in kinds]


def test_what_a_person_approved_stands_beside_the_draft_and_what_it_was_drafted_from(engine: Engine) -> None:
    methane, smoke = alerts(engine, "methane-high", "smoke")
    assert triples(engine, MINE, "zh") == [], "nobody has approved anything yet"
    before = documents(engine)
    edit_document(engine, MINE, methane, 1, "ann", {"measures": (WRITTEN,)}, "zh")
    decide(engine, MINE, methane, "approve", "ann", document_version=2)
    decide(engine, MINE, smoke, "reject", "ann", reason="a test", document_version=1)
    [one] = triples(engine, MINE, "zh")
    [drafted] = [d for d in before if d.alert_id == methane]
    assert (one.alert, one.backend, one.scene) == (methane, "composer", "methane-high return")
    assert one.draft == drafted.read_content()
    assert one.approved.measures == (WRITTEN,) != one.draft.measures
    assert (one.request.at, one.request.language) == (drafted.created_at, "zh")
    assert one.request.facts == one.draft.facts
    assert one.request.matches == drafted.read_matches()
    assert triples(engine, "south", "zh") == []


def test_what_a_person_did_not_let_go_out_is_no_triple(engine: Engine) -> None:
    """One that still waits, or that a policy closed."""
    _, smoke = alerts(engine, "methane-high", "smoke")
    decide(engine, MINE, smoke, "approve", "ann", document_version=1)
    assert [one.alert for one in triples(engine, MINE, "en")] == [smoke]
    with writing(engine) as session:
        row = next(d for d in documents(engine) if d.id == document_identity(smoke, 1))
        row.auto_closed_at = row.decided_at
        session.merge(row)
    assert triples(engine, MINE, "en") == []


def test_a_draft_behind_a_return_is_the_one_that_counts(engine: Engine) -> None:
    """Returned with a reason, drafted anew: the reason was among what the second draft was given."""
    [methane] = alerts(engine, "methane-high")
    decide(engine, MINE, methane, "return", "ann", reason="be more concrete", document_version=1)
    work(Steps(
        engine, MINE, lambda: TaggedFinder(engine), Drafter([], DrafterSettings()), DisposalSettings(), lambda _: None
    ))  # fmt: skip
    decide(engine, MINE, methane, "approve", "ann", document_version=2)
    [one] = triples(engine, MINE, "zh")
    assert one.request.remarks[-1] == "be more concrete"
    assert one.draft == msgspec.structs.replace(one.approved)
