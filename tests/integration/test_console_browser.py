"""The console in real Chromium: an alert arrives and is decided by keys alone, in both languages and both themes."""

import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from console.bench_fill import fill
from console.queue import FIRST
from stream.messages import utc_now
from tests.clips import START
from tests.integration.console_mine import PASSWORD, SITE, Mine
from tests.integration.console_server import Running
from tests.servers.chromium import NOTES, OPTIONS, RED
from vision.clip import WIDTH as CLIP_WIDTH
from vision.clip import make_clip

expect.set_options(timeout=20_000)
SIZE = {"width": 1920, "height": 1080}
ALARM = "Person on or crossing a belt"


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        yield opened
        opened.close()


@pytest.fixture
def running(mine: Mine) -> Iterator[Running]:
    with Running(mine) as console:
        yield console


@pytest.fixture
def page(browser: Browser, running: Running) -> Iterator[Page]:
    with_faults: list[str] = []
    with browser.new_context(viewport=SIZE, base_url=running.address) as context:  # type: ignore[arg-type]
        page = context.new_page()
        page.on("pageerror", lambda error: with_faults.append(str(error)))
        page.on("console", lambda said: with_faults.append(said.text) if "Content Security" in said.text else None)
        enter(page, "dispatcher")
        yield page
    assert with_faults == []


def enter(page: Page, name: str) -> None:
    """Log in by keys alone: the name field has the focus."""
    page.goto("/login")
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("html[data-ready] #card")


def eventually(holds: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.05)


def test_an_alert_arrives_and_is_decided_by_keys_alone(page: Page, mine: Mine) -> None:
    expect(page.locator("#card")).to_contain_text("No alert is open.")
    filmed = make_clip([(START + timedelta(seconds=number / 5), mine.picture) for number in range(6)])
    alert_id = mine.raise_risk("person-on-belt", clip=filmed or b"")
    expect(page.locator("#card h2")).to_have_text(ALARM)
    expect(page.locator(f"#r-{alert_id}")).to_be_visible()
    expect(page).to_have_title("(1) Alert queue · Minewatch")
    mine.draft(alert_id)
    expect(page.locator(f"#r-{alert_id}")).to_contain_text("Waiting for approval")
    page.wait_for_timeout(700)  # keys rest this long after the alert shown has changed by itself
    page.keyboard.press("a")
    expect(page.locator("#notice")).to_have_text("Acknowledged.")
    eventually(lambda: mine.alert(alert_id).acked_by == "dispatcher")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/alerts/{alert_id}")
    expect(page.locator("h1")).to_have_text(ALARM)
    width = page.locator("video").evaluate("async clip => { await clip.play(); return clip.videoWidth; }")
    assert width == CLIP_WIDTH, "the browser plays the clip of what happened"
    page.keyboard.press("p")
    page.wait_for_url("**/?done=approve")
    expect(page.locator(".notice").first).to_have_text("Approved and issued.")
    assert mine.document_state(alert_id) in ("APPROVED", "ISSUED")


def test_a_false_alarm_is_rejected_by_keys_with_a_reason(page: Page, mine: Mine) -> None:
    alert_id = mine.raise_risk("belt-hole")
    mine.draft(alert_id)
    expect(page.locator('#card [data-decide="x"]')).to_be_visible()
    page.wait_for_timeout(700)
    page.keyboard.press("x")
    page.wait_for_url(f"**/alerts/{alert_id}#reject")
    expect(page.locator("#dialog-reject textarea")).to_be_focused()
    page.keyboard.press("2")
    expect(page.locator("#dialog-reject textarea")).to_have_value("Something else was taken for it")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/?done=reject")
    assert mine.document_state(alert_id) == "REJECTED"
    assert mine.alert(alert_id).closed_by == "dispatcher"


