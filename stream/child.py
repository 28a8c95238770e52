"""A program of another make that runs as our child, and never outlives us."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

PORTS = range(15_000, 30_000)
"""Below the range from which Linux takes the near end of outgoing connections: a port chosen here is still free when
its server comes back, and a client that knocks meanwhile cannot be connected to itself."""


def free_port() -> int:
    """A TCP port on the loopback address that nobody listens on now."""
    for port in random.sample(PORTS, 200):
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"None of 200 ports between {PORTS.start} and {PORTS.stop} on 127.0.0.1 is free.")


class Child:
    """A running program whose output goes to a file.

    Where the system has ``setpriv`` (Linux), the kernel itself ends the child when the thread that started it is
    gone, however that came about: start children from the main thread.
    """

    def __init__(
        self,
        command: Sequence[str],
        output: Path,
        *,
        user: str | None = None,
        environment: Mapping[str, str] | None = None,
        farewell: signal.Signals = signal.SIGKILL,
    ) -> None:
        """Start ``command``, as ``user`` if we are root; ``farewell`` is the signal that it gets when we die."""
        self.output = output
        with output.open("ab") as file:
            self._process = subprocess.Popen(  # noqa: S603  (the caller's own command, no shell)
                [*_leash(user, farewell), *command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=output.parent,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id, which is also that of its process group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def last_words(self, lines: int = 5) -> str:
        """The end of its output on one line, to say in an error why it ended."""
        text = self.output.read_text(errors="replace") if self.output.exists() else ""
        return " | ".join(text.strip().splitlines()[-lines:]) or "it said nothing"

    def stop(self, patience: float = 20, sign: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end; after ``patience`` seconds end it and all that it started."""
        if self.alive:
            self._process.send_signal(sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        self.kill()

    def kill(self) -> None:
        """End it and all that it started, at once (SIGKILL), and wait until it is gone."""
        if self.alive:
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


def _leash(user: str | None, farewell: signal.Signals) -> list[str]:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return ["runuser", "-u", user, "--"] if user else []
    leash = [setpriv, "--pdeathsig", farewell.name.removeprefix("SIG")]
    if user:
        leash += ["--reuid", user, "--regid", user, "--init-groups"]
    return [*leash, "--"]
