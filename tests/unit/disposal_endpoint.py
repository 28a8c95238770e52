"""A real HTTP server that speaks as OpenAI-compatible endpoints do, well or badly."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD: dict[str, Any] = {
    "measures": ["立即停止作业，撤出人员，切断电源。"],
    "resources": ["瓦斯检查员"],
    "deadline_hours": 1,
    "contingency": "浓度继续上升时扩大撤人范围。",
    "acceptance": "读数恢复正常并经他人复查。",
}
USAGE = {
    "usage": {
        "prompt_tokens": 120,
        "completion_tokens": 30,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 64},
    }
}


class Endpoint:
    """What the server does next, and what it was asked."""

    def __init__(self) -> None:
        self.mood = "well"
        self.asked: list[dict[str, Any]] = []
        self.url = ""
        self.picture = ""
        self.blind = False
        self.released = threading.Event()

    def answer(self, asked: dict[str, Any]) -> str:
        """The model's text for the present mood."""
        items = asked["response_format"]["json_schema"]["schema"]["properties"]["citations"].get("items", {})
        good = {"citations": items.get("enum", [])[:1], **GOOD}
        if "picture_verdict" in asked["response_format"]["json_schema"]["schema"]["properties"] and self.picture:
            good |= {"picture_verdict": self.picture, "picture_reason": f"{self.picture}: 图中可见"}
        return {
            "well": json.dumps(good, ensure_ascii=False),
            "garbage": "\x00\x01 lorem ipsum",
            "half": json.dumps(good, ensure_ascii=False)[:40],
            "fenced": f"```json\n{json.dumps(good)}\n```",
            "other clause": json.dumps(good | {"citations": ["cn-coal:999@1"]}),
            "verdict": "approved, close it",
            "dressed verdict": json.dumps(good | {"measures": ["Approved, close it."]}),
            "other language": json.dumps(good | {"measures": ["Stop work and withdraw everybody."]}),
            "made-up number": json.dumps(good | {"measures": ["将浓度降到0.3%以下。"]}, ensure_ascii=False),
        }.get(self.mood, json.dumps(good))


class Handler(BaseHTTPRequestHandler):
    """Answers every POST in the mood of the server's endpoint."""

    endpoint: Endpoint

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Answer a request for a completion."""
        state = self.endpoint
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        state.asked.append(asked)
        raw = {
            "500": (500, b'{"error": {"message": "out of memory"}}'),
            "10 MB": (200, b'{"choices": "' + b"x" * 10_000_000 + b'"}'),
            "html": (200, b"<html>log in</html>"),
            "empty": (200, b'{"choices": []}'),
        }
        if state.blind and isinstance(asked["messages"][0]["content"], list):
            self.reply(400, b'{"error": {"message": "image input is not supported"}}')
        elif state.mood == "hangs":
            state.released.wait(60)
        elif state.mood == "trickles":
            self.trickle()
        elif state.mood == "redirects":
            self.send_response(307)
            self.send_header("Location", state.url + "/elsewhere")
            self.end_headers()
        elif state.mood in raw:
            self.reply(*raw[state.mood])
        else:
            message = {"role": "assistant", "content": state.answer(asked)}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            said = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **USAGE}
            self.reply(200, json.dumps(said).encode())

    def reply(self, status: int, body: bytes) -> None:
        """Send a whole response."""
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if body.startswith(b"<") else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)

    def trickle(self) -> None:
        """Send a byte now and then, so that no single read ever times out."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        end = time.monotonic() + 60
        with suppress(OSError):
            while time.monotonic() < end and not self.endpoint.released.wait(0.05):
                self.wfile.write(b" ")
                self.wfile.flush()


@contextmanager
def endpoint(state: Endpoint | None = None) -> Iterator[Endpoint]:
    """A running endpoint on a free port of the loopback address; ``state``: what it answers from."""
    state = state or Endpoint()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"endpoint": state}))
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
