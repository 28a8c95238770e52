"""Clauses from a table: one a row, by the names of its columns; what ``clauses export`` writes is read back whole."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rules.codebook import moment
from rules.errors import ImportRefusedError
from rules.formats import Content
from rules.limits import read_limits
from rules.numbering import canonical
from rules.outline import Article, Outline
from rules.pictures import MARKS_OF_ROW

_NUMBER = ("number", "article", "section", "no", "id", "clause", "条号", "条", "条款", "编号", "序号", "条文号")
_TEXT = ("text", "content", "body", "内容", "正文", "条文", "条文内容", "text_zh", "text_en", "zh", "en")
_TITLE = ("title", "heading", "name", "标题", "名称", "题目", "title_zh", "title_en")
_WORDS = ("title_zh", "title_en", "text_zh", "text_en")
_ABOVE = ("part", "编", "chapter", "章", "subchapter", "节", "subpart", "subject")
FIELDS = ("heading_zh", "heading_en", "hazards", "limits", "tightens", "effective_from", "effective_to")
"""Columns that name a field of a clause outright; a row may leave them empty."""


def from_rows(name: str, content: Content) -> Outline:
    """The clauses of a table. Raises ImportRefusedError without columns for them, or for a value that does not fit."""
    found, rows = Outline(content.style), content.rows
    columns = {key.strip().lower(): key for _, row in rows[:50] for key in row if key != MARKS_OF_ROW}
    number_key = next((columns[k] for k in _NUMBER if k in columns), None)
    text_key = next((columns[k] for k in _TEXT if k in columns), None)
    if number_key is None or text_key is None:
        raise ImportRefusedError(
            f"{name} has the columns {', '.join(columns.values()) or 'none'}: name one 'number' and one 'text'."
        )
    title_key = next((columns[k] for k in _TITLE if k in columns), None)
    above = [columns[k] for k in _ABOVE if k in columns]
    named = [k for k in (*FIELDS, *_WORDS) if k in columns]
    found.said = frozenset(named)
    for line, row in rows:
        number, text = canonical(row.get(number_key)), str(row.get(text_key) or "").strip()
        english = (str(row.get("title_en") or "").strip(), str(row.get("text_en") or "").strip())
        text = (text or english[1]) + str(row.get(MARKS_OF_ROW, ""))
        if number is None or not text:
            found.stray.append((line, str(row.get(number_key) or text)))
            continue
        heading = tuple(str(row[k]).strip() for k in above if row.get(k))
        title = str(row.get(title_key) or "").strip() if title_key else ""
        parts = text.replace("\\n", "\n").splitlines()
        try:
            fields = {k: _field(k, row.get(columns[k])) for k in named}
        except ValueError as error:
            raise ImportRefusedError(f"{name}, clause {number}: {error}.") from error
        found.articles.append(Article(number, line, heading, title, parts, english, fields))
    return found


def _field(name: str, value: Any) -> Any:
    """That field of a clause from a table's cell or from JSON. Raises ValueError that says what is off."""
    if name in ("effective_from", "effective_to"):
        return _date(name, value)
    if name in _WORDS:
        return str(value or "").replace("\\n", "\n").strip()
    if name == "tightens":
        return str(value).strip() or None if value else None
    listed = _list(name, value)
    if name == "limits":
        if not all(isinstance(row, Mapping) for row in listed):
            raise ValueError("limits are written as a JSON list of objects")
        return read_limits(listed)
    return tuple(str(item).strip() for item in listed)


def _list(name: str, value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    if isinstance(value, list):
        return value
    text = str(value).strip()
    if not text.startswith("["):
        return [part.strip() for part in re.split(r"[;；]", text) if part.strip()]
    try:
        listed = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{name} is no JSON list: {error}") from error
    return list(listed)


def _date(name: str, value: Any) -> datetime | None:
    if value is None or value == "":
        return None
    try:
        return moment(value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip()))
    except ValueError as error:
        raise ValueError(f"{name} is {value!r}: write a date as 2016-10-01") from error
