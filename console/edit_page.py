"""Writing on a document that waits for approval, and making somebody else responsible for an alert."""

from collections.abc import Container, Iterable
from datetime import UTC, datetime

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.alert import DECIDERS, again, decided, find_alert
from console.alert_view import current_document
from console.auth import allowed, form, text_field
from console.edited import TONGUES, Change, compared, said
from console.errors import MissingError, RefusedError, StaleError, WrongInputError
from console.pages import language, render, see_other
from console.refusal_words import why_in
from console.services import Services, services
from console.translations import text
from disposal.alert import Alert
from disposal.document import Bilingual, DocumentContent, StoredMatch
from disposal.editing import (
    CITATIONS,
    EDITED,
    LONGEST_LINE,
    MOST_LINES,
    chosen_citations,
    edit_document,
    reassign,
)
from disposal.errors import AlertError, AlreadyDecidedError, EditError, ReasonMissingError, StateError
from disposal.missed import cited_by, held, numbered
from disposal.request import stored
from disposal.roster import roster
from rules.clause import Provision
from rules.errors import EmbeddingError
from stream.database import reading

_MOST = LONGEST_LINE * MOST_LINES
_LISTS = ("measures", "resources")

router = APIRouter()


@router.get("/alerts/{alert_id}/edit", dependencies=[allowed(*DECIDERS["approve"])], include_in_schema=False)
def edit_page(request: Request, alert_id: str) -> Response:
    """The elements of the document that a person may write."""
    return _page(request, alert_id)


@router.post("/alerts/{alert_id}/edit", dependencies=[allowed(*DECIDERS["approve"])], include_in_schema=False)
def take_edit(request: Request, alert_id: str) -> Response:
    """Show what the edit changes, or save it as the document's next version."""
    ours = services(request)
    try:
        with reading(ours.engine) as session:
            document = current_document(session, find_alert(session, ours.mine, alert_id))
        if _asks(request):
            return _page(request, alert_id, typed=True)
        changes = _typed(request, ours)
        content = document.read_content() if document else None
        if content is not None and changes["deadline"] == content.deadline.replace(second=0, microsecond=0):
            del changes["deadline"]  # a browser sends it back without its seconds
        if text_field(request, "preview", 4):
            return _page(request, alert_id, typed=True, preview=True)
        edit_document(
            ours.engine, ours.mine, alert_id, _version(request), request.state.visitor.name, changes, language(request)
        )
    except AlertError as error:
        raise MissingError from error
    except AlreadyDecidedError:
        return decided(request, alert_id, "edit")
    except StateError:
        return _page(request, alert_id, StaleError(decision=text(language(request), "decision.edit")), typed=True)
    except EditError:
        return _page(request, alert_id, WrongInputError("error.edit"), typed=True)
    except WrongInputError as error:
        return _page(request, alert_id, error, typed=True)
    return see_other(f"/alerts/{alert_id}#document")


@router.post("/alerts/{alert_id}/reassign", dependencies=[allowed(*DECIDERS["approve"])], include_in_schema=False)
def take_reassignment(request: Request, alert_id: str) -> Response:
    """Make somebody else responsible."""
    ours = services(request)
    chosen = text_field(request, "duty", 32)
    named = next((duty.said() for duty in roster(ours.engine, ours.mine) if duty.id == chosen), None)
    other = text_field(request, "person", 160)
    person = named or Bilingual(other, other)
    actor, reason = request.state.visitor.name, text_field(request, "reason", 4000)
    try:
        reassign(ours.engine, ours.mine, alert_id, _version(request), actor, person, reason, language(request))
    except AlertError as error:
        raise MissingError from error
    except AlreadyDecidedError:
        return decided(request, alert_id, "reassign")
    except ReasonMissingError:
        return again(request, alert_id, WrongInputError("error.reason"))
    except EditError:
        return again(request, alert_id, WrongInputError("error.reassign"))
    return see_other(f"/alerts/{alert_id}")


def _version(request: Request) -> int:
    version = text_field(request, "document_version", 9)
    return int(version) if version.isascii() and version.isdigit() else 0


def _typed(request: Request, ours: Services) -> dict[str, object]:
    """The elements as typed; lists by their lines, the deadline in the screen's time zone."""
    changes: dict[str, object] = {}
    for element in EDITED:
        if element == "deadline":
            continue
        zh, en = (text_field(request, f"{element}_{tongue}", _MOST).replace("\r", "") for tongue in TONGUES)
        if element in _LISTS:
            pairs = zip(*_even(_lines(zh), _lines(en)), strict=True)
            changes[element] = tuple(Bilingual(*pair) for pair in pairs)
        else:
            changes[element] = Bilingual(zh, en)
    try:
        local = datetime.fromisoformat(text_field(request, "deadline", 32))
        changes["deadline"] = local.replace(tzinfo=local.tzinfo or ours.zone).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise WrongInputError("error.edit") from error
    if text_field(request, "citing", 4):
        changes[CITATIONS] = _ticked(request)
    return changes


