"""What drafts of clauses would change for the alerts of the last days, on a real database with the real matcher."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from disposal.alert import Alert
from disposal.document import Bilingual, Document, Reason, StoredMatch, Verdict
from disposal.drafter import Drafter
from disposal.intake import take_all
from disposal.policy import ClosurePolicy, put_in_shadow, put_policy
from disposal.settings import DisposalSettings, DrafterSettings
from disposal.steps import Steps
from disposal.what_if import Outcome, Replay, difference, what_if
from rules.clause import Content, get, in_force
from rules.errors import ClauseError
from rules.limits import Limit
from rules.matcher import Matcher
from rules.revision import draft, edit, put_repeals, review
from rules.settings import MatcherSettings
from rules.what_if import as_published, drafts_of, edited
from stream.database import open_database, reading, writing
from stream.messages import Risk, utc_now
from tests.unit.disposal_world import MINE, SITE, furnish, later, risk


@pytest.fixture
def engine(tmp_path: Path):
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def matcher(engine: Engine) -> Matcher:
    return Matcher(engine, MINE, MatcherSettings(model="none"))


def send(engine: Engine, matcher: Matcher, *risks: Risk) -> None:
    with writing(engine) as session:
        take_all(session, risks, SITE, DisposalSettings(), utc_now())
    steps = Steps(engine, MINE, lambda: matcher, Drafter([], DrafterSettings()), DisposalSettings(), lambda _: None)
    while steps.do_next(("match", "draft", "decide"), "tester"):
        pass


def asked(engine: Engine, matcher: Matcher, *numbers: str, days: int = 7) -> Replay:
    at = utc_now()
    drafts = drafts_of(engine, "cn-coal", "2016", numbers, at)
    return what_if(engine, MINE, drafts, matcher.over, days=days, at=at)


def said(texts: Iterable[Bilingual]) -> list[str]:
    return [text.en for text in texts]


def methane(value: float) -> tuple[Limit, ...]:
    return (
        Limit(quantity="methane", comparison=">", value=value, unit="%", places=("return-airway",), action="power-off"),
    )


def test_a_reworded_clause_is_cited_in_its_new_version_and_nothing_else_changes(engine, matcher):
    send(engine, matcher, risk(), risk("methane-high"))
    new = edit(engine, "cn-coal:18", "writer", {"text_en": "Everybody underground wears a helmet."})
    replay = asked(engine, matcher)
    assert (replay.alerts, replay.left_out) == (2, 0)
    (effect,) = replay.effects
    assert (effect.type, effect.added, effect.dropped, effect.severity) == ("no-helmet", (), (), None)
    assert said(effect.reworded) == ["Coal Rules (2016), 18: Helmets"]
    assert effect.closure is None
    review(engine, new, "reviewer")
    assert asked(engine, matcher).effects == replay.effects, "a reviewed draft waits for publication too"
    with reading(engine) as session:
        assert all("@2" not in d.content for d in session.exec(select(Document))), "a question changes nothing"


def test_a_looser_limit_takes_severity_and_citation_away(engine, matcher):
    send(engine, matcher, risk("methane-high", clauses=("cn-coal:172",)))
    edit(engine, "cn-coal:172", "writer", {"limits": methane(1.5), "hazards": ()})
    (effect,) = asked(engine, matcher).effects
    assert effect.severity == ("withdraw", "none")
    assert (effect.dropped, said(effect.reworded)) == ((), ["Coal Rules (2016), 172: Methane in returns"]), (
        "words remain"
    )
    assert "to “no limit is broken”" in said(effect.reasons)[-1]
    assert effect.reasons[-1].zh.endswith("变为“未超限”")


def test_a_milder_action_is_a_change_of_severity(engine, matcher):
    send(engine, matcher, risk("methane-high", clauses=("cn-coal:172",)))
    edit(engine, "cn-coal:172", "writer", {"limits": methane(1.0)})
    (effect,) = asked(engine, matcher).effects
    assert effect.severity == ("withdraw", "power-off")


def closing_policy(engine: Engine) -> None:
    policy = ClosurePolicy(types=("no-helmet",), stable_seconds=0.0, full_scans=1, absence_seconds=1.0)
    with writing(engine) as session:
        put_in_shadow(session, put_policy(session, MINE, policy, "author"), "approver")


def test_a_repeal_that_leaves_no_clause_keeps_the_alert_from_closing(engine, matcher):
    closing_policy(engine)
    first = risk()
    send(engine, matcher, first)
    send(engine, matcher, later(first, "cleared"))
    with writing(engine) as session:
        put_repeals(session, "cn-coal", "2016", ["18"], "writer", None)
    (effect,) = asked(engine, matcher).effects
    assert effect.closure == (True, False)
    assert said(effect.dropped) == ["Coal Rules (2016), 18: Helmets"]
    assert any(text.startswith("fails: every cited clause was retrieved") for text in said(effect.reasons))


def test_a_stricter_limit_at_the_place_keeps_the_alert_from_closing(engine, matcher):
    closing_policy(engine)
    first = risk(source="cam-2", place="return")
    send(engine, matcher, first)
    send(engine, matcher, later(first, "cleared"))
    edit(engine, "cn-coal:172", "writer", {"limits": methane(0.1)})
    (effect,) = asked(engine, matcher).effects
    assert effect.closure == (True, False)
    assert any("within limits (ch4-1 0.2 % (out))" in text for text in said(effect.reasons))


def test_older_alerts_and_other_drafts_are_left_alone(engine, matcher):
    send(engine, matcher, risk())
    with writing(engine) as session:
        for row in session.exec(select(Alert)):
            row.committed_at -= timedelta(days=40)
            session.add(row)
    edit(engine, "cn-coal:18", "writer", {"text_en": "Everybody wears a helmet."})
    assert asked(engine, matcher).alerts == 0
    assert len(asked(engine, matcher, days=60).effects) == 1
    with pytest.raises(ClauseError, match="numbered 172 is a draft"):
        asked(engine, matcher, "172")


def test_typed_text_is_judged_without_being_kept(engine, matcher):
    send(engine, matcher, risk())
    at = utc_now()
    content = Content(text_en="Helmets are optional.", hazards=())
    replay = what_if(engine, MINE, [edited(engine, "cn-coal:18", content, at)], matcher.over, days=1, at=at)
    assert len(replay.effects) == 1
    with pytest.raises(ClauseError):
        get(engine, "cn-coal:18@draft", at)
    with pytest.raises(ClauseError, match="is a draft"):
        drafts_of(engine, "cn-coal", "2016", (), at)


def test_a_supposed_book_holds_drafts_whatever_their_dates(engine):
    at = utc_now()
    draft(engine, "cn-coal", "2016", "19", Content(text_zh="新。", effective_from=at + timedelta(days=99)), "writer")
    book = as_published(in_force(engine, MINE, at), drafts_of(engine, "cn-coal", "2016", (), at), at)
    assert [(p.number, p.state, p.content.effective_from) for p in book if p.number == "19"] == [
        ("19", "PUBLISHED", at)
    ]
    assert {p.number for p in book} == {"18", "19", "172"}


def match(clause: str, version: int) -> StoredMatch:
    label = Bilingual(clause, clause)
    return StoredMatch(
        version_id=f"{clause}@{version}", clause_id=clause, label=label, text=label, score=1.0, reason=label, bound=True
    )


def verdict(close: bool) -> Verdict:
    return Verdict(close=close, reasons=(Reason(condition="citations", ok=close, figures="1 cited"),))


def test_the_difference_says_what_changed_and_why():
    before = Outcome((match("a", 1), match("b", 1)), "watch", verdict(True))
    assert difference(before, before) == {}
    found = difference(before, Outcome((match("b", 2), match("c", 1)), "withdraw", verdict(False)))
    assert [said(found[k]) for k in ("added", "dropped", "reworded")] == [["c"], ["a"], ["b"]]
    assert (found["severity"], found["closure"]) == (("watch", "withdraw"), (True, False))
    assert found["reasons"][-1].en == "fails: every cited clause was retrieved and is in force (1 cited)"
