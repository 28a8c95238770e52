"""A server on this machine that we start, wait for and end: for tests and benchmarks, never for a mine."""

import atexit
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from stream.child import Child, free_port
from stream.errors import BrokerError


class LocalServer:
    """One server on a free loopback port, with its data in ``folder``.

    The port and the data stay the same over ``kill`` or ``stop`` and ``start``, as with a server that fails and comes
    back. As a context manager it starts and stops.
    """

    name = "server"
    user: str | None = None
    patience = 30.0
    """Seconds that it may take to come up."""
    failure: ClassVar[type[Exception]] = BrokerError
    """What is raised where it ends, or stays silent, at its start."""

    def __init__(self, folder: Path) -> None:
        """Make the folder and choose a port."""
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

    @property
    def pid(self) -> int:
        """Its process id while it runs; raises ``failure`` where it does not."""
        if self._child is None:
            raise self.failure(f"{self.name} on port {self.port} does not run: start it first.")
        return self._child.pid

    def start(self) -> None:
        """Start, and return once the server answers; raises ``failure`` where it ends or stays silent."""
        if self._child is not None:
            return
        child = self._child = Child(self.command(), self.folder / "server.log", user=self.user)
        atexit.register(self.kill)
        deadline = time.monotonic() + self.patience
        while not self.answers():
            if not child.alive or time.monotonic() > deadline:
                words = child.last_words()
                self.kill()
                raise self.failure(f"{self.name} did not come up on port {self.port}: {words}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Shut down in order; the data stays."""
        if self._child is not None:
            self._child.stop()
        self.kill()

    def kill(self) -> None:
        """End it at once, as a power cut does (SIGKILL); the data stays as it is on disk."""
        atexit.unregister(self.kill)
        if self._child is not None:
            self._child.kill()
            self._child = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()
