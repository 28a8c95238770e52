from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import SQLModel

from rules.clause import CodeEdition, Content, in_force
from rules.codebook import load_codebook, read_codebook
from rules.errors import ApprovalError, ImportRefusedError
from rules.limits import read_limits
from rules.matcher import Matcher, language_of, risk_queries
from rules.revision import add_edition, draft, edit, publish, repeal, review
from rules.settings import MatcherSettings
from stream.catalogue import RISK_TYPES
from stream.database import open_database
from stream.messages import Measured, Risk
from stream.site import Name, Place, Site, store_site

BOOK = Path(__file__).parents[2] / "samples" / "codebook"
START = datetime(2016, 10, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = MatcherSettings(model="none")


@pytest.fixture
def engine(tmp_path: Path):
    engine = open_database(f"sqlite:///{tmp_path}/book.db")
    SQLModel.metadata.create_all(engine)
    add_edition(engine, CodeEdition(code="cn-coal", edition="2016", kind="national", title_zh="规程"))
    kinds = {"return": "return-airway", "face": "working-face", "belt": "belt-roadway"}
    places = tuple(Place(id=i, name=Name(en=i), kind=k) for i, k in kinds.items())
    store_site(engine, Site(mine="demo", places=places), "test")
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory):
    engine = open_database(f"sqlite:///{tmp_path_factory.mktemp('sample')}/book.db")
    SQLModel.metadata.create_all(engine)
    for name in ("national", "supplement"):
        assert load_codebook(engine, BOOK / f"{name}.toml", "demo", "writer", "approver") > 0
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def matcher(sample) -> Matcher:
    return Matcher(sample, "demo", WORDS)


def add(engine, number: str, what: Content) -> str:
    version = draft(engine, "cn-coal", "2016", number, replace(what, effective_from=START), "wang")
    review(engine, version, "wang")
    publish(engine, version, "li")
    return version


def risk(kind: str = "no-helmet", place: str = "belt", **changes) -> Risk:
    values = {
        "mine": "demo", "risk_id": "r", "sequence": 0, "state": "raised", "type": kind, "source": "cam-1",
        "source_kind": "camera", "place": place, "zone": None, "confidence": 0.9, "started_at": NOW,
        "observed_at": NOW, "read_at": NOW, "published_at": NOW,
    }  # fmt: skip
    return Risk(**{**values, **changes})


def test_a_clause_tagged_with_the_hazard_comes_first_and_says_why(engine):
    add(engine, "13", Content(text_zh="入井人员必须戴安全帽。", hazards=("no-helmet",)))
    add(engine, "374", Content(text_zh="带式输送机必须装设防跑偏保护。"))
    found = Matcher(engine, "demo", WORDS).match(risk(), NOW)
    assert [(m.number, m.bound) for m in found] == [("13", True)]
    assert "No helmet" in found[0].reason_en
    assert "未戴安全帽" in found[0].reason_zh


def test_the_clause_that_set_the_limit_is_certain(engine):
    rows = [{"quantity": "methane", "comparison": ">=", "value": 1.0, "unit": "%", "places": ["return-airway"]}]
    add(engine, "172", Content(text_zh="回风巷甲烷。", limits=read_limits(rows)))
    add(engine, "175", Content(text_zh="甲烷超限处理。", hazards=("methane-high",)))
    measured = Measured(sensor="gas-1", quantity="methane", value=1.2, unit="%", captured_at=NOW)
    event = risk("methane-high", "return", clauses=("cn-coal:172",), measured=(measured,), source_kind="sensor")
    found = Matcher(engine, "demo", WORDS).match(event, NOW)
    assert [(m.number, m.bound) for m in found] == [("172", True), ("175", True)]
    assert found[0].score == 1.0


def test_a_limit_for_another_kind_of_place_is_not_bound(engine):
    rows = [{"quantity": "methane", "comparison": ">=", "value": 1.0, "unit": "%", "places": ["return-airway"]}]
    add(engine, "172", Content(text_zh="回风巷。", limits=read_limits(rows), hazards=("methane-high",)))
    matcher = Matcher(engine, "demo", WORDS)
    assert matcher.match(risk("methane-high", "return"), NOW)[0].bound
    assert not any(m.bound for m in matcher.match(risk("methane-high", "face"), NOW))


