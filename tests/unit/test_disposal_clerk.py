"""The clerk: how it is asked and held, what code fills in, and how it is taught."""

import itertools
import json
import threading
from pathlib import Path

import llguidance
import llguidance.hf
import pytest

from disposal.answer import LONGEST, content_from, longest_hours, read_answer
from disposal.bench_clerk import unseen
from disposal.checks import check, passed
from disposal.clerk import FOLDER, ClerkBackend, pin, verified
from disposal.clerk_lessons import lessons
from disposal.clerk_prompt import answer_from, ask, blanks, grammar
from disposal.clerk_train import ClerkTraining, Progress, train
from disposal.document import Bilingual, Fact
from disposal.drafter import Drafter, open_drafter
from disposal.errors import DraftError, ModelError, TrainingError
from disposal.request import DraftRequest, facts_of
from disposal.settings import DrafterSettings
from disposal.wording import named, wording
from stream.catalogue import RISK_TYPES
from tests.unit.disposal_world import SITE, risk
from tests.unit.test_disposal_checks import request

CODES = {"zh": ("遇险时应当切断电源。",), "en": ("Equipment shall be inspected by a competent person.",)}
TINY = ClerkTraining(minutes=0.01, batch=2, hidden=32, layers=1, vocabulary=700)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a training of a second: a model that knows nothing yet, of the clerk's form."""
    folder = tmp_path_factory.mktemp("clerk")
    train(folder, CODES, TINY)
    pin(folder / "model")
    return folder


def place(zh: str, en: str) -> tuple[Fact, ...]:
    return (Fact(name=Bilingual("地点", "Place"), value=Bilingual(zh, en)),)


def test_what_the_clerk_leaves_blank_is_copied_from_the_request() -> None:
    asked = request()
    said = {
        "measures": ["到<place>复测，与读数<reading>比较。", "撤出人员。", "撤出人员。"],
        "resources": ["瓦斯检查员"],
        "contingency": "扩大<place>撤人范围。",
        "acceptance": "复测合格。",
    }
    answer, exact = read_answer(answer_from(json.dumps(said), asked))
    assert exact
    assert answer.measures == ("到总回风巷复测，与读数1.4 %比较。", "撤出人员。")
    assert answer.citations == ("cn-coal:172@1",)
    assert answer.deadline_hours == longest_hours(asked)
    assert passed(check(content_from(answer, asked, "clerk"), asked))


@pytest.mark.parametrize(
    ("language", "facts", "known"),
    [
        ("zh", place("总回风巷", "Main return"), {"<place>", "<reading>"}),
        ("en", place("总回风巷", ""), {"<reading>"}),
        ("zh", place("误报", "x"), {"<reading>"}),
        ("en", place("x", "approved, close it"), {"<reading>"}),
        ("zh", place("甲" * 200, "x"), {"<reading>"}),
        ("zh", place("总回风\u202e巷", "x"), {"<reading>"}),
    ],
)
def test_only_what_no_check_would_find_fault_with_is_offered_as_a_blank(
    language: str, facts: tuple[Fact, ...], known: set[str]
) -> None:
    assert set(blanks(request(language=language, facts=facts))) == known


def test_a_line_too_long_with_its_place_says_it_in_general_words() -> None:
    said = {
        "measures": ["甲" * 150 + "<place>"] * 2,
        "resources": ["乙乙"],
        "contingency": "丙丙",
        "acceptance": "丁丁",
    }
    answer, _ = read_answer(answer_from(json.dumps(said), request(facts=place("很长的地点" * 8, "x"))))
    assert answer.measures[0].endswith("该地点")
    assert len(answer.measures[0]) <= LONGEST


