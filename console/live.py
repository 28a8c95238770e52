"""The address at which pages listen for changes."""

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from console.auth import anybody_logged_in
from console.services import services
from console.sessions import still_open

router = APIRouter()


@router.get("/events", dependencies=[anybody_logged_in()], include_in_schema=False)
async def events(request: Request) -> StreamingResponse:
    """The stream of changes behind ``Last-Event-ID``, or behind ``?after=`` on a page's first connection."""
    ours = services(request)
    token_hash = request.state.visitor.token_hash
    told = _number(request.headers.get("last-event-id")) or _number(request.query_params.get("after")) or 0
    stream = ours.announcer.stream(told, lambda: still_open(ours.engine, token_hash))
    return StreamingResponse(
        stream,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else None
