"""Editing a clause: words, dates, bindings and limits; what the draft would match and change, before it is saved."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.auth import allowed, text_field
from console.clause_form import Typed, content_of, typed_in, typed_of
from console.clauses import visible_versions
from console.errors import RefusedError, WrongInputError
from console.pages import language, render, see_other
from console.refusal_words import why_in
from console.services import Services, services
from disposal.book import recorded
from rules.clause import Content, Provision
from rules.errors import ClauseError, EmbeddingError
from rules.limits import ACTIONS, COMPARISONS, PLACE_KINDS, risk_type_of
from rules.revision import check_content, edit
from rules.what_if import edited
from stream.catalogue import RISK_TYPES
from stream.messages import utc_now
from stream.site import UNITS

if TYPE_CHECKING:
    from disposal.what_if import Replay
    from disposal.would_match import WouldMatch

DAYS = {"7": 7, "30": 30, "90": 90}
"""How far back what-if looks, as the page offers it."""
MATCH_DAYS = 30
"""How far back the page says which risks a draft would match."""
_QUANTITIES = {q: unit for q, (unit, _, _) in UNITS.items() if any(risk_type_of(q, c) for c in COMPARISONS)}
_EDITORS = allowed("officer", "administrator")

router = APIRouter()


@router.get("/clauses/{identity}/edit", dependencies=[_EDITORS], include_in_schema=False)
def edit_page(request: Request, identity: str) -> Response:
    """The newest version, ready to be changed; the new one takes effect when it is published, unless it says when."""
    newest = visible_versions(services(request), identity)[-1]
    typed = typed_of(replace(newest.content, effective_from=None, effective_to=None))
    return _form(request, newest, typed)


@router.post("/clauses/{identity}/edit", dependencies=[_EDITORS], include_in_schema=False)
def take_edit(request: Request, identity: str) -> Response:
    """Write a new draft; what is in force stays as it is. Where asked, only tell what it would change or match."""
    ours = services(request)
    newest = visible_versions(ours, identity)[-1]
    typed = typed_in(request, newest.content)
    try:
        changes = content_of(typed, _QUANTITIES)
        if days := DAYS.get(text_field(request, "what-if", 9)):
            return _form(request, newest, typed, replay=_what_if(ours, newest, changes, days))
        if text_field(request, "matches", 1):
            return _form(request, newest, typed, matched=_matched(request, ours, newest, changes))
        edit(ours.engine, identity, request.state.visitor.name, changes, recorded(ours.mine))
    except (ClauseError, EmbeddingError) as error:
        return _form(request, newest, typed, WrongInputError("error.clause", why=why_in(error, language(request))))
    return see_other(f"/clauses/{identity}")


@router.post("/clauses/{identity}/matches", dependencies=[_EDITORS], include_in_schema=False)
def tell_matches(request: Request, identity: str) -> Response:
    """What the clause would match as it stands in the form: a part of the page, asked for while somebody types."""
    ours = services(request)
    newest = visible_versions(ours, identity)[-1]
    try:
        changes = content_of(typed_in(request, newest.content), _QUANTITIES)
        return render(request, "clause_matches.html", matched=_matched(request, ours, newest, changes))
    except (ClauseError, EmbeddingError) as error:
        refused = WrongInputError("error.clause", why=why_in(error, language(request)))
        return render(request, "clause_matches.html", refused.status, sentence=refused.sentence(language(request)))


def _what_if(ours: Services, newest: Provision, changes: dict[str, Any], days: int) -> "Replay":
    # The matcher's models cost memory that a console on which nobody asks need not spend.
    from disposal.what_if import what_if

    at = utc_now()
    drafts = [edited(ours.engine, newest.clause_id, _checked(newest, changes), at)]
    return what_if(ours.engine, ours.mine, drafts, ours.searcher.matcher().over, days=days, at=at)


def _matched(request: Request, ours: Services, newest: Provision, changes: dict[str, Any]) -> "WouldMatch":
    from disposal.would_match import would_match

    at = utc_now()
    drafted = edited(ours.engine, newest.clause_id, _checked(newest, changes), at)
    situation = text_field(request, "situation", 300)
    return would_match(
        ours.engine, ours.mine, drafted, ours.searcher.matcher(), situation=situation, days=MATCH_DAYS, at=at
    )


def _checked(newest: Provision, changes: dict[str, Any]) -> Content:
    content = replace(newest.content, **changes)
    check_content(newest.code, newest.number, content)
    return content


def _form(
    request: Request, newest: Provision, typed: Typed, error: RefusedError | None = None, **found: object
) -> Response:
    return render(
        request, "clause_edit.html", error.status if error else 200, clause=newest, typed=typed,
        sentence=error.sentence(language(request)) if error else "", risks=RISK_TYPES, places=PLACE_KINDS,
        quantities=_QUANTITIES, comparisons=list(COMPARISONS), actions=list(ACTIONS), **found,
        situation=text_field(request, "situation", 300) if found else "",
    )  # fmt: skip
