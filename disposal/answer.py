"""What a language model is asked to write, as a schema, and how its answer is read and made a document."""

import json
import re
from datetime import timedelta
from typing import Annotated, Any, get_args

import msgspec

from disposal.document import Bilingual, DocumentContent
from disposal.errors import DraftError
from disposal.request import DraftRequest, citation
from disposal.second_look import LONGEST_REASON, Verdict

LONGEST = 160
"""Characters that one measure, resource, contingency or acceptance may have."""
_MOST = 6
_THOUGHT = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)
_FENCED = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL)

Line = Annotated[str, msgspec.Meta(min_length=2, max_length=LONGEST)]
Lines = Annotated[tuple[Line, ...], msgspec.Meta(min_length=1, max_length=_MOST)]


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of a document that a model writes. Facts, grade and the responsible duty are never asked of it."""

    citations: tuple[str, ...]
    measures: Lines
    resources: Lines
    deadline_hours: Annotated[int, msgspec.Meta(ge=1, le=72)]
    contingency: Line
    acceptance: Line
    picture_verdict: Verdict | None = None
    picture_reason: str = ""


def schema(request: DraftRequest, *, shown: bool = False) -> dict[str, Any]:
    """The JSON schema of an answer to this request: citations can only be clause versions that were retrieved.

    ``shown``: a picture goes with it, of which something has to be said.
    """
    line = {"type": "string", "minLength": 2, "maxLength": LONGEST}
    lines = {"type": "array", "items": line, "minItems": 1, "maxItems": _MOST}
    allowed = [m.version_id for m in request.citable]
    cited: dict[str, Any] = {"type": "array", "items": {"enum": allowed}, "minItems": 1, "maxItems": len(allowed)}
    properties = {
        "citations": cited if allowed else {"type": "array", "items": {"type": "string"}, "maxItems": 0},
        "measures": lines,
        "resources": lines,
        "deadline_hours": {"type": "integer", "minimum": 1, "maximum": longest_hours(request)},
        "contingency": line,
        "acceptance": line,
    }
    if shown:
        properties["picture_verdict"] = {"enum": list(get_args(Verdict))}
        properties["picture_reason"] = {"type": "string", "minLength": 2, "maxLength": LONGEST_REASON}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def longest_hours(request: DraftRequest) -> int:
    """The longest deadline that a draft may give: the usual one of the type, in whole hours."""
    return max(1, int(request.usually.deadline_hours))


def read_answer(text: str) -> tuple[Answer, bool]:
    """The answer in what a model wrote, and whether it was exactly that: no fence, no thoughts, nothing around it.

    Raises DraftError where there is none in it.
    """
    try:
        return msgspec.json.decode(text, type=Answer), True
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        bare = _THOUGHT.sub("", text)
        fenced = _FENCED.search(bare)
        inner = fenced.group(1) if fenced else bare.strip()
        if inner == text:
            raise DraftError(f"The model's answer does not fit the schema: {error}.") from error
    try:
        return msgspec.json.decode(inner, type=Answer), False
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise DraftError(f"The model's answer does not fit the schema: {error}.") from error


def content_from(answer: Answer, request: DraftRequest, backend: str) -> DocumentContent:
    """The document that the answer makes, with everything else filled in by code."""
    kind = request.kind
    by_id = {m.version_id: m for m in request.matches}
    language = request.language
    return DocumentContent(
        title=title_of(request),
        heading=request.template.heading,
        closing=request.template.closing,
        grade=kind.grade,
        facts=request.facts,
        citations=tuple(citation(by_id[c]) for c in dict.fromkeys(answer.citations) if c in by_id),
        responsible=request.responsible,
        measures=tuple(_said(line, language) for line in answer.measures),
        resources=tuple(_said(line, language) for line in answer.resources),
        deadline=request.at + timedelta(hours=answer.deadline_hours),
        contingency=_said(answer.contingency, language),
        acceptance=_said(answer.acceptance, language),
        notice=Bilingual(
            f"措施由语言模型 {backend} 起草；事实、责任人和引用条款由程序填写。",
            f"Measures drafted by the language model {backend}; facts, responsibility and citations filled in by code.",
        ),
    )


def title_of(request: DraftRequest) -> Bilingual:
    """The title of a document: hazard and place."""
    place = next((f.value for f in request.facts if f.name.en == "Place"), Bilingual())
    return request.template.title_of(request.hazard, place)


def request_json(request: DraftRequest) -> str:
    """The request as JSON for a prompt; nothing in it can end the block that fences it."""
    data = {
        "hazard": {"zh": request.kind.zh, "en": request.kind.en, "grade": request.kind.grade},
        "facts": [{f.name.text(request.language): f.value.text(request.language)} for f in request.facts],
        "clauses": [
            {"id": m.version_id, "name": m.label.text(request.language), "text": m.text.text(request.language)}
            for m in request.citable
        ],
        "usual_measures": [line.text(request.language) for line in request.usually.measures],
        "remarks": list(request.remarks),
        "longest_deadline_hours": longest_hours(request),
    }
    return json.dumps(data, ensure_ascii=False, indent=1).replace("<", "\\u003c").replace("`", "\\u0060")


def _said(line: str, language: str) -> Bilingual:
    return Bilingual(zh=line) if language == "zh" else Bilingual(en=line)
