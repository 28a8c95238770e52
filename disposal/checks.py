"""Pure checks of a draft against its request, and the one repair that code can make of it."""

import re
from collections.abc import Iterable
from datetime import timedelta

import msgspec

from disposal.answer import LONGEST
from disposal.document import Bilingual, Check, DocumentContent
from disposal.quantity import unsupported
from disposal.quoting import strange_quotes
from disposal.request import DraftRequest

_HAN = re.compile(r"[\u3400-\u9fff]")
_WORD = re.compile(r"[A-Za-z]{2,}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
_STAMMER = re.compile(r"(\S{1,12}?[ ,，。]?)\1{3,}")
_VERDICT = re.compile(
    r"\b(approved|auto[- ]?clos\w*|clos(?:e|es|ed|ing) (?:it|this|the (?:alert|case|document))|false alarm|no (?:further )?action)\b"
    r"|已?批准(?:关闭|通过)|(?:自动|予以|可以|直接)关闭(?:本?(?:告警|警报|隐患|处置单))|误报|无需(?:处理|处置|整改)",
    re.IGNORECASE,
)


def check(content: DocumentContent, request: DraftRequest) -> tuple[Check, ...]:
    """Every check of the draft, in a fixed order, each saying what it found."""
    lines = list(_lines(content))
    return (
        _citations(content, request),
        _complete(content),
        _of("quotes", [*_altered(content, request), *_strange_quotes(lines, request)]),
        _of("numbers", _strange_numbers(lines, request)),
        _of("language", [line for line in lines if not _in_its_language(line)]),
        _of("length", [line for line in lines if any(len(t) > LONGEST * 2 for t in (line.zh, line.en))]),
        _of("repetition", [line for line in lines if _stammers(line)]),
        _of("verdicts", [line for line in lines if _judges(line)]),
        _deadline(content, request),
    )


def passed(checks: Iterable[Check]) -> bool:
    """Whether every check holds."""
    return all(c.ok for c in checks)


def fit(text: str, request: DraftRequest) -> bool:
    """Whether a name or value of the request may stand in a draft word by word without spoiling its checks."""
    alone = Bilingual(zh=text)
    foreign = len(_WORD.findall(text)) > 2 if request.language == "zh" else _HAN.search(text)
    return not (foreign or _CONTROL.search(text) or _judges(alone) or _strange_numbers([alone], request))


def repair(content: DocumentContent, request: DraftRequest) -> DocumentContent:
    """The draft without what no check lets through, filled up from the library of measures; done at most once."""
    usual = request.usually
    latest = request.at + timedelta(hours=usual.deadline_hours)
    allowed = {m.version_id for m in request.citable}
    measures = _kept(content.measures, request) or usual.measures
    resources = _kept(content.resources, request) or usual.resources
    return msgspec.structs.replace(
        content,
        citations=tuple(c for c in content.citations if c.version_id in allowed),
        measures=measures,
        resources=resources,
        contingency=next(iter(_kept((content.contingency,), request)), usual.contingency),
        acceptance=next(iter(_kept((content.acceptance,), request)), usual.acceptance),
        deadline=content.deadline if request.at < content.deadline <= latest else latest,
    )


def _kept(lines: tuple[Bilingual, ...], request: DraftRequest) -> tuple[Bilingual, ...]:
    return tuple(
        line
        for line in lines
        if not _strange_numbers([line], request)
        and not _strange_quotes([line], request)
        and _in_its_language(line)
        and not _judges(line)
        and not _stammers(line)
        and max(len(line.zh), len(line.en)) <= LONGEST * 2
    )


def _lines(content: DocumentContent) -> Iterable[Bilingual]:
    yield from content.measures
    yield from content.resources
    yield content.contingency
    yield content.acceptance


def _citations(content: DocumentContent, request: DraftRequest) -> Check:
    allowed = {m.version_id for m in request.matches}
    strange = [c.version_id for c in content.citations if c.version_id not in allowed]
    if not content.citations and request.citable:
        return Check(name="citations", ok=False, detail="it cites none of the clauses found")
    return _of("citations", strange)


def _complete(content: DocumentContent) -> Check:
    elements = {"measures": content.measures, "resources": content.resources}
    missing = [name for name, lines in elements.items() if not any(line.text("zh") for line in lines)]
    missing += [
        n for n, t in (("contingency", content.contingency), ("acceptance", content.acceptance)) if not t.text("zh")
    ]
    return _of("elements", missing)


def _altered(content: DocumentContent, request: DraftRequest) -> list[str]:
    """Citations of which the wording is not that of the clause version."""
    texts = {m.version_id: m.text for m in request.matches}
    return [c.version_id for c in content.citations if texts.get(c.version_id, c.required) != c.required]


def _strange_quotes(lines: list[Bilingual], request: DraftRequest) -> list[str]:
    """What the lines quote as a clause's words that no citable clause says, and no person or fact."""
    sources = [text for m in request.citable for text in (m.text.zh, m.text.en, m.label.zh, m.label.en)]
    sources += [text for f in request.facts for text in (f.value.zh, f.value.en)]
    return strange_quotes((text for line in lines for text in (line.zh, line.en)), [*sources, *request.remarks])


def _strange_numbers(lines: list[Bilingual], request: DraftRequest) -> list[str]:
    """Quantities in the lines that neither a citable clause nor a fact nor a reading carries."""
    sources = [text for m in request.citable for text in (m.text.zh, m.text.en)]
    sources += [text for f in request.facts for text in (f.value.zh, f.value.en)]
    sources += [f"{m.value:g} {m.unit} {m.limit or ''}" for m in request.measured]
    strange = unsupported("\n".join(t for line in lines for t in (line.zh, line.en)), sources)
    return [f"{value:g} {unit}".strip() for value, unit in sorted(strange)]


def _in_its_language(line: Bilingual) -> bool:
    """Chinese text is mostly Chinese, English text has none of it, and neither hides control characters."""
    if _CONTROL.search(line.zh) or _CONTROL.search(line.en):
        return False
    han, words = len(_HAN.findall(line.zh)), len(_WORD.findall(line.zh))
    if line.zh and not (han >= 2 and han > words):
        return False
    return not line.en or (bool(_WORD.search(line.en)) and not _HAN.search(line.en))


def _stammers(line: Bilingual) -> bool:
    """It says the same few characters again and again, as language models do that have lost their way."""
    return any(_STAMMER.search(text) for text in (line.zh, line.en))


def _judges(line: Bilingual) -> bool:
    """Whether the line takes a decision that no draft may take."""
    return bool(_VERDICT.search(line.zh) or _VERDICT.search(line.en))


def _deadline(content: DocumentContent, request: DraftRequest) -> Check:
    hours = (content.deadline - request.at).total_seconds() / 3600
    longest = request.usually.deadline_hours
    return Check(
        name="deadline", ok=0 < hours <= longest, detail=f"{hours:g} h, {request.kind.grade}: at most {longest:g} h"
    )


def _of(name: str, faults: list[str] | list[Bilingual]) -> Check:
    said = [f if isinstance(f, str) else f.text("zh") for f in faults]
    return Check(name=name, ok=not said, detail="; ".join(said)[:400])
