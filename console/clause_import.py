"""A code imported at the console: first looked at, with report and diff; then taken as drafts and published."""

import re
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from console.auth import CODE_PATH, allowed, form, text_field
from console.difference import difference
from console.errors import MissingError, RefusedError, WrongInputError
from console.import_words import warning_in
from console.pages import language, render, see_other
from console.refusal_words import why_in
from console.services import services
from disposal.book import recorded
from rules.clause import editions, listing
from rules.errors import ClauseError, ImportRefusedError
from rules.importer import ImportReport, import_code
from rules.revision import publish_edition, review_edition
from stream.messages import utc_now

MOST_WAITING = 4
"""Files that are kept between being looked at and being taken, the newest ones."""
MOST_SHOWN = 200
"""Changed articles that the page shows, each with both texts."""
_ODD = re.compile(r"[^\w.\-]+")
_NAME = re.compile(r"\w[\w.\-]{0,62}")
_EDITORS = allowed("officer", "administrator")

router = APIRouter()


class Waiting(NamedTuple):
    """A file that somebody has looked at and may take, with what was asked of it."""

    path: Path
    who: str
    code: str
    edition: str
    start: datetime | None
    replaces: bool


class Pending:
    """Uploaded files in a folder of their own. One file is read at a time, for reading a code costs memory."""

    def __init__(self) -> None:
        self.reading = threading.Lock()
        self._lock = threading.Lock()
        self._files: dict[str, Waiting] = {}
        self._folder: Path | None = None

    def keep(self, data: bytes, name: str, wanted: Waiting) -> str:
        """Write the file; answers the token that takes it."""
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._folder = self._folder or Path(tempfile.mkdtemp(prefix="minewatch-codes-"))
            path = self._folder / token / name
            path.parent.mkdir()
            path.write_bytes(data)
            self._files[token] = wanted._replace(path=path)
            for old in list(self._files)[:-MOST_WAITING]:
                self._forget(old)
        return token

    def find(self, token: str, who: str) -> Waiting | None:
        """The file of that token, where that person sent it."""
        with self._lock:
            found = self._files.get(token)
        return found if found is not None and found.who == who else None

    def forget(self, token: str) -> None:
        """Remove the file."""
        with self._lock:
            self._forget(token)

    def close(self) -> None:
        """Remove every file."""
        with self._lock:
            for token in list(self._files):
                self._forget(token)
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def _forget(self, token: str) -> None:
        if found := self._files.pop(token, None):
            shutil.rmtree(found.path.parent, ignore_errors=True)


@router.get(CODE_PATH, dependencies=[_EDITORS], include_in_schema=False)
def import_page(request: Request) -> Response:
    """The form."""
    return _form(request)


@router.post(CODE_PATH, dependencies=[_EDITORS], include_in_schema=False)
async def take_file(request: Request) -> Response:
    """Read the file and tell what it would change; nothing is written."""
    sent = form(request).get("file")
    data = await sent.read() if isinstance(sent, UploadFile) else b""
    name = clean_name(sent.filename or "") if isinstance(sent, UploadFile) else ""
    await request.close()
    return await run_in_threadpool(_look, request, data, name)


@router.post("/codes/take", dependencies=[_EDITORS], include_in_schema=False)
def take_drafts(request: Request) -> Response:
    """Write the drafts of a file that was looked at."""
    pending: Pending = request.app.state.pending
    token, who = text_field(request, "token", 64), request.state.visitor.name
    found = pending.find(token, who)
    if found is None:
        return _form(request, WrongInputError("error.import-gone"))
    try:
        report = _imported(request, found, dry_run=False)
    except (ImportRefusedError, ClauseError) as error:
        return _form(request, WrongInputError("error.clause", why=why_in(error, language(request))))
    pending.forget(token)
    return see_other(f"/codes/{report.code}/{report.edition}")


@router.get("/codes/{code}/{edition}", dependencies=[_EDITORS], include_in_schema=False)
def edition_page(request: Request, code: str, edition: str) -> Response:
    """What of an edition waits for review or publication."""
    return _edition(request, code, edition)


