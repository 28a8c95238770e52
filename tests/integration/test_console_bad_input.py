"""What must not harm the console: too much, too often, from another time, over TLS and without it."""

import contextlib
import select
import socket
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlmodel import col
from sqlmodel import select as choose

from disposal.alert import Alert
from disposal.audit import AuditLine
from stream.database import reading
from tests.integration.console_client import TOKEN, person, send, token_of
from tests.integration.console_mine import MINE, PASSWORD, Mine
from tests.integration.console_server import Running

MOST_TAKEN = 64 * 1024**2
"""Bytes that may leave a hostile sender before its line is closed; what the system buffers is among them."""


@pytest.fixture(scope="module")
def mine(shared_mine: Mine) -> Mine:
    return shared_mine


@pytest.fixture(scope="module")
def client(mine: Mine) -> TestClient:
    return person(mine, "dispatcher")


def lines_about(mine: Mine, alert_id: str) -> list[tuple[str, str]]:
    with reading(mine.engine) as session:
        found = session.exec(choose(AuditLine).where(col(AuditLine.subject) == f"alert/{alert_id}"))
        return [(line.actor, line.action) for line in found]


def test_an_upload_of_two_gigabytes_is_refused_before_it_has_come(client: TestClient) -> None:
    head = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(2**31)}
    answer = client.post("/hazards", content=b"--b\r\n", headers=head)
    assert answer.status_code == 413
    assert "Too much was sent" in answer.text


def test_a_note_of_a_megabyte_is_refused_and_nothing_is_decided(mine: Mine, client: TestClient) -> None:
    alert_id = mine.raise_risk("belt-hole")
    mine.draft(alert_id)
    before = lines_about(mine, alert_id)
    answer = send(client, f"/alerts/{alert_id}/reject", {"reason": "x" * 10**6, "document_version": "1"})
    assert answer.status_code == 413
    assert "Too much was sent" in answer.text
    answer = send(client, f"/alerts/{alert_id}/reject", {"reason": "x" * 5000, "document_version": "1"})
    assert answer.status_code == 422
    assert "4000" in answer.text
    assert lines_about(mine, alert_id) == before
    assert not mine.alert(alert_id).closed


def test_what_is_too_long_to_keep_is_refused_whole_and_comes_back_as_it_was_written(
    mine: Mine, client: TestClient
) -> None:
    officer = person(mine, "officer")
    end = "and last of all, the cable."
    hazard = {"type": "hand-raised", "place": "belt-3"}
    for visitor, address, field, length, others in (
        (client, "/hazards", "text", 4000, hazard), (client, "/handover", "note", 4000, {}),
        (officer, "/emergency", "steps_en", 8000, {"cause": "", "calls": "Control room 8000"}),
    ):  # fmt: skip
        answer = send(visitor, address, {field: "x" * length + end} | others)
        assert answer.status_code == 422, address
        assert f"{length} characters at most" in answer.text
        assert end in answer.text, "nothing of it is lost"
    with reading(mine.engine) as session:
        assert (
            session.exec(choose(AuditLine).where(col(AuditLine.action).in_(["hand-over", "put-emergency-plan"]))).all()
            == []
        )


def test_a_page_number_of_minus_one_is_a_page_or_a_clear_answer(client: TestClient) -> None:
    assert client.get("/?page=-1&tab=closed").status_code == 200
    for asked in ("limit=-1", "limit=0", "cursor=-1"):
        answer = client.get(f"/api/v1/alerts?{asked}")
        assert answer.status_code == 422
        assert answer.json()["sentence"]


def test_a_second_click_decides_nothing_twice(mine: Mine, client: TestClient) -> None:
    alert_id = mine.raise_risk("belt-hole")
    mine.draft(alert_id)
    fields = {"form_token": token_of(client), "document_version": "1"}
    answers = [
        client.post(f"/alerts/{alert_id}/approve", data=fields, follow_redirects=False).status_code for _ in range(2)
    ]
    assert answers == [303, 409]
    assert lines_about(mine, alert_id).count(("dispatcher", "approve")) == 1


