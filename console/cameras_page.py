"""The mine's cameras: what is listed, and for the administrator to try one, add it and take it off the site."""

import re
from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError

from console.auth import allowed, anybody_logged_in, secret_field, text_field
from console.camera_address import Access, checked_url, pinned
from console.camera_test import Tested
from console.errors import MissingError, RefusedError, SiteChangedError, WrongInputError
from console.pages import language, render, see_other
from console.services import services
from console.site_edit import edit_site, tell_camera, with_camera, without_camera
from stream.health import health_of
from stream.site import Camera, Name, Site, load_site, safe_url

_SETTING_UP = allowed("administrator")
_FIELDS = ("id", "name_zh", "name_en", "address", "user", "place", "detectors")
_NAME = re.compile(r"[0-9a-f]{32}", re.ASCII)

router = APIRouter()


@router.get("/cameras", dependencies=[anybody_logged_in()], include_in_schema=False)
def cameras_page(request: Request) -> Response:
    """Every camera with its address, without user name and password, and its health."""
    return _page(request)


@router.post("/cameras/test", dependencies=[_SETTING_UP], include_in_schema=False)
def try_camera(request: Request) -> Response:
    """Open what was typed once, and show its picture or say why there is none."""
    ours = services(request)
    try:
        camera = _described(request, load_site(ours.engine, ours.mine)[1])
        return _tried(request, camera, pinned(camera.url, local=ours.settings.local_cameras))
    except RefusedError as error:
        return _page(request, error)


@router.post("/cameras", dependencies=[_SETTING_UP], include_in_schema=False)
def take_camera(request: Request) -> Response:
    """Add the camera that was tried last; capture takes it up within seconds."""
    found = _trial(request, text_field(request, "trial", 32))

    def change(site: Site) -> Site:
        if site.camera(found.camera.id) or site.sensor(found.camera.id) or site.place(found.camera.place) is None:
            raise SiteChangedError
        return with_camera(site, found.camera)

    return _edit(request, "add-camera", found.camera.id, change)


@router.post("/cameras/{camera}/test", dependencies=[_SETTING_UP], include_in_schema=False)
def try_listed(request: Request, camera: str) -> Response:
    """Open a camera of the site once."""
    ours = services(request)
    found = load_site(ours.engine, ours.mine)[1].camera(camera)
    if found is None:
        raise MissingError
    try:
        return _tried(request, found)
    except RefusedError as error:
        return _page(request, error)


@router.post("/cameras/{camera}/remove", dependencies=[_SETTING_UP], include_in_schema=False)
def remove_camera(request: Request, camera: str) -> Response:
    """Take the camera and its zones off the site; what it has seen stays."""

    def change(site: Site) -> Site:
        if site.camera(camera) is None:
            raise MissingError
        return without_camera(site, camera)

    return _edit(request, "remove-camera", camera, change)


@router.get("/cameras/trials/{identity}", dependencies=[_SETTING_UP], include_in_schema=False)
def trial_picture(request: Request, identity: str) -> Response:
    """The picture that a test brought."""
    found = _trial(request, identity)
    if not found.outcome.jpeg:
        raise MissingError
    return Response(found.outcome.jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


def _trial(request: Request, name: str) -> Tested:
    found = services(request).trials.get(name, request.state.visitor.name) if _NAME.fullmatch(name) else None
    if found is None:
        raise MissingError
    return found


def _edit(request: Request, action: str, identity: str, change: Callable[[Site], Site]) -> Response:
    ours = services(request)
    actor = request.state.visitor.name
    try:
        told = tell_camera(identity)
        edit_site(ours.engine, ours.mine, actor, action, f"camera/{identity[:63]}", change, told)
    except MissingError:
        raise
    except RefusedError as error:
        return _page(request, error)
    return see_other(f"/cameras?done={action}")


def _described(request: Request, site: Site) -> Camera:
    """The camera as typed, with every field checked. Raises WrongInputError."""
    ours = services(request)
    typed = {name: text_field(request, name, 500) for name in _FIELDS}
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", typed["id"]):
        raise WrongInputError("error.camera-id")
    if site.camera(typed["id"]) or site.sensor(typed["id"]):
        raise WrongInputError("error.camera-taken", camera=typed["id"])
    if not (typed["name_zh"] or typed["name_en"]):
        raise WrongInputError("error.camera-name")
    if site.place(typed["place"]) is None:
        raise WrongInputError("error.hazard-place")
    wanted = tuple(name for name in ours.detectors if text_field(request, f"detector-{name}", 8))
    if not wanted:
        raise WrongInputError("error.camera-detectors")
    access = Access(typed["user"], secret_field(request, "password")[:200])
    url = checked_url(typed["address"], access, local=ours.settings.local_cameras)
    try:
        name = Name(zh=typed["name_zh"][:80], en=typed["name_en"][:80])
        return Camera(id=typed["id"], name=name, url=url, place=typed["place"], detectors=wanted)
    except ValidationError as error:
        raise WrongInputError("error.camera-address") from error


def _tried(request: Request, camera: Camera, url: str = "") -> Response:
    ours = services(request)
    actor = request.state.visitor.name
    name = ours.trials.run(camera, actor, url)
    if name is None:
        raise WrongInputError("error.camera-busy")
    return _page(request, trial=name, tried=ours.trials.get(name, actor))


def _page(
    request: Request, error: RefusedError | None = None, trial: str = "", tried: Tested | None = None
) -> Response:
    ours = services(request)
    _, site = load_site(ours.engine, ours.mine)
    typed = {name: text_field(request, name, 500) for name in _FIELDS} if error else {}
    if typed.get("address"):
        typed["address"] = safe_url(typed["address"])
    numbers = (f"camera-{n}" for n in range(1, len(site.cameras) + 2))
    done = request.query_params.get("done", "")
    return render(
        request,
        "cameras.html",
        error.status if error else 200,
        cameras=[(camera, safe_url(camera.url), len(site.zones_of(camera.id))) for camera in site.cameras],
        health={row.source: row for row in health_of(ours.engine, ours.mine)},
        typed=typed,
        free=next(name for name in numbers if site.camera(name) is None and site.sensor(name) is None),
        detectors=ours.detectors,
        chosen=[n for n in ours.detectors if error and text_field(request, f"detector-{n}", 8)] or ours.detectors[:1],
        trial=trial,
        tried=tried,
        tested_address=safe_url(tried.camera.url) if tried else "",
        is_new=tried is not None and site.camera(tried.camera.id) is None,
        done=done if done in ("add-camera", "remove-camera") else "",
        sentence=error.sentence(language(request)) if error else "",
    )
