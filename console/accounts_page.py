"""The page on which an administrator sees who may sign in, and limits accounts to some cameras and sensors."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.accounts import accounts_of, limit_account, scope_of
from console.auth import allowed, form, text_field
from console.errors import MissingError, WrongInputError
from console.pages import language, render, see_other
from console.services import Services, services
from stream.site import Camera, Sensor

_WHO = allowed("administrator")

router = APIRouter()


@router.get("/accounts", dependencies=[_WHO], include_in_schema=False)
def accounts_page(request: Request) -> Response:
    """The accounts of this mine with what each may see."""
    return _page(request)


@router.post("/accounts/{identity}/sources", dependencies=[_WHO], include_in_schema=False)
def take_sources(request: Request, identity: str) -> Response:
    """Limit an account to the sources that are ticked, or let it see the whole mine again."""
    ours = services(request)
    ticked = {str(value) for value in form(request).getlist("source")}
    some = text_field(request, "reach", 5) == "some"
    if some and (not ticked or ticked - {identity for identity, _ in _sources(ours, language(request))}):
        return _page(request, WrongInputError("error.account-sources"))
    if not limit_account(ours.engine, ours.mine, identity, ticked if some else None, request.state.visitor.name):
        raise MissingError
    return see_other("/accounts")


def _page(request: Request, error: WrongInputError | None = None) -> Response:
    ours = services(request)
    return render(
        request,
        "accounts.html",
        error.status if error else 200,
        accounts=[(account, scope_of(account)) for account in accounts_of(ours.engine, ours.mine)],
        sources=_sources(ours, language(request)),
        sentence=error.sentence(language(request)) if error else "",
    )


def _sources(ours: Services, tongue: str) -> list[tuple[str, str]]:
    """Ids and names of every camera and sensor, cameras first."""
    site = ours.names.site()
    sources: list[Camera | Sensor] = [*site.cameras, *site.sensors]
    return [(source.id, source.name.text(tongue) or source.id) for source in sources]
