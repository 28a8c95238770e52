"""Zones on a camera's picture: drawn by mouse or keys, and saved as a new revision of the site."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError

from console.auth import allowed, anybody_logged_in, text_field
from console.errors import MissingError, RefusedError, SiteChangedError, WrongInputError
from console.pages import language, render, see_other
from console.services import services
from console.site_edit import edit_site, tell_zones, with_zones
from console.translations import text
from stream.catalogue import PURPOSES
from stream.site import Camera, Site, Zone, load_site, polygon_fault

MOST_ZONES, MOST_POINTS = 50, 200
"""Zones on one camera and points of one zone; a roadway's outline has some twenty."""
_LONGEST = 250_000
_FAULTS = {"points": "error.zone-points", "outside": "error.zone-outside", "crosses": "error.zone-crosses"}

router = APIRouter()


@router.get("/wall/{camera}/zones", dependencies=[anybody_logged_in()], include_in_schema=False)
def zones_page(request: Request, camera: str) -> Response:
    """The camera's picture with its zones; whoever may edit them draws here."""
    return _page(request, camera)


@router.post("/wall/{camera}/zones", dependencies=[allowed("officer", "administrator")], include_in_schema=False)
def take_zones(request: Request, camera: str) -> Response:
    """Save the camera's zones as they were drawn, unless somebody else has changed them meanwhile."""
    ours = services(request)
    drawn, seen = text_field(request, "zones", _LONGEST), text_field(request, "seen", 64)

    def change(site: Site) -> Site:
        if site.camera(camera) is None:
            raise MissingError
        zones = read_zones(drawn, camera, site, language(request))
        if digest(site.zones_of(camera)) != seen:
            raise SiteChangedError
        return with_zones(site, camera, zones)

    try:
        revision = edit_site(
            ours.engine,
            ours.mine,
            request.state.visitor.name,
            "draw-zones",
            f"camera/{camera}",
            change,
            tell_zones(camera),
        )
    except MissingError:
        raise
    except RefusedError as error:
        return _page(request, camera, error, drawn)
    return see_other(f"/wall/{camera}/zones?saved={revision}")


def read_zones(drawn: str, camera: str, site: Site, tongue: str) -> tuple[Zone, ...]:
    """The zones that a browser sent as JSON, checked like those of a file; every refusal names camera and zone.

    Raises WrongInputError.
    """
    listed = site.camera(camera)
    name = (listed.name.text(tongue) if listed else "") or camera
    try:
        found = json.loads(drawn)
    except (ValueError, RecursionError) as error:
        raise WrongInputError("error.zones-unreadable", camera=name) from error
    if not isinstance(found, list) or len(found) > MOST_ZONES:
        raise WrongInputError("error.zones-unreadable", camera=name)
    taken = {zone.id: zone.camera for zone in site.zones if zone.camera != camera}
    zones: list[Zone] = []
    for raw in found:
        zone = _zone(raw, listed, name)
        if zone.id in taken or zone.id in {other.id for other in zones}:
            raise WrongInputError("error.zone-taken", camera=name, zone=zone.id)
        zones.append(zone)
    return tuple(zones)


def _zone(raw: Any, camera: Camera | None, name: str) -> Zone:
    if not isinstance(raw, dict) or camera is None:
        raise WrongInputError("error.zones-unreadable", camera=name)
    identity = str(raw.get("id", ""))[:63]
    polygon = _points(raw.get("polygon"))
    if polygon is None:
        raise WrongInputError("error.zones-unreadable", camera=name)
    if (fault := polygon_fault(polygon)) is not None:
        raise WrongInputError(_FAULTS[fault], camera=name, zone=identity, count=len(polygon))
    if raw.get("purpose") not in PURPOSES:
        raise WrongInputError("error.zone-purpose", camera=name, zone=identity)
    crowd = raw.get("most_persons") if raw.get("purpose") == "occupancy-limit" else None
    if raw.get("purpose") == "occupancy-limit" and not (type(crowd) is int and 1 <= crowd <= 1000):
        raise WrongInputError("error.zone-persons", camera=name, zone=identity)
    try:
        return Zone(id=identity, camera=camera.id, purpose=raw["purpose"], polygon=polygon, most_persons=crowd)
    except ValidationError as error:
        raise WrongInputError("error.zone-id", camera=name, zone=identity) from error


def _points(raw: Any) -> tuple[tuple[float, float], ...] | None:
    if not isinstance(raw, list) or len(raw) > MOST_POINTS:
        return None
    points = []
    for point in raw:
        if not isinstance(point, list) or len(point) != 2 or not all(type(v) in (int, float) for v in point):
            return None
        try:
            points.append((float(point[0]), float(point[1])))
        except OverflowError:
            return None
    return tuple(points)


def digest(zones: Iterable[Zone]) -> str:
    """Tells one set of a camera's zones from another."""
    return hashlib.sha256(_as_json(zones).encode()).hexdigest()


def _as_json(zones: Iterable[Zone]) -> str:
    return json.dumps([zone.model_dump(mode="json", exclude={"camera"}) for zone in zones])


def _page(request: Request, camera: str, error: RefusedError | None = None, drawn: str = "") -> Response:
    ours = services(request)
    _, site = load_site(ours.engine, ours.mine)
    found = site.camera(camera)
    if found is None:
        raise MissingError
    zones = site.zones_of(camera)
    saved = request.query_params.get("saved", "")
    tongue = language(request)
    return render(
        request,
        "zones.html",
        error.status if error else 200,
        camera=found,
        zones=drawn if error else _as_json(zones),
        seen=digest(zones),
        purposes=[(purpose, text(tongue, f"purpose.{purpose}")) for purpose in PURPOSES],
        may_edit=request.state.visitor.role in ("officer", "administrator"),
        saved=saved if saved.isascii() and saved.isdigit() and len(saved) < 9 else "",
        sentence=error.sentence(tongue) if error else "",
        others=sorted(zone.id for zone in site.zones if zone.camera != camera),
    )
