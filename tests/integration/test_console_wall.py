"""The wall: live pictures with their age, and every way in which a camera may not see, told across its picture."""

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import expect, sync_playwright

from console import wall
from console.wall import sight_of
from stream.health import SourceHealth, store_health
from stream.live import LivePicture, LivePictures
from stream.messages import Health, SourceStatus, utc_now
from tests.integration.console_mine import MINE, PASSWORD, Mine
from tests.integration.console_server import Running
from tests.servers.chromium import OPTIONS

NOW = utc_now()


def live(mine: Mine) -> LivePictures:
    pictures = LivePictures(mine.evidence.root, MINE)
    pictures.look()
    return pictures


def says(mine: Mine, camera: str, status: SourceStatus = "ok", age: float = 0) -> None:
    at = utc_now() - timedelta(seconds=age)
    store_health(
        mine.engine,
        [Health(mine=MINE, source=camera, source_kind="camera", status=status, detail="", observed_at=at)],
    )


def row(status: str, age: float = 0) -> SourceHealth:
    at = NOW - timedelta(seconds=age)
    return SourceHealth(mine=MINE, source="c", source_kind="camera", status=status, detail="", observed_at=at, since=at)


@pytest.mark.parametrize(
    ("taken", "health", "trouble", "sight"),
    [
        (0, row("ok"), [], "sees"),
        (9, row("ok", 19), [], "sees"),
        (11, row("ok"), [], "stale"),
        (None, row("ok"), [], "none"),
        (0, None, [], "silent"),
        (0, row("ok", 21), [], "silent"),
        (0, row("offline"), [], "offline"),
        (0, row("offline", 60), ["camera-offline"], "offline"),
        (0, row("ended"), [], "ended"),
        (0, row("ok"), ["camera-blind"], "trouble"),
        (11, row("ok", 60), ["camera-moved"], "trouble"),
    ],
)
def test_only_a_fresh_picture_of_a_camera_known_to_be_well_counts_as_seeing(
    taken: float | None, health: SourceHealth | None, trouble: list[str], sight: str
) -> None:
    at: datetime | None = None if taken is None else NOW - timedelta(seconds=taken)
    assert sight_of(at, health, trouble, NOW) == sight


def test_the_page_says_across_the_picture_what_a_camera_does_not_see(mine: Mine, client: TestClient) -> None:
    live(mine).put("cam-belt", LivePicture(utc_now(), mine.picture))
    for camera in ("cam-belt", "cam-shaft"):
        says(mine, camera)
    belt, shaft = client.get("/wall").text.split("<figure")[1:]
    assert '<p class="blind" role="status">' not in belt
    assert "data-old hidden" in belt
    assert "No live picture" in shaft
    mine.raise_risk("camera-blind")
    says(mine, "cam-shaft", "offline")
    belt, shaft = client.get("/wall").text.split("<figure")[1:]
    assert "Not to be trusted: camera trouble" in belt
    assert "▲ Camera covered or too dark <small>" in belt, "nothing about a covered camera may read OK"
    assert "OK <small>" not in belt
    assert "Blind: camera offline" in shaft


def test_a_picture_is_served_with_its_time_and_not_sent_twice(mine: Mine, client: TestClient) -> None:
    assert client.get("/wall/cam-belt/picture").status_code == 404
    assert client.get("/wall/no-such/picture").status_code == 404
    assert client.get("/wall/..%2Fx/picture").status_code == 404
    live(mine).put("cam-belt", LivePicture(NOW, mine.picture))
    answer = client.get("/wall/cam-belt/picture")
    assert answer.content == mine.picture
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-captured-at"] == NOW.isoformat()
    again = client.get("/wall/cam-belt/picture", params={"have": NOW.isoformat()})
    assert (again.status_code, again.content) == (204, b"")


def test_in_a_browser_pictures_follow_and_one_that_stays_away_is_called_old(
    mine: Mine, chromium: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wall, "STALE", timedelta(seconds=3))
    pictures = live(mine)
    for camera in ("cam-belt", "cam-shaft"):
        says(mine, camera, age=-60)
    pictures.put("cam-belt", LivePicture(utc_now(), mine.picture))
    kept = Path(os.environ.get("MINEWATCH_SCREENSHOTS") or tmp_path)
    with Running(mine) as console, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        page = browser.new_page(viewport={"width": 1920, "height": 1080}, base_url=console.address)
        page.goto("/login")
        page.fill("[name=name]", "dispatcher")
        page.fill("[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector("#card")
        pictures.put("cam-belt", LivePicture(utc_now(), mine.picture))
        page.goto("/wall")
        belt, shaft = page.locator('[data-camera="cam-belt"]'), page.locator('[data-camera="cam-shaft"]')
        expect(shaft.locator(".blind").first).to_contain_text("No live picture")
        taken = utc_now()
        pictures.put("cam-belt", LivePicture(taken, mine.picture))
        expect(belt).to_have_attribute("data-taken", taken.isoformat(), timeout=10_000)
        expect(belt.locator(".old")).to_be_hidden()
        assert str(belt.locator("img").get_attribute("src")).startswith("blob:")
        expect(belt.locator(".old")).to_be_visible(timeout=10_000)
        expect(belt.locator(".old")).to_contain_text("Old picture")
        page.screenshot(path=kept / "wall-old.png")
        pictures.put("cam-belt", LivePicture(utc_now(), mine.picture))
        expect(belt.locator(".old")).to_be_hidden(timeout=10_000)
        browser.close()
