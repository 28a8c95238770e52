"""Citations that people corrected become a judged set, which the search is scored on."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from console.cli import main
from console.schema import prepare
from disposal.citing import export_corrections
from disposal.decision import decide
from disposal.document import Document, StoredMatch, to_json
from disposal.editing import edit_document
from disposal.errors import EditError, FeedbackError
from disposal.triple import triples
from stream.database import open_database, writing
from tests.unit.disposal_world import CLAUSES, MINE, furnish
from tests.unit.test_disposal_steps import documents
from tests.unit.test_disposal_triple import alerts

HELMETS = "cn-coal:18@1"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    prepare(engine)
    furnish(engine)
    return engine


def found_besides(engine: Engine, alert: str) -> None:
    """The search found the clause on helmets as well, and the draft did not cite it."""
    [row] = [d for d in documents(engine) if d.alert_id == alert]
    [match] = row.read_matches()
    said = CLAUSES["18"]["text_zh"]
    other = StoredMatch(
        version_id=HELMETS, clause_id="cn-coal:18", label=match.label, text=type(match.text)(said, said), score=0.4,
        reason=match.reason,
    )  # fmt: skip
    with writing(engine) as session:
        session.get_one(Document, row.id).matches = to_json((match, other))


def test_a_corrected_citation_is_exported_and_scored(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    methane, smoke = alerts(engine, "methane-high", "smoke")
    file = tmp_path / "corrected.jsonl"
    with pytest.raises(FeedbackError, match="Nobody has changed"):
        export_corrections(triples(engine, MINE, "zh"), file)
    found_besides(engine, methane)
    for wrong in ((), ("cn-coal:999@1",), "cn-coal:18@1"):
        with pytest.raises(EditError, match="clauses that were found"):
            edit_document(engine, MINE, methane, 1, "ann", {"citations": wrong}, "zh")
    edit_document(engine, MINE, methane, 1, "ann", {"citations": (HELMETS,)}, "zh")
    [edited] = [d for d in documents(engine) if d.alert_id == methane and d.version == 2]
    content = edited.read_content()
    assert content is not None
    assert [c.version_id for c in content.citations] == [HELMETS]
    assert content.citations[0].required.zh == CLAUSES["18"]["text_zh"]
    assert all(c.ok for c in edited.read_checks() if c.name == "citations")
    decide(engine, MINE, methane, "approve", "ann", document_version=2)
    decide(engine, MINE, smoke, "approve", "ann", document_version=1)

    config = tmp_path / "minewatch.toml"
    config.write_text(f'mine = "{MINE}"\n[database]\nurl = "sqlite:///{tmp_path / "minewatch.db"}"\n', encoding="utf-8")
    at = ["--config", str(config), "--data", str(tmp_path / "data"), "--json"]

    def run(*arguments: str, code: int = 0) -> Any:
        monkeypatch.setattr(sys, "argv", ["minewatch", *arguments, *at])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert int(ended.value.code or 0) == code, said.err
        return said.err if code else json.loads(said.out)

    assert run("clauses", "export-feedback", str(file)) == {"file": str(file), "hazards": 1}
    [line] = [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines()]
    assert (line["id"], line["risk_type"]) == (methane, "methane-high")
    assert line["relevant"] == [{"article": "18", "grade": 2}]
    assert (line["added"], line["removed"]) == (["18"], ["172"])
    assert "总回风巷" in line["zh"]
    assert "Main return" in line["en"]
    figures = run("clauses", "evaluate", str(file), "--code", "cn-coal")
    assert figures["items"] == 1
    assert figures["recall@5"] in (0.0, 1.0)
    refused = run("draft", "train", "--from-feedback", code=2)
    assert (
        refused == "minewatch: 2 documents were approved by people, 20 are needed to learn from: approve more first.\n"
    )
    assert "--from-feedback" in run("draft", "train", code=2)
