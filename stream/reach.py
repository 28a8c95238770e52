"""Why a network camera does not open: asked of the camera itself, and told without credentials."""

import contextlib
import socket
import ssl
from urllib.parse import SplitResult, urlsplit

from stream.site import safe_url

_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_PATIENCE = 5.0


def why_not(url: str) -> str:
    """One sentence for a person about a URL that FFmpeg could not open."""
    name = safe_url(url)
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme.lower()]
    except (ValueError, KeyError):
        return f"{name} is no address of a camera. Write rtsp://host:port/path."
    try:
        head = _ask(parts, port)
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        return f"{name} cannot be reached: {reason}. Check the address, the camera's power and the network."
    return _told(name, head)


def _ask(parts: SplitResult, port: int) -> str:
    """The head of the answer to a first question, in lower case; empty where there is none."""
    host = parts.hostname or ""
    path = parts.path or "/"
    if parts.scheme.lower().startswith("rtsp"):
        question = f"DESCRIBE {safe_url(parts.geturl())} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n"
    else:
        query = f"?{parts.query}" if parts.query else ""
        question = f"GET {path}{query} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    with contextlib.ExitStack() as stack:
        line = stack.enter_context(socket.create_connection((host, port), timeout=_PATIENCE))
        if parts.scheme.lower() in {"rtsps", "https"}:
            line = stack.enter_context(ssl.create_default_context().wrap_socket(line, server_hostname=host))
        line.sendall(question.encode("ascii", "replace"))
        with contextlib.suppress(TimeoutError):
            return line.recv(4096).decode("latin-1").partition("\r\n\r\n")[0].lower()
    return ""


def _told(name: str, head: str) -> str:
    words = head.split(maxsplit=2)
    code = words[1] if len(words) > 1 else ""
    if code in {"401", "403"}:
        return f"{name} refuses the user name and password. Check them in the camera's url."
    if code == "404":
        return f"{name} answers that it has no such stream. Check the path behind the host."
    if "content-type: text/html" in head:
        return f"{name} is a page and no video. Take the address of the camera's stream, not of its web page."
    if not head:
        return f"{name} takes the connection and says nothing. Check the port and that the camera serves video there."
    return f"{name} answers, but with nothing that can be read as video. Check the path and the codec."
