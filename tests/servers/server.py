"""What the real servers of the tests have in common: a free port, a folder of their own, a start that waits."""

import atexit
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from stream.child import Child, free_port


class ServerUnavailableError(Exception):
    """A server that a test needs cannot be had on this machine; the text says what is missing."""


class ServerFailedError(Exception):
    """A server that is installed did not come up; that is a failure, never a reason to skip."""


class Server:
    """One server on a free loopback port; ``start`` again after ``stop`` or ``kill`` takes the same port and data."""

    name = "server"
    user: str | None = None
    patience = 30.0

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self.host = "127.0.0.1"
        self.port = free_port()
        self._child: Child | None = None

    def command(self) -> Sequence[str]:
        """What runs the server in the foreground."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether the server gives a sensible answer to its own protocol."""
        raise NotImplementedError

    def start(self) -> None:
        """Start, and return once the server answers."""
        if self._child is not None:
            return
        child = self._child = Child(self.command(), self.folder / "server.log", user=self.user)
        atexit.register(self.kill)
        deadline = time.monotonic() + self.patience
        while not self.answers():
            if not child.alive or time.monotonic() > deadline:
                words = child.last_words()
                self.kill()
                raise ServerFailedError(f"{self.name} did not come up on port {self.port}: {words}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Shut down in order."""
        if self._child is not None:
            self._child.stop()
        self.kill()

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        atexit.unregister(self.kill)
        if self._child is not None:
            self._child.kill()
            self._child = None

    @property
    def pid(self) -> int:
        """Its process id while it runs."""
        assert self._child is not None
        return self._child.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
