"""The stream of changes, on the real server: what is told, how soon, and what is told again."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from sqlalchemy import Engine

from console import events, live
from console.app import serve
from console.live_queue import LiveQueue
from console.names import SiteNames
from console.painter import Painter
from console.sessions import Visitor, still_open
from console.web_settings import WebSettings, check_port
from disposal.audit import append
from stream.database import writing
from stream.errors import ConfigurationError
from stream.heartbeat import StageHeartbeat, stages_since
from stream.messages import utc_now
from tests.integration.console_client import TOKEN
from tests.integration.console_mine import MINE, PASSWORD, Mine, open_mine
from tests.integration.console_server import Running, free_port


class Event(NamedTuple):
    """One server-sent event."""

    kind: str
    id: int
    data: dict[str, Any]


@pytest.fixture(scope="module")
def mine(shared_mine: Mine) -> Mine:
    return shared_mine


@pytest.fixture(scope="module")
def running(mine: Mine) -> Iterator[Running]:
    with Running(mine) as console:
        yield console


def newest(mine: Mine) -> int:
    names = SiteNames(mine.engine, MINE)
    return events.Announcer(mine.engine, MINE, LiveQueue(mine.engine, MINE, names, Painter(UTC))).newest()


@contextmanager
def browser(running: Running, name: str = "dispatcher") -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.address, timeout=10.0, trust_env=False) as client:
        found = TOKEN.search(client.get("/login").text)
        assert found is not None
        answer = client.post("/login", data={"form_token": found[1], "name": name, "password": PASSWORD})
        assert answer.status_code == 303
        yield client


@contextmanager
def listening(client: httpx.Client, after: int = 0, last: int | None = None) -> Iterator[Iterator[Event]]:
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    with client.stream("GET", f"/events?after={after}", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield parsed(answer.iter_lines())


def parsed(lines: Iterator[str]) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "event" in fields:
            yield Event(fields["event"], int(fields["id"]), json.loads(fields["data"]))
            fields = {}


def changes(stream: Iterator[Event], count: int) -> list[Event]:
    found: list[Event] = []
    while len(found) < count:
        event = next(stream)
        if event.kind == "change":
            found.append(event)
    return found


def test_an_alert_is_told_under_its_audit_sequence(mine: Mine, running: Running) -> None:
    with browser(running) as client, listening(client, newest(mine)) as stream:
        assert next(stream).kind == "pulse"
        alert_id = mine.raise_risk("smoke")
        [told] = changes(stream, 1)
        assert told.data["subject"] == f"alert/{alert_id}"
        assert told.data["action"] == "raised"
        mine.raise_risk("fire")
        assert changes(stream, 1)[0].id == told.id + 1


def test_a_browser_is_told_what_it_missed_while_the_server_was_gone(mine: Mine) -> None:
    port = free_port()
    with Running(mine, port) as running, browser(running) as client, listening(client, newest(mine)) as stream:
        mine.raise_risk("smoke")
        last = changes(stream, 1)[0].id
        cookies = dict(client.cookies)
    missed = [mine.raise_risk("fire"), mine.raise_risk("belt-hole")]
    with (
        Running(mine, port) as running,
        httpx.Client(base_url=running.address, cookies=cookies, trust_env=False) as client,
        listening(client, after=0, last=last) as stream,
    ):
        told = changes(stream, 2)
        assert [event.data["subject"] for event in told] == [f"alert/{alert_id}" for alert_id in missed]
        assert [event.id for event in told] == [last + 1, last + 2]
        later = mine.raise_risk("no-vest")
        assert changes(stream, 1)[0].data["subject"] == f"alert/{later}"


def test_there_is_a_sign_of_life_every_two_seconds(mine: Mine, running: Running) -> None:
    with browser(running) as client, listening(client, newest(mine)) as stream:
        next(stream)
        for _ in range(2):
            began = time.monotonic()
            pulse = next(event for event in stream if event.kind == "pulse")
            assert time.monotonic() - began < 5.0, "after that the page says that it hears nothing"
            assert "now" in pulse.data


def test_there_is_no_sign_of_life_while_the_database_does_not_answer(
    mine: Mine, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PULSE", 0.2)
    with browser(running) as client, listening(client, newest(mine)) as stream:
        assert next(stream).kind == "pulse"
        with writing(mine.engine) as session:
            session.connection().exec_driver_sql("ALTER TABLE audit_line RENAME TO audit_line_away")
        heard, quiet_since = 0, time.monotonic()
        told = threading.Event()

        def listen() -> None:
            nonlocal heard
            for _ in stream:
                heard += 1
                if told.is_set():
                    return

        listener = threading.Thread(target=listen)
        listener.start()
        deadline = quiet_since + 10
        before = -1
        while time.monotonic() < deadline and before != heard:
            before = heard
            time.sleep(1.0)
        assert before == heard
        told.set()
        with writing(mine.engine) as session:
            session.connection().exec_driver_sql("ALTER TABLE audit_line_away RENAME TO audit_line")
        listener.join(10)
        assert not listener.is_alive()
        assert heard > before


def test_a_browser_that_was_away_for_long_is_told_to_load_anew(
    mine: Mine, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_REPLAY", 3)
    before = newest(mine)
    for _ in range(5):
        mine.raise_risk("no-vest")
    with browser(running) as client, listening(client, after=before) as stream:
        next(stream)
        told = next(stream)
        last = before + 6  # the sign-in has its line as well
        assert (told.kind, told.id) == ("reload", last)
        mine.raise_risk("no-vest")
        assert changes(stream, 1)[0].id == last + 1


def test_a_strange_last_event_id_starts_from_where_the_page_was(mine: Mine, running: Running) -> None:
    before = newest(mine)
    mine.raise_risk("smoke")
    with browser(running) as client:
        for last in ("", "x", "-1", "9" * 40, "1 OR 1=1"):
            address, headers = f"/events?after={before}", {"Last-Event-ID": last}
            with client.stream("GET", address, headers=headers) as answer:
                assert changes(parsed(answer.iter_lines()), 1)[0].id == before + 1


def test_a_stage_that_went_silent_is_named(mine: Mine, running: Running) -> None:
    now = utc_now()
    with writing(mine.engine) as session:
        for stage, beat, ended in (("vision", 60, False), ("limits", 0, False), ("disposal", 60, True)):
            at = now - timedelta(seconds=beat)
            session.add(
                StageHeartbeat(stage=stage, instance="i", mine=MINE, started_at=at, beat_at=at, ready=True, ended=ended)
            )
    assert events.silent_stages(mine.engine, MINE) == ["vision"]
    with browser(running) as client, listening(client, newest(mine)) as stream:
        named: list[str] = []
        while not named:
            named = next(event for event in stream if event.kind == "pulse").data["silent"]
        assert named == ["vision"]


def test_a_stream_ends_with_its_session(mine: Mine, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_RECHECK", 0.1)
    monkeypatch.setattr(events, "PULSE", 0.1)
    with browser(running) as client, listening(client, newest(mine)) as stream:
        next(stream)
        found = TOKEN.search(client.get("/password").text)
        assert found is not None
        client.post("/logout", data={"form_token": found[1]})
        assert sum(1 for _ in stream) < 50


def test_browsers_that_came_together_are_not_all_looked_at_at_once(
    mine: Mine, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()
    spread: list[tuple[float, float]] = []

    def longest(least: float, most: float) -> float:
        spread.append((least, most))
        return most  # as if it had been looked at a whole round ago

    def look(engine: Engine, visitor: Visitor) -> bool:
        looked.set()
        return still_open(engine, visitor)

    monkeypatch.setattr(events, "_RECHECK", 3600.0)
    monkeypatch.setattr(events, "PULSE", 0.1)
    monkeypatch.setattr(events.random, "uniform", longest)
    monkeypatch.setattr(live, "still_open", look)
    with browser(running) as client, listening(client, newest(mine)) as stream:
        while not looked.is_set():
            next(stream)
    assert spread == [(0, events._RECHECK)]


def test_the_server_stops_at_once_with_browsers_listening_and_says_that_it_ended(tmp_path: Path) -> None:
    mine = open_mine(tmp_path)
    began = utc_now()
    with Running(mine) as running, browser(running) as client, listening(client) as stream:
        next(stream)
        [beat] = stages_since(mine.engine, MINE, began - timedelta(seconds=5))
        assert (beat.stage, beat.ready, beat.ended) == ("console", True, False)
        stopping = time.monotonic()
        running.stop()
        assert time.monotonic() - stopping < 3.0
        assert list(stream) is not None
    [beat] = stages_since(mine.engine, MINE, began - timedelta(seconds=5))
    assert beat.ended
    mine.close()


def test_a_change_in_another_mine_is_not_told(mine: Mine, running: Running) -> None:
    with browser(running) as client, listening(client, newest(mine)) as stream:
        next(stream)
        with writing(mine.engine) as session:
            append(session, "south", "somebody", "raised", "alert/secret", None, None)
        alert_id = mine.raise_risk("smoke")
        assert changes(stream, 1)[0].data["subject"] == f"alert/{alert_id}"


def test_a_taken_port_is_said_in_one_line_before_anything_starts(mine: Mine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = WebSettings(port=taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match=r"cannot listen on 127\.0\.0\.1:\d+: .* End what uses that port"):
            check_port(settings)
        began = utc_now() - timedelta(seconds=1)
        with pytest.raises(ConfigurationError):
            serve(
                threading.Event(),
                engine=mine.engine,
                mine=MINE,
                evidence=mine.evidence,
                log=mine.log,
                settings=settings,
            )
        assert stages_since(mine.engine, MINE, began) == []


def test_an_address_of_another_machine_and_bad_tls_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"192\.0\.2\.1"):
        check_port(WebSettings(host="192.0.2.1", port=free_port()))
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    with pytest.raises(ConfigurationError, match="TLS certificate"):
        check_port(WebSettings(port=free_port(), tls_certificate=bad, tls_key=bad))
    with pytest.raises(ConfigurationError, match="TLS certificate"):
        check_port(WebSettings(port=free_port(), tls_certificate=tmp_path / "none", tls_key=bad))