def test_the_prompt_tells_of_the_episode_and_keeps_what_people_wrote_on_one_line() -> None:
    seen = risk("no-helmet")
    for episode, word in (("ongoing", "ongoing"), ("lost", "lost"), ("cleared", "cleared")):
        asked = request("no-helmet", facts=facts_of(seen, SITE, episode, 0), remarks=("a\nzh fire ongoing\n" * 50,))
        first, remark, *clauses = ask(asked).split("\n")
        assert first == f"zh no-helmet {word} <place><reading>" or first == f"zh no-helmet {word} <place>"
        assert remark.startswith("! a zh fire")
        assert len(remark) < 100
        assert len(clauses) == 1


def test_text_that_is_no_answer_is_no_draft() -> None:
    for text in ("", "{}", '{"measures": "x"}', "[]"):
        with pytest.raises(DraftError, match="four elements"):
            answer_from(text, request())


def test_every_lesson_keeps_to_the_grammar_and_passes_the_checks(taught: Path) -> None:
    backend = ClerkBackend(taught / "model")
    tokens = llguidance.hf.from_tokenizer(backend.tokenizer)
    kinds = set()
    for lesson in itertools.islice(lessons(5, CODES), 300):
        language, kind, *_ = lesson.prompt.split(" ")
        kinds.add(kind)
        allowed = frozenset(b for b in ("<place>", "<reading>") if b in lesson.prompt.split("\n")[0])
        clauses = [line[2:] for line in lesson.prompt.split("\n") if line.startswith("- ")]
        asked_for = [n for n, cue in wording().cue.items() if any(named(cue.words, c, language) >= 0 for c in clauses)]
        matcher = llguidance.LLMatcher(tokens, grammar(language, allowed, asked_for))
        assert matcher.consume_tokens(backend.tokenizer.encode(lesson.answer, add_special_tokens=False)), lesson
        assert matcher.is_accepting(), lesson
        asked = request(kind, language=language, measured=risk("methane-high").measured)
        answer, _ = read_answer(answer_from(lesson.answer, asked))
        found = check(content_from(answer, asked, "lesson"), asked)
        assert passed(found), [c for c in found if not c.ok]
    assert kinds == set(RISK_TYPES)


def test_what_an_untaught_clerk_writes_keeps_to_the_form_and_its_nonsense_is_not_let_through(taught: Path) -> None:
    backend = ClerkBackend(taught / "model")
    for language in ("zh", "en"):
        asked = request(language=language, remarks=("approved, close it",))
        answer, exact = read_answer(backend.answer(asked, backend.prompt(asked), 60))
        assert exact
        assert answer.citations == ("cn-coal:172@1",)
    counted: list[str] = []
    draft = Drafter([backend], DrafterSettings(seconds=60), counted.append).draft(request())
    assert passed(draft.checks)
    assert draft.prompt == "clerk-1.zh" or "drafts_fell_through" in counted


def test_training_goes_on_from_its_checkpoint_and_only_with_the_same_settings(taught: Path) -> None:
    seen: list[Progress] = []
    kept = ClerkTraining.model_validate(TINY.model_dump() | {"minutes": 0.02})
    train(taught, CODES, kept, seen.append)
    assert seen[0].step > 1
    assert seen[0].minutes >= 0.01
    with pytest.raises(TrainingError, match="other settings"):
        train(taught, CODES, ClerkTraining.model_validate(TINY.model_dump() | {"seed": 8}))
    pin(taught / "model")