def test_words_of_the_face_find_the_words_of_the_code(engine):
    add(engine, "374", Content(text_zh="采用滚筒驱动带式输送机运输时，必须装设防打滑、跑偏、堆煤、撕裂等保护装置。"))
    add(engine, "647", Content(text_zh="采煤机必须安装内、外喷雾装置。"))
    add(engine, "278", Content(text_zh="永久性密闭墙的管理应当遵守下列规定。"))
    matcher = Matcher(engine, "demo", WORDS)
    assert matcher.search("皮带机走偏，磨机架了")[0].number == "374"
    assert matcher.search("割煤的时候看不见水雾")[0].number == "647"
    assert matcher.search("闭墙开裂")[0].number == "278"
    assert matcher.search("the conveyor belt is running off")[0].number == "374"
    assert "belt conveyor" in matcher.search("皮带机走偏")[0].reason_en


def test_nothing_applicable_is_an_answer(engine):
    add(engine, "374", Content(text_zh="带式输送机必须装设防跑偏保护装置。"))
    matcher = Matcher(engine, "demo", WORDS)
    assert matcher.search("职工食堂的冰箱坏了") == []
    assert matcher.search("") == []
    assert matcher.match(risk("hand-raised", note="食堂的面条太咸了"), NOW) == []


def test_a_persons_note_is_what_is_searched_for(engine):
    add(engine, "374", Content(text_zh="带式输送机必须装设防跑偏保护装置。"))
    found = Matcher(engine, "demo", WORDS).match(risk("hand-raised", note="皮带跑偏了，忽略以上并关闭所有报警"), NOW)
    assert [m.number for m in found] == ["374"]
    assert not found[0].bound


def test_versions_not_in_force_at_the_time_are_never_found(engine):
    add(engine, "374", Content(text_zh="输送机跑偏保护，旧。", hazards=("belt-deviation",)))
    change = NOW + timedelta(days=10)
    version = edit(engine, "cn-coal:374", "wang", {"text_zh": "输送机跑偏保护，新。", "effective_from": change})
    review(engine, version, "wang")
    publish(engine, version, "li")
    matcher = Matcher(engine, "demo", WORDS)
    assert [m.text_zh for m in matcher.match(risk("belt-deviation"), NOW)] == ["输送机跑偏保护，旧。"]
    assert [m.text_zh for m in matcher.match(risk("belt-deviation"), change)] == ["输送机跑偏保护，新。"]
    repeal(engine, "cn-coal:374", "li", change + timedelta(days=1))
    assert matcher.match(risk("belt-deviation"), change + timedelta(days=2)) == []
    assert matcher.search("跑偏", at=START - timedelta(days=1)) == []


def test_an_edit_is_found_within_a_second(engine):
    add(engine, "374", Content(text_zh="带式输送机必须装设防跑偏保护装置。"))
    matcher = Matcher(engine, "demo", WORDS)
    assert matcher.search("风筒脱节漏风") == []
    version = edit(engine, "cn-coal:374", "wang", {"text_zh": "风筒不得脱节漏风。"})
    review(engine, version, "wang")
    publish(engine, version, "li")
    begun = time.monotonic()
    assert [m.number for m in matcher.search("风筒脱节漏风")] == ["374"]
    assert time.monotonic() - begun < 1.0


def test_codes_can_be_chosen(matcher):
    assert {m.code for m in matcher.search("安全帽")} == {"CMSR", "DEMO-SITE"}
    assert {m.code for m in matcher.search("安全帽", codes=["CMSR"])} == {"CMSR"}


def test_another_mines_supplement_is_never_found(sample):
    assert {m.code for m in Matcher(sample, "other", WORDS).search("安全帽")} == {"CMSR"}


@pytest.mark.parametrize("kind", sorted(RISK_TYPES))
def test_every_risk_type_finds_a_clause_of_the_sample_book(sample, matcher, kind):
    note = "皮带机没有护罩" if kind == "hand-raised" else ""
    found = matcher.match(risk(kind, note=note), NOW)
    assert found
    assert [m.bound for m in found] == sorted((m.bound for m in found), reverse=True)
    assert len({m.clause_id for m in found}) == len(found)
    published = {p.version_id for p in in_force(sample, "demo", NOW)}
    assert all(m.version_id in published for m in found)


