import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import Engine
from sqlmodel import select

from disposal.alert import Alert
from disposal.audit import AuditLine
from disposal.document import Document
from disposal.notify import Outbox, Postman, post
from disposal.settings import DisposalSettings, NotifySettings
from disposal.sweep import sweep
from disposal.webhook import SIGNATURE, sign
from stream.database import open_database, reading, writing
from stream.messages import utc_now
from tests.unit.disposal_world import MINE, furnish


class Receiver:
    """A webhook's receiver that answers with the status set here, and keeps what it got."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers), body))
                self.send_response(receiver.status)
                self.send_header("Location", receiver.url + "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    thread = threading.Thread(target=found.server.serve_forever, daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join(10)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    return engine


def alert(engine: Engine, document: str = "APPROVED", **fields: Any) -> None:
    now = utc_now()
    row = Alert(
        id="a1", mine=MINE, fingerprint="f", type="no-helmet", grade="general", priority="medium", place="roadway",
        source="cam-1", source_kind="camera", raised_at=now, committed_at=now, updated_at=now, document_version=1,
    )  # fmt: skip
    for name, value in fields.items():
        setattr(row, name, value)
    with writing(engine) as session:
        session.add(row)
        session.flush()
        deadline = now + timedelta(hours=1)
        session.add(
            Document(id="a1-1", alert_id="a1", mine=MINE, version=1, state=document, created_at=now, deadline=deadline)
        )
        post(session, MINE, "document", "document/a1-1", '{"say":"甲"}', key="document/a1-1")
        session.flush()
        post(session, MINE, "document", "document/a1-1", "again", key="document/a1-1")


def outbox(engine: Engine) -> Outbox:
    with reading(engine) as session:
        return session.exec(select(Outbox)).one()


def due_now(engine: Engine) -> None:
    with writing(engine) as session:
        session.exec(select(Outbox)).one().due_at = utc_now()


def postman(engine: Engine, url: str = "", **settings: Any) -> Postman:
    return Postman(engine, MINE, NotifySettings(url=url, **settings), "tester", lambda _: None)


def state(engine: Engine) -> str:
    with reading(engine) as session:
        return session.get_one(Document, "a1-1").state


def test_a_document_goes_out_signed_and_is_issued_then(engine: Engine, receiver: Receiver) -> None:
    alert(engine)
    carrier = postman(engine, receiver.url, secret="swordfish")
    assert carrier.deliver_next()
    assert not carrier.deliver_next()
    ((headers, body),) = receiver.got
    assert headers[SIGNATURE] == sign("swordfish", body)
    assert sign("swordfish", body) != sign("other", body)
    said = json.loads(body)
    assert (said["id"], said["mine"], json.loads(said["body"])) == ("document/a1-1", MINE, {"say": "甲"})
    assert (state(engine), outbox(engine).outcome) == ("ISSUED", "delivered")
    with reading(engine) as session:
        assert [line.action for line in session.exec(select(AuditLine)).all()] == ["call-out", "issued"]


def test_without_a_webhook_a_message_goes_to_the_log_and_is_done(engine: Engine) -> None:
    alert(engine)
    assert postman(engine).deliver_next()
    assert (outbox(engine).outcome, state(engine)) == ("logged", "ISSUED")


@pytest.mark.parametrize("status", [500, 404, 307])
def test_a_refused_delivery_is_tried_again_later_and_given_up_at_last(
    engine: Engine, receiver: Receiver, status: int
) -> None:
    alert(engine)
    receiver.status = status
    carrier = postman(engine, receiver.url, attempts=3)
    assert carrier.deliver_next()
    first = outbox(engine)
    assert (first.done_at, first.attempts, first.outcome) == (None, 1, f"status {status}")
    assert first.due_at > utc_now() + timedelta(seconds=1)
    assert not carrier.deliver_next(), "not before its time"
    for _ in range(2):
        due_now(engine)
        assert carrier.deliver_next()
    assert outbox(engine).outcome == f"given up: status {status}"
    assert len(receiver.got) == 3, "a redirect is not followed"
    assert state(engine) == "APPROVED"


def test_nobody_there_is_tried_again(engine: Engine) -> None:
    alert(engine)
    assert postman(engine, "http://127.0.0.1:9/hook").deliver_next()
    assert (outbox(engine).attempts, outbox(engine).done_at) == (1, None)


def test_what_somebody_works_on_already_keeps_its_state(engine: Engine) -> None:
    alert(engine, "RECTIFYING")
    assert postman(engine).deliver_next()
    assert state(engine) == "RECTIFYING"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "http://", "javascript:alert(1)"])
def test_a_webhook_that_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="http"):
        NotifySettings(url=url)


def test_the_secret_is_never_shown() -> None:
    assert "swordfish" not in repr(NotifySettings(secret="swordfish"))  # type: ignore[arg-type]


def test_what_nobody_acknowledges_is_passed_on_a_few_times(engine: Engine) -> None:
    alert(engine, "PENDING_APPROVAL", escalate_at=utc_now())
    settings = DisposalSettings()
    now = utc_now()
    assert sweep(engine, MINE, settings, now) == 1
    assert sweep(engine, MINE, settings, now) == 0, "not before its time"
    for hour in range(1, 6):
        sweep(engine, MINE, settings, now + timedelta(hours=hour * 0.2))
    with reading(engine) as session:
        assert session.get_one(Alert, "a1").escalated == settings.escalation.times
        kinds = [row.kind for row in session.exec(select(Outbox)).all()]
        assert [line.action for line in session.exec(select(AuditLine)).all()] == ["escalated"] * 3
    called = [kind for kind in kinds if kind in ("escalation", "siren")]
    assert called == ["escalation", "siren", "siren"], "with nobody on the roster the siren follows the page"


def test_what_is_acknowledged_is_not_passed_on(engine: Engine) -> None:
    alert(engine, escalate_at=utc_now(), acked=True)
    assert sweep(engine, MINE, DisposalSettings(), utc_now()) == 0


def test_a_document_past_its_deadline_is_overdue_once(engine: Engine) -> None:
    alert(engine, "RECTIFYING")
    assert sweep(engine, MINE, DisposalSettings(), utc_now()) == 0
    assert sweep(engine, MINE, DisposalSettings(), utc_now() + timedelta(hours=2)) == 1
    assert sweep(engine, MINE, DisposalSettings(), utc_now() + timedelta(hours=3)) == 0
    assert state(engine) == "OVERDUE"


def test_shelving_ends_by_itself(engine: Engine) -> None:
    alert(engine, shelved_until=utc_now() + timedelta(minutes=5), shelved_by="ann", escalate_at=utc_now())
    assert sweep(engine, MINE, DisposalSettings(), utc_now()) == 0, "what is shelved is not passed on"
    assert sweep(engine, MINE, DisposalSettings(), utc_now() + timedelta(minutes=6)) == 2
    with reading(engine) as session:
        assert session.get_one(Alert, "a1").shelved_until is None
