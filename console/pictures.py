"""Evidence as a browser may show it: to whoever is logged in, as what it is and nothing else."""

import re
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response

from console.auth import anybody_logged_in
from console.errors import MissingError
from console.services import services
from stream.errors import EvidenceError
from stream.evidence import EvidenceStore
from stream.messages import Evidence

_TYPES = {"jpg": "image/jpeg", "png": "image/png", "webm": "video/webm", "mp4": "video/mp4"}
_ENDINGS = {media: ending for ending, media in _TYPES.items()}
_NAME = re.compile(r"([0-9a-f]{64})\.(jpg|png|webm|mp4)")
WIDTHS = (480, 960)
"""Widths in pixels to which a picture is scaled down where it need not be seen in full."""
HEADERS = {
    # Evidence never changes under its address; only this browser may keep it.
    "Cache-Control": "private, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Content-Disposition": "inline",
}

router = APIRouter()


def picture_address(evidence: Evidence, width: int | None = None) -> str | None:
    """Where the console serves a piece of evidence; None for what a browser cannot show."""
    ending = _ENDINGS.get(evidence.media_type)
    if ending is None:
        return None
    return f"/evidence/{evidence.sha256}.{ending}" + (f"?width={width}" if width and ending in {"jpg", "png"} else "")


@router.get("/evidence/{name}", dependencies=[anybody_logged_in()], include_in_schema=False)
def evidence(request: Request, name: str) -> Response:
    """A piece of evidence of this mine, pictures checked against their digest; ``?width=`` scales a picture down."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise MissingError
    ours = services(request)
    digest, media = found[1], _TYPES[found[2]]
    try:
        path = ours.evidence.path(ours.mine, digest, media)
        if media.startswith("video/"):
            return _clip(path, media)
        wanted = request.query_params.get("width", "")
        if wanted.isdigit() and int(wanted) in WIDTHS:
            small = _scaled_evidence(ours.evidence, ours.mine, digest, media, int(wanted))
            return Response(small, media_type="image/jpeg", headers=HEADERS)
        return Response(ours.evidence.get(ours.mine, digest, media), media_type=media, headers=HEADERS)
    except EvidenceError as error:
        raise MissingError from error


def _clip(path: Path, media: str) -> Response:
    if not path.is_file():
        raise MissingError
    return FileResponse(path, media_type=media, headers=HEADERS, content_disposition_type="inline")


@lru_cache(maxsize=256)
def _scaled_evidence(store: EvidenceStore, mine: str, digest: str, media: str, width: int) -> bytes:
    return scaled(store.get(mine, digest, media), width)


def scaled(data: bytes, width: int) -> bytes:
    """The picture as JPEG, at most ``width`` pixels wide; as it came where it cannot be decoded."""
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        return data
    height, present = picture.shape[:2]
    if present > width:
        picture = cv2.resize(picture, (width, max(1, height * width // present)), interpolation=cv2.INTER_AREA)
    done, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 82])
    return encoded.tobytes() if done else data
