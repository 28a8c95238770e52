"""The web application of one mine: its pages, what wraps them, and what a person sees when something is refused."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware

from console import (
    accounts_page,
    alert,
    api,
    api_document,
    audit_page,
    cameras_page,
    clause_edit,
    clause_import,
    clauses,
    documents,
    duty_page,
    edit_page,
    emergency_page,
    evidence_store,
    form_page,
    handover_page,
    health,
    knowledge_page,
    ledger_page,
    live,
    login,
    pages,
    performance_page,
    pictures,
    policy_page,
    policy_review_page,
    queue,
    raise_hazard,
    shift_test_page,
    tokens_page,
    wall,
    zones_page,
)
from console.auth import CODE_PATH, FORM_PATH, UPLOAD_PATH
from console.camera_test import Trials
from console.clause_search import ClauseSearch
from console.errors import (
    MissingError,
    NotLoggedInError,
    PasswordDueError,
    RefusedError,
    TokenRefusedError,
    WrongInputError,
)
from console.events import Announcer
from console.live_queue import LiveQueue
from console.names import SiteNames
from console.painter import Painter
from console.security import BodyLimit, KeptFiles, SecurityHeaders
from console.server import serve_on
from console.services import Services, screen_zone
from console.shift_test import keep_testing
from console.translations import text
from console.web_settings import WebSettings, listen
from disposal.own_form import LARGEST
from rules.settings import RulesSettings
from stream.evidence import EvidenceStore
from stream.heartbeat import Heartbeat
from stream.log import Log
from stream.remote_evidence import MOST_BYTES, STORE_PATH

STATIC = Path(__file__).parent / "static"
_PAGES = (
    login,
    pages,
    live,
    queue,
    alert,
    audit_page,
    documents,
    duty_page,
    edit_page,
    emergency_page,
    handover_page,
    raise_hazard,
    clauses,
    clause_edit,
    clause_import,
    form_page,
    knowledge_page,
    ledger_page,
    wall,
    cameras_page,
    performance_page,
    pictures,
    policy_page,
    policy_review_page,
    health,
    api,
    api_document,
    tokens_page,
    accounts_page,
    zones_page,
    shift_test_page,
)
_PACKING = 4
"""Above this a page takes twice as long to pack and gets a twentieth smaller; the event loop waits meanwhile."""
_logger = structlog.get_logger()


def create_app(
    engine: Engine,
    mine: str,
    evidence: EvidenceStore,
    log: Log,
    settings: WebSettings,
    rules: RulesSettings | None = None,
    detectors: tuple[str, ...] = ("ppe",),
) -> FastAPI:
    """The console on opened stores. ``rules`` says how clauses are searched, ``detectors`` what cameras may ask for."""
    app = FastAPI(title="Minewatch", lifespan=_lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    names, painter = SiteNames(engine, mine), Painter(screen_zone(settings))
    app.state.services = Services(
        engine=engine,
        mine=mine,
        evidence=evidence,
        log=log,
        settings=settings,
        announcer=Announcer(engine, mine, LiveQueue(engine, mine, names, painter)),
        names=names,
        searcher=ClauseSearch(engine, mine, rules or RulesSettings()),
        live=evidence.live(mine),
        painter=painter,
        trials=Trials(),
        detectors=detectors,
    )
    app.state.pending = clause_import.Pending()
    for page in _PAGES:
        app.router.routes.extend(page.router.routes)
    if settings.evidence_password.get_secret_value():
        app.router.routes.extend(evidence_store.router.routes)
    app.mount("/static", KeptFiles(directory=STATIC), name="static")
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(HTTPException, _no_page)
    app.add_exception_handler(RequestValidationError, _unlike_documented)
    app.add_exception_handler(SQLAlchemyError, _out_of_order)
    app.add_middleware(GZipMiddleware, minimum_size=2000, compresslevel=_PACKING)
    sizes = {
        UPLOAD_PATH: settings.upload_bytes,
        CODE_PATH: settings.code_bytes,
        STORE_PATH: MOST_BYTES,
        FORM_PATH: LARGEST,
    }
    app.add_middleware(BodyLimit, uploads={path: size + 64 * 1024 for path, size in sizes.items()})
    app.add_middleware(SecurityHeaders, tls=settings.tls_key is not None)
    return app


def serve(
    stop: threading.Event,
    *,
    engine: Engine,
    mine: str,
    evidence: EvidenceStore,
    log: Log,
    settings: WebSettings,
    rules_settings: RulesSettings | None = None,
    detectors: tuple[str, ...] = ("ppe",),
) -> None:
    """Serve the console until ``stop`` is set. Raises ConfigurationError where the port cannot be had."""
    with listen(settings) as listener:
        app = create_app(engine, mine, evidence, log, settings, rules_settings, detectors)
        serve_on(app, listener, stop, Heartbeat(engine, mine, "console"))


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    announcer: Announcer = app.state.services.announcer
    following = asyncio.create_task(announcer.run())
    testing = asyncio.create_task(keep_testing(app.state.services))
    yield
    app.state.pending.close()
    for task in (following, testing):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    if not pages.wants_page(request):
        challenge = {"WWW-Authenticate": "Bearer"} if error.status == TokenRefusedError.status else None
        said = {"sentence": error.sentence(pages.language(request))}
        return JSONResponse(said, status_code=error.status, headers=challenge)
    if isinstance(error, NotLoggedInError):
        return pages.see_other(f"/login?next={quote(_back(request))}")
    if isinstance(error, PasswordDueError):
        return pages.see_other("/password")
    return pages.render(request, "refused.html", error.status, sentence=error.sentence(pages.language(request)))


async def _no_page(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == MissingError.status:
        return await _refused(request, MissingError())
    refused = RefusedError(status=error.status_code)
    refused.status = error.status_code
    return await _refused(request, refused)


async def _unlike_documented(request: Request, error: Exception) -> Response:
    """Says which field does not fit; never what was in it, which may be of any kind and size."""
    assert isinstance(error, RequestValidationError)
    wrong = [f"{'.'.join(str(part) for part in e['loc'][1:])[:100]}: {e['msg'][:200]}" for e in error.errors()[:10]]
    fields = "; ".join(wrong).encode(errors="replace").decode()
    return await _refused(request, WrongInputError("error.fields", fields=fields))


async def _out_of_order(request: Request, error: Exception) -> Response:
    """The database does not answer: said plainly, without what it said."""
    _logger.error("database does not answer", path=request.url.path, reason=str(error))
    sentence = text(pages.language(request), "error.database")
    return (
        JSONResponse({"sentence": sentence}, status_code=503)
        if not pages.wants_page(request)
        else pages.plain(request, 503, sentence)
    )


def _back(request: Request) -> str:
    query = f"?{request.url.query}" if request.url.query else ""
    return request.url.path + query if request.method == "GET" else "/"