def test_each_priority_has_its_shape_and_colour_and_keys_return_one_alert_and_shelve_another(
    page: Page, mine: Mine
) -> None:
    by_priority = {
        "critical": mine.raise_risk("smoke"),
        "high": mine.raise_risk("belt-hole"),
        "medium": mine.raise_risk("no-helmet", "cam-shaft", "shaft"),
        "low": mine.raise_risk("belt-wear"),
    }
    mine.draft(by_priority["high"])
    looks = []
    for priority, alert_id in by_priority.items():
        shape = page.locator(f"#r-{alert_id} svg.shape")
        expect(shape).to_have_class(re.compile(rf"\b{priority}\b"))
        looks.append(
            shape.evaluate(
                "svg => { const drawn = svg.firstElementChild; const style = getComputedStyle(drawn);"
                " return [drawn.getAttribute('d') ?? drawn.tagName, style.fill + style.stroke, svg.textContent.trim()]; }"
            )
        )
    forms, colours, numbers = zip(*looks, strict=True)
    assert len(set(forms)) == len(set(colours)) == 4, looks
    assert numbers == ("1", "2", "3", "4")

    page.goto(f"/alerts/{by_priority['high']}")
    page.wait_for_selector("html[data-ready]")
    page.keyboard.press("r")
    expect(page.locator("#dialog-return textarea")).to_be_focused()
    page.keyboard.press("1")
    expect(page.locator("#dialog-return textarea")).to_have_value("Measures do not fit the place")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/?done=return")
    assert mine.alert(by_priority["high"]).closed is False
    expect(page.locator(f"#r-{by_priority['high']}")).to_be_attached()  # it is drafted anew

    page.goto(f"/alerts/{by_priority['low']}")
    page.wait_for_selector("html[data-ready]")
    page.keyboard.press("e")
    expect(page.locator("#dialog-shelve textarea")).to_be_focused()
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/?done=shelve")
    shelved = mine.alert(by_priority["low"])
    assert (shelved.shelved_by, shelved.shelved_reason) == ("dispatcher", "Maintenance; somebody is on site")
    assert shelved.shelved_until is not None
    assert shelved.shelved_until > utc_now()
    assert page.locator(f"#r-{by_priority['low']}").count() == 0
    page.goto(f"/alerts/{by_priority['critical']}")
    page.wait_for_selector("html[data-ready]")
    page.keyboard.press("e")  # what is imminent danger cannot be set aside
    assert page.locator("dialog[open]").count() == 0


def test_keys_move_through_the_queue_and_the_selection_stays_when_others_arrive(page: Page, mine: Mine) -> None:
    first, second = mine.raise_risk("belt-hole", age=60), mine.raise_risk("no-vest", age=30)
    expect(page.locator("tr.chosen")).to_have_id(f"r-{first}")
    page.keyboard.press("j")
    expect(page.locator("tr.chosen")).to_have_id(f"r-{second}")
    expect(page.locator("#card [data-alert]")).to_have_attribute("data-alert", second)
    urgent = mine.raise_risk("smoke")
    expect(page.locator("#rows tr").first).to_have_id(f"r-{urgent}")
    expect(page.locator("#card [data-alert]")).to_have_attribute("data-alert", second)
    page.keyboard.press("g")
    expect(page.locator("#card [data-alert]")).to_have_attribute("data-alert", urgent)
    page.keyboard.press("k")
    expect(page.locator("tr.chosen")).to_have_id(f"r-{urgent}")


def test_the_first_lines_are_laid_out_before_the_others_and_all_follow(page: Page, mine: Mine) -> None:
    fill(mine.engine, SITE, closed=0, opened=FIRST + 20)
    sent = page.request.get("/").text()
    first, _, rest = sent.partition('<tbody id="rest" hidden>')
    assert (first.count("<tr id="), rest.count("<tr id=")) == (FIRST, 20)
    by_script = page.request.get("/", headers={"X-Requested-With": "console"}).text()
    assert by_script.count("<tr id=") == FIRST + 20
    assert 'id="rest"' not in by_script
    order = re.findall(r'<tr id="([^"]+)"', sent)
    page.goto("/")
    page.wait_for_selector("html[data-ready]")
    expect(page.locator("#rows tr")).to_have_count(FIRST + 20)
    assert page.locator("#rows tr").evaluate_all("rows => rows.map(row => row.id)") == order
    expect(page.locator("#rest")).to_have_count(0)
    urgent = mine.raise_risk("person-on-belt")
    expect(page.locator(f"#r-{urgent}")).to_be_visible()
    expect(page.locator("#rows tr")).to_have_count(FIRST + 21)


def test_the_second_of_two_dispatchers_is_shown_what_the_first_decided(
    page: Page, mine: Mine, running: Running, browser: Browser
) -> None:
    alert_id = mine.raise_risk("belt-hole")
    mine.draft(alert_id)
    with browser.new_context(viewport=SIZE, base_url=running.address) as context:  # type: ignore[arg-type]
        other = context.new_page()
        enter(other, "officer")
        other.goto(f"/alerts/{alert_id}")
        # The other one's page must not learn of it, as on a slow line: it decides on what it still shows.
        other.route("**/alerts/*", lambda route: route.abort() if route.request.method == "GET" else route.fallback())
        page.goto(f"/alerts/{alert_id}")
        page.keyboard.press("p")
        page.wait_for_url("**/?done=approve")
        answers = []
        other.on("response", lambda answer: answers.append((answer.request.method, answer.status)))
        other.keyboard.press("p")
        expect(other.locator("h1")).to_have_text("Somebody else was first")
        expect(other.locator(".other")).to_contain_text("dispatcher")
        expect(other.locator(".other")).to_contain_text("approved")
        assert ("POST", 409) in answers


