"""The commands `clauses search` and `clauses evaluate` as typed: keys, exit codes, one line of refusal."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from console.cli import main
from console.schema import prepare
from rules.clause import CodeEdition, Content
from rules.revision import add_edition, draft, publish, review
from stream.database import open_database

LAW = {
    "1": "下井人员必须戴安全帽。",
    "2": "带式输送机必须装设防跑偏、防打滑和堆煤保护。",
    "3": "主要水仓必须定期清理。",
    "4": "采煤工作面回风巷风流中甲烷浓度达到1.0%时，必须停止工作，撤出人员。",
}
KEYS = {
    "recall@1", "recall@3", "recall@5", "ndcg@10", "mrr", "empty_when_none", "empty_wrongly", "p95_ms", "items",
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What the command gave: exit code, both outputs."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout."""
        assert self.code == 0, self.err
        result: dict[str, Any] = json.loads(self.out)
        return result


Command = Callable[..., Answer]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site whose code LAW is published; its code LATER holds a draft alone."""
    folder = tmp_path_factory.mktemp("search")
    engine: Engine = open_database(f"sqlite:///{folder / 'book.db'}")
    prepare(engine)
    for code in ("LAW", "LATER"):
        add_edition(engine, CodeEdition(code=code, edition="1", kind="national"))
    for number, text in LAW.items():
        version = draft(engine, "LAW", "1", number, Content(text_zh=text), "wang")
        review(engine, version, "li")
        publish(engine, version, "zhao")
    draft(engine, "LATER", "1", "1", Content(text_zh="食堂的米饭不得太硬。"), "wang")
    engine.dispose()
    (folder / "minewatch.toml").write_text(
        f'mine = "north"\n[database]\nurl = "sqlite:///{folder / "book.db"}"\n', encoding="utf-8"
    )
    return folder


@pytest.fixture
def command(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line up to its exit code, as the installed command runs it."""

    def run(*arguments: str | Path) -> Answer:
        at = ["--config", str(data / "minewatch.toml"), "--data", str(data / "data")]
        monkeypatch.setattr(sys, "argv", ["minewatch", "clauses", *map(str, arguments), *at])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Answer(int(ended.value.code or 0), said.out, said.err)

    return run


def hazards(folder: Path, *lines: str) -> Path:
    file = folder / "hazards.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def hazard(text: str, *articles: int) -> str:
    return json.dumps({"zh": text, "relevant": [{"article": a, "grade": 2} for a in articles]}, ensure_ascii=False)


def test_a_search_gives_the_clauses_in_force_with_their_reasons(command: Command) -> None:
    found = command("search", "皮带跑偏", "--top", "1", "--json").json["matches"]
    assert [(m["code"], m["number"]) for m in found] == [("LAW", "2")]
    assert found[0]["score"] > 0
    assert found[0]["reason_zh"]
    assert found[0]["reason_en"]
    assert found[0]["text_zh"] == LAW["2"]
    assert command("search", "皮带跑偏", "--lang", "zh", "--json").json["matches"][0]["number"] == "2"
    read = command("search", "皮带跑偏")
    assert read.code == 0
    assert "LAW 2" in read.out
    assert "LATER" not in command("search", "食堂的米饭不得太硬", "--json").out, "a draft is not in force"


def test_nothing_that_applies_is_an_answer(command: Command) -> None:
    assert command("search", "qzx vvw", "--lang", "zh", "--json").json == {"matches": []}
    read = command("search", "qzx vvw", "--lang", "zh")
    assert (read.code, read.out, read.err.strip()) == (0, "", "No clause in force applies.")


def test_an_evaluation_gives_its_figures_over_drafts_too(command: Command, tmp_path: Path) -> None:
    file = hazards(tmp_path, hazard("工人没戴安全帽", 1), hazard("皮带跑偏", 2), hazard("qzx vvw"))
    figures = command("evaluate", file, "--code", "LAW", "--json").json
    assert set(figures) == KEYS
    assert (figures["recall@1"], figures["ndcg@10"], figures["mrr"]) == (1, 1, 1)
    assert (figures["empty_when_none"], figures["empty_wrongly"], figures["items"]) == (1, 0, 3)
    drafted = command("evaluate", hazards(tmp_path, hazard("食堂米饭太硬", 1)), "--code", "LATER", "--json").json
    assert drafted["recall@1"] == 1


def test_an_emptied_answer_scores_nothing(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINEWATCH_RULES__MATCHER__FLOOR", "1.0")
    file = hazards(tmp_path, hazard("工人没戴安全帽", 1), hazard("皮带跑偏", 2))
    figures = command("evaluate", file, "--code", "LAW", "--json").json
    assert [figures[k] for k in ("recall@1", "recall@5", "ndcg@10", "mrr", "empty_wrongly")] == [0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("lines", "options", "why"),
    [
        ([hazard("皮带跑偏", 2), "{ this is no JSON"], (), "Line 2 of hazards.jsonl is no judged hazard in zh: it is no JSON."),
        (['["a list"]'], (), "Line 1 of hazards.jsonl is no judged hazard in zh: something is missing."),
        ([hazard("皮带跑偏", 2).replace("article", "page")], (), "None numbers no clause"),
        ([hazard("皮带跑偏", 2)], ("--lang", "en"), "Line 1 of hazards.jsonl is no judged hazard in en"),
        ([hazard("皮带跑偏", 2)], ("--code", "NOBODYS"), "There is no clause of NOBODYS: import it first."),
        ([], (), "has no judged hazard"),
        (["", "  "], (), "has no judged hazard"),
    ],
)  # fmt: skip
def test_what_cannot_be_scored_is_refused_in_one_sentence(
    command: Command, tmp_path: Path, lines: list[str], options: tuple[str, ...], why: str
) -> None:
    refused = command("evaluate", hazards(tmp_path, *lines), *options, "--json")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("minewatch: ")
    assert refused.err.count("\n") == 1, refused.err
    assert why in refused.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("evaluate", "none-such.jsonl", "--json"), "none-such.jsonl cannot be read"),
        (("evaluate", "none-such.jsonl", "--lang", "fr"), "'fr' is not one of 'zh', 'en'"),
        (("search", "belt", "--top", "0"), "--top"),
        (("search", "belt", "--lang", "fr"), "'fr' is not one of 'zh', 'en'"),
        (("search",), "Missing argument 'text'"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_sentence(
    command: Command, arguments: tuple[str, ...], why: str
) -> None:
    refused = command(*arguments)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.count("\n") == 1, refused.err
    assert why in refused.err
