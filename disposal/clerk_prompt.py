"""The clerk's own way to be asked: a short prompt, a grammar without figures, and blanks that code fills in."""

import itertools
import json
import re
from collections.abc import Collection, Mapping, Sequence

from disposal.answer import LONGEST, longest_hours
from disposal.checks import fit
from disposal.document import Bilingual, DocumentContent
from disposal.errors import DraftError
from disposal.request import DraftRequest
from disposal.wording import named, wording
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
_OPENED = {"zh": "按依", "en": "A"}
_OPENING = {
    "zh": "(按[^条\x00-\x7f]|依[^照\x00-\x7f]|{other}{letters})",
    "en": "(A[A-Za-rt-z ,]|{other}{letters})",
}
"""How a line may begin: not as those do that say what a clause asks for."""
_BLANK = re.compile(r"<place>|<reading>")
_INSTEAD = {"zh": {"<place>": "该地点", "<reading>": "数值"}, "en": {"<place>": "the place", "<reading>": "the value"}}
_STATUS = {"seen to have ended": "cleared", "no longer observed: nobody can say whether it has ended": "lost"}
_LONGEST_BLANK = 60
_MOST_MEASURES, _MOST_RESOURCES = 5, 4


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


def cues(request: DraftRequest) -> tuple[str, ...]:
    """What the clauses that the clerk reads ask for, by the names that the wording has for it."""
    clip = CLIP[request.language]
    texts = [_one_line(m.text.text(request.language))[:clip] for m in request.citable[:CLAUSES]]
    known = wording().cue.items()
    return tuple(name for name, cue in known if any(named(cue.words, text, request.language) >= 0 for text in texts))


def grammar(language: str, allowed: frozenset[str], asked: Sequence[str] = ()) -> str:
    """A grammar (Lark) for what the clerk writes: four elements, letters and punctuation of the language, no figures.

    So no number can be made up; the only ones in a draft are those that stand in the request, put in its blanks. What
    clauses ask for can only be said where they do: ``asked`` names it.
    """
    chunk, rest = _chunks(language)
    blank = " | ".join(sorted(allowed))
    said = [_choices(line.text(language)) for name in asked for line in wording().cue[name].measures]
    return "\n".join(
        (
            (
                'start: "{\\"measures\\":[" measure ("," measure){1,4} "],\\"resources\\":[" line ("," line){0,3}'
                ' "],\\"contingency\\":" line ",\\"acceptance\\":" line "}"'
            ),
            'measure: line | "\\"" CLAUSE "\\""' if said else "measure: line",
            'line: "\\"" (CHUNK | blank REST) (blank REST?)? "\\""' if allowed else 'line: "\\"" CHUNK "\\""',
            f"blank: {blank}" if allowed else "",
            f"CHUNK: /{chunk}/",
            f"REST: /{rest}/" if allowed else "",
            f"CLAUSE: /{'|'.join(said)}/" if said else "",
            "",
        )
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


def answer_of(content: DocumentContent, request: DraftRequest) -> str | None:
    """What the clerk would have had to write for that document, by ``grammar``; None where it cannot.

    Place and reading of the request become blanks again. Lines that it may not write, as those with figures of their
    own or with what no clause asks for, are left out; two measures and one of each other element have to remain.
    """
    language = request.language
    fits = _writable(language, blanks(request), cues(request))
    known = {text: blank for blank, text in blanks(request).items()}

    def said(lines: Sequence[Bilingual], most: int) -> list[str]:
        texts = (_one_line(line.text(language)) for line in lines)
        return [t for t in (_blanked(text, known) for text in texts) if fits.fullmatch(t)][:most]

    measures, resources = said(content.measures, _MOST_MEASURES), said(content.resources, _MOST_RESOURCES)
    contingency, acceptance = said((content.contingency,), 1), said((content.acceptance,), 1)
    if len(measures) < 2 or not (resources and contingency and acceptance):
        return None
    answer = {
        "measures": measures,
        "resources": resources,
        "contingency": contingency[0],
        "acceptance": acceptance[0],
    }
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))


def _blanked(line: str, known: Mapping[str, str]) -> str:
    for text, blank in known.items():
        line = line.replace(text, blank)
    return line


def _writable(language: str, allowed: Collection[str], asked: Sequence[str]) -> re.Pattern[str]:
    """A line as ``grammar`` lets the clerk write it."""
    chunk, rest = _chunks(language)
    line = f"(?:{chunk})"
    if allowed:
        blank = f"(?:{'|'.join(sorted(allowed))})"
        line = f"(?:{chunk}|{blank}{rest})(?:{blank}(?:{rest})?)?"
    said = [_choices(one.text(language)) for name in asked for one in wording().cue[name].measures]
    return re.compile("|".join((line, *said)))


def _chunks(language: str) -> tuple[str, str]:
    """How a line may begin and how it may go on behind a blank, as regular expressions."""
    letters, longest = f"[{_letters(language)}]", 90 if language == "zh" else 150
    first = _OPENING[language].format(letters=letters, other=f"[{_letters(language, _OPENED[language])}]")
    return f"{first}{letters}{{0,{longest - 2}}}", f"{letters}{{1,{longest}}}"


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


def _choices(line: str) -> str:
    """A line of the wording as a regular expression of all ways to say it."""
    return re.sub(r"\[([^\[\]]*)\]", r"(\1)", line)


def _letters(language: str, without: str = "") -> str:
    """The characters of a language as a class of a regular expression, without figures and those named."""
    if language == "en":
        return (
            "".join(c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz ,.;:()'" if c not in without) + "-"
        )
    edges = sorted({0x4DFF, 0x9FA6, *(ord(c) for c in _FIGURES + without)})
    pairs = itertools.pairwise(edges)
    return "".join(f"{chr(a + 1)}-{chr(b - 1)}" for a, b in pairs if b - a > 1) + "，。、；：（）《》“”"
