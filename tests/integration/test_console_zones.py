"""Zones drawn at the console: by mouse and by keys, refused like those of a file, and taken up by vision."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Page, expect, sync_playwright
from sqlmodel import col, select

from console.zones_page import digest
from disposal.audit import AuditLine, verify
from stream.database import reading
from stream.live import LivePicture, LivePictures
from stream.messages import utc_now
from stream.site import SiteRevision, Zone, load_site
from tests.integration.console_client import person, send
from tests.integration.console_mine import MINE, PASSWORD, Mine
from tests.integration.console_server import Running
from tests.servers.chromium import OPTIONS
from vision.sites import SiteWatch

PAGE = "/wall/cam-belt/zones"
SQUARE = [[0.1, 0.1], [0.5, 0.1], [0.5, 0.6], [0.1, 0.6]]


class Seeing:
    """A detector that a camera can ask for."""

    labels = ("person", "helmet", "head")


def zones_of(mine: Mine, camera: str = "cam-belt") -> tuple[Zone, ...]:
    return load_site(mine.engine, MINE)[1].zones_of(camera)


def save(client: TestClient, mine: Mine, zones: Any, seen: str | None = None) -> Any:
    drawn = zones if isinstance(zones, str) else json.dumps(zones)
    return send(client, PAGE, {"zones": drawn, "seen": digest(zones_of(mine)) if seen is None else seen})


def drawn(**other: Any) -> dict[str, Any]:
    return {"id": "belt-zone-1", "purpose": "conveyor", "polygon": SQUARE, **other}


def test_saved_zones_are_a_new_revision_with_an_audit_line_and_vision_takes_them_up(mine: Mine) -> None:
    watch = SiteWatch(mine.engine, MINE, {"ppe": Seeing()})  # type: ignore[dict-item]
    officer = person(mine, "officer")
    before, _ = load_site(mine.engine, MINE)
    answer = save(officer, mine, [drawn()])
    assert answer.headers["location"] == f"{PAGE}?saved={before + 1}"
    [zone] = zones_of(mine)
    assert (zone.id, zone.purpose, [list(p) for p in zone.polygon]) == ("belt-zone-1", "conveyor", SQUARE)
    assert watch.refresh(now=True) == {}
    assert [z.zone.id for z in watch.views["cam-belt"].zones] == ["belt-zone-1"]
    save(officer, mine, [drawn(polygon=[*SQUARE[:3], [0.2, 0.7]])])
    assert watch.refresh(now=True) == {"cam-belt": frozenset({"belt-zone-1"})}
    with reading(mine.engine) as session:
        lines = session.exec(
            select(AuditLine).where(AuditLine.action == "draw-zones").order_by(col(AuditLine.sequence))
        ).all()
        revisions = session.exec(select(SiteRevision.author).order_by(col(SiteRevision.revision))).all()
    assert list(revisions) == ["test", "officer", "officer"]
    assert [(line.actor, line.subject) for line in lines] == [("officer", "camera/cam-belt")] * 2
    assert json.loads(lines[0].before) == {"zones": []}
    assert json.loads(lines[1].after)["zones"][0]["polygon"][3] == [0.2, 0.7]
    assert json.loads(lines[1].after)["revision"] == before + 2
    assert verify(mine.engine, MINE).whole


REFUSED: list[tuple[Any, str]] = [
    ([drawn(polygon=SQUARE[:2])], "zone belt-zone-1 of camera Belt head camera has 2 points"),
    ([drawn(polygon=[*SQUARE[:3], [0.1, 1.2]])], "zone belt-zone-1 of camera Belt head camera has a point outside"),
    ([drawn(polygon=[[0, 0], [1, 1], [1, 0], [0, 1]])], "edges of zone belt-zone-1 of camera Belt head camera cross"),
    ([drawn(purpose="dancing")], "choose a purpose for zone belt-zone-1"),
    ([drawn(purpose="occupancy-limit")], "limits persons"),
    ([drawn(purpose="occupancy-limit", most_persons=True)], "limits persons"),
    ([drawn(), drawn()], "has the name of another zone"),
    ([drawn(id="../<b>")], "has a name that cannot be used"),
    ([drawn(polygon=[[0, 0], [1, None], [1, 1]])], "cannot be read"),
    ([drawn(polygon=[[0, 0], [1, 10**400], [1, 1]])], "cannot be read"),
    ("NaN", "cannot be read"),
    ('[{"polygon": [[NaN, 0], [1, 0], [1, 1]], "id": "z"}]', "has a point outside"),
    ("[" * 30_000, "cannot be read"),
    ([drawn()] * 51, "cannot be read"),
]  # fmt: skip


def test_what_is_no_zone_is_refused_by_name_and_nothing_is_stored(mine: Mine) -> None:
    revision, _ = load_site(mine.engine, MINE)
    officer = person(mine, "officer")
    for zones, sentence in REFUSED:
        answer = save(officer, mine, zones)
        assert answer.status_code == 422, sentence
        assert sentence in answer.text
        assert "<b>" not in answer.text
    assert load_site(mine.engine, MINE)[0] == revision


def test_who_draws_on_what_another_has_changed_is_told_and_keeps_the_drawing(mine: Mine) -> None:
    seen = digest(zones_of(mine))
    assert save(person(mine, "officer"), mine, [drawn()]).status_code == 303
    answer = save(person(mine, "administrator"), mine, [drawn(id="mine-of-it")], seen)
    assert answer.status_code == 409
    assert "somebody else has just changed this" in answer.text
    assert "mine-of-it" in answer.text
    assert [zone.id for zone in zones_of(mine)] == ["belt-zone-1"]


def test_dispatchers_see_zones_and_draw_none(mine: Mine, client: TestClient) -> None:
    assert "zones-save" not in client.get(PAGE).text
    assert save(client, mine, [drawn()]).status_code == 403
    assert client.get("/wall/no-such/zones").status_code == 404
    assert "zones-save" in person(mine, "officer").get(PAGE).text


def enter(page: Page, name: str) -> None:
    page.goto("/login")
    page.fill("[name=name]", name)
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("#card")


def test_a_zone_is_drawn_by_mouse_and_another_by_keys(mine: Mine, chromium: Path, tmp_path: Path) -> None:
    pictures = LivePictures(mine.evidence.root, MINE)
    pictures.look()
    pictures.put("cam-belt", LivePicture(utc_now(), mine.picture))
    kept = Path(os.environ.get("MINEWATCH_SCREENSHOTS") or tmp_path)
    faults: list[str] = []
    with Running(mine) as console, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        page = browser.new_page(viewport={"width": 1920, "height": 1080}, base_url=console.address)
        page.on("pageerror", lambda error: faults.append(str(error)))
        enter(page, "officer")
        page.goto(PAGE)
        page.wait_for_selector("[data-zones][data-ready]")
        expect(page.locator("#zones-none")).to_be_hidden()
        frame = page.locator("#zones-svg").bounding_box()
        assert frame is not None

        def at(x: float, y: float) -> tuple[float, float]:
            return frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]

        page.get_by_role("button", name="New zone").click()
        for x, y in ((0.3, 0.3), (0.7, 0.3), (0.7, 0.8)):
            page.mouse.click(*at(x, y))
        page.mouse.click(*at(0.3, 0.3))  # back at the first point: the zone is closed
        page.locator("[data-purpose]").select_option("restricted")
        page.mouse.move(*at(0.7, 0.8))
        page.mouse.down()
        page.mouse.move(*at(0.6, 0.9), steps=3)
        page.mouse.up()
        page.screenshot(path=kept / "zones-drawn.png")
        page.get_by_role("button", name="Save as a new version").click()
        expect(page.locator(".notice")).to_contain_text("Saved as version 2")
        [zone] = zones_of(mine)
        assert (zone.id, zone.purpose) == ("cam-belt-zone-1", "restricted")
        wanted = ((0.3, 0.3), (0.7, 0.3), (0.6, 0.9))
        for point, meant in zip(zone.polygon, wanted, strict=True):
            assert point == pytest.approx(meant, abs=0.01)

        page.wait_for_selector("[data-zones][data-ready]")
        page.keyboard.press("n")
        for keys in ("Space", "Shift+ArrowRight Space", "Shift+ArrowDown Space", "ArrowRight ArrowRight", "Enter"):
            for key in keys.split():
                page.keyboard.press(key)
        expect(page.locator(".zone-row")).to_have_count(2)
        expect(page.locator(".zone-row").nth(1).locator("select")).to_be_focused()
        page.locator('[data-handle="c2"]').focus()
        page.keyboard.press("ArrowDown")
        page.goto("/wall")  # called away: what was drawn is still there on the way back
        page.locator("#unfinished").click()
        expect(page.locator(".zone-row")).to_have_count(2)
        page.wait_for_selector("[data-zones][data-ready]")
        page.locator("#zones-save").focus()
        page.keyboard.press("Enter")
        expect(page.locator(".notice")).to_contain_text("Saved as version 3")
        assert zones_of(mine)[1].polygon == ((0.5, 0.5), (0.55, 0.5), (0.55, 0.555))
        browser.close()
    assert faults == []