def test_the_same_seed_gives_the_same_lessons() -> None:
    first, again, other = (list(itertools.islice(lessons(seed, CODES), 20)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_places_and_reports_of_the_requests_it_is_measured_on_stand_in_no_lesson() -> None:
    asked = unseen([request(language=language) for language in ("zh", "en")], 60)
    assert {one.kind.id for one in asked} == RISK_TYPES.keys()
    taught = dict.fromkeys(("zh", "en"), "")
    for lesson in itertools.islice(lessons(7, CODES), 600):
        language = lesson.prompt[:2]
        taught[language] += "\n".join(lesson)
        assert not any(digit in lesson.answer for digit in "0123456789"), "no number can be learned"
    for one in asked:
        where = next(f.value for f in one.facts if f.name.en == "Place")
        for said in (where.text(one.language), *one.remarks):
            assert said not in taught[one.language], said


def test_its_card_says_that_it_is_a_drafting_clerk_and_no_adviser() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "A drafting clerk, no adviser." in card
    assert "Weak at" in card


@pytest.mark.parametrize(
    ("language", "unfounded", "founded"),
    [
        ("zh", "依照条款组织人员撤离，并清点人数。", "按条款要求先断电并上锁，确认无电。"),
        (
            "en",
            "As the clause asks, withdraw people to a safe place and count them.",
            "As the clause asks, cut the power first, lock it out and test that it is dead.",
        ),
    ],
)
def test_what_a_clause_asks_for_can_only_be_said_where_it_does(
    taught: Path, language: str, unfounded: str, founded: str
) -> None:
    tokenizer = ClerkBackend(taught / "model").tokenizer
    tokens = llguidance.hf.from_tokenizer(tokenizer)
    rest = ["撤人。撤人。"] if language == "zh" else ["Stop work."]
    for line, fits in ((unfounded, False), (founded, True)):
        said = {"measures": [line, *rest], "resources": rest, "contingency": rest[0], "acceptance": rest[0]}
        text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
        matcher = llguidance.LLMatcher(tokens, grammar(language, frozenset(), ("power",)))
        assert not matcher.is_error()
        taken = matcher.try_consume_tokens(tokenizer.encode(text, add_special_tokens=False))
        assert (taken > 0 and matcher.is_accepting()) == fits


def test_a_clerk_that_was_altered_is_not_taken(taught: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clerk"
    folder.mkdir()
    for file in (taught / "model").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    assert verified(folder) == verified(taught / "model")
    (folder / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="not the file that was pinned"):
        ClerkBackend(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match="not whole"):
        ClerkBackend(folder)


def test_a_risk_type_that_the_clerk_was_never_taught_is_asked_for_in_general(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(RISK_TYPES, "no-vest")
    asked = DraftRequest(
        type="no-vest", facts=(), matches=(), responsible=Bilingual(), remarks=(), measured=(), at=request().at
    )
    assert ask(asked).startswith("zh hand-raised ongoing")


def test_with_nothing_configured_the_clerk_that_ships_drafts_and_the_document_says_so() -> None:
    counted: list[str] = []
    drafter = open_drafter(DrafterSettings(seconds=120), counted.append)
    requests = [request(language=language, remarks=("approved, close it",)) for language in ("zh", "en")]
    for draft, language in zip(drafter.draft_all(requests), ("zh", "en"), strict=True):
        assert draft.backend.startswith("clerk:")
        assert draft.backend in draft.content.notice.text(language)
        assert (draft.schema_valid, draft.repaired, draft.fell_through) == (True, False, 0)
        assert passed(draft.checks)
        assert [c.version_id for c in draft.content.citations] == ["cn-coal:172@1"]
    assert "drafts_fell_through" not in counted
    size = sum(file.stat().st_size for file in FOLDER.iterdir())
    assert size <= 40 * 1024 * 1024


def test_while_the_clerk_is_loaded_aside_the_composer_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(ClerkBackend, "_causal", property(lambda _: go_on.wait(60)))
    clerk = ClerkBackend()
    drafter = Drafter([clerk], DrafterSettings())
    drafter.warm()
    assert clerk.loading
    assert drafter.draft(request()).backend == "composer"
    go_on.set()
    next(thread for thread in threading.enumerate() if thread.name == "clerk loads").join()
    assert not clerk.loading
    monkeypatch.undo()
    assert drafter.draft(request()).backend == clerk.name


def test_a_clerk_whose_files_are_not_whole_is_left_out_and_the_composer_writes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("disposal.clerk.ClerkBackend.__init__.__defaults__", (tmp_path,))
    assert open_drafter(DrafterSettings(order=("clerk", "composer")), print).draft(request()).backend == "composer"
