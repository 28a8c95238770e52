"""Every refusal that an officer can meet at the code book and the mine's knowledge has its Chinese wording."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.refusal_words import why_in
from rules.errors import ApprovalError, ClauseError, ImportRefusedError, KnowledgeError, LoosenedLimitError
from rules.limits import Limit

HOUSE = Path(__file__).parents[2]
MODULES = [
    *(
        f"rules/{name}.py"
        for name in (
            "chinese", "clause", "codebook", "embedding", "english", "formats", "importer", "knowledge", "limits", "markup", "ngrams", "ocr", "pdf", "revision", "rows",
            "supplement", "word",
        )
    ),
    *(f"disposal/{name}.py" for name in ("known", "library", "template")),
    "console/clause_form.py",
]  # fmt: skip
RAISED = {"ClauseError", "ApprovalError", "EmbeddingError", "ImportRefusedError", "KnowledgeError", "KnownError"}


def sentences() -> Iterator[tuple[str, str]]:
    """(module, sentence) of every refusal as it stands in the code, with X9 for each name and figure in it."""
    for module in MODULES:
        for node in ast.walk(ast.parse((HOUSE / module).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
                named = node.exc.func.id in RAISED or (module == "rules/limits.py" and node.exc.func.id == "ValueError")
                if named and node.exc.args and isinstance(node.exc.args[0], ast.JoinedStr | ast.Constant):
                    yield module, written(node.exc.args[0])


def written(node: ast.JoinedStr | ast.Constant) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    return "".join(str(part.value) if isinstance(part, ast.Constant) else filled(part) for part in node.values)


def filled(part: ast.expr) -> str:
    """What may stand for a name: a state where the code puts one, quotes where it asks for them."""
    assert isinstance(part, ast.FormattedValue)
    said = ast.unparse(part.value)
    if part.conversion == ord("r"):
        return "'X9'"
    return "draft" if "state" in said else "is damaged" if said == "kind" else "9"


def test_every_refusal_of_the_code_book_and_the_knowledge_has_its_chinese() -> None:
    found = list(sentences())
    assert len(found) > 40
    assert [(m, s) for m, s in found if not re.search(r"[一-鿿]", why_in(ClauseError(s), "zh"))] == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ApprovalError("li wrote or reviewed cn:2@3: somebody else has to publish it."), "cn:2@3由li起草或审核，须由他人发布。"),
        (ApprovalError("cn:2@3 is draft: only a reviewed version can be published."), "cn:2@3是草稿：只有已审核的版本可以发布。"),
        (
            ClauseError("Limit 2 cannot be: warn_minutes is 99: write 0 to 60."),
            "第2个限值不成立：预警分钟数是99，应在0至60之间。",
        ),
        (
            ImportRefusedError("a.docx cannot be read as a Word document: odd."),
            "a.docx无法按Word文档读取：odd。",
        ),
        (
            ImportRefusedError("b.csv, clause 7: effective_from is 'soon': write a date as 2016-10-01."),
            "b.csv第7条：生效日期写成了“soon”：日期写成2026-03-01。",
        ),
        (KnowledgeError("The measures has 2 lines: write one."), "措施有2行：只写一行。"),
        (ClauseError("Something new."), "Something new."),
    ],
)  # fmt: skip
def test_names_and_figures_stay_and_the_rest_is_chinese(error: Exception, said: str) -> None:
    assert why_in(error, "zh") == said
    assert why_in(error, "en") == str(error)


def test_a_loosened_limit_shows_both_limits_in_chinese() -> None:
    def limit(value: float) -> Limit:
        return Limit(
            quantity="methane", comparison=">=", value=value, unit="%", places=("return-airway",), action="withdraw"
        )

    said = why_in(LoosenedLimitError("site:1", limit(1.2), "cn:172", limit(1.0)), "zh")
    assert "site:1将放宽国家规程" in said
    assert ">= 1.2 %" in said
    assert "而cn:172规定甲烷" in said
    assert ">= 1 %" in said
    assert not re.search(r"[a-z]{6}", said)
