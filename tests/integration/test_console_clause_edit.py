"""The officer's page of a clause: words, dates, bindings, limits, what it would match, back to an earlier version."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlmodel import select

from console.app import create_app
from console.pages import LANGUAGE_COOKIE
from disposal.audit import AuditLine
from rules.clause import CodeEdition, Content, history
from rules.limits import Limit
from rules.revision import add_edition, draft, publish, review
from rules.settings import MatcherSettings, RulesSettings
from stream.database import reading
from stream.messages import utc_now
from tests.integration.console_client import SETTINGS, log_in, person, send
from tests.integration.console_mine import MINE, Mine, open_mine

BELT = "/clauses/belt-code:12"
WORDS = {
    "title_zh": "输送带与人员",
    "title_en": "Belts and persons",
    "text_zh": "严禁乘坐输送带。",
    "text_en": "Nobody rides.",
}
LIMIT = {
    "limit-0-quantity": "methane", "limit-0-comparison": ">=", "limit-0-value": "0.8", "limit-0-hold_seconds": "5",
    "limit-0-action": "withdraw", "limit-0-warn_minutes": "10", "limit-0-place": "return-airway",
}  # fmt: skip


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mine]:
    folder: Path = tmp_path_factory.mktemp("clause-edit")
    mine = open_mine(folder)
    yield mine
    mine.close()


@pytest.fixture(scope="module")
def officer(mine: Mine) -> TestClient:
    words = RulesSettings(matcher=MatcherSettings(model="none"))
    client = TestClient(create_app(mine.engine, MINE, mine.evidence, mine.log, SETTINGS, rules=words))
    assert log_in(client, "officer").status_code == 303
    return client


@pytest.fixture(scope="module")
def second(mine: Mine) -> TestClient:
    return person(mine, "administrator")


def newest(mine: Mine, identity: str = "belt-code:12") -> Content:
    return history(mine.engine, identity, utc_now())[-1].content


def test_dates_bindings_and_limits_are_edited_and_shown_beside_what_held(
    mine: Mine, officer: TestClient, second: TestClient
) -> None:
    page = officer.get(f"{BELT}/edit").text
    assert page.count("checked") >= 3
    whole = WORDS | LIMIT | {"whole": "1", "hazard": "person-on-belt", "effective_from": "2027-01-01"}
    assert send(officer, f"{BELT}/edit", whole | {"effective_to": "2028-01-01"}).status_code == 303
    content = newest(mine)
    assert content.hazards == ("person-on-belt",)
    assert content.effective_from == datetime(2027, 1, 1, tzinfo=UTC)
    assert content.effective_to == datetime(2028, 1, 1, tzinfo=UTC)
    assert content.limits == (
        Limit(
            quantity="methane", comparison=">=", value=0.8, unit="%", places=("return-airway",), hold_seconds=5,
            action="withdraw", warn_minutes=10,
        ),
    )  # fmt: skip
    page = officer.get(BELT).text
    assert "<del>" in page
    assert "return airway of a district or face &gt;= 0.8 %" in page.replace("</ins>", "").replace("<ins>", "")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"effective_from": "2028-01-01", "effective_to": "2027-01-01"}, "before it takes effect on 2028-01-01"),
        ({"effective_from": "tomorrow"}, "write a day as"),
        (LIMIT | {"limit-0-value": "a lot"}, "no number"),
        (LIMIT | {"limit-0-value": "nan"}, "Limit 1 cannot be"),
        (LIMIT | {"limit-0-place": "the moon"}, "places are the moon"),
        (LIMIT | {"limit-0-warn_minutes": "1e9"}, "warn_minutes is 1e"),
        ({"hazard": "no-such-risk"}, "catalogue of risk types has not"),
    ],
)
def test_what_cannot_be_is_refused_and_comes_back_as_it_was_typed(
    mine: Mine, officer: TestClient, wrong: dict[str, str], why: str
) -> None:
    before = len(history(mine.engine, "belt-code:13", utc_now()))
    typed = WORDS | {"text_en": "Typed with care.", "whole": "1"} | wrong
    answer = send(officer, "/clauses/belt-code:13/edit", typed)
    assert answer.status_code == 422
    assert why in answer.text
    assert "Typed with care.</textarea>" in answer.text
    assert len(history(mine.engine, "belt-code:13", utc_now())) == before


def test_what_it_would_match_is_told_for_typed_words_and_the_last_thirty_days(mine: Mine, officer: TestClient) -> None:
    mine.raise_risk("belt-hole")
    mine.raise_risk("no-helmet", "cam-shaft", "shaft")
    typed = WORDS | {
        "whole": "1",
        "text_en": "Wire fences around the zebra enclosure are mended.",
        "title_en": "Zebras",
    }
    asked = typed | {"situation": "a zebra enclosure with a broken fence"}
    found = send(officer, "/clauses/belt-code:13/matches", asked).text
    assert "<html" not in found
    assert 'class="this">13 Zebras' in found
    assert "Alerts of the last 30 days that would cite it: 0" in found
    found = send(officer, "/clauses/belt-code:13/matches", asked | {"hazard": "belt-hole"}).text
    assert "Alerts of the last 30 days that would cite it: 1" in found
    assert "tagged as governing" in found
    assert "zebra enclosure" not in found.partition("</ol>")[2]
    page = send(officer, "/clauses/belt-code:13/edit", asked | {"matches": "1"}).text
    assert 'class="this">13 Zebras' in page
    assert "<html" in page
    refused = send(officer, "/clauses/belt-code:13/matches", {"text_zh": "", "text_en": ""})
    assert refused.status_code == 422
    assert "no text in either language" in refused.text


def test_an_earlier_version_is_drafted_anew_and_published_by_two(
    mine: Mine, officer: TestClient, second: TestClient
) -> None:
    first = newest(mine, "belt-code:13")
    assert send(officer, "/clauses/belt-code:13/edit", WORDS).status_code == 303
    for person_, step in ((officer, "review"), (second, "publish")):
        assert send(person_, f"/clauses/belt-code:13/{step}", {"version_id": "belt-code:13@2"}).status_code == 303
    assert newest(mine, "belt-code:13").hazards == first.hazards
    assert send(officer, "/clauses/belt-code:13/roll-back", {"version_id": "belt-code:13@1"}).status_code == 303
    drafted = history(mine.engine, "belt-code:13", utc_now())[-1]
    assert drafted.state == "DRAFT"
    assert drafted.content.text_zh == first.text_zh
    assert drafted.content.effective_from is None
    assert send(officer, "/clauses/belt-code:13/roll-back", {"version_id": "belt-code:12@1"}).status_code == 404


def test_a_supplement_that_would_loosen_is_refused_with_both_limits_shown(
    mine: Mine, officer: TestClient, second: TestClient
) -> None:
    def limit(value: float) -> Limit:
        return Limit(
            quantity="methane", comparison=">=", value=value, unit="%", places=("return-airway",), action="withdraw"
        )

    add_edition(mine.engine, CodeEdition(code="site", edition="1", kind="supplement", mine=MINE))
    for code, number, value in (("belt-code", "172", 1.0), ("site", "1", 0.9)):
        version = draft(mine.engine, code, "1", number, Content(text_en="Methane.", limits=(limit(value),)), "author")
        review(mine.engine, version, "author")
        publish(mine.engine, version, "publisher")
    typed = {"text_en": "Methane.", "whole": "1"} | LIMIT | {"limit-0-value": "1.2", "limit-0-hold_seconds": "0"}
    assert send(officer, "/clauses/site:1/edit", typed).status_code == 303
    assert send(officer, "/clauses/site:1/review", {"version_id": "site:1@2"}).status_code == 303
    refused = send(second, "/clauses/site:1/publish", {"version_id": "site:1@2"})
    assert refused.status_code == 422
    assert "would loosen the national code" in refused.text
    assert "&gt;= 1.2 %" in refused.text
    assert "belt-code:172 sets" in refused.text
    assert "&gt;= 1 %" in refused.text
    second.cookies.set(LANGUAGE_COOKIE, "zh")
    chinese = send(second, "/clauses/site:1/publish", {"version_id": "site:1@2"}).text
    second.cookies.delete(LANGUAGE_COOKIE)
    assert "site:1将放宽国家规程：本条规定甲烷" in chinese
    assert "而belt-code:172规定甲烷" in chinese


def test_where_words_alone_tighten_the_reviewer_decides_and_signs_with_name_time_and_reason(
    mine: Mine, officer: TestClient, second: TestClient
) -> None:
    add_edition(mine.engine, CodeEdition(code="words", edition="1", kind="supplement", mine=MINE))
    for number in ("1", "2"):
        content = Content(text_en=f"Nobody stands by the belt, {number}.", tightens="belt-code:12")
        draft(mine.engine, "words", "1", number, content, "author")
    version = {"version_id": "words:1@1"}
    assert 'name="reason"' in officer.get("/clauses/words:1").text
    refused = send(officer, "/clauses/words:1/review", version | {"reason": "  "})
    assert refused.status_code == 422
    assert "words:1@1 differs from belt-code:12 in words alone" in refused.text
    assert history(mine.engine, "words:1", utc_now())[-1].state == "DRAFT"
    begun = utc_now()
    why = "Standing by is more than standing on."
    assert send(officer, "/clauses/words:1/review", version | {"reason": why}).status_code == 303
    signed = history(mine.engine, "words:1", utc_now())[-1]
    assert (signed.state, signed.reviewer, signed.review_reason) == ("REVIEWED", "officer", why)
    assert signed.reviewed_at is not None
    assert signed.reviewed_at >= begun
    with reading(mine.engine) as session:
        lines = session.exec(select(AuditLine).where(AuditLine.subject == "clause/words:1")).all()
    assert [(line.actor, line.action, why in line.after) for line in lines] == [("officer", "review-clause", True)]
    assert send(second, "/clauses/words:1/publish", version).status_code == 303
    page = second.get("/clauses/words:1").text
    assert re.search(rf"Reviewed by officer \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d \(because: {re.escape(why)}\)", page)
    assert 'name="reason"' in officer.get("/codes/words/1").text
    assert send(officer, "/codes/words/1/review", {}).status_code == 422
    assert send(officer, "/codes/words/1/review", {"reason": why}).status_code == 303
    assert history(mine.engine, "words:2", utc_now())[-1].review_reason == why
