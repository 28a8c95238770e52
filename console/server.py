"""The server under the console: takes the port first, and stops when told."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from console.services import Services
from stream.heartbeat import Heartbeat
from stream.memory import keep_few_arenas
from stream.write_ahead import carrying_over

_DRAIN = 3
"""Seconds that requests in hand have to end once the server stops; nothing here takes longer by itself."""


def serve_on(app: FastAPI, listener: socket.socket, stop: threading.Event, heartbeat: Heartbeat) -> None:
    """Serve ``app`` on a listening socket until ``stop`` is set; the heartbeat says ready once it answers."""
    keep_few_arenas()
    services: Services = app.state.services
    with carrying_over(services.engine):
        asyncio.run(_serve(app, listener, stop, heartbeat))


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever started this: ``stop`` is the only way to end."""
        yield


async def _serve(app: FastAPI, listener: socket.socket, stop: threading.Event, heartbeat: Heartbeat) -> None:
    services: Services = app.state.services
    settings = services.settings
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
            timeout_graceful_shutdown=_DRAIN,
            timeout_keep_alive=30,
            h11_max_incomplete_event_size=32 * 1024,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    ready = False
    try:
        while not stop.is_set() and not serving.done():
            if server.started:
                await asyncio.to_thread(heartbeat.beat if ready else heartbeat.ready)
                ready = True
            await asyncio.sleep(0.2 if ready else 0.02)
    finally:
        services.announcer.close()
        server.should_exit = True
        await serving
        heartbeat.close()
