import ast
import re
from pathlib import Path
from typing import get_args

import pytest

from console.accounts import ROLES
from console.alert_view import NextStep
from console.book_phrases import BOOK_PHRASES
from console.escalation_phrases import ESCALATION_PHRASES
from console.office_phrases import OFFICE_PHRASES
from console.phrases import PHRASES
from console.queue_rows import TABS
from console.terms import TERMS
from console.translations import LANGUAGES, Phrases, text
from console.work_phrases import WORK_PHRASES
from disposal.alert import AlertState
from disposal.checks import check
from disposal.composer import compose
from disposal.document import EFFECTS, DocumentState
from disposal.second_look import Verdict as LookVerdict
from disposal.second_look import Withheld
from stream.catalogue import RISK_TYPES
from stream.site import UNITS
from tests.unit.test_disposal_checks import request

HERE = Path(__file__).parents[2] / "console"
ALL = BOOK_PHRASES | ESCALATION_PHRASES | OFFICE_PHRASES | PHRASES | TERMS | WORK_PHRASES
TEMPLATES = sorted((HERE / "templates").glob("*.html"))
_CALL = re.compile(r"""\bt\('([\w.-]+)'(\s*\+)?""")
_PLACES = re.compile(r"\{(\w+)\}")


@pytest.mark.parametrize("key", sorted(ALL))
def test_every_phrase_is_there_in_both_languages_with_the_same_places(key: str) -> None:
    zh, en = ALL[key]
    assert zh.strip()
    assert en.strip()
    assert sorted(_PLACES.findall(zh)) == sorted(_PLACES.findall(en))
    assert not re.search(r"[㐀-鿿]", en)


def test_phrases_and_terms_do_not_overlap() -> None:
    assert len(ALL) == sum(map(len, (BOOK_PHRASES, ESCALATION_PHRASES, OFFICE_PHRASES, PHRASES, TERMS, WORK_PHRASES)))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda p: p.name)
def test_every_key_that_a_template_names_is_a_phrase(template: Path) -> None:
    for key, joined in _CALL.findall(template.read_text(encoding="utf-8")):
        if joined:
            assert any(known.startswith(key) for known in ALL), key
        else:
            assert key in ALL


def test_templates_say_nothing_in_one_language_only() -> None:
    for template in TEMPLATES:
        spoken = re.sub(r"\{[{%#].*?[}%#]\}", "", template.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(r"[㐀-鿿]", spoken), template.name


def test_every_state_decision_role_and_unit_has_its_term() -> None:
    wanted = {f"state.{s.value}" for s in AlertState} | {f"document.{s.value}" for s in DocumentState}
    wanted |= {f"{kind}.{d}" for d in EFFECTS for kind in ("decision", "done", "action")}
    wanted |= {f"explain.{d}" for d, effect in EFFECTS.items() if effect.needs_reason}
    wanted |= {f"role.{r}" for r in ROLES} | {f"next.{n}" for n in NextStep.__args__}
    wanted |= {f"tab.{tab}" for tab in TABS} | {f"queue.empty.{tab}" for tab in TABS}
    wanted |= {f"quantity.{q}" for q in UNITS} | {f"priority.{t.priority}" for t in RISK_TYPES.values()}
    wanted |= (
        {"look.withheld"} | {f"look.{v}" for v in get_args(LookVerdict)} | {f"look.why.{w}" for w in get_args(Withheld)}
    )
    wanted |= {f"check.{c.name}" for c in check(compose(request()), request())}
    assert wanted <= ALL.keys()


def test_every_refusal_has_its_sentence() -> None:
    tree = ast.parse((HERE / "errors.py").read_text(encoding="utf-8"))
    keys = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and str(n.value).startswith("error.")}
    assert len(keys) >= 10
    assert keys <= ALL.keys()


def test_a_page_speaks_its_language_and_passes_on_what_it_does_not_know() -> None:
    assert text("zh", "done.approve") != text("en", "done.approve")
    assert Phrases("en")("folded", count=3) == "3 more times"
    assert Phrases("en").known("condition.of-a-later-release", "of-a-later-release") == "of-a-later-release"
    with pytest.raises(KeyError):
        text("en", "no such phrase")
    assert LANGUAGES == ("zh", "en")
