"""The handover of a shift: what it lists, two signatures by two people, and its report as a PDF."""

import io
import json
import re
from datetime import timedelta

from fastapi.testclient import TestClient
from pypdf import PdfReader
from sqlmodel import col, select

from disposal.audit import AuditLine, verify
from disposal.decision import decide
from disposal.document import Document, document_identity
from disposal.handover import handovers
from stream.database import reading, writing
from stream.messages import utc_now
from tests.integration.console_client import person, send
from tests.integration.console_mine import MINE, Mine


def part(page: str, name: str) -> str:
    return page.partition(f'id="{name}"')[2].partition("</section>")[0]


def text_of(data: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages).split())


def test_a_shift_is_listed_and_signed_by_who_goes_and_who_comes(mine: Mine, client: TestClient) -> None:
    waiting = mine.raise_risk("person-on-belt")
    shelved = mine.raise_risk("no-vest", "cam-shaft", "shaft")
    later = utc_now() + timedelta(minutes=30)
    decide(mine.engine, MINE, shelved, "shelve", "dispatcher", reason="visitors <walk>", until=later)
    due = mine.raise_risk("belt-hole")
    mine.draft(due)
    decide(mine.engine, MINE, due, "approve", "dispatcher", document_version=1)
    with writing(mine.engine) as session:
        row = session.get_one(Document, document_identity(due, 1))
        row.deadline = utc_now() + timedelta(minutes=5)
        session.add(row)
    false = mine.raise_risk("belt-wear")
    mine.draft(false)
    decide(mine.engine, MINE, false, "reject", "dispatcher", reason="glare of the lamp", document_version=1)

    page = client.get("/handover").text
    assert waiting in part(page, "open")
    assert shelved not in part(page, "open")
    assert "Not acknowledged" in part(page, "open")
    assert "visitors &lt;walk&gt;" in part(page, "shelved")
    assert due in part(page, "due")
    assert "glare of the lamp" in part(page, "learned")

    assert send(client, "/handover", {"note": "Pump 3 leaks."}).status_code == 303
    with reading(mine.engine) as session:
        [one] = handovers(session, MINE)
    own = send(client, f"/handover/{one.id}/take")
    assert (own.status_code, "cannot take it over" in own.text) == (409, True)
    officer = person(mine, "officer")
    assert "Pump 3 leaks." in part(officer.get("/handover").text, "waiting")
    assert send(person(mine, "auditor"), f"/handover/{one.id}/take").status_code == 403
    assert send(officer, f"/handover/{one.id}/take").status_code == 303
    assert send(person(mine, "administrator"), f"/handover/{one.id}/take").status_code == 409
    assert send(officer, f"/handover/{'0' * 32}/take").status_code == 404
    with reading(mine.engine) as session:
        [one] = handovers(session, MINE)
        lines = session.exec(
            select(AuditLine).where(AuditLine.subject == f"handover/{one.id}").order_by(col(AuditLine.sequence))
        ).all()
    assert (one.given_by, one.taken_by, one.note) == ("dispatcher", "officer", "Pump 3 leaks.")
    assert [(line.actor, line.action) for line in lines] == [("dispatcher", "hand-over"), ("officer", "take-over")]
    assert json.loads(lines[0].after)["standing"]["opened"] == one.standing.opened == 2
    assert verify(mine.engine, MINE).whole

    said = text_of(client.get(f"/shift-report.pdf?id={one.id}").content)
    for expected in (
        "Shift report", "dispatcher,", "officer,", "Pump 3 leaks.", "Person on or crossing a belt", "glare of the lamp",
        "Alarms per operator per 10 minutes", "1 of 1 decided", "Belt head camera",
    ):  # fmt: skip
        assert expected in said, expected
    client.cookies.set("minewatch-language", "zh")
    chinese = text_of(client.get("/shift-report.pdf").content)
    assert "班次报告" in chinese
    for page in (said, chinese):
        assert not re.search(r"APPROVED|ISSUED|UNACK|ACTIVE", page), "a code is no word"
    assert client.get(f"/shift-report.pdf?id={'0' * 32}").status_code == 404
    assert "shift-report.pdf" in client.get("/figures").text
