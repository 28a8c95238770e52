"""A hazard that a person has seen: reported from any page, it takes the way of every risk."""

import io

import cv2
import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Request
from fastapi.responses import Response
from PIL import Image, UnidentifiedImageError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from console.auth import allowed, form, text_field, whole_field
from console.errors import MissingError, PhotoError, RefusedError, WrongInputError
from console.pages import language, render, see_other
from console.security import FORM_BYTES
from console.services import Services, services
from disposal.alert import Alert, alert_identity
from disposal.decision import raise_by_hand
from stream.catalogue import RISK_TYPES
from stream.database import reading
from stream.errors import LogError
from stream.messages import Evidence, utc_now

LONGEST_SIDE = 1920
"""Pixels of the longer side of a photo that is kept; a telephone's twelve million show no more of a hazard."""
MOST_PIXELS = 60_000_000
"""Pixels that a photo may claim to have: a few kilobytes of PNG can unpack into more than the machine's memory."""
_QUALITY = 90
_WHO = allowed("dispatcher", "officer", "administrator")

router = APIRouter()


@router.get("/hazards/new", dependencies=[_WHO], include_in_schema=False)
def hazard_page(request: Request) -> Response:
    """The form."""
    return _form(request)


@router.post("/hazards", dependencies=[_WHO], include_in_schema=False)
async def take_hazard(request: Request) -> Response:
    """Store the photo, put the risk on the log, and go where its alert will appear."""
    photo = form(request).get("photo")
    data = await photo.read() if isinstance(photo, UploadFile) else b""
    await request.close()
    return await run_in_threadpool(_take, request, data)


@router.get("/hazards/{risk_id}", dependencies=[_WHO], include_in_schema=False)
def taken_page(request: Request, risk_id: str) -> Response:
    """On to the alert once it is there; until then, that it is on its way."""
    ours = services(request)
    if not (risk_id.isascii() and risk_id.isalnum() and len(risk_id) <= 64):
        raise MissingError
    identity = alert_identity(ours.mine, risk_id)
    with reading(ours.engine) as session:
        if session.get(Alert, identity) is not None:
            return see_other(f"/alerts/{identity}")
    return render(request, "hazard_taken.html", risk_id=risk_id)


def _take(request: Request, data: bytes) -> Response:
    ours = services(request)
    try:
        kind, place, words = _checked(request, ours)
        photo = _stored(ours, data) if data else None
        risk_id = raise_by_hand(
            ours.log, ours.engine, ours.mine, place, kind, words, request.state.visitor.name, photo=photo
        )
    except LogError:
        return _form(request, WrongInputError("error.hazard-log"), 503)
    except RefusedError as error:
        return _form(request, error)
    return see_other(f"/hazards/{risk_id}")


def _checked(request: Request, ours: Services) -> tuple[str, str, str]:
    kind, place, words = (whole_field(request, name, 4000) for name in ("type", "place", "text"))
    if kind not in RISK_TYPES:
        raise WrongInputError("error.hazard-type")
    if ours.names.site().place(place) is None:
        raise WrongInputError("error.hazard-place")
    if not words:
        raise WrongInputError("error.hazard-text")
    return kind, place, words


def _stored(ours: Services, data: bytes) -> Evidence:
    digest = ours.evidence.put(ours.mine, clean_photo(data), "image/jpeg")
    return Evidence(sha256=digest, media_type="image/jpeg", kind="photo", captured_at=utc_now())


def clean_photo(data: bytes) -> bytes:
    """The photo decoded and written anew as JPEG, so that nothing but its pixels is kept.

    Raises PhotoError for anything but a JPEG or PNG of sensible size that can be decoded.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as header:
            width, height = header.size
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise PhotoError from error
    if width * height > MOST_PIXELS:
        raise PhotoError
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise PhotoError from error
    if picture is None:
        raise PhotoError
    done, encoded = cv2.imencode(".jpg", _bounded(picture), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise PhotoError
    return bytes(encoded.tobytes())


def _bounded(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    height, width = picture.shape[:2]
    share = LONGEST_SIDE / max(height, width)
    if share >= 1:
        return picture
    size = (max(1, round(width * share)), max(1, round(height * share)))
    smaller: npt.NDArray[np.uint8] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return smaller


def _form(request: Request, error: RefusedError | None = None, status: int | None = None) -> Response:
    tongue = language(request)
    typed = {name: text_field(request, name, FORM_BYTES) for name in ("type", "place", "text")} if error else {}
    kinds = sorted(((t.id, t.zh if tongue == "zh" else t.en) for t in RISK_TYPES.values()), key=lambda k: k[1])
    kinds.sort(key=lambda k: k[0] != "hand-raised")
    return render(
        request,
        "hazard.html",
        status or (error.status if error else 200),
        kinds=kinds,
        typed=typed,
        sentence=error.sentence(tongue) if error else "",
    )