def test_the_card_and_the_search_show_nothing_of_another_mine(mine: Mine, client: TestClient) -> None:
    alert_id = mine.raise_risk("no-vest")
    with reading(mine.engine) as session:
        row = session.get_one(Alert, alert_id)
        row.mine = "south"
        session.add(row)
        session.commit()
    assert alert_id not in client.get(f"/card?selected={alert_id}").text.partition("<main")[2]
    assert f"r-{alert_id}" not in client.get(f"/?words={alert_id[:8]}").text
    for strange in ("%00", "'; drop table alert", "%25%27", "𝕬" * 40, "a b c d e f g h"):
        assert client.get("/", params={"words": strange}).status_code == 200
        assert client.get("/card", params={"selected": strange}).status_code == 200


def test_a_search_finds_by_the_name_of_what_where_and_by_what_in_both_languages(mine: Mine, client: TestClient) -> None:
    shaft = mine.raise_risk("no-helmet", "cam-shaft", "shaft")
    belt = mine.raise_risk("belt-wear")
    for words, found, other in (
        ("shaft collar", shaft, belt), ("副井", shaft, belt), ("BELT wear", belt, shaft), (belt[:10], belt, shaft),
        ("Belt head", belt, shaft),
    ):  # fmt: skip
        page = client.get("/", params={"words": words}).text
        assert f'id="r-{found}"' in page, words
        assert f'id="r-{other}"' not in page, words
    assert "No alert is open" in client.get("/", params={"words": "nothing of that name"}).text


def test_with_certificate_and_key_the_console_speaks_tls_alone(mine: Mine, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    with (
        Running(mine, tls_certificate=certificate, tls_key=key) as console,
        httpx.Client(
            base_url=console.address, verify=ssl.create_default_context(cafile=certificate), trust_env=False
        ) as client,
    ):
        assert console.address.startswith("https://")
        answer = client.get("/login")
        assert "max-age" in answer.headers["strict-transport-security"]
        assert "Secure" in answer.headers["set-cookie"]
        assert "__Host-" in answer.headers["set-cookie"]
        found = TOKEN.search(answer.text)
        assert found is not None
        fields = {"form_token": found[1], "name": "dispatcher", "password": PASSWORD}
        assert client.post("/login", data=fields).status_code == 303
        with client.stream("GET", "/events?after=0") as stream:
            assert next(stream.iter_text()).startswith("retry:")
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{console.settings.port}/login", trust_env=False)
    assert MINE


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "in chunks"])
def test_two_gigabytes_over_a_real_socket_are_refused_early_and_not_taken_in(mine: Mine, announced: bool) -> None:
    opening = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'
    zeros = b"\x00" * 65536
    block = zeros if announced else b"10000\r\n" + zeros + b"\r\n"
    body = f"Content-Length: {2**31}" if announced else "Transfer-Encoding: chunked"
    with Running(mine) as console, httpx.Client(base_url=console.address, trust_env=False) as visitor:
        found = TOKEN.search(visitor.get("/login").text)
        assert found is not None
        visitor.post("/login", data={"form_token": found[1], "name": "dispatcher", "password": PASSWORD})
        cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
        agent = visitor.headers["user-agent"]
        head = (
            f"POST /hazards HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: {agent}\r\nCookie: {cookies}\r\n"
            f"Content-Type: multipart/form-data; boundary=b\r\n{body}\r\n\r\n"
        )
        sent, said = 0, b""
        with socket.create_connection(("127.0.0.1", console.settings.port), timeout=60) as line:
            line.sendall(head.encode() + (opening if announced else b"%x\r\n%b\r\n" % (len(opening), opening)))
            with contextlib.suppress(ConnectionError):
                while sent < MOST_TAKEN and not said:
                    line.sendall(block)
                    sent += len(block)
                    if select.select([line], [], [], 0)[0]:
                        said = line.recv(65536)
                # Whoever goes on sending all the same finds the line closed, and not an ear for the rest.
                while sent < MOST_TAKEN:
                    line.sendall(block)
                    sent += len(block)
        assert b" 413 " in said.partition(b"\r\n")[0]
        assert sent < MOST_TAKEN, "the server went on taking in what it had refused"
        assert visitor.get("/healthz").status_code == 200