def _ticked(request: Request) -> tuple[str, ...]:
    return tuple(str(version)[:200] for version in form(request).getlist("cited"))


def _query(request: Request) -> str:
    return text_field(request, "clause_query", 300).strip()


def _asks(request: Request) -> bool:
    """Whether a clause is searched for: asked by the button, or what was typed to search for was never looked up.

    In a browser without a script the Enter key in the search box presses the button that saves.
    """
    return bool(text_field(request, "find", 4)) or _query(request) != text_field(request, "clause_found", 300)


def _found(ours: Services, query: str, at: datetime, tongue: str) -> tuple[str, list[StoredMatch]]:
    """The clauses in force at ``at`` that ``query`` names by number, else those like its words; or why none can be."""
    if named := numbered(ours.engine, ours.mine, query, at):
        return "", list(cited_by("", named))
    try:
        return "", list(stored(ours.searcher.find(query, at)))
    except EmbeddingError as error:
        return WrongInputError("error.clause-search", why=why_in(error, tongue)).sentence(tongue), []


def _lines(typed: str) -> list[str]:
    return [line.strip() for line in typed.split("\n") if line.strip()]


def _even(zh: list[str], en: list[str]) -> tuple[list[str], list[str]]:
    longest = max(len(zh), len(en))
    return zh + [""] * (longest - len(zh)), en + [""] * (longest - len(en))


def _page(
    request: Request, alert_id: str, error: RefusedError | None = None, *, typed: bool = False, preview: bool = False
) -> Response:
    ours = services(request)
    tongue = language(request)
    with reading(ours.engine) as session:
        alert: Alert = find_alert(session, ours.mine, alert_id)
        document = current_document(session, alert)
    content = document.read_content() if document else None
    if document is None or content is None or alert.closed:
        return again(request, alert_id, StaleError(decision=text(tongue, "decision.edit")))
    shown = {f"{e}_{g}": said(content, e, g) for e in EDITED if e != "deadline" for g in TONGUES}
    shown["deadline"] = f"{content.deadline.astimezone(ours.zone):%Y-%m-%d %H:%M}"
    if typed:
        shown = {name: text_field(request, name, _MOST) for name in shown}
    known = {c.version_id: c.label for c in content.citations}
    known |= {m.version_id: m.label for m in document.read_matches() if m.version_id not in known}
    cited = _ticked(request) if typed else tuple(c.version_id for c in content.citations)
    query = _query(request) if typed else ""
    unfound, offered = _found(ours, query, alert.raised_at, tongue) if query else ("", [])
    by_hand = cited_by(request.state.visitor.name, _others(ours, cited, known, alert.raised_at))
    known |= {m.version_id: m.label for m in (*by_hand, *offered) if m.version_id not in known}
    changes: list[Change] = []
    if preview:
        now = {"deadline": content.deadline.replace(second=0, microsecond=0)} | _typed(request, ours)
        if CITATIONS in now:
            now[CITATIONS] = chosen_citations(content, document, now[CITATIONS], by_hand)
        was = _minutes(content)
        changes = list(compared(was, _with(was, now)))
    return render(
        request,
        "alert_edit.html",
        error.status if error else 200,
        alert=alert,
        document=document,
        version=_version(request) if typed else alert.document_version,
        shown=shown,
        elements=[e for e in EDITED if e != "deadline"],
        lists=_LISTS,
        clauses=known,
        cited=cited,
        query=query,
        offered=[m.version_id for m in offered],
        tongues=TONGUES if tongue == "zh" else TONGUES[::-1],
        changes=changes,
        preview=preview,
        sentence=error.sentence(tongue) if error else unfound,
    )


def _others(ours: Services, cited: Iterable[str], known: Container[str], at: datetime) -> list[Provision]:
    """What was ticked though the search had not found it, as far as it was in force."""
    found = (held(ours.engine, ours.mine, version, at) for version in cited if version not in known)
    return [provision for provision in found if provision is not None]


def _minutes(content: DocumentContent) -> DocumentContent:
    return _with(content, {"deadline": content.deadline.replace(second=0, microsecond=0)})


def _with(content: DocumentContent, changes: dict[str, object]) -> DocumentContent:
    return msgspec.structs.replace(content, **changes)
