"""The clerk's own way to be asked: a short prompt, a grammar without figures, and blanks that code fills in."""

import itertools
import json
import re

from disposal.answer import LONGEST, longest_hours
from disposal.checks import fit
from disposal.errors import DraftError
from disposal.request import DraftRequest
from stream.catalogue import RISK_TYPES

VERSION = "clerk-1"
CLAUSES = 2
"""Clauses whose beginning the clerk reads; a document cites every one that may be cited all the same."""
GENERAL = "hand-raised"
"""The risk type by whose wording the clerk writes about one that it was never taught."""
CLIP = {"zh": 40, "en": 90}
"""Characters of a clause that the clerk reads; of people's remarks it reads twice as many."""
_FIGURES = "零〇三四五六七八九十百千万"
_HAN = re.compile(r"[\u3400-\u9fff]")
_BLANK = re.compile(r"<place>|<reading>")
_INSTEAD = {"zh": {"<place>": "该地点", "<reading>": "数值"}, "en": {"<place>": "the place", "<reading>": "the value"}}
_STATUS = {"seen to have ended": "cleared", "no longer observed: nobody can say whether it has ended": "lost"}
_LONGEST_BLANK = 60


def ask(request: DraftRequest) -> str:
    """The prompt for that request: type, status, the blanks there are, people's words, the beginnings of clauses."""
    clip = CLIP[request.language]
    kind = request.type if request.type in RISK_TYPES else GENERAL
    lines = [f"{request.language} {kind} {_status(request)} {''.join(blanks(request))}"]
    if remarks := _one_line(" ".join(request.remarks)):
        lines.append(f"! {remarks[: clip * 2]}")
    lines += [f"- {_one_line(m.text.text(request.language))[:clip]}" for m in request.citable[:CLAUSES]]
    return "\n".join(lines)


def blanks(request: DraftRequest) -> dict[str, str]:
    """What the clerk may leave blank in that request, and what code writes there: only what passes the checks."""
    place = next((f.value.text(request.language) for f in request.facts if f.name.en == "Place"), "")
    reading = next((f"{m.value:g} {m.unit}" for m in request.measured), "")
    found = {"<place>": place.strip(), "<reading>": reading.strip()}
    if request.language == "zh" and not _HAN.search(found["<place>"]):
        del found["<place>"]
    return {blank: text for blank, text in found.items() if 0 < len(text) <= _LONGEST_BLANK and fit(text, request)}


def grammar(language: str, allowed: frozenset[str]) -> str:
    """A grammar (Lark) for what the clerk writes: four elements, letters and punctuation of the language, no figures.

    So no number can be made up; the only ones in a draft are those that stand in the request, put in its blanks.
    """
    letters = f"[{_chinese()}，。、；：（）《》“”]" if language == "zh" else "[A-Za-z ,.;:()'-]"
    longest = 90 if language == "zh" else 150
    line = '"\\"" CHUNK "\\""'
    if allowed:
        line = f'"\\"" (CHUNK | blank CHUNK) (blank CHUNK?)? "\\""\nblank: {" | ".join(sorted(allowed))}'
    return (
        'start: "{\\"measures\\":[" line ("," line){1,4} "],\\"resources\\":[" line ("," line){0,3}'
        ' "],\\"contingency\\":" line ",\\"acceptance\\":" line "}"\n'
        f"line: {line}\nCHUNK: /{letters}{{1,{longest}}}/\n"
    )


def answer_from(text: str, request: DraftRequest) -> str:
    """The whole answer as JSON: what the clerk wrote with its blanks filled in; citations and deadline by code.

    Raises DraftError where the clerk's text has not its four elements.
    """
    try:
        said = json.loads(text)
        whole = {
            "citations": [m.version_id for m in request.citable],
            "measures": _filled(said["measures"], request),
            "resources": _filled(said["resources"], request),
            "deadline_hours": longest_hours(request),
            "contingency": _filled([said["contingency"]], request)[0],
            "acceptance": _filled([said["acceptance"]], request)[0],
        }
    except (ValueError, KeyError, TypeError) as error:
        raise DraftError(f"The clerk's text has not its four elements: {error}.") from error
    return json.dumps(whole, ensure_ascii=False)


def _filled(lines: list[str], request: DraftRequest) -> list[str]:
    """The lines with their blanks filled in, each once; in general words where a line would become too long."""
    known, instead = blanks(request), _INSTEAD[request.language]
    filled = []
    for line in lines:
        whole = _BLANK.sub(lambda blank: known.get(blank.group(), instead[blank.group()]), line)
        filled.append(whole if len(whole) <= LONGEST else _BLANK.sub(lambda blank: instead[blank.group()], line))
    return list(dict.fromkeys(filled))


def _status(request: DraftRequest) -> str:
    value = next((f.value.en for f in request.facts if f.name.en == "Status"), "")
    return _STATUS.get(value, "ongoing")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _chinese() -> str:
    """Chinese characters as ranges of a regular expression, without those that count more than a pair."""
    edges = sorted({0x4DFF, 0x9FA6, *(ord(c) for c in _FIGURES)})
    pairs = itertools.pairwise(edges)
    return "".join(f"{chr(a + 1)}-{chr(b - 1)}" for a, b in pairs if b - a > 1)
