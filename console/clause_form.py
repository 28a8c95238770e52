"""A clause as its edit page's form has it: texts, dates, hazards, limits; typed by a person, and read with reasons."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile

from console.auth import form, text_field
from rules.clause import Content
from rules.errors import ClauseError
from rules.limits import Limit, read_limits

LONGEST_TEXT = 20_000
"""Characters of a clause's text; the longest article of the 2016 regulation has some 1,500."""
MOST_LIMITS = 12
"""Limits that the page offers for one clause."""
TEXTS = ("title_zh", "title_en", "text_zh", "text_en")
DATES = ("effective_from", "effective_to")
_LIMIT = ("quantity", "comparison", "value", "hold_seconds", "action", "warn_minutes")
_UNITLESS = {
    "quantity": "",
    "comparison": ">=",
    "value": "",
    "hold_seconds": "0",
    "action": "watch",
    "warn_minutes": "0",
}


@dataclass(frozen=True)
class Typed:
    """What stands in the form, exactly as it was typed. Each limit is a table of texts, ``places`` a list."""

    texts: dict[str, str]
    hazards: tuple[str, ...]
    tightens: str
    limits: tuple[dict[str, Any], ...]

    @property
    def rows(self) -> tuple[dict[str, Any], ...]:
        """The limits, and an empty row for one more."""
        return (*self.limits, {**_UNITLESS, "places": ["any"]})[:MOST_LIMITS]


def typed_of(content: Content) -> Typed:
    """The form for that content."""
    limits = tuple(
        {name: _plain(getattr(limit, name)) for name in _LIMIT} | {"places": list(limit.places)}
        for limit in content.limits
    )
    dates = {name: f"{moment:%Y-%m-%d}" if (moment := getattr(content, name)) else "" for name in DATES}
    texts = {name: getattr(content, name) for name in TEXTS} | dates
    return Typed(texts, content.hazards, content.tightens or "", limits)


def typed_in(request: Request, before: Content) -> Typed:
    """The form as it was sent; a form with the words alone leaves everything else as it is ``before``."""
    texts = {name: text_field(request, name, LONGEST_TEXT) for name in TEXTS}
    kept = typed_of(before)
    if not text_field(request, "whole", 1):
        return replace(kept, texts={**kept.texts, **dict.fromkeys(DATES, ""), **texts})
    texts |= {name: text_field(request, name, 10) for name in DATES}
    limits = []
    for number in range(MOST_LIMITS):
        row: dict[str, Any] = {name: text_field(request, f"limit-{number}-{name}", 40) for name in _LIMIT}
        if row["quantity"]:
            limits.append(row | {"places": _several(request, f"limit-{number}-place")})
    return Typed(texts, tuple(_several(request, "hazard")), text_field(request, "tightens", 200), tuple(limits))


def content_of(typed: Typed, units: dict[str, str]) -> dict[str, Any]:
    """The fields of Content that the form says. Raises ClauseError that says what does not fit."""
    begin, end = (_date(name, typed.texts[name]) for name in DATES)
    return {name: typed.texts[name] for name in TEXTS} | {
        "effective_from": begin,
        "effective_to": end,
        "hazards": typed.hazards,
        "tightens": typed.tightens or None,
        "limits": tuple(_limit(number, row, units) for number, row in enumerate(typed.limits, start=1)),
    }


def _limit(number: int, row: dict[str, Any], units: dict[str, str]) -> Limit:
    try:
        figures = {name: float(row[name] or ("nan" if name == "value" else 0)) for name in _FIGURES}
    except ValueError as error:
        raise ClauseError(f"Limit {number} has a figure that is no number: {error}.") from error
    words = {name: row[name] for name in ("quantity", "comparison", "action", "places")}
    try:
        return read_limits([words | figures | {"unit": units.get(row["quantity"], "")}])[0]
    except ValueError as error:
        raise ClauseError(f"Limit {number} cannot be: {error}.") from error


_FIGURES = ("value", "hold_seconds", "warn_minutes")


def _date(name: str, text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) if text else None
    except ValueError as error:
        raise ClauseError(f"{name} is {text!r}: write a day as 2026-03-01.") from error


def _several(request: Request, name: str) -> list[str]:
    return [v[:63] for v in form(request).getlist(name) if not isinstance(v, UploadFile)]


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