def test_an_alert_that_comes_while_a_clause_is_edited_shows_there_and_the_edit_stays(
    browser: Browser, running: Running, mine: Mine
) -> None:
    with browser.new_context(viewport=SIZE, base_url=running.address) as context:  # type: ignore[arg-type]
        page = context.new_page()
        enter(page, "officer")
        page.goto("/clauses/belt-code:12/edit")
        page.locator("[name=text_en]").fill("Half a sentence")
        for _ in range(4):
            mine.raise_risk("no-vest")
        mine.raise_risk("smoke")
        expect(page.locator("#urgent-link")).to_contain_text("Smoke")
        expect(page.locator("#urgent-link")).to_contain_text("5 not acknowledged")
        expect(page.locator("[name=text_en]")).to_have_value("Half a sentence")
        page.keyboard.press("g")
        expect(page.locator("[name=text_en]")).to_have_value("Half a sentenceg")


def test_what_a_text_would_change_is_looked_at_and_once_a_second_person_publishes_it_the_next_alert_cites_it(
    browser: Browser, running: Running, mine: Mine
) -> None:
    before = mine.raise_risk("person-on-belt")
    with browser.new_context(viewport=SIZE, base_url=running.address) as context:  # type: ignore[arg-type]
        page = context.new_page()
        enter(page, "officer")
        page.goto("/clauses/belt-code:12/edit")
        page.locator("[name=text_en]").fill("Nobody rides on a belt.")
        page.get_by_role("button", name="30 days").click(timeout=90_000)  # the first search loads the model
        expect(page.locator("#what-if")).to_contain_text("Alerts replayed: 1. Would change: 1.", timeout=90_000)
        expect(page.locator("#what-if")).to_contain_text("~ Belt conveyor code")
        expect(page.locator("[name=text_en]")).to_have_value("Nobody rides on a belt.")
        page.get_by_role("button", name="Save as a new draft").click()
        expect(page.locator("#v2")).to_contain_text("Nobody rides on a belt.")
        page.get_by_role("button", name="Mark as reviewed").click()
        page.get_by_role("button", name="Publish").click()
        expect(page.locator("p.wrong")).to_contain_text("somebody else has to publish it")
        mine.draft(before)
        assert mine.cited(before) == ["belt-code:12@1"]
    with browser.new_context(viewport=SIZE, base_url=running.address) as context:  # type: ignore[arg-type]
        page = context.new_page()
        enter(page, "administrator")
        page.goto("/clauses/belt-code:12")
        page.get_by_role("button", name="Publish").click()
        expect(page.locator("#v2")).to_contain_text("Published by administrator")
        after = mine.raise_risk("belt-wear")
        mine.draft(after)
        assert mine.cited(after) == ["belt-code:12@2"]
        page.goto(f"/alerts/{after}")
        expect(page.locator("#document .cited")).to_contain_text("Nobody rides on a belt.")
        page.goto(f"/alerts/{before}")
        expect(page.locator("#document .cited")).to_contain_text("nobody walks, stands or rides on the belt")


def test_without_a_word_for_five_seconds_a_band_says_so_and_it_goes_when_the_server_is_back(
    page: Page, mine: Mine, running: Running
) -> None:
    page.wait_for_timeout(300)
    last = utc_now()
    running.stop()
    expect(page.locator("#lost")).to_be_visible(timeout=15_000)
    assert (utc_now() - last).total_seconds() > 2.5
    expect(page.locator("#lost")).to_contain_text("No word from the server")
    assert page.locator("[data-lost]").inner_text().count(":") == 2
    box = page.locator("#lost").bounding_box()
    assert box is not None
    assert box["width"] == SIZE["width"]
    missed = mine.raise_risk("smoke")
    with Running(mine, running.settings.port):
        expect(page.locator("#lost")).to_be_hidden(timeout=20_000)
        expect(page.locator(f"#r-{missed}")).to_be_visible(timeout=10_000)


