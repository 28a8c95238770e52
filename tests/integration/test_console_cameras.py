"""Cameras added at the console: tried first, hostile addresses refused, passwords never shown, taken up by capture."""

import ipaddress
import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sqlmodel import select

from console.camera_address import Access, checked_url, is_ours, pinned, plain
from console.errors import WrongInputError
from console.web_settings import WebSettings
from disposal.audit import AuditLine, verify
from stream.capture import run_capture_stage
from stream.crew import Crew
from stream.database import reading
from stream.messages import SourceEnded, decode
from stream.settings import CaptureSettings, LogSettings
from stream.site import Camera, Name, load_site
from tests.integration.console_client import person, send
from tests.integration.console_mine import MINE, Mine
from tests.servers.rtsp import RtspServer

SETTINGS = WebSettings(language="en", local_cameras=True)
FIELDS = {"id": "heading-7", "name_en": "Heading 7", "place": "belt-3", "detector-ppe": "yes"}
PASSWORD = "Grubenlampe#7"


def refusal(typed: str, *, local: bool = False) -> str:
    with pytest.raises(WrongInputError) as refused:
        checked_url(typed, Access(), local=local)
    return refused.value.key


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("file:///etc/passwd", "scheme"), ("/etc/passwd", "scheme"), ("0", "scheme"), ("concat:a|b", "scheme"),
        ("ftp://10.0.0.7/x", "scheme"), ("javascript:alert(1)", "scheme"), ("udp://10.0.0.7:1", "scheme"),
        ("http://localhost/x", "local"), ("rtsp://127.0.0.1/x", "local"), ("rtsp://127.1/x", "local"),
        ("http://2130706433/", "local"), ("http://0x7f.0.0.1/", "local"), ("rtsp://0.0.0.0/", "local"),
        ("rtsp://[::1]:554/x", "local"), ("rtsp://[::ffff:127.0.0.1]/x", "local"), ("http://[64:ff9b::7f00:1]/", "local"),
        ("http://169.254.169.254/latest/meta-data", "host"), ("http://[fd00:ec2::254]/", "host"),
        ("http://[::ffff:a9fe:a9fe]/", "host"), ("http://100.100.100.200/", "host"),
        ("rtsp://[fe80::7]/x", "host"), ("rtsp://239.0.0.1/x", "host"), ("http://169.254.7.7/", "host"),
        ("rtsp://no-such-host.invalid/x", "unknown"), ("rtsp://", "address"), ("rtsp://10.0.0.7:99999/", "address"),
        ("rtsp://10.0.0.7/a b", "address"), ("rtsp://10.0.0.7\\@127.0.0.1/", "address"), ("", "address"),
        ("rtsp://10.0.0.7/#x", "address"), ("rtsp://10.0.0.7/\u4e95", "address"), ("rtsp://" + "a" * 600, "address"),
    ],
)  # fmt: skip
def test_an_address_that_leads_to_no_camera_is_refused(typed: str, why: str) -> None:
    assert refusal(typed) == f"error.camera-{why}"


def test_allowing_this_machine_allows_no_metadata_and_no_file() -> None:
    assert checked_url("rtsp://127.0.0.1:8554/x?y=1", Access(), local=True) == "rtsp://127.0.0.1:8554/x?y=1"
    assert refusal("http://169.254.169.254/", local=True) == "error.camera-host"
    assert refusal("file:///etc/passwd", local=True) == "error.camera-scheme"


def test_user_and_password_are_put_where_they_cannot_lead_elsewhere() -> None:
    url = checked_url("rtsp://10.0.0.7/live", Access("op@evil.example/", "p:w@127.0.0.1#"), local=False)
    assert url == "rtsp://op%40evil.example%2F:p%3Aw%40127.0.0.1%23@10.0.0.7/live"


class Names:
    """Says of one name what it is told to, one answer after the other, and asks the system for every other."""

    def __init__(self, name: str, *addresses: str) -> None:
        self._name, self._addresses, self._ask = name, list(addresses), socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *more: Any, **named: Any) -> Any:
        if host != self._name:
            return self._ask(host, port, *more, **named)
        address = self._addresses.pop(0) if len(self._addresses) > 1 else self._addresses[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0))]


