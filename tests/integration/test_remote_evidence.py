"""Evidence behind a URL: a stage on one host keeps its evidence in the folder of another, through the real console."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from pydantic import SecretStr, ValidationError

from console import doctor_stages
from console.app import create_app
from console.evidence_store import router
from console.settings import load
from console.web_settings import WebSettings
from stream.errors import ConfigurationError, EvidenceError
from stream.evidence import open_evidence
from stream.live import LivePicture
from stream.messages import utc_now
from stream.remote_evidence import STORE_PATH, RemoteEvidence, evidence_url
from stream.settings import EvidenceSettings
from stream.worker import transient
from tests.conftest import do_without
from tests.integration.console_client import person
from tests.integration.console_mine import MINE, Mine
from tests.integration.console_server import Running, free_port
from tests.integration.house import until
from tests.servers.certificates import Certificates, certificates
from tests.servers.server import ServerUnavailableError

PASSWORD = "twelve props: under/the@roof?"
CLIP = b"a clip of a roadway" * 50_000
"""More than a form may have."""


@pytest.fixture(scope="module")
def made() -> Certificates:
    try:
        return certificates()
    except ServerUnavailableError as error:
        do_without(error)


def store(address: str, password: str = PASSWORD, **more: Any) -> RemoteEvidence:
    """The store as a stage opens it, by the settings of its host."""
    settings = EvidenceSettings(url=address, user="stages", password=SecretStr(password), **more)
    opened = open_evidence(evidence_url(settings, ""))
    assert isinstance(opened, RemoteEvidence)
    return opened


@pytest.fixture
def console(mine: Mine) -> Iterator[Running]:
    with Running(mine, evidence_password=SecretStr(PASSWORD)) as running:
        yield running


def refused(error: EvidenceError, words: str) -> None:
    """One line that names the host, says what is wrong and shows no password; what is in hand is tried again."""
    text = str(error)
    assert words in text
    assert "\n" not in text
    assert PASSWORD not in text
    assert "props" not in text
    assert transient(error)


def test_what_is_put_over_the_network_lies_in_the_folder(mine: Mine, console: Running) -> None:
    remote = store(console.address)
    digest = remote.put(MINE, CLIP, "video/webm")
    assert mine.evidence.get(MINE, digest, "video/webm") == CLIP
    assert remote.put(MINE, CLIP, "video/webm") == digest
    assert remote.get(MINE, digest, "video/webm") == CLIP
    mine.evidence.path(MINE, digest, "video/webm").write_bytes(CLIP[:-1])
    with pytest.raises(EvidenceError, match="was altered") as altered:
        remote.get(MINE, digest, "video/webm")
    assert not transient(altered.value)
    with pytest.raises(EvidenceError, match="is not there at") as missing:
        remote.get(MINE, "0" * 64, "video/webm")
    assert not transient(missing.value)
    kept = mine.evidence.path(MINE, mine.evidence.put(MINE, b"kept", "image/jpeg"), "image/jpeg")
    assert list(remote.stored(MINE)) == []
    with pytest.raises(ConfigurationError, match="on another host"):
        remote.path(MINE, digest, "video/webm")
    assert kept.exists()


def test_live_pictures_go_there_while_somebody_looks(mine: Mine, console: Running) -> None:
    here, there = store(console.address).live(MINE), mine.evidence.live(MINE)
    assert not here.looked()
    there.look()
    until(here.looked)
    picture = LivePicture(utc_now(), b"jpeg")
    here.put("cam-belt", picture)
    until(lambda: there.get("cam-belt") == picture)


def test_who_shows_no_password_comes_in_nowhere(mine: Mine) -> None:
    settings = WebSettings(language="en", evidence_password=SecretStr(PASSWORD))
    app = create_app(mine.engine, MINE, mine.evidence, mine.log, settings)
    asked = 0
    for client in (TestClient(app), person(mine, "administrator", settings)):
        for route in router.routes:
            assert isinstance(route, APIRoute)
            path = route.path.replace(":path", "").format(mine=MINE, rest=f"00/{'0' * 64}.jpg", camera="cam-belt")
            [method] = route.methods
            for given in ("", "Basic bm86bm8=", "Basic \xe9", f"Bearer {PASSWORD}"):
                headers = {b"Authorization": given.encode("latin-1")}
                answer = client.request(method, path, headers=headers, content=b"x" if method == "PUT" else None)
                assert answer.status_code == 401, (method, path)
                asked += 1
    assert asked == 2 * len(router.routes) * 4
    assert not list(mine.evidence.stored(MINE))


def test_nothing_but_evidence_of_this_mine_is_taken(mine: Mine) -> None:
    settings = WebSettings(language="en", evidence_password=SecretStr(PASSWORD))
    client = TestClient(create_app(mine.engine, MINE, mine.evidence, mine.log, settings))
    digest = "ab" * 32
    names = (
        f"{MINE}/ab/{digest}.jpg",
        f"{MINE}/ab/{digest}.html",
        f"{MINE}/../x/ab/{digest}.jpg",
        f"south/ab/{digest}.jpg",
    )
    for name in (*names, f"{MINE}/%2e%2e%2f{digest}.jpg", f"{MINE}/live/..%2fx"):
        answer = client.put(STORE_PATH + name, content=b"not of that digest", auth=("stages", PASSWORD))
        assert answer.status_code in {404, 405}, name
    assert [path for path in mine.folder.rglob("*") if digest in path.name] == []


def test_without_a_password_set_there_is_no_such_address(mine: Mine) -> None:
    with Running(mine) as console, pytest.raises(EvidenceError) as error:
        store(console.address).put(MINE, b"x", "image/jpeg")
    refused(error.value, "set console.evidence_password there")
    with pytest.raises(ValidationError, match="20 signs or more"):
        WebSettings(evidence_password=SecretStr("lamp"))


def test_a_wrong_password_another_mine_and_nobody_there_are_told_apart(mine: Mine, console: Running) -> None:
    with pytest.raises(EvidenceError) as error:
        store(console.address, "another password of them").check()
    refused(error.value, "refuses who we are: set evidence.password")
    with pytest.raises(EvidenceError) as error:
        store(console.address).put("south", b"x", "image/jpeg")
    refused(error.value, "the same mine on both")
    assert store(console.address).check() == f"{console.address} takes evidence"
    with pytest.raises(EvidenceError) as error:
        store(f"http://127.0.0.1:{free_port()}").check()
    refused(error.value, "does not answer (ConnectError): see that the console on that host runs")


def test_a_full_disk_there_is_waited_for_here(mine: Mine, console: Running) -> None:
    folder = mine.folder / "evidence"
    folder.rename(mine.folder / "aside") if folder.exists() else None
    folder.write_text("no folder")
    with pytest.raises(EvidenceError) as error:
        store(console.address).put(MINE, b"x", "image/jpeg")
    refused(error.value, "status 507")


@contextmanager
def answering(*answers: tuple[int, bytes]) -> Iterator[str]:
    """A server that gives these answers in turn, the last one for ever."""
    left = list(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.do_GET()

        def do_GET(self) -> None:
            status, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/behind/a/proxy"
        finally:
            server.shutdown()
            serving.join()


def test_what_fails_for_a_moment_is_asked_once_more() -> None:
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    with answering((503, b""), (502, b"<html>"), (201, digest.encode())) as address:
        assert store(address).put(MINE, b"x", "image/jpeg") == digest


@pytest.mark.parametrize("answer", [(200, b"<html>Log in</html>"), (302, b""), (201, b"thank you"), (418, b"tea")])
def test_what_is_no_evidence_store_is_said_to_be_none(answer: tuple[int, bytes]) -> None:
    with answering(answer) as address:
        with pytest.raises(EvidenceError) as error:
            store(address).put(MINE, b"x", "image/jpeg")
        refused(error.value, "answers as no evidence store does")
        with pytest.raises(EvidenceError, match="answers as no evidence store does"):
            store(address).check()


def test_over_tls_the_server_is_checked(mine: Mine, made: Certificates) -> None:
    class Trusting(Running):
        def _trusted(self) -> ssl.SSLContext:
            return ssl.create_default_context(cafile=made.ca)

    tls = {"tls_certificate": made.certificate("server"), "tls_key": made.key("server")}
    more: dict[str, Any] = {"evidence_password": SecretStr(PASSWORD), **tls}
    with Trusting(mine, **more) as console:
        remote = store(console.address, ca=made.ca)
        assert remote.get(MINE, remote.put(MINE, CLIP, "video/webm"), "video/webm") == CLIP
        with pytest.raises(EvidenceError) as error:
            store(console.address, ca=made.stranger).check()
        refused(error.value, "does not answer")
        with pytest.raises(httpx.HTTPError):
            httpx.get(console.address, trust_env=False)


def test_what_cannot_work_is_refused_at_the_start(tmp_path: Path) -> None:
    for more, words in (
        ({"URL": "http://surface:8350", "USER": "stages", "PASSWORD": PASSWORD}, "in the clear"),
        ({"URL": "https://surface:8350"}, "asks who we are"),
        ({"URL": "https://:8350", "USER": "stages", "PASSWORD": PASSWORD}, "no address"),
        ({"URL": "", "USER": "stages", "PASSWORD": PASSWORD}, "behind https://"),
        ({"URL": "https://surface", "USER": "stages", "PASSWORD_FILE": "/nowhere"}, "cannot be read"),
    ):
        with pytest.raises(ConfigurationError, match=words) as error:
            load(None, {f"MINEWATCH_EVIDENCE__{name}": value for name, value in more.items()}, tmp_path)
        assert PASSWORD not in str(error.value)


def test_the_settings_and_the_doctor_show_no_password(mine: Mine, console: Running, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD + "\n")
    given = {"URL": console.address, "USER": "stages", "PASSWORD_FILE": str(secret)}
    settings = load(None, {f"MINEWATCH_EVIDENCE__{name}": value for name, value in given.items()}, tmp_path)
    assert "props" not in repr(settings)
    mine.raise_risk("no-vest")
    said = doctor_stages.evidence(settings, mine.engine, MINE)
    assert said == f"{console.address} takes evidence; 1 pieces of the latest risks are there unaltered."
