"""The audit at the console: searched by whom, what, which and when, verified, exported; for those who check it."""

import json

from sqlalchemy import text
from sqlmodel import col, select

from disposal.audit import AuditLine, append, digest
from disposal.decision import decide
from stream.database import reading, writing
from tests.integration.console_client import person
from tests.integration.console_mine import MINE, Mine


def test_an_auditor_searches_verifies_and_exports_the_audit(mine: Mine) -> None:
    alert_id, other = mine.raise_risk("belt-hole"), mine.raise_risk("no-vest")
    mine.draft(alert_id)
    decide(mine.engine, MINE, alert_id, "reject", "dispatcher", reason="=glare <b>of</b> the lamp", document_version=1)
    with writing(mine.engine) as session:
        append(session, "south", "somebody", "reject", "alert/secret", None, None)
        for number in range(110):
            append(session, MINE, "officer", "add-duty", f"duty/{number}", None, {"person": "Wang Fang"})
    auditor = person(mine, "auditor")

    page = auditor.get("/audit").text
    assert page.count("<tr><td>") == 100
    assert page.count("<td>duty entered</td>") == 99, "and the line above them tells who signed in"
    older = page.partition('href="/audit?before=')[2].partition('"')[0]
    assert f"alert/{alert_id}" in auditor.get(f"/audit?before={older}").text
    for asked in ("who=dispatcher&what=reject", "what=FALSE+alarm", f"subject={alert_id}&what=reject"):
        found = auditor.get(f"/audit?{asked}").text
        assert "=glare &lt;b&gt;of&lt;/b&gt; the lamp" in found, asked
        assert f"alert/{other}" not in found
        assert "secret" not in found
    assert "No line fits." in auditor.get("/audit?since=2030-01-01").text
    assert "No line fits." in auditor.get("/audit?until=2020-12-31").text
    assert "No line fits." in auditor.get("/audit?who=%25").text
    for strange in (
        "since=9999-99-99&until=0001-01-01",
        "before=-1",
        "before=" + "9" * 40,
        "what=%00%27--",
        "until=9999-12-31",
    ):
        assert auditor.get(f"/audit?{strange}").status_code == 200, strange
    auditor.cookies.set("minewatch-language", "zh")
    assert "glare" in auditor.get("/audit?what=误报").text

    exported = [json.loads(line) for line in auditor.get("/audit.jsonl?who=dispatcher").text.splitlines()]
    assert "reject" in [line["action"] for line in exported]
    assert all(digest(AuditLine.model_validate(line)) == line["hash"] for line in exported), "as it stands in the chain"

    assert 'class="notice" role="status" id="checked"' in auditor.get("/audit?verify=yes").text
    with reading(mine.engine) as session:
        changed = session.exec(select(AuditLine).where(col(AuditLine.action) == "reject", AuditLine.mine == MINE)).one()
    with mine.engine.begin() as connection:
        statement = text("UPDATE audit_line SET actor = 'nobody' WHERE sequence = :n AND mine = :m")
        connection.execute(statement, {"n": changed.sequence, "m": MINE})
    assert f"第{changed.sequence}条记录有问题" in auditor.get("/audit?verify=yes").text

    dispatcher = person(mine, "dispatcher")
    assert [dispatcher.get(page).status_code for page in ("/audit", "/audit.jsonl")] == [403, 403]
    assert 'href="/audit"' in person(mine, "officer").get("/").text
    assert 'href="/audit"' not in dispatcher.get("/").text
