"""Writing on a document: what changed is shown, no second writer is lost, and an alarm calls away and back."""

import html
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect, sync_playwright
from sqlmodel import col, select

from disposal.alert import Alert
from disposal.audit import AuditLine, verify
from disposal.document import Document, DocumentState, document_identity
from disposal.intake import priority_at
from disposal.notify import Outbox
from disposal.roster import DutyWanted, add_duty
from stream.catalogue import RISK_TYPES
from stream.database import reading
from stream.site import store_site
from tests.integration import console_mine
from tests.integration.console_client import person, send
from tests.integration.console_mine import MINE, PASSWORD, SITE, Mine
from tests.integration.console_server import Running
from tests.servers.chromium import OPTIONS

BELT, HELMETS = "belt-code:12@1", "belt-code:13@1"
FIELD = re.compile(r'<textarea name="(\w+)"[^>]*>(.*?)</textarea>', re.DOTALL)


def document(mine: Mine, alert_id: str, version: int = 0) -> Document:
    with reading(mine.engine) as session:
        version = version or session.get_one(Alert, alert_id).document_version
        return session.get_one(Document, document_identity(alert_id, version))


def typed(page: str, **changed: str) -> dict[str, str]:
    """The form as a browser would send it, with some fields written anew."""
    fields = {name: html.unescape(text) for name, text in FIELD.findall(page)}
    deadline = re.search(r'name="deadline" value="([^"]+)"', page)
    assert deadline is not None
    return {**fields, "deadline": deadline[1], "document_version": "1", **changed}


def waiting(mine: Mine, kind: str = "belt-hole") -> str:
    alert_id = mine.raise_risk(kind)
    mine.draft(alert_id)
    return alert_id


def test_an_edit_shows_what_it_changes_and_becomes_the_next_version(mine: Mine, client: Any) -> None:
    alert_id = waiting(mine)
    address = f"/alerts/{alert_id}/edit"
    fields = typed(
        client.get(address).text, measures_en="Call Wang Fang.\nPatch the hole.", measures_zh="呼叫王芳。\n修补。"
    )
    before = document(mine, alert_id)
    preview = send(client, address, fields | {"preview": "yes"}).text
    assert re.search(r"<ins>[^<]*Wang", preview.partition('id="changes"')[2])
    assert document(mine, alert_id).version == 1, "looking saves nothing"
    assert send(client, address, fields).headers["location"] == f"/alerts/{alert_id}#document"
    after = document(mine, alert_id)
    assert (after.version, after.state, after.backend) == (2, "PENDING_APPROVAL", "person:dispatcher")
    content = after.read_content()
    assert content is not None
    assert [m.en for m in content.measures] == ["Call Wang Fang.", "Patch the hole."]
    assert [m.zh for m in content.measures] == ["呼叫王芳。", "修补。"]
    assert content.citations == before.read_content().citations  # type: ignore[union-attr]
    assert len(after.read_checks()) == len(before.read_checks())
    assert document(mine, alert_id, 1).content == before.content, "the version before stays as it was"
    assert document(mine, alert_id, 1).state == DocumentState.RETURNED
    page = client.get(f"/alerts/{alert_id}").text
    assert "dispatcher changed this version" in page
    assert "<ins>" in page.partition('id="changes"')[2].partition("</details>")[0]
    assert "<del>" in page.partition('id="changes"')[2].partition("</details>")[0]
    approved = send(client, f"/alerts/{alert_id}/approve", {"document_version": "2"})
    assert approved.headers["location"] == "/?done=approve"
    figures = client.get("/figures?span=month").text.partition("Corrected documents by source and type")[2]
    assert "1 of 1 decided" in figures
    assert verify(mine.engine, MINE).whole


