"""A code written to a file, one clause a row, as ``clauses import`` reads it again; figures go with JSON alone."""

import base64
import csv
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Engine

from rules.clause import Provision, listing
from rules.errors import ClauseError
from rules.figure import figure_bytes

_COLUMNS = (
    "number", "heading_zh", "heading_en", "title_zh", "title_en", "text_zh", "text_en", "hazards", "limits", "tightens",
    "code", "edition", "version", "state", "effective_from", "effective_to", "author", "approver",
)  # fmt: skip


def export_code(engine: Engine, code: str, file: Path, at: datetime) -> int:
    """Write the newest version of each clause of ``code`` to a .csv or .json file; answers how many.

    Raises ClauseError for a code that is not there, another kind of file, or one that cannot be written.
    """
    provisions = listing(engine, code, at)
    rows = [_row(p) for p in provisions]
    if not rows:
        raise ClauseError(f"There is no clause of {code!r}: nothing was written.")
    suffix = file.suffix.lower()
    if suffix not in (".csv", ".json"):
        raise ClauseError(f"{file.name} is neither .csv nor .json: choose one of them.")
    try:
        if suffix == ".json":
            rows = [row | _figures(engine, p) for row, p in zip(rows, provisions, strict=True)]
            file.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        else:
            _write_csv(file, rows)
    except OSError as error:
        raise ClauseError(f"{file} cannot be written: {error.strerror}.") from error
    return len(rows)


def _figures(engine: Engine, provision: Provision) -> dict[str, Any]:
    """The clause's figures as data addresses: a file that is read again anywhere, with nothing lying beside it."""
    told = [
        {"caption": f.caption, "data": f"data:{f.media_type};base64,{base64.b64encode(held).decode()}"}
        for f in provision.content.figures
        if (held := figure_bytes(engine, f.sha256)) is not None
    ]
    return {"figures": told} if told else {}


def _write_csv(file: Path, rows: list[dict[str, Any]]) -> None:
    # The mark makes Excel read UTF-8; a leading apostrophe keeps a spreadsheet from running a text as a formula.
    with file.open("w", encoding="utf-8-sig", newline="") as out:
        writer = csv.DictWriter(out, _COLUMNS)
        writer.writeheader()
        for row in rows:
            flat = {k: json.dumps(v, ensure_ascii=False) if isinstance(v, list) else v for k, v in row.items()}
            writer.writerow({k: f"'{v}" if str(v)[:1] in ("=", "+", "@") else v for k, v in flat.items()})


def _row(provision: Provision) -> dict[str, Any]:
    content = provision.content
    values: dict[str, Any] = {
        "number": provision.number,
        "code": provision.code,
        "edition": provision.edition,
        "version": provision.version,
        "state": provision.state,
        "author": provision.author,
        "approver": provision.approver,
        "tightens": content.tightens,
        "limits": [msgspec.to_builtins(limit) for limit in content.limits],
        "hazards": list(content.hazards),
        "heading_zh": list(content.heading_zh),
        "heading_en": list(content.heading_en),
    }
    for moment in ("effective_from", "effective_to"):
        value = getattr(content, moment)
        values[moment] = value.isoformat() if value else None
    for text in ("title_zh", "title_en", "text_zh", "text_en"):
        values[text] = getattr(content, text)
    return {column: values[column] for column in _COLUMNS}
