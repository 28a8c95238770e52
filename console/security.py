"""What wraps every answer: security headers, and a bound on what a request may send."""

import asyncio
import contextlib
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.errors import TooLargeError

FORM_BYTES = 512 * 1024
"""Bytes of a form without a photo; the longest clause known has a fiftieth of it."""
_LINGER_SECONDS, _LINGER_BYTES = 3.0, 8 * 1024**2

_POLICY = "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}


class KeptFiles(StaticFiles):
    """Files that a browser keeps; it asks each time whether they are still the same, so an upgrade is seen at once."""

    def file_response(self, *found: Any, **named: Any) -> Response:
        """As Starlette answers, with a tag; 304 where the browser has it."""
        answer = super().file_response(*found, **named)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


class SecurityHeaders:
    """Puts the headers on every answer that has not set its own."""

    def __init__(self, app: ASGIApp, *, tls: bool) -> None:
        self._app = app
        self._headers = _HEADERS | ({"Strict-Transport-Security": "max-age=31536000"} if tls else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)


class BodyLimit:
    """Refuses a body that is larger than its address takes, whether or not it says so beforehand.

    An answer that is given while more is coming goes out at once. What comes is thrown away for a moment, because a
    line that is closed at once takes the answer with it; then the line is closed.
    """

    def __init__(self, app: ASGIApp, *, uploads: dict[str, int]) -> None:
        self._app = app
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = _limit(self._uploads, scope["path"])
        received, announced = 0, _announced(scope)
        coming = announced > limit

        async def counted() -> Message:
            nonlocal received, coming
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                coming = message.get("more_body", False)
                if max(received, announced) > limit:
                    raise TooLargeError(limit=round(limit / 1024**2, 1))
            return message

        async def lingering(message: Message) -> None:
            if coming and message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
            if coming and message["type"] == "http.response.body" and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await _throw_away(receive)
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        await self._app(scope, counted, lingering)


async def _throw_away(receive: Receive) -> None:
    """Take in a little more and keep nothing of it."""
    thrown = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while thrown < _LINGER_BYTES:
                message = await receive()
                thrown += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _limit(uploads: dict[str, int], path: str) -> int:
    """An address that ends with a stroke stands for all below it."""
    found = (size for at, size in uploads.items() if path == at or (at.endswith("/") and path.startswith(at)))
    return next(found, FORM_BYTES)
