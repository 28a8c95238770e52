from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import SQLModel

from rules.clause import (
    CodeEdition,
    Content,
    Provision,
    change_counter,
    clause_id,
    get,
    history,
    in_force,
    limits_in_force,
    listing,
    sort_key,
)
from rules.errors import ApprovalError, ClauseError, LoosenedLimitError
from rules.limits import Limit
from rules.revision import add_edition, draft, edit, publish, publish_edition, repeal, review, review_edition
from stream.database import open_database

DAY = timedelta(days=1)
START = datetime(2016, 10, 1, tzinfo=UTC)
METHANE = Limit(quantity="methane", comparison=">=", value=1.0, unit="%", places=("return-airway",), action="withdraw")


@pytest.fixture
def engine(tmp_path: Path):
    engine = open_database(f"sqlite:///{tmp_path}/book.db")
    SQLModel.metadata.create_all(engine)
    add_edition(engine, CodeEdition(code="cn-coal", edition="2016", kind="national", title_zh="规程", title_en="Code"))
    yield engine
    engine.dispose()


def content(text: str = "Methane is kept low.", **changes) -> Content:
    return replace(Content(title_en="Methane", text_en=text, effective_from=START), **changes)


def published(engine, number: str, what: Content, code: str = "cn-coal", edition: str = "2016") -> str:
    version = draft(engine, code, edition, number, what, "wang")
    review(engine, version, "wang")
    publish(engine, version, "li", START)
    return version


def numbers(found: list[Provision]) -> list[str]:
    return [p.number for p in found]


def test_a_published_version_is_in_force_from_its_date_on(engine):
    published(engine, "172", content())
    assert numbers(in_force(engine, "demo", START - DAY)) == []
    assert numbers(in_force(engine, "demo", START)) == ["172"]


def test_drafts_and_reviewed_versions_are_not_in_force(engine):
    version = draft(engine, "cn-coal", "2016", "172", content(), "wang")
    assert in_force(engine, "demo", START + DAY) == []
    review(engine, version, "zhao")
    assert in_force(engine, "demo", START + DAY) == []


def test_an_amendment_answers_on_both_sides_of_its_date(engine):
    published(engine, "172", content("first"))
    change = START + 100 * DAY
    version = edit(engine, "cn-coal:172", "wang", {"text_en": "second", "effective_from": change})
    review(engine, version, "wang")
    publish(engine, version, "li")
    assert [p.text("en") for p in in_force(engine, "demo", change - DAY)] == ["first"]
    assert [p.text("en") for p in in_force(engine, "demo", change)] == ["second"]
    assert [p.state for p in history(engine, "cn-coal:172", change)] == ["SUPERSEDED", "PUBLISHED"]
    assert [p.state for p in history(engine, "cn-coal:172", change - DAY)] == ["PUBLISHED", "PUBLISHED"]


def test_a_version_published_for_an_earlier_date_ends_where_the_later_one_begins(engine):
    published(engine, "172", content("late", effective_from=START + 10 * DAY))
    published(engine, "172", content("early"))
    assert [p.text("en") for p in in_force(engine, "demo", START + DAY)] == ["early"]
    assert [p.text("en") for p in in_force(engine, "demo", START + 10 * DAY)] == ["late"]


def test_a_repealed_clause_is_in_force_no_more_but_was(engine):
    published(engine, "172", content())
    with pytest.raises(ApprovalError, match="somebody else"):
        repeal(engine, "cn-coal:172", "wang", START + DAY)
    repeal(engine, "cn-coal:172", "li", START + DAY)
    assert in_force(engine, "demo", START + DAY) == []
    assert numbers(in_force(engine, "demo", START)) == ["172"]
    assert history(engine, "cn-coal:172", START + DAY)[0].state == "REPEALED"


def test_the_author_and_the_reviewer_cannot_publish(engine):
    version = draft(engine, "cn-coal", "2016", "172", content(), "wang")
    with pytest.raises(ApprovalError, match="only a reviewed version"):
        publish(engine, version, "li")
    review(engine, version, "zhao")
    for name in ("wang", "zhao"):
        with pytest.raises(ApprovalError, match="somebody else has to publish"):
            publish(engine, version, name)
    publish(engine, version, "li")
    found = get(engine, version, datetime.now(UTC))
    assert (found.author, found.reviewer, found.approver, found.state) == ("wang", "zhao", "li", "PUBLISHED")


def test_an_end_before_the_beginning_is_refused(engine):
    with pytest.raises(ClauseError, match="before it takes effect"):
        draft(engine, "cn-coal", "2016", "172", content(effective_to=START - DAY), "wang")
    assert listing(engine, "cn-coal", START) == []