def test_what_cannot_be_saved_is_said_and_what_was_typed_stays(mine: Mine, client: Any) -> None:
    alert_id = waiting(mine)
    address = f"/alerts/{alert_id}/edit"
    page = client.get(address).text
    same = send(client, address, typed(page))
    assert (same.status_code, "something has to differ" in same.text) == (422, True)
    for wrong in ({"measures_en": "", "measures_zh": ""}, {"contingency_en": "x" * 501}, {"deadline": "soon"}):
        answer = send(client, address, typed(page, acceptance_en="kept as typed") | wrong)
        assert answer.status_code == 422, wrong
        assert "Not saved" in answer.text
        assert "kept as typed" in answer.text
    for wrong in ({"citing": "yes"}, {"citing": "yes", "cited": "cn-coal:999@1"}):
        assert "one to five clauses in force" in send(client, address, typed(page, contingency_en="Stop.") | wrong).text
    assert page.count('name="cited"') >= len(document(mine, alert_id).read_content().citations) > 0  # type: ignore[union-attr]
    assert document(mine, alert_id).version == 1
    assert person(mine, "auditor").get(address).status_code == 403
    assert send(person(mine, "auditor"), address, typed(page)).status_code == 403


def offered(page: str) -> dict[str, bool]:
    """The clauses that can be cited, and whether each is ticked."""
    boxes = re.findall(r'name="cited" value="([^"]+)"( checked)?', page)
    return {version: bool(ticked) for version, ticked in boxes}


@pytest.mark.parametrize(
    ("language", "missed", "by_number", "nothing"),
    [
        ("en", "Find a clause that the search missed", "13", "No clause was found that was in force at the time."),
        ("zh", "查找检索漏掉的条款", "第13条", "没有找到事发时有效的条款。"),
    ],
    ids=["en", "zh"],
)
def test_a_clause_that_the_search_missed_is_looked_up_and_cited_without_a_script(
    mine: Mine, client: Any, language: str, missed: str, by_number: str, nothing: str
) -> None:
    client.cookies.set("minewatch-language", language)
    alert_id = waiting(mine)
    address = f"/alerts/{alert_id}/edit"
    page = client.get(address).text
    assert missed in page
    assert offered(page) == {BELT: True}
    fields = typed(page, measures_en="Half a sentence") | {"citing": "yes", "cited": [BELT]}
    looked = fields | {"clause_query": by_number, "clause_found": "", "find": "yes"}
    found = send(client, address, looked)
    assert (found.status_code, offered(found.text)) == (200, {BELT: True, HELMETS: False})
    assert re.findall(r'name="(\w+)"[^>]* autofocus', found.text) == ["cited"], (
        "the page opens where something was found"
    )
    assert "Half a sentence" in found.text, "what was typed stays"
    # The Enter key in the search box presses the first button there is: that looks up, and saves nothing.
    assert offered(send(client, address, fields | {"clause_query": by_number, "save": "yes"}).text)[HELMETS] is False
    assert nothing in send(client, address, looked | {"clause_query": "qqqq"}).text
    assert document(mine, alert_id).version == 1, "looking saves nothing"
    ticked = fields | {"cited": [BELT, HELMETS], "clause_query": "", "clause_found": by_number}
    kept = send(client, address, ticked | {"clause_found": "", "preview": "yes"}).text
    assert offered(kept) == {BELT: True, HELMETS: True}, "what was ticked stays, also when it is no more looked for"
    assert "13" in kept.partition('id="changes"')[2]
    saved = send(client, address, ticked | {"clause_query": by_number})
    assert saved.headers["location"] == f"/alerts/{alert_id}#document"
    assert mine.cited(alert_id) == [BELT, HELMETS]
    [by_hand] = [m for m in document(mine, alert_id).read_matches() if m.by]
    assert (by_hand.version_id, by_hand.by, by_hand.text.en) == (
        HELMETS, "dispatcher", "Whoever goes underground wears a helmet.",
    )  # fmt: skip
    assert all(check.ok for check in document(mine, alert_id).read_checks() if check.name == "citations")
    with reading(mine.engine) as session:
        [line] = session.exec(select(AuditLine).where(AuditLine.action == "edit")).all()
    assert (line.actor, json.loads(line.after)["cited_by_hand"]) == ("dispatcher", [HELMETS])
    assert verify(mine.engine, MINE).whole


