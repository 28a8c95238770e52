"""The wall: each camera's latest evidence, and whether it is well."""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session, col, select

from console.alert_view import Picture, pictures_of
from console.auth import anybody_logged_in
from console.pages import render
from console.services import services
from disposal.alert import Alert, AlertRisk
from stream.database import reading
from stream.health import SourceHealth, health_of
from stream.site import Camera

router = APIRouter()


@dataclass(frozen=True)
class Tile:
    """One camera: its latest picture in evidence and what it last said of itself."""

    camera: Camera
    picture: Picture | None
    health: SourceHealth | None


@router.get("/wall", dependencies=[anybody_logged_in()], include_in_schema=False)
def wall_page(request: Request) -> Response:
    """A tile for each camera of the site."""
    ours = services(request)
    health = {row.source: row for row in health_of(ours.engine, ours.mine)}
    with reading(ours.engine) as session:
        tiles = [
            Tile(camera, latest_picture(session, ours.mine, camera.id), health.get(camera.id))
            for camera in ours.names.site().cameras
        ]
    return render(request, "wall.html", tiles=tiles)


def latest_picture(session: Session, mine: str, source: str) -> Picture | None:
    """The newest picture among the evidence of the source's last risks."""
    rows = session.exec(
        select(AlertRisk)
        .join(Alert, col(Alert.id) == col(AlertRisk.alert_id))
        .where(Alert.mine == mine, Alert.source == source)
        .order_by(col(AlertRisk.published_at).desc())
        .limit(5)
    ).all()
    pictures = [p for p in pictures_of([row.risk for row in rows]) if not p.is_clip]
    return max(pictures, key=lambda p: (p.evidence.captured_at, p.evidence.kind == "annotated"), default=None)
