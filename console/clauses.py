"""The code book on the screen: list, search, a clause with its versions, and the way from draft to publication."""

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.auth import allowed, anybody_logged_in, text_field
from console.difference import Difference, difference
from console.errors import MissingError, RefusedError, WrongInputError
from console.pages import language, render, see_other
from console.pictures import HEADERS
from console.refusal_words import why_in
from console.services import Services, services
from disposal.book import recorded
from rules.clause import Provision, editions, history, listing
from rules.errors import ClauseError, EmbeddingError
from rules.figure import figure_bytes
from rules.revision import edit, publish, review
from stream.catalogue import RISK_TYPES
from stream.messages import utc_now

if TYPE_CHECKING:
    from rules.matcher import Match

_COMPARED = ("title_zh", "title_en", "text_zh", "text_en", "hazards", "tightens", "limits", "figures")
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


@router.get("/clauses/{identity}/figures/{digest}", dependencies=[anybody_logged_in()], include_in_schema=False)
def clause_figure(request: Request, identity: str, digest: str) -> Response:
    """A figure of a clause that this mine may see, as what it is and nothing else."""
    ours = services(request)
    named = {f.sha256: f for version in visible_versions(ours, identity) for f in version.content.figures}
    content = figure_bytes(ours.engine, digest) if digest in named else None
    if content is None:
        raise MissingError
    return Response(content, media_type=named[digest].media_type, headers=HEADERS)


@router.post("/clauses/{identity}/review", dependencies=[_EDITORS], include_in_schema=False)
def take_review(request: Request, identity: str) -> Response:
    """Say that a draft is fit to be published."""
    reason = text_field(request, "reason", 500)
    return _step(
        request, identity, lambda ours, version, by: review(ours.engine, version, by, recorded(ours.mine), reason)
    )


@router.post("/clauses/{identity}/publish", dependencies=[_EDITORS], include_in_schema=False)
def take_publish(request: Request, identity: str) -> Response:
    """Put a reviewed version in force; only by somebody who neither wrote nor reviewed it."""
    return _step(
        request, identity, lambda ours, version, by: publish(ours.engine, version, by, record=recorded(ours.mine))
    )


@router.post("/clauses/{identity}/roll-back", dependencies=[_EDITORS], include_in_schema=False)
def take_roll_back(request: Request, identity: str) -> Response:
    """Draft an earlier version anew; it is reviewed and published like every draft."""
    return _step(request, identity, lambda ours, version, by: _draft_again(ours, identity, version, by))


def _draft_again(ours: Services, identity: str, version: str, by: str) -> None:
    chosen = next(v for v in visible_versions(ours, identity) if v.version_id == version)
    content = {name.name: getattr(chosen.content, name.name) for name in fields(chosen.content)}
    changes = content | {"effective_from": None, "effective_to": None}
    edit(ours.engine, identity, by, changes, recorded(ours.mine))


def _step(request: Request, identity: str, step: Callable[[Services, str, str], None]) -> Response:
    ours = services(request)
    version = text_field(request, "version_id", 200)
    if version not in {v.version_id for v in visible_versions(ours, identity)}:
        raise MissingError
    try:
        step(ours, version, request.state.visitor.name)
    except ClauseError as error:
        refused = WrongInputError("error.clause", why=why_in(error, language(request)))
        return _page(request, identity, refused)
    return see_other(f"/clauses/{identity}")


def _page(request: Request, identity: str, error: RefusedError | None = None) -> Response:
    versions = visible_versions(services(request), identity)
    sentence = error.sentence(language(request)) if error else ""
    return render(
        request, "clause.html", error.status if error else 200, versions=versions, changes=_changes(versions, language(request)),
        sentence=sentence,
    )  # fmt: skip


def _changes(versions: list[Provision], tongue: str) -> dict[str, dict[str, Difference]]:
    """What each version says otherwise than what was published last before it, by the version's id and field."""
    changes, before = {}, None
    for version in versions:
        if before is not None:
            told = {n: difference(_told(before, n, tongue), _told(version, n, tongue)) for n in _COMPARED}
            changes[version.version_id] = {name: d for name, d in told.items() if d.any}
        before = before if version.state in ("DRAFT", "REVIEWED") else version
    return changes


def _told(version: Provision, field: str, tongue: str) -> str:
    """A field of the version in words that can be compared."""
    value = getattr(version.content, field)
    if field == "limits":
        return "\n".join(limit.text(tongue) for limit in value)
    if field == "figures":
        return "\n".join(figure.caption or figure.sha256[:8] for figure in value)
    if field == "hazards":
        named = (RISK_TYPES[hazard] for hazard in value)
        return "、".join(n.zh for n in named) if tongue == "zh" else ", ".join(n.en for n in named)
    return value or ""


def visible_versions(ours: Services, identity: str) -> list[Provision]:
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
        return WrongInputError("error.clause-search", why=why_in(error, tongue)).sentence(tongue), []