def test_only_what_was_in_force_when_the_hazard_was_there_can_be_cited(mine: Mine, client: Any) -> None:
    """The code was published a moment ago: an hour before it was not in force, whatever a form says."""
    alert_id = mine.raise_risk("belt-hole", age=3600)
    mine.draft(alert_id)
    address = f"/alerts/{alert_id}/edit"
    fields = typed(client.get(address).text, measures_en="Stop.") | {"citing": "yes"}
    assert HELMETS not in offered(send(client, address, fields | {"clause_query": "13", "find": "yes"}).text)
    for strange in (HELMETS, "belt-code:99@1", "<script>@1"):
        refused = send(client, address, fields | {"cited": [strange]})
        assert (refused.status_code, "one to five clauses in force" in refused.text) == (422, True), strange
    assert document(mine, alert_id).version == 1
    assert send(client, address, fields | {"cited": [BELT]}).status_code == 303, "what was found may stay"


def test_a_missed_clause_is_found_by_its_words_too(mine: Mine, client: Any) -> None:
    alert_id = waiting(mine)
    address = f"/alerts/{alert_id}/edit"
    fields = typed(client.get(address).text) | {"citing": "yes", "cited": [BELT], "find": "yes"}
    assert HELMETS in offered(send(client, address, fields | {"clause_query": "入井人员戴安全帽"}).text)


def test_who_edits_what_another_has_decided_is_shown_the_decision(mine: Mine, client: Any) -> None:
    alert_id = waiting(mine)
    address = f"/alerts/{alert_id}/edit"
    fields = typed(client.get(address).text, measures_en="Stop the belt.")
    assert send(person(mine, "officer"), f"/alerts/{alert_id}/approve", {"document_version": "1"}).status_code == 303
    answer = send(client, address, fields)
    assert answer.status_code == 409
    assert "Somebody else was first" in answer.text
    assert "<strong>officer</strong>: <strong>approved" in answer.text
    assert document(mine, alert_id).version == 1


def test_an_alert_is_reassigned_with_its_document_and_told_outward(mine: Mine, client: Any) -> None:
    duty = add_duty(mine.engine, MINE, DutyWanted("", 0, 0, "Li Ming", "8012"), "Asia/Shanghai", "officer")
    alert_id = waiting(mine)
    address = f"/alerts/{alert_id}/reassign"
    assert "Li Ming (8012)" in client.get(f"/alerts/{alert_id}").text
    nobody = send(client, address, {"document_version": "1", "reason": "ill"})
    assert (nobody.status_code, "Choose or write who is responsible" in nobody.text) == (422, True)
    assert send(client, address, {"document_version": "1", "person": "Wang", "reason": " "}).status_code == 422
    done = send(client, address, {"document_version": "1", "duty": duty.id, "person": "x", "reason": "ill"})
    assert done.status_code == 303
    content = document(mine, alert_id).read_content()
    assert content is not None
    assert (document(mine, alert_id).version, content.responsible.en) == (2, "Li Ming (8012)")
    assert mine.alert(alert_id).responsible_en == "Li Ming (8012)"
    assert send(client, address, {"document_version": "1", "person": "Wang", "reason": "x"}).status_code == 409
    send(client, f"/alerts/{alert_id}/approve", {"document_version": "2"})
    assert send(client, address, {"document_version": "2", "person": "Wang", "reason": "leave"}).status_code == 303
    assert mine.alert(alert_id).responsible_en == "Wang"
    assert document(mine, alert_id).version == 2, "what was issued stays as it is"
    with reading(mine.engine) as session:
        told = session.exec(
            select(Outbox.body).where(Outbox.kind == "reassigned").order_by(col(Outbox.created_at))
        ).all()
        lines = session.exec(select(AuditLine).where(AuditLine.action == "reassign")).all()
    assert [json.loads(body)["responsible"] for body in told] == ["Li Ming（8012）", "Wang"]
    assert [(line.actor, json.loads(line.after)["reason"]) for line in lines] == [
        ("dispatcher", "ill"),
        ("dispatcher", "leave"),
    ]


