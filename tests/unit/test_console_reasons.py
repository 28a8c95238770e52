"""The reasons that the stages write are read in Chinese too, and every deed in the audit has its words."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from console.reasons import reason_in
from console.translations import Phrases
from disposal.handover import LEARNED
from rules.warning import say

HOUSE = Path(__file__).parents[2]
STAGES = ("vision/risk.py", "rules/episode.py", "stream/offline.py", "stream/reach.py")
SAMPLES = {"_value(reading)": "methane at 1.2 %", "reading.quantity": "methane", "found": "dust at 5 mg/m³"}
VALUE = re.compile(r"\S+ at \S+ \S+")
"""A part of other sentences, and none by itself."""
PARTS = {"{name}": "rtsp://10.0.0.7/live", "{detail}": "timed out"}


def written(path: str) -> Iterator[str]:
    """Every sentence that the module holds, but for its docstrings, with something in the place of each figure."""
    tree = ast.parse((HOUSE / path).read_text(encoding="utf-8"))
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inner = {
        id(v) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for v in ast.walk(node) if v is not node
    }
    raised = {id(v) for node in ast.walk(tree) if isinstance(node, ast.Raise) for v in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in bare | inner | raised:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else SAMPLES.get(ast.unparse(part.value), "7")  # type: ignore[attr-defined]
                for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            said = node.value
            for part, sample in PARTS.items():
                said = said.replace(part, sample)
            yield said


def sentences(path: str) -> list[str]:
    return [
        s for s in written(path) if s.count(" ") >= 3 and "\r\n" not in s and "HTTP" not in s and not VALUE.fullmatch(s)
    ]


@pytest.mark.parametrize("path", STAGES)
def test_whatever_a_stage_gives_as_its_reason_is_read_in_chinese(path: str) -> None:
    found = sentences(path)
    assert len(found) >= 2, path
    for sentence in found:
        nonsense = f"the sensor gives nonsense: {sentence}"
        said = [reason_in(text, "zh") for text in (sentence, nonsense)]
        assert any(re.search(r"[㐀-鿿]", text) for text in said), sentence
        assert reason_in(sentence, "en") == sentence


def test_figures_and_names_stay_where_they_belong() -> None:
    assert reason_in("Seen in 4 of 5 frames, for 1.2 s.", "zh") == "5帧中4帧看到，持续1.2秒。"
    assert (
        reason_in("methane at 1.32 % breaks Gas in return airways", "zh")
        == "甲烷 1.32 %，超过“Gas in return airways”的限值"
    )
    assert (
        reason_in(say("methane at 0.8 %", "Gas, >= 1 %", 12.2, datetime(2026, 1, 2, 3, 50, tzinfo=UTC)), "zh")
        == "预警：甲烷 0.8 %，尚未超过“Gas, >= 1 %”的限值；按趋势约12分钟后（2026-01-02 04:02 UTC）超过"
    )
    passed_on = "The camera gives no more pictures: It gave no picture for 12 s."
    assert reason_in(passed_on, "zh") == "摄像机不再给出画面：12秒没有画面。"
    assert reason_in("written by a later release {0}", "zh") == "written by a later release {0}"
    assert reason_in("early {0} at {1} 5 breaks {2}", "zh") == "early {0} at {1} 5 breaks {2}"


def test_every_deed_in_the_audit_has_its_words() -> None:
    deeds = set(LEARNED)
    for package in ("disposal", "console", "rules", "stream"):
        for path in sorted((HOUSE / package).glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("append") and len(node.args) >= 5:
                    deed = node.args[3]
                    deeds |= {deed.value} if isinstance(deed, ast.Constant) else set()  # type: ignore[arg-type]
    assert len(deeds) > 25
    phrases = Phrases("zh")
    assert [deed for deed in sorted(deeds) if phrases.known(f"action.{deed}", "?") == "?"] == []
