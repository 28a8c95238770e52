"""Gives and takes evidence over the network: for stages on hosts that do not share the folder. Nothing is deleted so.

There is no such address unless ``console.evidence_password`` is set, and no person has a part in it.
"""

import base64
import binascii
import hashlib
import hmac
from datetime import datetime

from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse, Response
from starlette.concurrency import run_in_threadpool

from console.auth import Gate
from console.errors import EvidenceFullError, MissingError, WrongTokenError
from console.services import Services, services
from console.sessions import Visitor
from stream.errors import EvidenceError
from stream.evidence import addressed
from stream.live import LivePicture
from stream.remote_evidence import READY, STORE_PATH, TAKEN_AT


class StoreGate(Gate):
    """Lets in who shows the password of the store, and nobody else: no cookie of a person opens it."""

    async def __call__(self, request: Request) -> Visitor | None:
        """None, for a stage. Raises WrongTokenError."""
        request.state.visitor = None
        wanted = services(request).settings.evidence_password.get_secret_value()
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            password = base64.b64decode(given.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            password = b""
        if scheme.lower() != "basic" or not wanted or not hmac.compare_digest(password, wanted.encode()):
            raise WrongTokenError
        return None


router = APIRouter(
    prefix=STORE_PATH.rstrip("/"), dependencies=[Depends(StoreGate(frozenset()))], include_in_schema=False
)


@router.get("/")
def ready() -> Response:
    """This is an evidence store, and whoever asks is known to it."""
    return Response(READY, media_type="text/plain")


@router.get("/{mine}/live/")
def looked(request: Request, mine: str) -> Response:
    """200 where somebody looks at live pictures, 204 where nobody does."""
    return Response(status_code=200 if _ours(request, mine).live.looked() else 204)


@router.put("/{mine}/live/{camera}")
async def put_live(request: Request, mine: str, camera: str) -> Response:
    """A camera's latest picture, in the place of the last one."""
    live, jpeg = _ours(request, mine).live, await request.body()
    try:
        taken_at = datetime.fromisoformat(request.headers[TAKEN_AT])
        await run_in_threadpool(live.put, camera, LivePicture(taken_at, jpeg))
    except (KeyError, ValueError) as error:
        raise MissingError from error
    except OSError as error:
        raise EvidenceFullError from error
    return Response(status_code=204)


@router.get("/{mine}/{rest:path}")
def give(request: Request, mine: str, rest: str) -> Response:
    """A piece as it lies there; whoever asked checks it against its digest."""
    ours, found = _ours(request, mine), addressed(f"{mine}/{rest}")
    if found is None:
        raise MissingError
    path = ours.evidence.path(*found)
    try:
        return Response(path.read_bytes(), media_type=found[2])
    except OSError as error:
        raise MissingError from error


@router.put("/{mine}/{rest:path}")
async def take(request: Request, mine: str, rest: str) -> Response:
    """Store a piece durably, once its bytes are seen to have its digest; answers the digest."""
    ours, found = _ours(request, mine), addressed(f"{mine}/{rest}")
    if found is None:
        raise MissingError
    data = await request.body()
    if hashlib.sha256(data).hexdigest() != found[1]:
        raise MissingError
    try:
        digest = await run_in_threadpool(ours.evidence.put, mine, data, found[2])
    except EvidenceError as error:
        raise EvidenceFullError from error
    return PlainTextResponse(digest, status_code=201)


def _ours(request: Request, mine: str) -> Services:
    """Raises MissingError for another mine's evidence."""
    ours = services(request)
    if mine != ours.mine:
        raise MissingError
    return ours
