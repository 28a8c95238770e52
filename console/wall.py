"""The wall: each camera's latest analysed picture with its boxes, how old it is, and whether the camera sees at all."""

import json
import math
import struct
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session, col, select

from console.alert_view import Picture, pictures_of
from console.auth import anybody_logged_in
from console.errors import MissingError
from console.pages import render
from console.services import services
from disposal.alert import Alert, AlertRisk
from disposal.situation import TROUBLE
from stream.database import reading
from stream.health import SourceHealth, health_of
from stream.messages import utc_now
from stream.site import Camera

STALE = timedelta(seconds=10)
"""A picture older than this shows what was, not what is; the tile says so across the picture."""
SILENT = timedelta(seconds=20)
"""Health comes every 5 s; a camera that has said nothing for this long is not known to work."""

UNPACKED = {"Content-Encoding": "identity"}
"""Pictures are packed as far as they can be: packing them again costs more than sending them."""

Sight = Literal["sees", "offline", "ended", "trouble", "silent", "stale", "none"]

router = APIRouter()


@dataclass(frozen=True)
class Tile:
    """One camera: ``taken_at`` is when its live picture was taken; ``evidence`` stands in where there is none."""

    camera: Camera
    taken_at: datetime | None
    evidence: Picture | None
    health: SourceHealth | None
    sight: Sight
    trouble: str


@router.get("/wall", dependencies=[anybody_logged_in()], include_in_schema=False)
def wall_page(request: Request) -> Response:
    """A tile for each camera of the site."""
    ours = services(request)
    pictures = ours.live
    pictures.look()
    health = {row.source: row for row in health_of(ours.engine, ours.mine)}
    now = utc_now()
    with reading(ours.engine) as session:
        troubles = troubled(session, ours.mine)
        tiles = []
        for camera in ours.names.site().cameras:
            live = pictures.get(camera.id)
            taken_at = live.captured_at if live else None
            said, trouble = health.get(camera.id), troubles.get(camera.id, [])
            sight = sight_of(taken_at, said, trouble, now)
            evidence = latest_picture(session, ours.mine, camera.id) if live is None else None
            tiles.append(Tile(camera, taken_at, evidence, said, sight, trouble[0] if trouble else ""))
    across = min(4, math.ceil(math.sqrt(len(tiles) or 1)))
    return render(request, "wall.html", tiles=tiles, stale_seconds=STALE.total_seconds(), across=across)


@router.get("/wall/{camera}/picture", dependencies=[anybody_logged_in()], include_in_schema=False)
def live_picture(request: Request, camera: str) -> Response:
    """The camera's latest analysed picture, however old; 204 where it is the one of ``?have=``."""
    ours = services(request)
    if ours.names.site().camera(camera) is None:
        raise MissingError
    pictures = ours.live
    pictures.look()
    found = pictures.get(camera)
    if found is None:
        raise MissingError
    taken_at = found.captured_at.isoformat()
    headers = {"X-Captured-At": taken_at, **UNPACKED}
    if request.query_params.get("have") == taken_at:
        return Response(status_code=204, headers=headers)
    return Response(found.jpeg, media_type="image/jpeg", headers=headers)


@router.get("/wall/pictures", dependencies=[anybody_logged_in()], include_in_schema=False)
def live_pictures(request: Request) -> Response:
    """Every camera's latest analysed picture that is another than ``?have=CAMERA~TIME,...`` says, in one answer.

    The length of a JSON list of [camera, capture time, bytes] as four bytes, that list, then the JPEGs in its order.
    """
    ours = services(request)
    pictures = ours.live
    pictures.look()
    have = dict(part.split("~", 1) for part in request.query_params.get("have", "").split(",") if "~" in part)
    listed, jpegs = [], []
    for camera in ours.names.site().cameras:
        found = pictures.get(camera.id)
        if found is not None and have.get(camera.id) != found.captured_at.isoformat():
            listed.append([camera.id, found.captured_at.isoformat(), len(found.jpeg)])
            jpegs.append(found.jpeg)
    head = json.dumps(listed).encode()
    body = struct.pack(">I", len(head)) + head + b"".join(jpegs)
    return Response(body, media_type="application/octet-stream", headers=UNPACKED)


def sight_of(taken_at: datetime | None, health: SourceHealth | None, trouble: Collection[str], now: datetime) -> Sight:
    """Whether the camera sees what is there. All but certainty is told: a blind camera never looks like a calm one.

    ``trouble``: types of open alerts about the camera itself.
    """
    if health is not None and health.status == "offline":
        return "offline"
    if trouble:
        return "trouble"
    if health is not None and health.status == "ended":
        return "ended"
    if health is None or now - health.observed_at > SILENT:
        return "silent"
    if taken_at is None:
        return "none"
    return "stale" if now - taken_at > STALE else "sees"


def troubled(session: Session, mine: str) -> dict[str, list[str]]:
    """Types of open alerts about cameras themselves, by camera."""
    rows = session.exec(
        select(Alert.source, Alert.type).where(
            Alert.mine == mine, col(Alert.closed).is_(False), col(Alert.active).is_(True), col(Alert.type).in_(TROUBLE)
        )
    )
    found: dict[str, list[str]] = {}
    for source, kind in rows:
        found.setdefault(source, []).append(kind)
    return found


def latest_picture(session: Session, mine: str, source: str) -> Picture | None:
    """The newest picture among the evidence of the source's last alerts."""
    newest = (
        select(Alert.id)
        .where(Alert.mine == mine, Alert.source == source)
        .order_by(col(Alert.committed_at).desc())
        .limit(5)
    )
    rows = session.exec(
        select(AlertRisk).where(col(AlertRisk.alert_id).in_(session.exec(newest).all())).limit(50)
    ).all()
    pictures = [p for p in pictures_of([row.risk for row in rows]) if not p.is_clip]
    return max(pictures, key=lambda p: (p.evidence.captured_at, p.evidence.kind == "annotated"), default=None)
