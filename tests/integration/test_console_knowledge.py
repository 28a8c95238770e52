"""The officer's pages for what the mine knows: edited in two languages, reviewed, published, rolled back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from disposal import known
from disposal.library import library, texts_of
from rules.synonyms import current_synonyms
from tests.integration.console_client import person, send
from tests.integration.console_mine import MINE, Mine, open_mine

BELT = "/knowledge/measures/belt-deviation"


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mine]:
    folder: Path = tmp_path_factory.mktemp("known")
    mine = open_mine(folder)
    yield mine
    mine.close()


@pytest.fixture(scope="module")
def officer(mine: Mine) -> TestClient:
    return person(mine, "officer")


@pytest.fixture(scope="module")
def second(mine: Mine) -> TestClient:
    return person(mine, "administrator")


def through(one: TestClient, other: TestClient, address: str, version: str) -> None:
    assert send(one, f"{address}/review", {"version_id": version}).status_code == 303
    assert send(other, f"{address}/publish", {"version_id": version}).status_code == 303


def test_measures_are_edited_reviewed_published_and_rolled_back(
    mine: Mine, officer: TestClient, second: TestClient
) -> None:
    page = officer.get("/knowledge/measures").text
    assert "Belt running off" in page
    assert officer.get(f"{BELT}/edit").text.count("<textarea") == 8
    texts = texts_of(library()["belt-deviation"]) | {"measures_zh": "停机", "measures_en": "Stop the <b>belt</b>."}
    assert send(officer, f"{BELT}/edit", texts).status_code == 303
    page = officer.get(BELT).text
    assert "<ins>" in page
    assert "&lt;b&gt;belt" in page.replace("</ins>", "").replace("<ins>", "")
    version = f"{MINE}/measures/belt-deviation@1"
    refused = send(second, f"{BELT}/publish", {"version_id": version})
    assert refused.status_code == 422
    assert "only a reviewed version" in refused.text
    assert send(officer, f"{BELT}/review", {"version_id": version}).status_code == 303
    assert "somebody else has to publish it" in send(officer, f"{BELT}/publish", {"version_id": version}).text
    assert send(second, f"{BELT}/publish", {"version_id": version}).status_code == 303
    assert known.known_for(mine.engine, MINE, "belt-deviation").usual.measures[0].zh == "停机"
    assert send(officer, f"{BELT}/roll-back", {"version_id": "shipped"}).status_code == 303
    through(officer, second, BELT, f"{MINE}/measures/belt-deviation@2")
    assert known.known_for(mine.engine, MINE, "belt-deviation").usual == library()["belt-deviation"]
    assert send(officer, f"{BELT}/roll-back", {"version_id": version}).status_code == 303
    assert "Stop the" in officer.get(f"{BELT}/edit").text
    assert send(officer, f"{BELT}/roll-back", {"version_id": f"{MINE}/measures/no-helmet@1"}).status_code == 404


def test_a_refused_edit_comes_back_as_it_was_typed(officer: TestClient) -> None:
    texts = texts_of(library()["no-helmet"]) | {"measures_zh": "一\n二\n三", "measures_en": "only one"}
    answer = send(officer, "/knowledge/measures/no-helmet/edit", texts)
    assert answer.status_code == 422
    assert "3 lines in Chinese and 1 in English" in answer.text
    assert "only one</textarea>" in answer.text
    assert officer.get("/knowledge/measures/no-helmet").text.count('class="version"') == 1


def test_a_new_synonym_is_added_found_and_used(mine: Mine, officer: TestClient, second: TestClient) -> None:
    led = officer.get("/knowledge/synonyms", params={"new": "face-drive"}, follow_redirects=False)
    assert led.headers["location"] == "/knowledge/synonyms/face-drive/edit"
    assert officer.get(led.headers["location"]).status_code == 200
    fields = {"names_zh": "溜子头", "names_en": "head drive", "implies": "", "outside": ""}
    assert send(officer, "/knowledge/synonyms/face-drive/edit", fields).status_code == 303
    assert "溜子头" not in " ".join(current_synonyms(mine.engine, MINE)["belt-conveyor"].zh)
    through(officer, second, "/knowledge/synonyms/face-drive", f"{MINE}/synonyms/face-drive@1")
    assert current_synonyms(mine.engine, MINE)["face-drive"].zh == ("溜子头",)
    page = officer.get("/knowledge/synonyms", params={"q": "溜子头"}).text
    assert "face-drive" in page
    assert "belt-deviation" not in page


def test_a_note_and_the_template_stand_in_the_next_document(
    mine: Mine, officer: TestClient, second: TestClient
) -> None:
    note = {"note_zh": "帽子在井口领取", "note_en": "Helmets are handed out at the collar"}
    assert send(officer, "/knowledge/notes/no-helmet/edit", note).status_code == 303
    through(officer, second, "/knowledge/notes/no-helmet", f"{MINE}/notes/no-helmet@1")
    form = {
        "title_zh": "{hazard}整改单",
        "title_en": "Order on {hazard}",
        "heading_zh": "北矿",
        "heading_en": "North mine",
    }
    assert send(officer, "/knowledge/template/document/edit", form).status_code == 303
    through(officer, second, "/knowledge/template/document", f"{MINE}/template/document@1")
    alert = mine.raise_risk("no-helmet", "cam-shaft", "shaft")
    mine.draft(alert)
    page = officer.get(f"/alerts/{alert}").text
    assert "Helmets are handed out at the collar" in page
    assert "Order on" in page
    assert "North mine" in page
    page = officer.get("/knowledge/template").text
    assert "this mine&#39;s own" in page


def test_who_may_only_read_is_offered_nothing_and_what_is_not_there_is_missing(mine: Mine) -> None:
    auditor = person(mine, "auditor")
    assert auditor.get(BELT).status_code == 200
    assert "/edit" not in auditor.get(BELT).text
    for address in ("/knowledge/nothing", "/knowledge/measures/nothing", "/knowledge/synonyms/..%2f", "/knowledge/x/y"):
        assert auditor.get(address).status_code == 404, address
