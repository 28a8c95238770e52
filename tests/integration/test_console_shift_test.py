"""The test alarm of a shift: log, intake, tables, stream, a page and back, once; and every page says so."""

import json
import threading
from pathlib import Path

from playwright.sync_api import expect, sync_playwright
from sqlmodel import col, select

from disposal.alert import Alert
from disposal.audit import AuditLine
from disposal.notify import Outbox
from disposal.settings import DisposalSettings
from disposal.worker import DisposalStage
from stream.database import reading
from stream.heartbeat import Heartbeat
from stream.worker import Worker
from tests.integration.console_mine import MINE, PASSWORD, Mine
from tests.integration.console_server import Running
from tests.servers.chromium import OPTIONS


def test_it_goes_the_whole_way_once_a_shift_and_is_no_alert(mine: Mine, chromium: Path) -> None:
    stop = threading.Event()
    heartbeat = Heartbeat(mine.engine, MINE, "disposal")
    stage = DisposalStage(mine.engine, MINE, DisposalSettings(), heartbeat, lambda: None)
    intake = threading.Thread(target=Worker(stage, mine.log, MINE, heartbeat, stop).run)
    with Running(mine, test_alarm=True) as console, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        page = browser.new_page(base_url=console.address)
        page.goto("/login")
        page.fill("[name=name]", "dispatcher")
        page.fill("[name=password]", PASSWORD)
        page.press("[name=password]", "Enter")
        expect(page.locator("#tested")).to_have_text("Test alarm of this shift: not heard yet", timeout=30_000)
        intake.start()
        expect(page.locator("#tested")).to_contain_text("heard after", timeout=30_000)
        page.goto("/clauses")
        expect(page.locator("#tested")).to_contain_text("heard after", timeout=30_000)
        browser.close()
    with Running(mine, test_alarm=True):
        pass  # started again in the same shift, it tests nothing again
    stop.set()
    intake.join(20)
    with reading(mine.engine) as session:
        query = select(AuditLine).where(col(AuditLine.subject).startswith("test/")).order_by(col(AuditLine.sequence))
        lines = session.exec(query).all()
        assert [(line.actor, line.action) for line in lines] == [
            ("console", "test-alarm-sent"), ("disposal", "test-alarm"), ("dispatcher", "test-alarm-heard"),
        ]  # fmt: skip
        [told] = session.exec(select(Outbox).where(Outbox.kind == "test-alarm")).all()
        assert json.loads(told.body)["seconds"] >= 0
        assert session.exec(select(Alert)).all() == []
