"""The API's own description, for those signed in: as OpenAPI for machines, and as a page for people."""

from functools import lru_cache
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response

from console import api
from console.api_access import API, machines
from console.auth import anybody_logged_in
from console.pages import render

router = APIRouter()


@router.get(f"{API}/openapi.json", dependencies=[machines()], include_in_schema=False)
def openapi() -> Response:
    """The OpenAPI document."""
    return JSONResponse(described())


@router.get("/api", dependencies=[anybody_logged_in()], include_in_schema=False)
def api_page(request: Request) -> Response:
    """What the API can do, one operation a line."""
    operations = [
        (method.upper(), path, told["summary"], told["description"])
        for path, methods in described()["paths"].items()
        for method, told in methods.items()
    ]
    return render(request, "api.html", operations=operations, api=API)


@lru_cache(maxsize=1)
def described() -> dict[str, Any]:
    """The document; every operation needs a token."""
    made = get_openapi(
        title="Minewatch",
        version=version("minewatch"),
        description=(
            "Alerts of one mine and decisions on them. Send a token as 'Authorization: Bearer TOKEN'; "
            "an administrator makes one under /tokens. Times are UTC."
        ),
        routes=api.router.routes,
    )
    made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    made["security"] = [{"token": []}]
    return made
