"""Cameras, sensors, a model endpoint and a webhook whose behaviour can be changed while the house runs on them."""

import contextlib
import http.server
import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import cv2
import numpy as np
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

WIDTH, HEIGHT = 320, 240
RATE = 3.0


class Pictures:
    """A still scene with something moving in it, by camera."""

    def __init__(self, seed: int) -> None:
        blocks = np.random.default_rng(seed).integers(30, 220, (16, 20, 3), dtype=np.uint8)
        self._scene = cv2.resize(blocks, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
        self._numbers = itertools.count()
        self._last = self._jpeg(self._scene)

    def next(self, mode: str) -> bytes:
        if mode == "frozen":
            return self._last
        picture = np.full_like(self._scene, 4) if mode == "covered" else self._scene.copy()
        if mode == "moved":
            picture = np.roll(picture, (70, 110), (0, 1))
        at = 8 * next(self._numbers) % (WIDTH - 20)
        if mode != "covered":
            picture[5:15, at : at + 12] = 250
        if mode == "resized":
            picture = cv2.resize(picture, (WIDTH * 2, HEIGHT * 2))
        self._last = self._jpeg(picture)
        return self._last

    @staticmethod
    def _jpeg(picture: Any) -> bytes:
        return bytes(cv2.imencode(".jpg", picture)[1])


class HttpService:
    """An HTTP server on a free port that can be taken down and brought back on the same one."""

    def __init__(self) -> None:
        self.mode = "well"
        self.requests = 0
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._server: http.server.ThreadingHTTPServer | None = None
        self.up()

    def up(self) -> None:
        if self._server is not None:
            return
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service._handle(self)

            def do_POST(self) -> None:
                service._handle(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        http.server.ThreadingHTTPServer.daemon_threads = True
        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def down(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def _handle(self, request: http.server.BaseHTTPRequestHandler) -> None:
        self.requests += 1
        if int(request.headers.get("Content-Length") or 0):
            request.rfile.read(int(request.headers["Content-Length"]))
        with contextlib.suppress(OSError):
            self.answer(request)

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        raise NotImplementedError

    def say(self, request: http.server.BaseHTTPRequestHandler, status: int, kind: str, body: bytes) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def hang(self) -> None:
        while self.mode == "hanging" and self._server is not None:
            time.sleep(0.1)


class CameraService(HttpService):
    """Pictures over HTTP: well, frozen, covered, moved, resized; or hanging, refusing the password, or a page."""

    def __init__(self, seed: int) -> None:
        self._pictures = Pictures(seed)
        super().__init__()

    @property
    def url(self) -> str:
        return f"http://operator:hunter2@127.0.0.1:{self.port}/video"

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        if self.mode == "refusing":
            return self.say(request, 401, "text/plain", b"no")
        if self.mode == "page":
            return self.say(request, 200, "text/html", b"<html><body>Log in</body></html>")
        request.send_response(200)
        request.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
        request.end_headers()
        begun_as_video = self._server
        while self._server is begun_as_video and self.mode not in {"refusing", "page"}:
            self.hang()
            jpeg = self._pictures.next(self.mode)
            head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            request.wfile.write(head.encode() + jpeg + b"\r\n")
            time.sleep(1 / RATE)
        return None


class ModelService(HttpService):
    """An endpoint that lists its model; its drafts are never used, so that the composer writes all the same."""

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        self.hang()
        status = 503 if self.mode == "failing" else 200
        self.say(request, status, "application/json", json.dumps({"data": [{"id": "model"}]}).encode())


class Webhook(HttpService):
    """Takes messages, or answers 503; keeps the id of each that it took."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        super().__init__()

    def _handle(self, request: http.server.BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if self.mode == "well":
            self.taken.append(json.loads(body)["id"])
        with contextlib.suppress(OSError):
            self.say(request, 200 if self.mode == "well" else 503, "text/plain", b"")

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        """Never asked."""


class Sensors:
    """Publishes a payload for each sensor twice a second over MQTT, and goes on when the broker comes back."""

    def __init__(self, host: str, port: int, healthy: dict[str, float]) -> None:
        self._healthy = healthy
        self._turn = itertools.count()
        self.instead: dict[str, str | None] = {}
        """What a sensor says in place of its value; None: nothing."""
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(1, 2)
        self._client.connect_async(host, port)
        self._client.loop_start()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish, daemon=True)
        self._thread.start()

    def _publish(self) -> None:
        while not self._stop.wait(0.5):
            for name, payload in self._payloads():
                self._client.publish(f"mine/{name}", payload, qos=1)

    def _payloads(self) -> Iterator[tuple[str, str]]:
        wobble = next(self._turn) % 7 * 0.001
        for name, value in self._healthy.items():
            payload = self.instead.get(name, f"{value * (1 + wobble):.5f}")
            if payload is not None:
                yield name, payload

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()


LONG_AGO = json.dumps({"value": 20, "captured_at": datetime(1970, 1, 1, tzinfo=UTC).isoformat()})
"""A reading whose sensor has lost its clock."""
