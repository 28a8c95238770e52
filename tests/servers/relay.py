"""A wire to a server that can be cut: a browser's own switch for being offline leaves streams alone that are open."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Relay:
    """Passes connections on to a port of this machine. While cut, open ones are broken and new ones closed at once."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._cut = False
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="relay", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Break every connection, and take no other."""
        with self._lock:
            self._cut = True
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Take connections again."""
        with self._lock:
            self._cut = False

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(here,), name="relay", daemon=True).start()

    def _join(self, here: socket.socket) -> None:
        with here, contextlib.suppress(OSError), socket.socket() as there:
            with self._lock:
                if self._cut:
                    return
                self._open |= {here, there}
            try:
                there.connect(("127.0.0.1", self._target))
                back = threading.Thread(target=_pass, args=(there, here), name="relay", daemon=True)
                back.start()
                _pass(here, there)
                back.join()
            finally:
                with self._lock:
                    self._open -= {here, there}


def _pass(source: socket.socket, target: socket.socket) -> None:
    """Everything from one to the other, until either has ended."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
