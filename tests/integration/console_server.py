"""The real server of the console, in a thread, to be stopped and started again on the same port."""

import socket
import ssl
import threading
import time
from types import TracebackType
from typing import Any, Self

import httpx

from console.app import serve
from console.web_settings import WebSettings
from tests.integration.console_mine import MINE, Mine

DEADLINE = 20.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """The console of a mine on a port of this machine."""

    def __init__(self, mine: Mine, port: int | None = None, language: str = "en", **more: Any) -> None:
        self.settings = WebSettings(
            port=port or free_port(), language=language, login_attempts=50, **({"test_alarm": False} | more)
        )  # type: ignore[arg-type]
        scheme = "https" if self.settings.tls_certificate else "http"
        self.address = f"{scheme}://127.0.0.1:{self.settings.port}"
        self._mine = mine
        self._stop = threading.Event()
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._serve, name="console")

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            if self._failed:
                raise self._failed[0]
            try:
                httpx.get(
                    f"{self.address}/healthz", timeout=2.0, trust_env=False, verify=self._trusted()
                ).raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.02)
            else:
                return self
        raise AssertionError(f"the console does not answer at {self.address}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _trusted(self) -> ssl.SSLContext | bool:
        certificate = self.settings.tls_certificate
        return ssl.create_default_context(cafile=certificate) if certificate else True

    def stop(self) -> None:
        """Stop the server and wait for it to have ended."""
        self._stop.set()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive(), "the console does not stop"

    def _serve(self) -> None:
        mine = self._mine
        try:
            serve(
                self._stop, engine=mine.engine, mine=MINE, evidence=mine.evidence, log=mine.log, settings=self.settings
            )
        except BaseException as error:  # noqa: BLE001  # handed to the thread that waits
            self._failed.append(error)
