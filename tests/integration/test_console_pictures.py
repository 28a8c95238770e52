"""Pictures of the console's pages in both languages and themes, for a person to look at, and what a machine sees."""

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from console.translations import _ALL as ALL
from disposal.decision import decide
from disposal.emergency import EVERY, Wording, put_plan
from disposal.handover import hand_over
from disposal.policy import ship_policy
from disposal.roster import DutyWanted, add_duty
from stream.live import LivePicture, LivePictures
from stream.messages import utc_now
from stream.site import Zone, load_site, store_site
from tests.integration.console_mine import MINE, PASSWORD, Mine
from tests.integration.console_server import Running
from tests.servers.chromium import OPTIONS

BOTH = {"edit", "alert"}
"""Pages on which a document stands in both languages side by side."""
CODES = re.compile(r"\b(?:[A-Z]+_[A-Z_]+|DRAFT|SHADOW|APPROVED|ISSUED|OVERDUE|UNACK\w*|routine-\w+)\b")
NOTE = "主运输机头西侧有浮煤，皮带下方温度偏高。请下一班先查托辊，再查电缆。" * 3
LONG_NOTE = "Loose coal lies west of the belt head and the idlers run hot; look at them first, then at the cable. " * 3


@pytest.fixture
def busy(mine: Mine) -> dict[str, str]:
    """A mine in which something stands on every page; answers the address of each page by its name."""
    belt = mine.raise_risk("person-on-belt", age=754)
    helmet = mine.raise_risk("no-helmet", "cam-shaft", "shaft", age=1900)
    shelved = mine.raise_risk("no-vest", "cam-shaft", "shaft", age=600)
    mine.raise_risk("methane-high", "ch4-2", "return-2", age=92)
    mine.draft(belt)
    mine.draft(helmet)
    decide(
        mine.engine,
        MINE,
        shelved,
        "shelve",
        "dispatcher",
        reason=NOTE + LONG_NOTE,
        until=utc_now() + timedelta(hours=1),
    )
    false = mine.raise_risk("belt-wear", age=300)
    mine.draft(false)
    decide(mine.engine, MINE, false, "reject", "dispatcher", reason="glare of the lamp", document_version=1)
    ship_policy(mine.engine, MINE)
    add_duty(mine.engine, MINE, DutyWanted("", 0, 1439, "Wang Fang", "8-201"), "UTC", "officer")
    put_plan(
        mine.engine, MINE, EVERY, Wording("撤人。\n断电。", "Withdraw.\nCut the power.", "Control room 8000"), "officer"
    )
    now = utc_now()
    hand_over(
        mine.engine, MINE, "dispatcher", NOTE + LONG_NOTE, now - timedelta(hours=2), now, now + timedelta(hours=8)
    )
    zone = Zone(id="belt-1", camera="cam-belt", purpose="conveyor", polygon=((0.2, 0.2), (0.7, 0.2), (0.6, 0.9)))
    _, site = load_site(mine.engine, MINE)
    store_site(mine.engine, site.model_copy(update={"zones": (zone,)}), "officer")
    return {
        "queue": "/", "alert": f"/alerts/{belt}", "edit": f"/alerts/{belt}/edit", "handover": "/handover",
        "figures": "/figures?span=month", "policies": "/policy", "backtest": "/policy/backtest?policy=routine@1", "shadow": "/policy/shadow?policy=routine@1",
        "samples": "/policy/samples", "audit": "/audit", "zones": "/wall/cam-belt/zones",
        "cameras": "/cameras", "duty": "/duty", "emergency": f"/emergency/{belt}", "hazard": "/hazards/new",
        "wall": "/wall",
    }  # fmt: skip


@pytest.fixture
def page(mine: Mine, chromium: Path) -> Iterator[Page]:
    with Running(mine) as console, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        page = browser.new_page(viewport={"width": 1920, "height": 1080}, base_url=console.address)
        page.set_default_timeout(60_000)
        page.goto("/login")
        page.fill("[name=name]", "officer")
        page.fill("[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector("#card")
        yield page
        browser.close()


def test_every_page_is_pictured_whole_and_in_one_language(
    page: Page, mine: Mine, busy: dict[str, str], tmp_path: Path
) -> None:
    kept = Path(os.environ.get("MINEWATCH_SCREENSHOTS") or tmp_path)
    kept.mkdir(parents=True, exist_ok=True)
    live = LivePictures(mine.evidence.root, MINE)
    live.look()
    names = {text for zh, en in ALL.values() for text in (zh, en) if len(text) >= 12 and "{" not in text}
    spoken = {"zh": {zh for zh, _ in ALL.values()}, "en": {en for _, en in ALL.values()}}
    found: list[str] = []
    for tongue in ("en", "zh"):
        page.context.add_cookies([{"name": "minewatch-language", "value": tongue, "url": page.url}])
        foreign = sorted(names - spoken[tongue])
        for name, address in busy.items():
            live.put("cam-belt", LivePicture(utc_now(), mine.picture))
            page.goto(address)
            page.wait_for_selector("html[data-ready]")
            for theme in ("dark", "light"):
                page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
                page.screenshot(
                    path=kept / f"{name}-{tongue}-{theme}.jpg", type="jpeg", quality=80, full_page=name != "wall"
                )
            said = page.locator("main").inner_text()
            found += [f"{name} {tongue}: {text}" for text in foreign if text in said and name not in BOTH]
            found += [f"{name} {tongue}: {code}" for code in CODES.findall(said)]
            wide, cut = page.evaluate(
                "[document.documentElement.scrollWidth > innerWidth,"
                " [...document.querySelectorAll('.urgent .more, .urgent strong, td, th, .act, h1, h2, .note, .wrong')]"
                ".filter(e => e.offsetParent && !e.closest('.unseen') && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')"
                ".map(e => e.textContent.trim().slice(0, 60))]"
            )
            found += [f"{name} {tongue}: wider than the screen"] * wide + [f"{name} {tongue}: cut: {e}" for e in cut]
    assert len(list(kept.glob("*-*-*.jpg"))) >= 4 * len(busy)
    assert found == [], "\n".join(found)