def test_sound_is_off_until_something_was_clicked_and_the_page_says_so(page: Page, mine: Mine) -> None:
    page.goto("/wall")
    expect(page.locator("#sound")).to_have_text("Sound: starts after a click")
    page.mouse.click(900, 900)
    expect(page.locator("#sound")).to_have_text("Sound: on")
    page.keyboard.press("s")
    expect(page.locator("#sound")).to_have_text("Sound: off")
    del mine


def test_red_sounds_again_and_again_until_it_is_acknowledged(browser: Browser, running: Running, mine: Mine) -> None:
    mine.raise_risk("belt-wear")
    with browser.new_context(viewport=SIZE, base_url=running.address) as context:  # type: ignore[arg-type]
        page = context.new_page()
        page.add_init_script(f"({NOTES})();")
        page.add_init_script("const every = setInterval; window.setInterval = (go, ms) => every(go, ms / 10);")
        enter(page, "dispatcher")
        page.keyboard.press("j")
        expect(page.locator("#sound")).to_have_text("Sound: on")

        def sounded() -> int:
            return int(page.evaluate(f"window.notes[{RED}] ?? 0"))

        assert sounded() == 0, "what is not red does not sound"
        alert_id = mine.raise_risk("smoke")
        expect(page.locator(f"#r-{alert_id}")).to_be_visible()
        eventually(lambda: sounded() >= 3 * 4, 60)  # three notes at once, and again, and again
        page.click('nav a[href="/wall"]')  # a page to which a click led sounds without another one
        page.wait_for_url("**/wall")
        eventually(lambda: sounded() >= 3 * 3, 60)
        mine.raise_risk("belt-hole")
        page.click('nav a[href="/"]')
        page.wait_for_selector("html[data-ready] #card")
        expect(page.locator("#card [data-alert]")).to_have_attribute("data-alert", alert_id)
        eventually(lambda: sounded() > 0, 60)
        page.wait_for_timeout(700)  # keys rest this long after the alert shown has changed by itself
        page.keyboard.press("a")
        expect(page.locator('#urgent[data-critical="0"]')).to_be_attached()
        at_last = sounded()
        page.wait_for_timeout(1000)
        assert sounded() == at_last, "it goes on sounding after it was acknowledged"


def test_everything_can_be_reached_by_tab_and_the_focus_is_seen(page: Page, mine: Mine) -> None:
    mine.draft(mine.raise_risk("belt-hole"))
    expect(page.locator("#rows tr")).to_have_count(1)
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        said = page.evaluate(
            "() => { const e = document.activeElement; const s = getComputedStyle(e);"
            " return [e.textContent.trim().slice(0, 30) || e.name, s.outlineStyle, parseFloat(s.outlineWidth)]; }"
        )
        if said[0] and page.evaluate("document.activeElement !== document.body"):
            assert said[1] == "solid", said
            assert said[2] >= 2, said
            seen.add(said[0])
    assert any("Acknowledge" in name for name in seen)
    assert {"Hole in belt", "Wall"} <= seen
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()


def test_pages_are_pictured_in_both_languages_and_themes(page: Page, mine: Mine, tmp_path: Path) -> None:
    belt = mine.raise_risk("person-on-belt", age=754)
    helmet = mine.raise_risk("no-helmet", "cam-shaft", "shaft", age=1900)
    mine.raise_risk("methane-high", "ch4-2", "return-2", age=92)
    mine.draft(belt)
    mine.draft(helmet)
    mine.raise_risk("foreign-object", age=30)
    kept = Path(os.environ.get("MINEWATCH_SCREENSHOTS") or tmp_path)
    kept.mkdir(parents=True, exist_ok=True)
    grounds, words = set(), set()
    for tongue, other in (("en", "zh"), ("zh", "en")):
        for theme in ("dark", "light"):
            page.goto("/")
            expect(page.locator("#rows tr")).to_have_count(4)
            expect(page.locator("html")).to_have_attribute("data-theme", theme)
            words.add(page.locator("#card h2").inner_text())
            grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            page.screenshot(path=kept / f"queue-{tongue}-{theme}.png")
            page.goto(f"/alerts/{belt}")
            page.locator("#pictures img.large").evaluate("image => image.decode()")
            page.screenshot(path=kept / f"alert-{tongue}-{theme}.png")
            assert page.evaluate("document.documentElement.scrollWidth") <= SIZE["width"]
            page.click("#theme")
            page.wait_for_selector("html[data-ready]")
        page.click("#language")
        page.wait_for_selector(f"html[lang^={other}]")
    assert words == {ALARM, "人员在输送带上或跨越输送带"}
    assert len(grounds) == 2
    assert len(list(kept.glob("*.png"))) >= 8
