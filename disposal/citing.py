"""Where people corrected which clauses a document cites, as judged hazards that the search can be scored on."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from disposal.document import Citation, StoredMatch
from disposal.errors import FeedbackError
from disposal.triple import Triple

_DIRECT = 2
"""The grade of a clause that governs a hazard directly, as ``clauses evaluate`` counts it."""


def corrected(found: Iterable[Triple], code: str = "") -> Iterator[dict[str, object]]:
    """One judged hazard for each document whose citations a person changed before it was approved.

    It is told in the words that the draft was given: hazard, place and what people reported. Relevant is what was
    cited in the end; ``added`` and ``removed`` say what the person changed, ``missed`` which of those added the search
    had not found at all. With ``code``, clauses of that code alone.
    """
    for one in found:
        before, after = (_of(code, content.citations) for content in (one.draft, one.approved))
        if set(before) == set(after) or not after:
            continue
        yield {
            "id": one.alert,
            "risk_type": one.request.type,
            "zh": _told(one, "zh"),
            "en": _told(one, "en"),
            "relevant": [{"article": number, "grade": _DIRECT} for number in after],
            "added": [number for number in after if number not in before],
            "removed": [number for number in before if number not in after],
            "missed": [number for number in after if number not in {*before, *_of(code, one.request.matches)}],
        }


def export_corrections(found: Iterable[Triple], file: Path, code: str = "") -> int:
    """Write them into ``file``, one JSON object a line, as a whole or not at all; answers how many.

    Raises FeedbackError where nobody has corrected a citation, or the file cannot be written.
    """
    lines = [json.dumps(item, ensure_ascii=False) + "\n" for item in corrected(found, code)]
    if not lines:
        raise FeedbackError("Nobody has changed which clauses an approved document cites: there is nothing to export.")
    part = file.with_name(file.name + ".part")
    try:
        part.write_text("".join(lines), encoding="utf-8")
        part.replace(file)
    except OSError as error:
        raise FeedbackError(f"{file} cannot be written: {error.strerror}.") from error
    return len(lines)


def _of(code: str, citations: Iterable[Citation | StoredMatch]) -> list[str]:
    """The numbers of the clauses cited or found, of that code or of any."""
    parts = (c.clause_id.partition(":") for c in citations)
    return list(dict.fromkeys(number for of, _, number in parts if code in ("", of)))


def _told(one: Triple, language: str) -> str:
    said = [f.value.text(language) for f in one.request.facts if f.name.en in ("Hazard", "Place")]
    return " ".join((*said, *one.request.remarks))