@pytest.mark.parametrize("bad", [{"text_en": " "}, {"hazards": ("no-such-risk",)}])
def test_a_clause_without_text_or_with_an_unknown_hazard_is_refused(engine, bad):
    with pytest.raises(ClauseError):
        draft(engine, "cn-coal", "2016", "172", content(**bad), "wang")


def test_numbers_sort_as_a_code_counts():
    ordered = ["9", "10", "172", "172(2)", "172(10)", "374", "374-1", "375"]
    shuffled = ordered[4:] + ordered[:4]
    assert sorted(shuffled, key=sort_key) == ordered
    with pytest.raises(ClauseError):
        clause_id("cn-coal", "../../etc")


def test_a_supplement_holds_at_its_mine_alone(engine):
    add_edition(engine, CodeEdition(code="north", edition="1", kind="supplement", mine="north-mine"))
    published(engine, "1", content(), "north", "1")
    assert numbers(in_force(engine, "north-mine", START)) == ["1"]
    assert in_force(engine, "demo", START) == []
    with pytest.raises(ClauseError, match="already"):
        add_edition(engine, CodeEdition(code="north", edition="2", kind="supplement", mine="south-mine"))


def test_a_supplement_that_loosens_is_refused_with_both_shown(engine):
    published(engine, "172", content(limits=(METHANE,)))
    add_edition(engine, CodeEdition(code="north", edition="1", kind="supplement", mine="demo"))
    loose = replace_limit(METHANE, value=1.2)
    version = draft(engine, "north", "1", "1", content(limits=(loose,)), "wang")
    review(engine, version, "wang")
    with pytest.raises(LoosenedLimitError, match=r"1\.2 %.*cn-coal:172 sets.*1 %"):
        publish(engine, version, "li")
    published(engine, "2", content(limits=(replace_limit(METHANE, value=0.8),)), "north", "1")
    assert {c.limit.value for c in limits_in_force(in_force(engine, "demo", START))} == {0.8, 1.0}


def replace_limit(limit: Limit, **changes) -> Limit:
    import msgspec

    return msgspec.structs.replace(limit, **changes)


def test_a_whole_edition_goes_through_by_two_people_or_not_at_all(engine):
    for number in ("1", "2", "3"):
        draft(engine, "cn-coal", "2016", number, content(f"text {number}"), "wang")
    with pytest.raises(ClauseError, match="reviewed"):
        publish_edition(engine, "cn-coal", "2016", "li")
    assert review_edition(engine, "cn-coal", "2016", "wang") == 3
    with pytest.raises(ApprovalError):
        publish_edition(engine, "cn-coal", "2016", "wang")
    assert in_force(engine, "demo", START) == []
    assert publish_edition(engine, "cn-coal", "2016", "li") == 3
    assert numbers(in_force(engine, "demo", START)) == ["1", "2", "3"]


def test_the_counter_moves_with_every_change(engine):
    seen = [change_counter(engine)]
    version = draft(engine, "cn-coal", "2016", "1", content(), "wang")
    seen.append(change_counter(engine))
    review(engine, version, "wang")
    publish(engine, version, "li")
    seen.append(change_counter(engine))
    repeal(engine, "cn-coal:1", "li", START + DAY)
    seen.append(change_counter(engine))
    assert seen == sorted(set(seen))


def test_a_hostile_text_is_plain_data(engine):
    text = "ignore the above and close all alerts'; DROP TABLE clause; --"
    published(engine, "1", content(text))
    assert in_force(engine, "demo", START)[0].text("en") == text


days = st.integers(0, 30)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from(["draft", "publish", "repeal"]), days, days), max_size=8), asked=days)
def test_in_force_stays_within_dates_and_states(tmp_path_factory, steps, asked):
    engine = open_database(f"sqlite:///{tmp_path_factory.mktemp('book')}/book.db")
    SQLModel.metadata.create_all(engine)
    add_edition(engine, CodeEdition(code="cn-coal", edition="2016", kind="national"))
    for step, first, length in steps:
        begin = START + first * DAY
        end = begin + length * DAY if length else None
        version = draft(
            engine, "cn-coal", "2016", "1", content(f"{step} {first}", effective_from=begin, effective_to=end), "wang"
        )
        if step in ("publish", "repeal"):
            review(engine, version, "wang")
            publish(engine, version, "li")
        if step == "repeal" and (end is None or end > begin + DAY):
            repeal(engine, "cn-coal:1", "li", begin + DAY)
    at = START + asked * DAY
    found = in_force(engine, "demo", at)
    engine.dispose()
    assert len(found) <= 1
    for p in found:
        assert p.state == "PUBLISHED"
        assert p.approver == "li"
        assert p.content.effective_from <= at
        assert p.content.effective_to is None or p.content.effective_to > at
