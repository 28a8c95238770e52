"""The mine's own Word form for disposal documents: sent, tried, reviewed, published by another, and taken back."""

import re
from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from console.auth import FORM_PATH, allowed, anybody_logged_in, form, text_field
from console.clause_import import clean_name
from console.errors import MissingError, RefusedError, WrongInputError
from console.pages import language, render, see_other
from console.refusal_words import why_in
from console.services import services
from disposal import known
from disposal.errors import FormError, KnownError
from disposal.export import MEDIA_TYPES
from disposal.own_form import KIND, LANGUAGES, LARGEST, content_of, texts_of
from disposal.own_form_fields import FIELDS, LISTS, PICTURES
from rules import knowledge
from rules.clause import editions
from rules.errors import ClauseError, KnowledgeError

_EDITORS = allowed("officer", "administrator")
_FILE = re.compile(r"([1-9][0-9]{0,8})\.docx", re.ASCII)

router = APIRouter()


@router.get(FORM_PATH, dependencies=[anybody_logged_in()], include_in_schema=False)
def form_page(request: Request) -> Response:
    """Both forms with their versions, and every field that a form can name."""
    return _page(request)


@router.post(FORM_PATH, dependencies=[_EDITORS], include_in_schema=False)
async def take_form(request: Request) -> Response:
    """Check a form and keep it as a draft."""
    sent = form(request).get("file")
    data = await sent.read() if isinstance(sent, UploadFile) else b""
    name = clean_name(sent.filename or "") if isinstance(sent, UploadFile) else ""
    await request.close()
    return await run_in_threadpool(_keep, request, data, name)


@router.get(f"{FORM_PATH}/{{key}}/{{name}}", dependencies=[anybody_logged_in()], include_in_schema=False)
def form_file(request: Request, key: str, name: str) -> Response:
    """The file of one version, as it was sent."""
    ours, found = services(request), _FILE.fullmatch(name)
    versions = knowledge.history(ours.engine, ours.mine, KIND, key) if found else []
    data = next((content_of(v.texts) for v in versions if found and v.version == int(found[1])), None)
    if data is None:
        raise MissingError
    headers = {"Content-Disposition": f'attachment; filename="form-{key}-{name}"', "Cache-Control": "no-store"}
    return Response(data, media_type=MEDIA_TYPES["docx"], headers=headers)


@router.post(f"{FORM_PATH}/{{key}}/review", dependencies=[_EDITORS], include_in_schema=False)
def take_review(request: Request, key: str) -> Response:
    """Say that a form is fit to be published."""
    return _step(request, key, known.review)


@router.post(f"{FORM_PATH}/{{key}}/publish", dependencies=[_EDITORS], include_in_schema=False)
def take_publish(request: Request, key: str) -> Response:
    """Put a reviewed form in use; only by somebody who neither sent nor reviewed it."""
    return _step(request, key, known.publish)


@router.post(f"{FORM_PATH}/{{key}}/roll-back", dependencies=[_EDITORS], include_in_schema=False)
def take_roll_back(request: Request, key: str) -> Response:
    """Draft an earlier form anew, or, without one, going back to the layout that ships."""
    ours = services(request)
    wanted = text_field(request, "version_id", 200)
    texts = {v.id: v.texts for v in knowledge.history(ours.engine, ours.mine, KIND, key)} | {"shipped": {}}
    if key not in LANGUAGES or wanted not in texts:
        raise MissingError
    return _write(request, key, texts[wanted])


def _keep(request: Request, data: bytes, name: str) -> Response:
    if not data:
        return _page(request, WrongInputError("error.form-file"))
    return _write(request, text_field(request, "language", 2), texts_of(data, name))


def _write(request: Request, key: str, texts: dict[str, str]) -> Response:
    ours = services(request)
    try:
        known.write_form(ours.engine, ours.mine, key, texts, request.state.visitor.name)
    except FormError as error:
        return _page(request, WrongInputError("error.form", why=error.said.text(language(request))))
    except KnownError as error:
        return _page(request, WrongInputError("error.clause", why=why_in(error, language(request))))
    return see_other(FORM_PATH)


def _step(request: Request, key: str, step: Callable[[Engine, str, str, str], None]) -> Response:
    ours, version = services(request), text_field(request, "version_id", 200)
    if version not in {v.id for v in knowledge.history(ours.engine, ours.mine, KIND, key)}:
        raise MissingError
    try:
        step(ours.engine, ours.mine, version, request.state.visitor.name)
    except (ClauseError, KnowledgeError) as error:
        return _page(request, WrongInputError("error.clause", why=why_in(error, language(request))))
    return see_other(FORM_PATH)


def _page(request: Request, error: RefusedError | None = None) -> Response:
    ours = services(request)
    histories = {key: knowledge.history(ours.engine, ours.mine, KIND, key)[::-1] for key in LANGUAGES}
    published = {
        key: max((v for v in versions if v.published_at), key=lambda v: v.published_at or v.created_at, default=None)
        for key, versions in histories.items()
    }
    return render(
        request, "form.html", error.status if error else 200, address=FORM_PATH, histories=histories,
        holds={key: v.id if v else "" for key, v in published.items()}, fields={**FIELDS, **PICTURES}, lists=LISTS,
        most=LARGEST // 1024, codes={row.code: row for row in editions(ours.engine, ours.mine)},
        sentence=error.sentence(language(request)) if error else "",
    )  # fmt: skip
