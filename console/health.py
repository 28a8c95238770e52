"""Whether the house lives and is fit to be relied on, and its figures, for whatever watches it from outside."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client.exposition import choose_encoder

from console import metrics, readiness
from console.auth import everybody, machines_and
from console.services import services

router = APIRouter()


@router.get("/healthz", dependencies=[everybody()])
def alive() -> dict[str, str]:
    """The server answers."""
    return {"status": "ok"}


@router.get("/readyz", dependencies=[machines_and("administrator")])
def ready(request: Request) -> JSONResponse:
    """Database, log and every stage that has something to do answer too; 503 with the reasons where one does not."""
    ours = services(request)
    found = readiness.reasons(ours.engine, ours.mine, ours.log)
    if found:
        return JSONResponse({"status": "not ready", "reasons": found}, status_code=503)
    return JSONResponse({"status": "ok"})


@router.get("/metrics", dependencies=[machines_and("administrator")])
def figures(request: Request) -> Response:
    """All figures in the form of Prometheus, or of OpenMetrics where that is asked for."""
    ours = services(request)
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    text = encode(metrics.registry(ours.engine, ours.mine, ours.log))
    return Response(text, media_type=None, headers={"content-type": media_type})
