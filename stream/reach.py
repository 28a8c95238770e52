"""Why a network camera does not open: asked of the camera itself, and told without credentials."""

import contextlib
import socket
import ssl
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from stream.site import safe_url

_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_PATIENCE = 5.0


Fault = Literal["address", "unreachable", "credentials", "no-stream", "moved", "page", "mute", "no-video"]
_SAID: dict[Fault, str] = {
    "address": "{name} is no address of a camera. Write rtsp://host:port/path.",
    "unreachable": "{name} cannot be reached: {detail}. Check the address, the camera's power and the network.",
    "credentials": "{name} refuses the user name and password. Check them in the camera's url.",
    "no-stream": "{name} answers that it has no such stream. Check the path behind the host.",
    "moved": "{name} sends on to another address, which is not followed. If that is the camera's, write that address.",
    "page": "{name} is a page and no video. Take the address of the camera's stream, not of its web page.",
    "mute": "{name} takes the connection and says nothing. Check the port and that the camera serves video there.",
    "no-video": "{name} answers, but with nothing that can be read as video. Check the path and the codec.",
}


def why_not(url: str) -> str:
    """One sentence for a person about a URL that FFmpeg could not open."""
    fault, detail = fault_of(url)
    return _SAID[fault].format(name=safe_url(url), detail=detail)


def fault_of(url: str) -> tuple[Fault, str]:
    """What is wrong with a URL that FFmpeg could not open, and the system's own words where it cannot be reached."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme.lower()]
    except (ValueError, KeyError):
        return "address", ""
    try:
        head = _ask(parts, port)
    except OSError as error:
        return "unreachable", error.strerror or str(error) or type(error).__name__
    return _judged(head), ""


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


def _judged(head: str) -> Fault:
    words = head.split(maxsplit=2)
    code = words[1] if len(words) > 1 else ""
    if code in {"401", "403"}:
        return "credentials"
    if code == "404":
        return "no-stream"
    if code.startswith("3") and len(code) == 3:
        return "moved"
    if "content-type: text/html" in head:
        return "page"
    return "no-video" if head else "mute"
