"""The audit for those who check it: searched, verified from the first line to the last, and exported as it stands."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from sqlmodel import col, or_, select

from console.auth import allowed
from console.figures import Figures
from console.pages import language, render
from console.services import Services, services
from console.translations import Phrases, said_as
from disposal.audit import AuditLine, verify
from stream.database import reading

LINES = 100
"""Lines on a page."""
_CHECKING = allowed("auditor", "officer", "administrator")
_FIELDS = ("who", "what", "subject", "since", "until")
_LONGEST = 100
_LONGEST_VALUE = 300
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00", re.ASCII)

router = APIRouter()


@router.get("/audit", dependencies=[_CHECKING], include_in_schema=False)
def audit_page(request: Request) -> Response:
    """The newest lines that fit ``?who=&what=&subject=&since=&until=``, before ``?before=``; ``?verify=yes`` checks."""
    ours, typed, tongue = services(request), _typed(request), language(request)
    before = request.query_params.get("before", "")
    query = select(AuditLine).where(*_wanted(ours, typed, language(request)))
    if before.isascii() and before.isdigit() and len(before) < 19:
        query = query.where(col(AuditLine.sequence) < int(before))
    with reading(ours.engine) as session:
        lines = session.exec(query.order_by(col(AuditLine.sequence).desc()).limit(LINES + 1)).all()
    checked = verify(ours.engine, ours.mine) if request.query_params.get("verify") == "yes" else None
    narrowed = {name: value for name, value in typed.items() if value}
    more = {"before": str(lines[LINES - 1].sequence)} if len(lines) > LINES else {}
    return render(
        request,
        "audit.html",
        lines=[(line, _change(line, Phrases(tongue), Figures(tongue, ours.zone))) for line in lines[:LINES]],
        typed=typed,
        narrowed=narrowed,
        further=narrowed | more if more else {},
        checked=checked,
    )


@router.get("/audit.jsonl", dependencies=[_CHECKING], include_in_schema=False)
def audit_export(request: Request) -> Response:
    """The lines that fit, oldest first, a JSON object each with its hash, so that the chain can be checked outside."""
    ours = services(request)
    wanted = _wanted(ours, _typed(request), language(request))
    headers = {"Content-Disposition": f'attachment; filename="audit-{ours.mine}.jsonl"', "Cache-Control": "no-store"}
    return StreamingResponse(_exported(ours, wanted), media_type="application/jsonl", headers=headers)


def _exported(ours: Services, wanted: list[Any]) -> Iterator[str]:
    with reading(ours.engine) as session:
        query = select(AuditLine).where(*wanted).order_by(col(AuditLine.sequence))
        for line in session.exec(query.execution_options(yield_per=500)):
            yield json.dumps(line.model_dump(mode="json"), ensure_ascii=False) + "\n"


def _typed(request: Request) -> dict[str, str]:
    return {name: request.query_params.get(name, "").replace("\x00", "").strip()[:_LONGEST] for name in _FIELDS}


def _wanted(ours: Services, typed: dict[str, str], tongue: str) -> list[Any]:
    """The conditions of a search; a day that is none narrows nothing. What was done is found by its words as well."""
    found: list[Any] = [AuditLine.mine == ours.mine]
    if typed["who"]:
        found.append(col(AuditLine.actor).contains(typed["who"], autoescape=True))
    if typed["what"]:
        deeds = [key.removeprefix("action.") for key in said_as(tongue, typed["what"], "action.")]
        found.append(
            or_(col(AuditLine.action).in_(deeds), col(AuditLine.action).contains(typed["what"], autoescape=True))
        )
    if typed["subject"]:
        found.append(col(AuditLine.subject).contains(typed["subject"], autoescape=True))
    if begin := _day(ours, typed["since"]):
        found.append(col(AuditLine.at) >= begin)
    if end := _day(ours, typed["until"], days=1):
        found.append(col(AuditLine.at) < end)
    return found


def _day(ours: Services, text: str, days: int = 0) -> datetime | None:
    """When that day, or one so many ``days`` later, begins at the mine; None for what is no day."""
    try:
        begins = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=ours.zone) + timedelta(days=days)
        return begins.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _change(line: AuditLine, said: Phrases, figures: Figures) -> list[tuple[str, str, str, str]]:
    """What the line changed: the name of each part, what it was and what it is; what has parts of its own as JSON."""
    before, after = json.loads(line.before), json.loads(line.after)
    found = []
    for name in dict.fromkeys((*before, *after)):
        was, now = before.get(name), after.get(name)
        if was == now or (was or now) in (None, "", [], {}):
            continue
        if any(isinstance(value, dict) or _nested(value) for value in (was, now)):
            found.append(
                (name, "", "", json.dumps(now if now is not None else was, ensure_ascii=False, indent=1)[:4000])
            )
        else:
            found.append((name, _short(was, said, figures), _short(now, said, figures), ""))
    return found


def _nested(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(part, dict | list) for part in value)


def _short(value: Any, said: Phrases, figures: Figures) -> str:
    """A value in the reader's words where it is a state or a time."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return said("yes" if value else "no")
    if isinstance(value, list):
        return ", ".join(_short(part, said, figures) for part in value)
    if not isinstance(value, str):
        return json.dumps(value)
    if _TIME.fullmatch(value):
        return figures.full(datetime.fromisoformat(value))
    for kind in ("document", "state", "policy", "role", "decision"):
        if (word := said.known(f"{kind}.{value}", "")) and value:
            return word
    return value if len(value) <= _LONGEST_VALUE else f"{value[: _LONGEST_VALUE - 1]}…"