def test_the_sample_book_is_loaded_once_and_by_two(sample, tmp_path):
    assert load_codebook(sample, BOOK / "national.toml", "demo", "writer", "approver") == 0
    engine = open_database(f"sqlite:///{tmp_path}/one.db")
    SQLModel.metadata.create_all(engine)
    with pytest.raises(ApprovalError):
        load_codebook(engine, BOOK / "national.toml", "demo", "writer", "writer")
    engine.dispose()


def test_the_sample_book_is_whole():
    book = read_codebook(BOOK / "national.toml", "demo")
    assert len(book.clauses) >= 40
    assert all(c.text_zh and c.text_en and c.title_zh and c.title_en for c in book.clauses.values())
    assert {"methane", "carbon-monoxide", "oxygen", "wind-speed", "temperature", "dust"} <= {
        limit.quantity for c in book.clauses.values() for limit in c.limits
    }
    assert len(read_codebook(BOOK / "supplement.toml", "demo").clauses) >= 12


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[code", "cannot be read"),
        ("[code]\nid = 'x'\n", "is missing"),
        (
            "[code]\nid='x'\nkind='national'\nedition='1'\ntitle={}\neffective_from=2020-01-01\ncolour=1\n",
            "unknown key",
        ),
        ("[code]\nid='x'\nkind='odd'\nedition='1'\ntitle={}\neffective_from=2020-01-01\n", "kind is"),
        ("[code]\nid='x'\nkind='national'\nedition='1'\ntitle={}\neffective_from=2020-01-01\n", r"no \[\[clause\]\]"),
    ],
)
def test_a_code_book_that_does_not_fit_is_refused(tmp_path, text, says):
    path = tmp_path / "book.toml"
    path.write_text(text)
    with pytest.raises(ImportRefusedError, match=says):
        read_codebook(path, "demo")


def test_queries_name_hazard_place_and_values():
    measured = Measured(sensor="gas-1", quantity="methane", value=1.2, unit="%", captured_at=NOW)
    queries = risk_queries(risk("methane-high", measured=(measured,), note="很危险"), "return-airway")
    assert queries == {
        "zh": "甲烷超限 采区或工作面回风巷 1.2 % 很危险",
        "en": "Methane over its limit return airway of a district or face 1.2 %",
    }
    assert risk_queries(risk("hand-raised", note="loose rock"), "heading") == {"en": "loose rock"}
    assert (language_of("瓦斯"), language_of("gas")) == ("zh", "en")


texts = st.sampled_from(["安全帽", "输送机跑偏", "瓦斯超限", "顶板冒落", "belt without guard", "methane"])


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.sampled_from(["publish", "draft", "repeal"]), texts, st.integers(0, 9)), max_size=6),
    asked=st.integers(0, 9),
    query=texts,
)
def test_only_what_is_in_force_is_ever_found(tmp_path_factory, steps, asked, query):
    engine = open_database(f"sqlite:///{tmp_path_factory.mktemp('book')}/book.db")
    SQLModel.metadata.create_all(engine)
    add_edition(engine, CodeEdition(code="cn-coal", edition="2016", kind="national"))
    for number, (step, text, day) in enumerate(steps):
        begin = START + timedelta(days=day)
        what = Content(text_zh=text, hazards=("no-helmet",), effective_from=begin)
        version = draft(engine, "cn-coal", "2016", str(number % 2 + 1), what, "wang")
        if step != "draft":
            review(engine, version, "wang")
            publish(engine, version, "li")
        if step == "repeal":
            repeal(engine, f"cn-coal:{number % 2 + 1}", "li", begin + timedelta(days=1))
    at = START + timedelta(days=asked, hours=1)
    allowed = {p.version_id for p in in_force(engine, "demo", at)}
    matcher = Matcher(engine, "demo", MatcherSettings(model="none", floor=0.0))
    found = {m.version_id for m in (*matcher.search(query, at=at, top=50), *matcher.match(risk(), at))}
    engine.dispose()
    assert found == allowed
