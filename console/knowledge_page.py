"""What the mine knows besides its codes, on the screen: measures, synonyms, notes, the template; the same way to edit.

Every entry goes from draft to review to publication by another person, shows what each version changed, and is rolled
back by drafting an earlier version anew.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.auth import allowed, anybody_logged_in, text_field
from console.difference import Difference, difference
from console.errors import MissingError, RefusedError, WrongInputError
from console.pages import language, render, see_other
from console.refusal_words import why_in
from console.services import Services, services
from disposal import known
from disposal.errors import KnownError
from disposal.known import KINDS, Kind
from rules import knowledge
from rules.clause import editions
from rules.errors import ClauseError, KnowledgeError
from rules.knowledge import KnowledgeVersion
from stream.catalogue import RISK_TYPES

LONGEST = 20_000
"""Characters of one field."""
SHIPPED = "shipped"
"""Stands for the entry as the product ships it, where a version's id is asked for."""
_EDITORS = allowed("officer", "administrator")
_KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

router = APIRouter()


class Shown(NamedTuple):
    """One version on the page: what each field says, beside what it said before."""

    version: KnowledgeVersion
    changes: dict[str, Difference]
    holds: bool


@router.get("/knowledge/{kind}", dependencies=[anybody_logged_in()], include_in_schema=False)
def knowledge_page(request: Request, kind: str) -> Response:
    """Every entry of a kind, with its state; of synonyms those that hold the words looked for."""
    ours, shape = services(request), _kind(kind)
    query = request.query_params.get("q", "").strip()[:100]
    wanted = request.query_params.get("new", "").strip().lower()[:63]
    if shape.open and _KEY.fullmatch(wanted):
        return see_other(f"/knowledge/{kind}/{wanted}/edit")
    own = knowledge.current(ours.engine, ours.mine, kind)
    waiting = knowledge.waiting(ours.engine, ours.mine, kind)
    entries = {**{key: {} for key in waiting}, **shape.shipped(), **own}
    entries = {
        key: texts
        for key, texts in entries.items()
        if query.lower() in f"{key} {_name(shape, key, request)} {' '.join(texts.values())}".lower()
    }
    return render(
        request, "knowledge.html", kind=kind, shape=shape, entries=entries, own=own, waiting=waiting, query=query,
        codes=_codes(ours),
    )  # fmt: skip


@router.get("/knowledge/{kind}/{key}", dependencies=[anybody_logged_in()], include_in_schema=False)
def entry_page(request: Request, kind: str, key: str) -> Response:
    """One entry: what holds, and all its versions with what they changed."""
    return _entry(request, kind, key)


@router.get("/knowledge/{kind}/{key}/edit", dependencies=[_EDITORS], include_in_schema=False)
def edit_page(request: Request, kind: str, key: str) -> Response:
    """The newest version's texts, ready to be changed."""
    shape = _known(kind, key)
    return _form(request, kind, key, _newest(services(request), shape, kind, key))


@router.post("/knowledge/{kind}/{key}/edit", dependencies=[_EDITORS], include_in_schema=False)
def take_edit(request: Request, kind: str, key: str) -> Response:
    """Write a new draft; what holds stays as it is."""
    ours = services(request)
    shape = _known(kind, key)
    texts = {field: text_field(request, field, LONGEST) for field in shape.fields}
    try:
        known.write(ours.engine, ours.mine, kind, key, texts, request.state.visitor.name)
    except (KnownError, KnowledgeError) as error:
        return _form(request, kind, key, texts, WrongInputError("error.clause", why=why_in(error, language(request))))
    return see_other(f"/knowledge/{kind}/{key}")


@router.post("/knowledge/{kind}/{key}/review", dependencies=[_EDITORS], include_in_schema=False)
def take_review(request: Request, kind: str, key: str) -> Response:
    """Say that a draft is fit to be published."""
    return _step(request, kind, key, known.review)


@router.post("/knowledge/{kind}/{key}/publish", dependencies=[_EDITORS], include_in_schema=False)
def take_publish(request: Request, kind: str, key: str) -> Response:
    """Put a reviewed version in force; only by somebody who neither wrote nor reviewed it."""
    return _step(request, kind, key, known.publish)