@router.post("/codes/{code}/{edition}/review", dependencies=[_EDITORS], include_in_schema=False)
def take_review(request: Request, code: str, edition: str) -> Response:
    """Say that every draft of the edition is fit to be published."""
    return _step(request, code, edition, partial(review_edition, reason=text_field(request, "reason", 500)))


@router.post("/codes/{code}/{edition}/publish", dependencies=[_EDITORS], include_in_schema=False)
def take_publish(request: Request, code: str, edition: str) -> Response:
    """Publish every reviewed version of the edition, all or none; by somebody who neither wrote nor reviewed them."""
    return _step(request, code, edition, publish_edition)


def clean_name(name: str) -> str:
    """A file's name without anything that could lead elsewhere; its ending says of what kind it is."""
    bare = _ODD.sub("_", re.split(r"[/\\]", name)[-1]).lstrip(".")[-80:]
    return bare or "code"


def _look(request: Request, data: bytes, name: str) -> Response:
    pending: Pending = request.app.state.pending
    if not data:
        return _form(request, WrongInputError("error.import-file"))
    code, edition = text_field(request, "code", 63), text_field(request, "edition", 63)
    try:
        start = _start(text_field(request, "effective_from", 10))
    except ValueError:
        return _form(request, WrongInputError("error.import-date"))
    who, replaces = request.state.visitor.name, bool(text_field(request, "replace", 1))
    token = pending.keep(data, name, Waiting(Path(), who, code, edition, start, replaces))
    found = pending.find(token, who)
    assert found is not None
    try:
        report = _imported(request, found, dry_run=True)
    except (ImportRefusedError, ClauseError) as error:
        pending.forget(token)
        return _form(request, WrongInputError("error.clause", why=why_in(error, language(request))))
    diffs = [(c, difference(c.before, c.after)) for c in report.changes[:MOST_SHOWN]]
    return _form(request, report=report, diffs=diffs, token=token)


def _imported(request: Request, file: Waiting, *, dry_run: bool) -> ImportReport:
    ours = services(request)
    with request.app.state.pending.reading:
        return import_code(
            ours.engine, file.path, file.code, file.edition, file.start, file.who, mine=ours.mine,
            replaces=file.replaces, dry_run=dry_run, record=recorded(ours.mine),
        )  # fmt: skip


def _start(text: str) -> datetime | None:
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) if text else None


def _step(request: Request, code: str, edition: str, step: Callable[..., int]) -> Response:
    ours = services(request)
    _known(request, code, edition)
    try:
        step(ours.engine, code, edition, request.state.visitor.name, record=recorded(ours.mine))
    except ClauseError as error:
        return _edition(request, code, edition, WrongInputError("error.clause", why=why_in(error, language(request))))
    return see_other(f"/codes/{code}/{edition}")


def _edition(request: Request, code: str, edition: str, error: RefusedError | None = None) -> Response:
    _known(request, code, edition)
    rows = listing(services(request).engine, code, utc_now(), edition)
    waiting = [p for p in rows if p.state in ("DRAFT", "REVIEWED")]
    return render(
        request, "edition.html", error.status if error else 200, code=code, edition=edition, count=len(rows),
        waiting=waiting, states={p.state for p in waiting},
        sentence=error.sentence(language(request)) if error else "",
    )  # fmt: skip


def _known(request: Request, code: str, edition: str) -> None:
    ours = services(request)
    known = {(e.code, e.edition) for e in editions(ours.engine, ours.mine)}
    if not (_NAME.fullmatch(code) and (code, edition) in known):
        raise MissingError


def _form(request: Request, error: RefusedError | None = None, **found: object) -> Response:
    ours = services(request)
    typed = {}
    if request.method == "POST":
        typed = {name: text_field(request, name, 63) for name in ("code", "edition", "effective_from", "replace")}
    return render(
        request, "import.html", error.status if error else 200, typed=typed,
        codes={row.code: row for row in editions(ours.engine, ours.mine)}, most=ours.settings.code_bytes // 1024**2,
        sentence=error.sentence(language(request)) if error else "", warning_in=warning_in, **found,
    )  # fmt: skip
