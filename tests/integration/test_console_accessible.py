"""axe-core on every page of the console, in both themes: no serious and no critical fault."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from console.app import create_app
from disposal.policy import ship_policy
from tests.conftest import do_without
from tests.integration.console_client import SETTINGS
from tests.integration.console_mine import MINE, PASSWORD, Mine, open_mine
from tests.integration.console_server import Running
from tests.servers.chromium import OPTIONS
from tests.servers.server import ServerUnavailableError

AXE = Path(sys.prefix) / "share" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
ENDLESS = {"/events"}
"""Streams, which would never have been read."""
ASKED = dict.fromkeys(("/policy/backtest", "/policy/shadow"), "?policy=routine@1")
"""What pages are asked besides their path."""
GRAVE = "serious", "critical"


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.is_file():
        do_without(ServerUnavailableError("axe-core is not there: run 'make axe'"))
    return AXE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mine]:
    opened = open_mine(tmp_path_factory.mktemp("mine"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def page(chromium: Path, mine: Mine) -> Iterator[Page]:
    with Running(mine) as console, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        page = browser.new_page(base_url=console.address, viewport={"width": 1920, "height": 1080})
        yield page
        browser.close()


def addresses(mine: Mine, alert_id: str) -> list[str]:
    """Every page that the application has, filled in with things that are there."""
    app = create_app(mine.engine, MINE, mine.evidence, mine.log, SETTINGS)
    parts = {
        "alert_id": alert_id, "identity": "belt-code:12", "camera": "cam-belt", "kind": "measures", "key": "no-helmet",
        "code": "belt-code", "edition": "1",
    }  # fmt: skip
    paths = {
        route.path  # type: ignore[attr-defined]
        for route in app.routes
        if "GET" in getattr(route, "methods", ()) and not route.path.startswith("/api/v")  # type: ignore[attr-defined]
    }
    assert len(paths) > 20
    return sorted(
        path.format(**parts) + ASKED.get(path, "")
        for path in paths - ENDLESS - {"/login"}
        if not any(part in path for part in ("{name}", "{risk_id}", "{digest}"))
    )


def faults(page: Page, theme: str, only: str = "") -> list[str]:
    """What axe finds grave on the page as it stands."""
    options: dict[str, Any] = {"resultTypes": ["violations"], "elementRef": False}
    if only:
        options["runOnly"] = {"type": "rule", "values": [only]}
    found = page.evaluate("options => axe.run(document, options)", options)["violations"]
    return [
        f"{page.url} {theme}: {fault['id']}: {fault['nodes'][0]['html'][:200]} {fault['nodes'][0]['failureSummary'][:300]}"
        for fault in found
        if fault["impact"] in GRAVE
    ]


def test_no_page_has_a_grave_fault_in_either_theme(page: Page, mine: Mine, axe: str) -> None:
    alert_id = mine.raise_risk("person-on-belt", age=75)
    mine.draft(alert_id)
    mine.raise_risk("no-vest")
    mine.raise_risk("methane-high", "ch4-2", "return-2")
    ship_policy(mine.engine, MINE)
    found: list[str] = []

    looked_at = 0

    def look(address: str) -> None:
        nonlocal looked_at
        answer = page.request.get(address, timeout=120_000)
        if not answer.headers.get("content-type", "").startswith("text/html") or 'id="main"' not in answer.text():
            return  # a part of a page, a file, or figures for machines
        assert answer.status in (200, 404), address
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        looked_at += 1
        page.evaluate(axe)
        found.extend(faults(page, "dark"))
        page.evaluate("document.documentElement.dataset.theme = 'light'")
        found.extend(faults(page, "light", "color-contrast"))

    look("/login")
    page.fill("[name=name]", "administrator")
    page.fill("[name=password]", PASSWORD)
    page.press("[name=password]", "Enter")
    page.wait_for_selector("#card")
    for address in (*addresses(mine, alert_id), "/?tab=closed&words=x"):
        look(address)
    page.goto(f"/alerts/{alert_id}")
    page.wait_for_selector("html[data-ready]")
    page.keyboard.press("x")
    page.wait_for_selector("#dialog-reject[open]")
    page.evaluate(axe)
    found.extend(faults(page, "dark"))
    assert looked_at > 20
    assert found == [], "\n".join(found)
