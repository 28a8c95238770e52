"""A clause that the search missed is cited by a person: only one in force then, and it is kept as a miss."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from disposal.citing import corrected
from disposal.decision import decide
from disposal.document import Document
from disposal.editing import edit_document
from disposal.errors import EditError
from disposal.missed import held, numbered
from disposal.situation import cited
from disposal.triple import triples
from rules.clause import CodeEdition, Content
from rules.revision import add_edition, draft, edit, publish, repeal, review
from stream.database import open_database
from stream.messages import utc_now
from tests.unit.disposal_world import MINE, furnish
from tests.unit.test_disposal_steps import documents
from tests.unit.test_disposal_triple import alerts

HELMETS, METHANE = "cn-coal:18@1", "cn-coal:172@1"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    return engine


def newest(engine: Engine, alert: str) -> Document:
    return max((d for d in documents(engine) if d.alert_id == alert), key=lambda d: d.version)


def test_what_a_person_adds_is_a_positive_that_the_search_missed(engine: Engine) -> None:
    (methane,) = alerts(engine, "methane-high")
    edit_document(engine, MINE, methane, 1, "ann", {"citations": (METHANE, HELMETS)}, "zh")
    decide(engine, MINE, methane, "approve", "ann", document_version=2)
    (line,) = corrected(triples(engine, MINE, "zh"))
    assert line["relevant"] == [{"article": "172", "grade": 2}, {"article": "18", "grade": 2}]
    assert (line["added"], line["removed"], line["missed"]) == (["18"], [], ["18"])


def test_no_policy_takes_it_for_found_by_the_search(engine: Engine) -> None:
    (methane,) = alerts(engine, "methane-high")
    edit_document(engine, MINE, methane, 1, "ann", {"citations": (METHANE, HELMETS)}, "zh")
    last = newest(engine, methane)
    told = {c.version_id: (c.retrieved, c.in_force) for c in cited(engine, MINE, last, utc_now())}
    assert told == {METHANE: (True, True), HELMETS: (False, True)}
    assert [m.by for m in last.read_matches()] == ["", "ann"]
    # A later edit of something else keeps it, and names nobody anew.
    edit_document(engine, MINE, methane, 2, "bob", {"citations": (HELMETS,)}, "zh")
    last = newest(engine, methane)
    assert [m.by for m in last.read_matches()] == ["", "ann"]
    assert json.loads(last.content)["citations"][0]["version_id"] == HELMETS


def published(engine: Engine, version: str) -> str:
    review(engine, version, "reviewer")
    publish(engine, version, "approver")
    return version


def test_only_one_in_force_in_this_mine_when_the_hazard_was_there_can_be_added(engine: Engine) -> None:
    add_edition(engine, CodeEdition(code="south-1", edition="1", kind="supplement", mine="south", title_en="South"))
    before = utc_now()
    south = published(engine, draft(engine, "south-1", "1", "1", Content(text_en="Of the south mine."), "writer"))
    newer = published(engine, edit(engine, "cn-coal:18", "writer", {"text_en": "Everybody wears a helmet."}))
    drafted = edit(engine, "cn-coal:172", "writer", {"text_en": "Not yet."})
    after = utc_now()
    assert held(engine, MINE, HELMETS, before) is not None, "it was in force then"
    assert held(engine, MINE, HELMETS, after) is None, "another has taken its place"
    assert held(engine, MINE, newer, before) is None, "it was not in force yet"
    assert [held(engine, MINE, version, after) for version in (south, drafted, "cn-coal:999@1", "")] == [None] * 4
    (methane,) = alerts(engine, "methane-high")
    for strange in (south, drafted, "cn-coal:999@1"):
        with pytest.raises(EditError, match="was not"):
            edit_document(engine, MINE, methane, 1, "ann", {"citations": (METHANE, strange)}, "zh")


@pytest.mark.parametrize("query", ["172", "第172条", " 第１７２条 ", "cn-coal:172", "cn-coal 第172条"])
def test_a_clause_is_named_by_its_number(engine: Engine, query: str) -> None:
    assert [p.version_id for p in numbered(engine, MINE, query, utc_now())] == [METHANE]


def test_what_is_no_number_or_names_nothing_in_force_finds_nothing(engine: Engine) -> None:
    inserted = published(engine, draft(engine, "cn-coal", "2016", "18-1", Content(text_zh="矿灯完好。"), "writer"))
    now = utc_now()
    assert [p.version_id for p in numbered(engine, MINE, "第18条之1", now)] == [inserted]
    for query in ("", "甲烷", "17", "other:172", "172 173", "(", "172" * 100):
        assert numbered(engine, MINE, query, now) == []
    repeal(engine, "cn-coal:172", "approver", now)
    assert numbered(engine, MINE, "172", now) == []
    assert [p.version_id for p in numbered(engine, MINE, "172", now - timedelta(hours=1))] == [METHANE]