def test_a_name_that_stands_for_another_host_a_moment_later_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names("camera.example", "10.0.0.7", "127.0.0.1"))
    url = checked_url("rtsp://v:p%40@camera.example:8554/x?y=1", Access(), local=False)
    with pytest.raises(WrongInputError) as refused:
        pinned(url, local=False)
    assert refused.value.key == "error.camera-local"
    monkeypatch.setattr(socket, "getaddrinfo", Names("camera.example", "10.0.0.7", "10.0.0.8", "127.0.0.1"))
    url = checked_url(url, Access(), local=False)
    assert pinned(url, local=False) == "rtsp://v:p%40@10.0.0.8:8554/x?y=1"


def test_this_machine_is_known_by_each_of_its_addresses() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        own = probe.getsockname()[0]
    assert is_ours(ipaddress.ip_address(own))
    assert not is_ours(ipaddress.ip_address("192.0.2.77"))
    assert str(plain(ipaddress.ip_address("2002:7f00:1::"))) == "127.0.0.1"


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.05)


def film(path: Path) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (320, 240))
    for grey in range(30):
        writer.write(np.full((240, 320, 3), 40 + 5 * grey, np.uint8))
    writer.release()
    return path


def shown(answer: Any) -> str:
    """The page, once it is certain that no password is on it."""
    assert PASSWORD not in answer.text
    assert "Grubenlampe" not in answer.text
    return str(answer.text)