def test_a_key_area_sorts_before_and_is_passed_on_sooner(mine: Mine, monkeypatch: Any) -> None:
    plain = mine.alert(mine.raise_risk("no-vest", "cam-shaft", "shaft", age=60))
    places = tuple(p.model_copy(update={"key_area": p.id == "shaft"}) for p in SITE.places)
    site = SITE.model_copy(update={"places": places})
    store_site(mine.engine, site, "test")
    monkeypatch.setattr(console_mine, "SITE", site)
    key = mine.alert(mine.raise_risk("no-vest", "cam-shaft", "shaft"))
    assert plain.priority == RISK_TYPES["no-vest"].priority
    assert key.priority == priority_at(plain.priority, key_area=True) != plain.priority
    assert key.escalate_at is not None
    assert plain.escalate_at is not None
    assert key.escalate_at - key.committed_at < plain.escalate_at - plain.committed_at
    rows = re.findall(r'id="r-(\w+)"', person(mine, "dispatcher").get("/").text)
    assert rows == [key.id, plain.id]
    assert priority_at("critical", key_area=True) == "critical"


def test_an_alert_of_higher_priority_calls_away_from_an_edit_and_the_edit_is_still_there(
    mine: Mine, chromium: Path, tmp_path: Path
) -> None:
    alert_id = waiting(mine)
    following = mine.raise_risk("no-vest", age=5)
    kept = Path(os.environ.get("MINEWATCH_SCREENSHOTS") or tmp_path)
    with Running(mine) as console, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        page = browser.new_page(viewport={"width": 1920, "height": 1080}, base_url=console.address)
        page.goto("/login")
        page.fill("[name=name]", "dispatcher")
        page.fill("[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector("html[data-ready] #card")
        page.goto(f"/alerts/{alert_id}")
        page.keyboard.press("c")
        expect(page.locator(".cited details[open] summary").first).to_be_focused()
        page.keyboard.press("n")
        page.wait_for_url(f"**/alerts/{following}")
        page.goto(f"/alerts/{alert_id}")
        page.keyboard.press("i")
        expect(page.locator("#dialog-reassign")).to_be_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        expect(page.locator("#help")).to_contain_text("Reassign")
        expect(page.locator("#help")).to_contain_text("Shelve")
        page.screenshot(path=kept / "help.png")
        page.keyboard.press("Escape")
        page.keyboard.press("d")
        page.wait_for_url("**/edit")
        page.evaluate(
            "window.beeps = []; AudioContext.prototype.createOscillator = new Proxy("
            "AudioContext.prototype.createOscillator,"
            " { apply: (f, on, args) => { window.beeps.push(1); return f.apply(on, args); } });"
            "null;  // a function as the answer would be called"
        )
        field = page.locator("[name=measures_en]")
        field.click()
        page.keyboard.press("Control+End")
        page.keyboard.type(" Half a sentence")
        written = field.input_value()
        urgent = mine.raise_risk("smoke")
        expect(page.locator("#urgent-link")).to_contain_text("Smoke")
        page.wait_for_function("window.beeps.length > 0")
        expect(field).to_have_value(written)
        page.screenshot(path=kept / "edit-urgent.png")
        page.keyboard.press("F2")
        page.wait_for_url(f"**/alerts/{urgent}")
        page.keyboard.press("a")
        page.wait_for_load_state()
        expect(page.locator("#unfinished")).to_contain_text("Edit")
        page.screenshot(path=kept / "unfinished.png")
        page.keyboard.press("w")
        page.wait_for_url(f"**/alerts/{alert_id}/edit")
        expect(page.locator("[name=measures_en]")).to_have_value(written)
        page.locator("[name=measures_en]").focus()
        page.keyboard.press("Control+Enter")
        page.wait_for_url(f"**/alerts/{alert_id}#document")
        expect(page.locator("#changes ins").first).to_contain_text("Half a sentence")
        expect(page.locator("#unfinished")).to_be_hidden()
        page.screenshot(path=kept / "edited.png")
        browser.close()
