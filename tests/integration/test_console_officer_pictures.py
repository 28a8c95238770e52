"""The officer's pages in a real browser: a clause with its figure, an import; pictures of all of them where asked."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import docx
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Page, sync_playwright

from rules.clause import history
from rules.importer import import_code
from rules.knowledge import write
from rules.revision import edit, publish, review
from stream.messages import utc_now
from tests.integration.console_mine import MINE, PASSWORD, Mine
from tests.integration.console_server import Running
from tests.servers.chromium import OPTIONS

BELT = "belt-code:12"
NEW = "第十二条 严禁人员乘坐输送带，也不得在输送带上行走。\n第十四条 机头、机尾必须设防护栏，并挂警示牌。\n"


def code_with_figure(file: Path) -> None:
    """A code as Word document whose article 12 has a drawing."""
    drawing = io.BytesIO()
    picture = Image.new("RGB", (900, 360), "white")
    pen = ImageDraw.Draw(picture)
    pen.rectangle((60, 180, 840, 240), outline="black", width=4)
    for x in range(100, 840, 120):
        pen.ellipse((x, 240, x + 40, 280), outline="black", width=4)
    pen.line((60, 120, 840, 120), fill="red", width=5)
    picture.save(drawing, "PNG")
    document = docx.Document()
    document.add_paragraph("第十二条 严禁人员乘坐输送带，跨越处必须设人行过桥。").add_run().add_picture(
        io.BytesIO(drawing.getvalue())
    )
    document.inline_shapes[0]._inline.docPr.set("descr", "图1 带式输送机急停拉绳的布置")
    document.save(str(file))


@pytest.fixture
def pages(mine: Mine, tmp_path: Path) -> dict[str, str]:
    """Something on every page of the officer's; answers their addresses."""
    for kind in ("person-on-belt", "person-on-belt", "belt-wear"):
        mine.draft(mine.raise_risk(kind, age=4000))
    code_with_figure(tmp_path / "belt.docx")
    import_code(mine.engine, tmp_path / "belt.docx", "belt-code", "1", None, "officer", mine=MINE)
    version = history(mine.engine, BELT, utc_now())[-1].version_id
    review(mine.engine, version, "reviewer")
    publish(mine.engine, version, "administrator")
    edit(
        mine.engine,
        BELT,
        "officer",
        {"text_en": "Nobody rides on a belt or walks on it. Cross by the bridge.", "title_en": "Belts and persons"},
    )
    write(
        mine.engine,
        MINE,
        "notes",
        "person-on-belt",
        {"note_zh": "东翼皮带夜班常有人抄近路。", "note_en": "Night shift takes short cuts over the east belt."},
        "officer",
    )
    return {
        "clauses": "/clauses", "clause": f"/clauses/{BELT}", "clause-edit": f"/clauses/{BELT}/edit", "edition": "/codes/belt-code/1",
        "import": "/codes/import",
        "search": "/clauses?q=belt",
        "measures": "/knowledge/measures", "measure": "/knowledge/measures/person-on-belt",
        "measure-edit": "/knowledge/measures/person-on-belt/edit", "synonyms": "/knowledge/synonyms",
        "notes": "/knowledge/notes", "note": "/knowledge/notes/person-on-belt", "templates": "/knowledge/template", "template-edit": "/knowledge/template/document/edit",
        "form": "/knowledge/form",
    }  # fmt: skip


@pytest.fixture
def page(mine: Mine, chromium: Path) -> Iterator[Page]:
    with Running(mine) as console, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        page = browser.new_page(viewport={"width": 1600, "height": 900}, base_url=console.address)
        page.set_default_timeout(60_000)
        page.goto("/login")
        page.fill("[name=name]", "officer")
        page.fill("[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector("#card")
        yield page
        browser.close()


def test_the_officers_pages_show_their_figure_and_fit_the_screen(
    page: Page, pages: dict[str, str], tmp_path: Path
) -> None:
    """With MINEWATCH_SCREENSHOTS every page is pictured in both languages and themes, for a person to look at."""
    asked = os.environ.get("MINEWATCH_SCREENSHOTS")
    kept = Path(asked or tmp_path)
    kept.mkdir(parents=True, exist_ok=True)
    found: list[str] = []

    def look(name: str, tongue: str) -> None:
        for theme in ("dark", "light") if asked else ():
            page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
            page.screenshot(path=kept / f"{name}-{tongue}-{theme}.jpg", type="jpeg", quality=80, full_page=True)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(f"{name} {tongue}: wider than the screen")

    for tongue in ("en", "zh") if asked else ("zh",):
        page.context.add_cookies(
            [{"name": "minewatch-language", "value": tongue, "url": page.evaluate("location.origin")}]
        )
        for name, address in pages.items():
            if asked or name in ("clause", "notes"):
                page.goto(address)
                page.wait_for_selector("html[data-ready]")
                look(name, tongue)
        page.goto(pages["clause-edit"])
        page.wait_for_selector("html[data-ready]")
        figure = page.locator(".drawings img").first
        figure.scroll_into_view_if_needed()
        assert figure.evaluate("async e => { await e.decode(); return [e.naturalWidth, e.naturalHeight]; }") == [
            900,
            360,
        ]
        if asked:
            page.fill("[name=text_zh]", "严禁人员乘坐输送带；跨越处必须设人行过桥，并有照明。")
            page.click("button[name=what-if][value='30']")
            page.wait_for_selector("#what-if")
            assert ("按新文本引用" if tongue == "zh" else "cited in its new wording") in page.locator(
                "#what-if"
            ).inner_text()
            look("what-if", tongue)
        page.goto("/codes/import")
        page.set_input_files("[name=file]", {"name": "belt-2.txt", "mimeType": "text/plain", "buffer": NEW.encode()})
        page.fill("[name=code]", "belt-code")
        page.fill("[name=edition]", "2")
        page.click("form.acts button.act.main")
        page.wait_for_selector("#report")
        assert page.locator("#report article").last.locator("del").count() == 0, "what stays is not struck out"
        look("import-diff", tongue)
    assert found == []
