"""Edits of the site at the console: each is a new revision in the site tables, committed with its audit line."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session

from console.errors import MissingError
from disposal.audit import append
from stream.site import Camera, Site, Zone, add_revision, insisting, latest_revision, safe_url


def edit_site(
    engine: Engine,
    mine: str,
    actor: str,
    action: str,
    subject: str,
    change: Callable[[Site], Site],
    told: Callable[[Site], Mapping[str, Any]],
) -> int:
    """Store what ``change`` makes of the site in force; answers the new revision.

    ``told``: what the audit line says of a site. What ``change`` raises is raised here, and nothing is stored.
    Raises MissingError where the mine has no site yet.
    """

    def write(session: Session) -> int:
        latest = latest_revision(session, mine)
        if latest is None:
            raise MissingError
        before = Site.model_validate_json(latest.content)
        after = change(before)
        revision = add_revision(session, after, actor)
        if revision != latest.revision:
            append(session, mine, actor, action, subject, told(before), {**told(after), "revision": revision})
        return revision

    return insisting(engine, write)


def with_zones(site: Site, camera: str, zones: tuple[Zone, ...]) -> Site:
    """The site with these zones on the camera, instead of those that were there."""
    others = tuple(zone for zone in site.zones if zone.camera != camera)
    return Site.model_validate(site.model_copy(update={"zones": (*others, *zones)}).model_dump())


def with_camera(site: Site, camera: Camera) -> Site:
    """The site with one camera more."""
    return Site.model_validate(site.model_copy(update={"cameras": (*site.cameras, camera)}).model_dump())


def without_camera(site: Site, identity: str) -> Site:
    """The site without that camera and its zones."""
    cameras = tuple(camera for camera in site.cameras if camera.id != identity)
    zones = tuple(zone for zone in site.zones if zone.camera != identity)
    return Site.model_validate(site.model_copy(update={"cameras": cameras, "zones": zones}).model_dump())


def tell_zones(camera: str) -> Callable[[Site], dict[str, Any]]:
    """What an audit line says of a camera's zones."""
    return lambda site: {"zones": [zone.model_dump(mode="json") for zone in site.zones_of(camera)]}


def tell_camera(identity: str) -> Callable[[Site], dict[str, Any]]:
    """What an audit line says of a camera: everything but its user name and password."""

    def told(site: Site) -> dict[str, Any]:
        camera = site.camera(identity)
        if camera is None:
            return {}
        zones = [zone.id for zone in site.zones_of(identity)]
        return {"camera": camera.model_dump(mode="json") | {"url": safe_url(camera.url)}, "zones": zones}

    return told
