"""The code book on the screen: list, search, a clause with its versions, and the way from draft to publication."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.auth import allowed, anybody_logged_in, text_field
from console.errors import MissingError, RefusedError, WrongInputError
from console.pages import language, render, see_other
from console.services import Services, services
from rules.clause import Provision, editions, history, listing
from rules.errors import ClauseError, EmbeddingError
from rules.revision import check_content, edit, publish, review
from rules.what_if import edited
from stream.messages import utc_now

if TYPE_CHECKING:
    from disposal.what_if import Replay
    from rules.matcher import Match

LONGEST_TEXT = 20_000
"""Characters of a clause's text; the longest article of the 2016 regulation has some 1,500."""
_FIELDS = ("title_zh", "title_en", "text_zh", "text_en")
DAYS = {"7": 7, "30": 30, "90": 90}
"""How far back what-if looks, as the page offers it."""
_EDITORS = allowed("officer", "administrator")

router = APIRouter()


@router.get("/clauses", dependencies=[anybody_logged_in()], include_in_schema=False)
def clauses_page(request: Request) -> Response:
    """Every clause of one code in its newest version, or what a search finds in all codes in force."""
    ours = services(request)
    query = request.query_params.get("q", "").strip()[:300]
    known = editions(ours.engine, ours.mine)
    codes = {row.code: row for row in known}
    wanted = request.query_params.get("code", "")
    code = wanted if wanted in codes else next(iter(codes), "")
    if query:
        sentence, found = _search(ours, query, language(request))
        return render(request, "clauses.html", query=query, found=found, sentence=sentence, codes=codes, code=code)
    rows = listing(ours.engine, code, utc_now()) if code else []
    return render(request, "clauses.html", query="", rows=rows, sentence="", codes=codes, code=code)


@router.get("/clauses/{identity}", dependencies=[anybody_logged_in()], include_in_schema=False)
def clause_page(request: Request, identity: str) -> Response:
    """One clause with all its versions."""
    return _page(request, identity)


@router.get("/clauses/{identity}/edit", dependencies=[_EDITORS], include_in_schema=False)
def edit_page(request: Request, identity: str) -> Response:
    """The newest version's wording, ready to be changed."""
    versions = _versions(services(request), identity)
    return render(request, "clause_edit.html", clause=versions[-1], typed={}, sentence="")


@router.post("/clauses/{identity}/edit", dependencies=[_EDITORS], include_in_schema=False)
def take_edit(request: Request, identity: str) -> Response:
    """Write a new draft; what is in force stays as it is. Where asked, only tell what it would change."""
    ours = services(request)
    newest = _versions(ours, identity)[-1]
    typed = {name: text_field(request, name, LONGEST_TEXT) for name in _FIELDS}
    try:
        if days := DAYS.get(text_field(request, "what-if", 9)):
            replay = _what_if(ours, newest, typed, days)
            return render(request, "clause_edit.html", clause=newest, typed=typed, sentence="", replay=replay)
        edit(ours.engine, identity, request.state.visitor.name, typed)
    except (ClauseError, EmbeddingError) as error:
        refused = WrongInputError("error.clause", why=str(error))
        sentence = refused.sentence(language(request))
        return render(request, "clause_edit.html", refused.status, clause=newest, typed=typed, sentence=sentence)
    return see_other(f"/clauses/{identity}")


@router.post("/clauses/{identity}/review", dependencies=[_EDITORS], include_in_schema=False)
def take_review(request: Request, identity: str) -> Response:
    """Say that a draft is fit to be published."""
    return _step(request, identity, lambda ours, version, by: review(ours.engine, version, by))


@router.post("/clauses/{identity}/publish", dependencies=[_EDITORS], include_in_schema=False)
def take_publish(request: Request, identity: str) -> Response:
    """Put a reviewed version in force; only by somebody who neither wrote nor reviewed it."""
    return _step(request, identity, lambda ours, version, by: publish(ours.engine, version, by))


def _what_if(ours: Services, newest: Provision, typed: dict[str, str], days: int) -> "Replay":
    # The matcher's models cost memory that a console on which nobody asks need not spend.
    from disposal.what_if import what_if

    at, content = utc_now(), replace(newest.content, **typed)  # type: ignore[arg-type]  # fields of text alone
    check_content(newest.code, newest.number, content)
    drafts = [edited(ours.engine, newest.clause_id, content, at)]
    return what_if(ours.engine, ours.mine, drafts, ours.searcher.matcher().over, days=days, at=at)


def _step(request: Request, identity: str, step: Callable[[Services, str, str], None]) -> Response:
    ours = services(request)
    version = text_field(request, "version_id", 200)
    if version not in {v.version_id for v in _versions(ours, identity)}:
        raise MissingError
    try:
        step(ours, version, request.state.visitor.name)
    except ClauseError as error:
        refused = WrongInputError("error.clause", why=str(error))
        return _page(request, identity, refused)
    return see_other(f"/clauses/{identity}")


def _page(request: Request, identity: str, error: RefusedError | None = None) -> Response:
    versions = _versions(services(request), identity)
    sentence = error.sentence(language(request)) if error else ""
    return render(request, "clause.html", error.status if error else 200, versions=versions, sentence=sentence)


def _versions(ours: Services, identity: str) -> list[Provision]:
    """All versions of a clause that this mine may see, oldest first."""
    try:
        versions = history(ours.engine, identity, utc_now())
    except ClauseError as error:
        raise MissingError from error
    ours_alone = [v for v in versions if v.mine in (None, ours.mine)]
    if not ours_alone:
        raise MissingError
    return ours_alone


def _search(ours: Services, query: str, tongue: str) -> "tuple[str, list[Match]]":
    try:
        return "", ours.searcher.find(query)
    except EmbeddingError as error:
        return WrongInputError("error.clause-search", why=str(error)).sentence(tongue), []
