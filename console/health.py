"""Whether the console lives and is fit to be used, for whatever watches it from outside."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import text as sql
from sqlalchemy.exc import SQLAlchemyError

from console.auth import everybody
from console.services import services
from stream.database import reading

router = APIRouter()


@router.get("/healthz", dependencies=[everybody()])
def alive() -> dict[str, str]:
    """The server answers."""
    return {"status": "ok"}


@router.get("/readyz", dependencies=[everybody()])
def ready(request: Request) -> JSONResponse:
    """The database answers too; 503 where it does not."""
    try:
        with reading(services(request).engine) as session:
            session.connection().execute(sql("SELECT 1 FROM alert WHERE 1 = 0"))
    except SQLAlchemyError:
        return JSONResponse({"status": "the database does not answer"}, status_code=503)
    return JSONResponse({"status": "ok"})