def test_a_camera_is_tried_shown_added_and_taken_up_and_its_password_is_nowhere(
    mine: Mine, tmp_path: Path, rtsp_server: Callable[..., RtspServer], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = rtsp_server(film(tmp_path / "film.avi"), times=30)
    admin = person(mine, "administrator", SETTINGS)
    typed = FIELDS | {"address": server.url, "user": "viewer", "password": PASSWORD}
    page = shown(send(admin, "/cameras/test", typed))
    assert "The picture is there." in page
    trial = page.partition('name="trial" value="')[2][:32]
    picture = admin.get(f"/cameras/trials/{trial}")
    assert picture.content.startswith(b"\xff\xd8")
    assert person(mine, "officer", SETTINGS).get(f"/cameras/trials/{trial}").status_code == 403

    stop, log = threading.Event(), LogSettings(folder=mine.folder / "log", frames_bytes=16 * 1024**2)
    capture = threading.Thread(
        target=run_capture_stage,
        args=(stop,),
        kwargs={
            "cameras": (), "mine": MINE, "log_settings": log, "database_url": str(mine.engine.url),
            "settings": CaptureSettings(), "run": "test", "follow": True,
        },
    )  # fmt: skip
    capture.start()
    opened = ExitStack()
    try:
        assert send(admin, "/cameras", {"trial": trial}).headers["location"] == "/cameras?done=add-camera"
        [added] = [c for c in load_site(mine.engine, MINE)[1].cameras if c.id == "heading-7"]
        assert added.url.startswith("rtsp://viewer:Grubenlampe%237@127.0.0.1")
        assert server.url in shown(admin.get("/cameras"))
        again = send(admin, "/cameras", {"trial": trial})
        assert again.status_code == 409, "a second click adds no second camera"
        consumer = opened.enter_context(closing(mine.log.subscribe("test", ["frames"])))
        wait_for(lambda: [r for r in consumer.poll(50, 0.1) if r.key == f"{MINE}/heading-7"])
        assert send(admin, "/cameras/heading-7/remove").status_code == 303

        def ended() -> list[SourceEnded]:
            messages = [decode(r.value) for r in consumer.poll(200, 0.1) if r.key == f"{MINE}/heading-7"]
            return [m for m in messages if isinstance(m, SourceEnded)]

        wait_for(ended)
    finally:
        stop.set()
        capture.join()
        opened.close()
    assert load_site(mine.engine, MINE)[1].camera("heading-7") is None
    with reading(mine.engine) as session:
        lines = session.exec(select(AuditLine).where(AuditLine.subject == "camera/heading-7")).all()
    assert [(line.actor, line.action) for line in lines] == [
        ("administrator", "add-camera"),
        ("administrator", "remove-camera"),
    ]
    assert json.loads(lines[0].after)["camera"]["url"] == server.url
    assert not any("Grubenlampe" in line.before + line.after for line in lines)
    assert "Grubenlampe" not in caplog.text
    assert verify(mine.engine, MINE).whole


def test_a_camera_that_gives_no_picture_is_told_in_prose_in_both_languages(
    mine: Mine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No other process knows this name: what is tried is the address that was checked, and not the name once more.
    monkeypatch.setattr(socket, "getaddrinfo", Names("camera.invalid", "127.0.0.1"))
    admin = person(mine, "administrator", SETTINGS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        typed = FIELDS | {"address": f"http://camera.invalid:{port}/x?token={PASSWORD[:12]}", "password": PASSWORD}
        for tongue, sentence in (("en", "cannot be reached"), ("zh", "连接不上")):
            admin.cookies.set("minewatch-language", tongue)
            page = shown(send(admin, "/cameras/test", typed))
            assert f"http://camera.invalid:{port}/x{' ' if tongue == 'en' else ''}{sentence}" in page
            assert "Connection refused" in page
            assert '<img src="/cameras/trials' not in page
    assert load_site(mine.engine, MINE)[1].camera("heading-7") is None


def test_what_is_typed_wrongly_is_said_and_stays_but_for_the_password(mine: Mine) -> None:
    admin = person(mine, "administrator")
    address = {"address": f"rtsp://viewer:{PASSWORD[:11]}@127.0.0.1/live", "password": PASSWORD}
    page = shown(send(admin, "/cameras/test", FIELDS | address))
    assert "Host 127.0.0.1 is this machine itself" in page
    assert 'value="rtsp://127.0.0.1/live"' in page
    assert 'value="Heading 7"' in page
    for wrong, sentence in (
        ({"id": "Cam 7"}, "lower-case letters"),
        ({"id": "cam-belt"}, "The id cam-belt is taken."),
        ({"id": "ch4-2"}, "The id ch4-2 is taken."),
        ({"name_en": ""}, "Give the camera a name."),
        ({"place": "nowhere"}, "Choose a place."),
        ({"detector-ppe": ""}, "Choose at least one detector."),
        ({"address": "file:///etc/passwd"}, "Only network cameras can be added here"),
    ):
        answer = send(admin, "/cameras/test", FIELDS | {"address": "rtsp://10.0.0.7/x"} | wrong)
        assert answer.status_code == 422
        assert sentence in shown(answer)
    assert send(person(mine, "officer"), "/cameras/test", FIELDS | address).status_code == 403
    assert send(admin, "/cameras", {"trial": "0" * 32}).status_code == 404
    assert load_site(mine.engine, MINE)[0] == 1


class Kept:
    """Notes what a crew does with one camera."""

    def __init__(self, camera: Camera, told: list[str]) -> None:
        self._name, self._told, self.ended = f"{camera.id} {camera.url}", told, False

    def tick(self) -> None:
        self._told.append(f"tick {self._name}")

    def ask_to_stop(self) -> None:
        """Nothing is in hand."""

    def stop(self, deadline: float) -> None:
        self._told.append(f"stop {self._name}")

    def retire(self) -> None:
        self._told.append(f"retire {self._name}")


def test_a_crew_follows_the_site() -> None:
    told: list[str] = []
    one, two = (Camera(id=n, name=Name(en=n), url=f"{n}.mp4", place="p") for n in ("one", "two"))
    crew = Crew(lambda camera: Kept(camera, told), (one,))
    crew.follow((one, two))
    crew.tick()
    assert told == ["tick one one.mp4", "tick two two.mp4"]
    told.clear()
    crew.follow((one.model_copy(update={"url": "other.mp4"}),))
    crew.tick()
    assert sorted(told) == ["retire two two.mp4", "stop one one.mp4", "stop two two.mp4", "tick one other.mp4"]
