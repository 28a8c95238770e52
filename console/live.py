"""The address at which pages listen for changes."""

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from console.auth import anybody_logged_in
from console.live_queue import View
from console.pages import language
from console.queue import wanted_of
from console.services import services
from console.sessions import Visitor, still_open

router = APIRouter()


@router.get("/events", dependencies=[anybody_logged_in()], include_in_schema=False)
async def events(request: Request) -> StreamingResponse:
    """The stream of changes behind ``Last-Event-ID``, or behind ``?after=`` on a page's first connection.

    The queue's page names what it lists, as in its own address, and is told its lines.
    """
    ours = services(request)
    visitor: Visitor = request.state.visitor
    told = _number(request.headers.get("last-event-id")) or _number(request.query_params.get("after")) or 0
    wanted = wanted_of(request) if "tab" in request.query_params else None
    view = View(language(request), wanted, visitor.sources)
    stream = ours.announcer.stream(told, view, lambda: still_open(ours.engine, visitor))
    return StreamingResponse(
        stream,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else None
