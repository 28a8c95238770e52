"""The console in real Chromium while the network or the server is away, and with a browser whose clock is wrong."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright
from sqlmodel import col, select

from disposal.audit import AuditLine
from stream.database import reading
from stream.messages import utc_now
from tests.integration.console_mine import MINE, PASSWORD, Mine
from tests.integration.console_server import Running
from tests.servers.chromium import BAND, NOTES, OPTIONS
from tests.servers.relay import Relay

WAIT = 60_000
HOUR = timedelta(hours=1)


@contextmanager
def at_the_queue(chromium: Path, address: str, ahead: timedelta = timedelta()) -> Iterator[Page]:
    """A dispatcher's page whose clock is that far ahead and can be turned on; no script on it may fail."""
    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        page = browser.new_page(viewport={"width": 1920, "height": 1080}, base_url=address)
        page.set_default_timeout(WAIT)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.clock.install(time=utc_now() + ahead)
        page.add_init_script(f"({NOTES})();")
        page.goto("/login")
        page.fill("[name=name]", "dispatcher")
        page.fill("[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector("html[data-ready] #card")
        yield page
        browser.close()
    assert faults == []


def decided(mine: Mine, alert_id: str) -> list[str]:
    """What the dispatcher has decided about the alert, as the audit tells it."""
    with reading(mine.engine) as session:
        lines = session.exec(
            select(AuditLine)
            .where(AuditLine.mine == MINE, AuditLine.actor == "dispatcher", AuditLine.subject == f"alert/{alert_id}")
            .order_by(col(AuditLine.sequence))
        )
        return [line.action for line in lines]


def test_a_minute_offline_loses_and_doubles_nothing_and_a_wrong_clock_misleads_nobody(
    mine: Mine, chromium: Path
) -> None:
    alert_id = mine.raise_risk("belt-hole", age=754)
    mine.draft(alert_id)
    with (
        Running(mine) as console,
        Relay(console.settings.port) as wire,
        at_the_queue(chromium, wire.address, ahead=HOUR) as page,
    ):
        # The clock is the server's, and so are the ages: 12 minutes and not an hour more.
        waiting = page.locator(f"#r-{alert_id} time[data-age]")
        expect(waiting).to_have_text(re.compile(r"^1[23] min \d+ s$"), timeout=WAIT)
        shown = page.locator("[data-clock]").inner_text(timeout=WAIT)
        now = utc_now()
        assert shown[:2] in {f"{now:%H}", f"{now - timedelta(minutes=2):%H}"}

        page.keyboard.press("j")  # a key wakes the sound, where the one that led here has not
        expect(page.locator("#sound")).to_have_attribute("aria-pressed", "true", timeout=WAIT)
        wire.cut()
        page.clock.fast_forward(60_000)
        expect(page.locator("#lost")).to_be_visible(timeout=WAIT)
        assert page.evaluate(f"window.notes[{BAND}] ?? 0") == 3, "the band sounds, once"
        missed = mine.raise_risk("smoke")
        page.keyboard.press("a")
        expect(page.locator("#notice")).to_contain_text("Not sent yet", timeout=WAIT)
        page.keyboard.press("h")  # a page that cannot come must not take the place of this one
        expect(page.locator("#notice")).to_contain_text("Nothing was sent", timeout=WAIT)
        assert page.locator("#card").is_visible()
        assert page.locator(f"#r-{missed}").count() == 0, "the line is not cut"
        assert decided(mine, alert_id) == []

        wire.mend()
        expect(page.locator("#lost")).to_be_hidden(timeout=WAIT)
        expect(page.locator(f"#r-{missed}")).to_be_visible(timeout=WAIT)
        expect(page.locator("#notice")).to_have_text("Acknowledged.", timeout=WAIT)
        assert decided(mine, alert_id) == ["acknowledge"]


def test_a_server_that_restarts_in_the_middle_of_a_review_costs_no_word_and_no_alert(
    mine: Mine, chromium: Path
) -> None:
    alert_id = mine.raise_risk("belt-hole")
    mine.draft(alert_id)
    with Running(mine) as console, at_the_queue(chromium, console.address) as page:
        page.goto(f"/alerts/{alert_id}")
        page.wait_for_selector("html[data-ready]")
        page.keyboard.press("x")
        reason = page.locator("#dialog-reject textarea")
        reason.fill("A shadow of the idler")
        console.stop()
        page.clock.fast_forward(10_000)
        expect(page.locator("#lost")).to_be_visible(timeout=WAIT)
        page.keyboard.press("Control+Enter")
        expect(page.locator("#dialog-reject #notice")).to_contain_text("Nothing was sent", timeout=WAIT)
        expect(reason).to_have_value("A shadow of the idler")
        missed = mine.raise_risk("smoke")
        with Running(mine, console.settings.port):
            page.clock.fast_forward(10_000)
            expect(page.locator("#lost")).to_be_hidden(timeout=WAIT)
            expect(page.locator("#urgent-link")).to_have_attribute("href", f"/alerts/{missed}", timeout=WAIT)
            expect(reason).to_have_value("A shadow of the idler")
            reason.focus()
            page.keyboard.press("Control+Enter")
            page.wait_for_url("**/?done=reject")
            assert mine.document_state(alert_id) == "REJECTED"
            assert decided(mine, alert_id) == ["reject"]