@router.post("/knowledge/{kind}/{key}/roll-back", dependencies=[_EDITORS], include_in_schema=False)
def take_roll_back(request: Request, kind: str, key: str) -> Response:
    """Draft an earlier version, or what ships, anew; it is reviewed and published like every draft."""
    ours = services(request)
    shape = _known(kind, key)
    wanted = text_field(request, "version_id", 200)
    if wanted == SHIPPED:
        texts = dict(shape.shipped().get(key, {}))
    else:
        texts = next((v.texts for v in _versions(ours, kind, key) if v.id == wanted), {})
        if not texts:
            raise MissingError
    try:
        known.write(ours.engine, ours.mine, kind, key, texts, request.state.visitor.name)
    except (KnownError, KnowledgeError) as error:
        return _entry(request, kind, key, WrongInputError("error.clause", why=why_in(error, language(request))))
    return see_other(f"/knowledge/{kind}/{key}")


def _step(request: Request, kind: str, key: str, step: Callable[..., None]) -> Response:
    ours = services(request)
    version = text_field(request, "version_id", 200)
    if version not in {v.id for v in _versions(ours, kind, key)}:
        raise MissingError
    try:
        step(ours.engine, ours.mine, version, request.state.visitor.name)
    except (ClauseError, KnowledgeError) as error:
        return _entry(request, kind, key, WrongInputError("error.clause", why=why_in(error, language(request))))
    return see_other(f"/knowledge/{kind}/{key}")


def _entry(request: Request, kind: str, key: str, error: RefusedError | None = None) -> Response:
    ours = services(request)
    shape = _known(kind, key)
    versions = _versions(ours, kind, key)
    if not versions and key not in shape.shipped():
        raise MissingError
    shipped = shape.shipped().get(key, {})
    own = knowledge.current(ours.engine, ours.mine, kind).get(key)
    return render(
        request, "known.html", error.status if error else 200, kind=kind, key=key, shape=shape,
        name=_name(shape, key, request), versions=_shown(versions, shipped, shape), shipped=shipped,
        current=own if own is not None else shipped, as_shipped=own is None, groups=_groups(shape),
        codes=_codes(ours), sentence=error.sentence(language(request)) if error else "",
    )  # fmt: skip


def _form(request: Request, kind: str, key: str, texts: dict[str, str], error: RefusedError | None = None) -> Response:
    shape = _kind(kind)
    return render(
        request, "known_edit.html", error.status if error else 200, kind=kind, key=key, texts=texts,
        name=_name(shape, key, request), groups=_groups(shape),
        sentence=error.sentence(language(request)) if error else "",
    )  # fmt: skip


def _shown(versions: list[KnowledgeVersion], shipped: dict[str, str], shape: Kind) -> list[Shown]:
    """Newest first; each beside what held when it was written: the last published version before it, or what ships."""
    shown: list[Shown] = []
    before = shipped
    published = [v.id for v in sorted(versions, key=lambda v: (v.published_at is not None, v.published_at))
                 if v.published_at]  # fmt: skip
    for version in versions:
        changes = {f: difference(before.get(f, ""), version.texts.get(f, "")) for f in shape.fields}
        shown.append(Shown(version, {f: d for f, d in changes.items() if d.any}, version.id in published[-1:]))
        before = version.texts if version.state == "PUBLISHED" else before
    return shown[::-1]


def _newest(ours: Services, shape: Kind, kind: str, key: str) -> dict[str, str]:
    versions = _versions(ours, kind, key)
    return versions[-1].texts if versions else dict(shape.shipped().get(key, {}))


def _versions(ours: Services, kind: str, key: str) -> list[KnowledgeVersion]:
    return knowledge.history(ours.engine, ours.mine, kind, key)


def _kind(kind: str) -> Kind:
    if kind not in KINDS:
        raise MissingError
    return KINDS[kind]


def _known(kind: str, key: str) -> Kind:
    """The kind, where there is or may be such an entry. Raises MissingError else."""
    shape = _kind(kind)
    if not (key in shape.shipped() or (shape.open and _KEY.fullmatch(key))):
        raise MissingError
    return shape


def _name(shape: Kind, key: str, request: Request) -> str:
    if not shape.key_of_risk:
        return key
    return RISK_TYPES[key].zh if language(request) == "zh" else RISK_TYPES[key].en


def _groups(shape: Kind) -> list[tuple[str, tuple[str, ...]]]:
    """The fields by what they are about: the same in both languages side by side."""
    stems = dict.fromkeys(field.removesuffix("_zh").removesuffix("_en") for field in shape.fields)
    return [(stem, tuple(f for f in shape.fields if f in (stem, f"{stem}_zh", f"{stem}_en"))) for stem in stems]


def _codes(ours: Services) -> dict[str, object]:
    return {row.code: row for row in editions(ours.engine, ours.mine)}
