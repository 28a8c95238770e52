from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import struct
import zipfile
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import docx
import fpdf
import openpyxl
import pytest
from docx.oxml import parse_xml
from lxml import etree
from PIL import Image
from sqlmodel import SQLModel, select

from console.import_words import warning_in
from rules.clause import Content, listing
from rules.export import export_code
from rules.figure import LARGEST_FIGURE, ClauseFigure, figure_bytes, picture_of
from rules.formula import linear
from rules.importer import ImportReport, import_code
from rules.pictures import ONLY_A_FIGURE
from stream.database import open_database, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

HOUSE = Path(__file__).parents[2]
RELATIONSHIPS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
OMML = "http://schemas.openxmlformats.org/officeDocument/2006/math"
FONT = next(Path("/usr/share/fonts").rglob("NotoSansCJK-Regular.ttc"))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'm.db'}")
    SQLModel.metadata.create_all(engine)
    yield engine
    engine.dispose()


def picture(shade: int, kind: str = "PNG", size: tuple[int, int] = (40, 30)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (shade, 60, 60)).save(out, kind)
    return out.getvalue()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def taken(engine: Engine, path: Path) -> ImportReport:
    return import_code(engine, path, "ROOF", "1", None, "anna", mine="north", replaces=False)


def contents(engine: Engine) -> dict[str, Content]:
    return {p.number: p.content for p in listing(engine, "ROOF", NOW)}


def shown(engine: Engine) -> dict[str, list[str]]:
    """The digests of each clause's figures, each of them checked to be kept."""
    found = {n: [f.sha256 for f in c.figures] for n, c in contents(engine).items()}
    for name in (one for figures in found.values() for one in figures):
        kept = figure_bytes(engine, name)
        assert kept is not None
        assert digest(kept) == name
    return found


def fraction(above: str, below: str) -> str:
    return (
        f"<m:f><m:num><m:r><m:t>{above}</m:t></m:r></m:num><m:den><m:sSup><m:e><m:r><m:t>{below}</m:t></m:r></m:e>"
        f"<m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup></m:den></m:f>"
    )


def word(path: Path) -> tuple[bytes, bytes]:
    """A code in Word with a picture in an article and one in a table, a formula, a metafile and a linked picture."""
    first, second = picture(10), picture(200, "GIF")
    document = docx.Document()
    document.add_paragraph("第一条 巷道断面按下图布置。")
    document.add_paragraph().add_run().add_picture(io.BytesIO(first))
    document.inline_shapes[0]._inline.docPr.set("descr", "巷道  断面图")
    document.add_paragraph("第二条 风速按")
    formula = f'<m:oMath xmlns:m="{OMML}"><m:r><m:t>v=</m:t></m:r>{fraction("Q", "d")}</m:oMath>'
    document.paragraphs[-1]._p.append(parse_xml(formula))
    document.paragraphs[-1].add_run("计算。")
    cell = document.add_table(rows=1, cols=2).rows[0].cells[1]
    cell.paragraphs[0].add_run("允许值").add_picture(io.BytesIO(second))
    document.add_paragraph("第三条 不得超过规定。").add_run().add_picture(io.BytesIO(first))
    linked = document.inline_shapes[-1]._inline.graphic.graphicData.pic.blipFill.blip
    linked.attrib.clear()
    linked.set(
        "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}link",
        document.part.relate_to("http://127.0.0.1:9/secret.png", "http://x/image", is_external=True),
    )
    document.save(path)
    return first, second


def test_word_keeps_pictures_and_formulas_with_their_article(engine, tmp_path):
    first, second = word(tmp_path / "law.docx")
    report = taken(engine, tmp_path / "law.docx")
    found = contents(engine)
    assert found["2"].text_zh.splitlines()[0] == "风速按v=Q/d²计算。"
    figures = shown(engine)
    assert figures["1"] == [digest(first)]
    assert found["1"].figures[0].caption == "巷道 断面图"
    assert (found["1"].figures[0].width, found["1"].figures[0].height) == (40, 30)
    assert found["2"].figures[0].media_type == "image/png"
    assert figures["2"] != [digest(second)]  # turned into PNG
    assert figures["3"] == []
    assert report.figures == 2
    assert any("Clause 3: the picture that is only linked is not kept" in line for line in report.warnings)
    assert all("\ufdd0" not in c.text_zh + c.title_zh for c in found.values())


def sheet(path: Path) -> list[bytes]:
    """A code in Excel: a picture on each of two articles, one on an empty row, one above all, one within a cell."""
    shown = [picture(shade) for shade in (10, 80, 120, 160, 200)]
    book = openpyxl.Workbook()
    for row in (("条号", "内容"), (1, "支架布置见图。"), (2, "=DISPIMG(1)"), (None, None), (4, "不得超过规定。")):
        book.active.append(row)
    book.active["B3"] = '=DISPIMG("ID_7",1)'
    book.active["B3"].data_type = "s"
    for cell, data in zip(("B2", "A4", "A1", "D5"), shown, strict=False):
        book.active.add_image(openpyxl.drawing.image.Image(io.BytesIO(data)), cell)
    chart = openpyxl.chart.BarChart()
    chart.add_data(openpyxl.chart.Reference(book.active, min_col=1, min_row=2, max_row=3))
    book.active.add_chart(chart, "B5")
    book.save(path)
    within = (
        f'<c:images xmlns:c="http://www.wps.cn/x" xmlns:a="urn:a" xmlns:r="{RELATIONSHIPS}"><c:one><c:cNvPr name="ID_7" '
        'descr="通风系统图"/><a:blip r:embed="rId1"/></c:one></c:images>'
    )
    rels = '<Relationships xmlns="urn:p"><Relationship Id="rId1" Type="x/image" Target="media/within.png"/></Relationships>'
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr("xl/cellimages.xml", within)
        packed.writestr("xl/_rels/cellimages.xml.rels", rels)
        packed.writestr("xl/media/within.png", shown[4])
        packed.writestr("xl/media/nowhere.png", picture(240))
    return shown


def test_a_sheet_keeps_the_pictures_of_its_rows_and_tells_which_it_does_not(engine, tmp_path):
    shown_, path = sheet(tmp_path / "code.xlsx"), tmp_path / "code.xlsx"
    report = taken(engine, path)
    assert shown(engine) == {
        "1": [digest(shown_[0])],
        "2": [digest(shown_[4]), digest(shown_[1])],
        "4": [digest(shown_[3])],
    }
    assert contents(engine)["2"].figures[0].caption == "通风系统图"
    assert contents(engine)["2"].text_zh == ONLY_A_FIGURE
    assert contents(engine)["1"].text_zh == "支架布置见图。"
    assert report.figures == 4
    assert [w for w in report.warnings if "picture" in w] == [
        "Clause 4: the picture of a chart is not kept: a chart is none: save it as one.",
        "2 pictures stand in no clause and are not kept.",
    ]
    for warning in report.warnings:
        assert warning_in(warning, "zh") != warning


def test_what_was_kept_goes_with_every_later_version_and_away_with_a_file_that_has_it_no_more(engine, tmp_path):
    first, _ = word(tmp_path / "law.docx")
    taken(engine, tmp_path / "law.docx")
    assert taken(engine, tmp_path / "law.docx").unchanged == 3
    (tmp_path / "law.txt").write_text("第一条 巷道断面按下列图布置。")  # a text file cannot say anything of figures
    taken(engine, tmp_path / "law.txt")
    assert contents(engine)["1"].text_zh == "巷道断面按下列图布置。"
    assert shown(engine)["1"] == [digest(first)]
    document = docx.Document()
    document.add_paragraph("第一条 巷道断面按下列图布置。")
    document.save(tmp_path / "law.docx")
    report = taken(engine, tmp_path / "law.docx")
    assert "巷道 断面图" in report.changes[0].before
    assert shown(engine)["1"] == []


def test_an_export_as_json_carries_the_figures_to_another_mine(engine, tmp_path):
    first, _ = word(tmp_path / "law.docx")
    taken(engine, tmp_path / "law.docx")
    export_code(engine, "ROOF", tmp_path / "law.json", NOW)
    export_code(engine, "ROOF", tmp_path / "law.csv", NOW)
    other = open_database(f"sqlite:///{tmp_path / 'other.db'}")
    SQLModel.metadata.create_all(other)
    assert taken(other, tmp_path / "law.json").figures == 2
    assert contents(other) == contents(engine)
    assert shown(other)["1"] == [digest(first)]


def page(folder: Path, *articles: str) -> Path:
    (folder / "law.html").write_text(
        "<html><body>"
        + "".join(f"<p>第{n}条 {text}</p>" for n, text in zip("一二三四五六七八九", articles, strict=False))
    )
    return folder / "law.html"


def test_a_page_keeps_the_pictures_within_it_and_beside_it(engine, tmp_path):
    beside, within = picture(20, "JPEG"), picture(90)
    folder = tmp_path / "law_files"
    folder.mkdir()
    (folder / "a b.jpg").write_bytes(beside)
    data = base64.b64encode(within).decode()
    report = taken(
        engine,
        page(
            tmp_path,
            '按图<img src="law_files/a%20b.jpg" alt="断面">布置。',
            f'见<b>图</b><img src="data:image/png;base64,{data}"/>。<img src="data:image/png;base64,{data}"/>',
            "阻力<math><mi>h</mi><mo>=</mo><mi>R</mi><msup><mi>Q</mi><mn>2</mn></msup></math>。",
        ),
    )
    found = contents(engine)
    assert shown(engine) == {"1": [digest(beside)], "2": [digest(within)], "3": []}
    assert found["1"].figures[0].media_type == "image/jpeg"
    assert found["1"].figures[0].caption == "断面"
    assert (found["1"].text_zh, found["3"].text_zh) == ("按图 布置。", "阻力h = RQ²。")
    assert not report.warnings


def bomb() -> bytes:
    """A PNG of some bytes that claims 90,000 x 90,000 pixels."""
    head = struct.pack(">IIBBBBB", 90_000, 90_000, 8, 2, 0, 0, 0)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


def test_pictures_that_lie_elsewhere_hold_programs_or_are_bombs_are_named_and_not_kept(engine, tmp_path):
    folder = tmp_path / "codes"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(picture(1))
    (folder / "leads.png").symlink_to(tmp_path / "secret.png")
    (folder / "notes.toml").write_text("password = 'open'")
    (folder / "huge.png").write_bytes(b"\x89PNG" + bytes(LARGEST_FIGURE))
    (folder / "bomb.png").write_bytes(bomb())
    (folder / "chart.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    told = {
        "../secret.png": "outside",
        str(tmp_path / "secret.png"): "outside",
        "leads.png": "outside",
        "file:///etc/passwd": "elsewhere",
        "//127.0.0.1:9/x.png": "elsewhere",
        "notes.toml": "no PNG",
        "huge.png": "MiB",
        "bomb.png": "pixels",
        "chart.svg": "programs",
    }
    report = taken(engine, page(folder, *(f'甲<img src="{address}">乙' for address in told)))
    for number, why in enumerate(told.values(), start=1):
        assert any(w.startswith(f"Clause {number}: ") and why in w for w in report.warnings), (number, report.warnings)
    assert report.figures == 0
    assert not any("open" in w for w in report.warnings)
    with reading(engine) as session:
        assert session.exec(select(ClauseFigure)).all() == []


def test_a_picture_that_comes_again_is_looked_at_once_and_the_work_on_a_file_is_bounded(engine, tmp_path, monkeypatch):
    looked_at = []
    monkeypatch.setattr("rules.pictures.picture_of", lambda *a: looked_at.append(1) or picture_of(*a))
    (tmp_path / "a.png").write_bytes(picture(9))
    data = base64.b64encode(picture(10)).decode()
    every = f'<img src="a.png"><img src="data:image/png;base64,{data}">'
    assert taken(engine, page(tmp_path, f"甲{every * 500}", f"乙{every}")).figures == 2
    assert len(looked_at) == 2
    assert [len(figures) for figures in shown(engine).values()] == [2, 2]
    word(tmp_path / "law.docx")
    taken(engine, tmp_path / "law.docx")
    assert len(looked_at) == 4
    monkeypatch.setattr("rules.pictures.MOST_DECODED", 1000)
    report = taken(engine, page(tmp_path, f"甲{every}"))
    assert report.figures == 1
    assert any("no more than 1000 pictures" in w for w in report.warnings)


def test_a_drawing_within_a_page_is_named_and_its_words_stay_out(engine, tmp_path):
    path = page(tmp_path, "甲<svg><script>alert(1)</script><text>not text</text></svg>乙。", '<img src="beside.png">')
    (tmp_path / "beside.png").write_bytes(picture(5))
    report = taken(engine, path)
    found = contents(engine)
    assert found["1"].text_zh == "甲 乙。"
    assert "Clause 1: the picture within the page is not kept" in "".join(report.warnings)
    assert found["2"].text_zh == ONLY_A_FIGURE
    assert shown(engine)["2"] == [digest(picture(5))]


def test_a_picture_named_in_markdown_stays_with_its_section(engine, tmp_path):
    (tmp_path / "a.png").write_bytes(picture(7))
    (tmp_path / "law.md").write_text(
        "## § 75.1 Guards\n\nAs shown.\n\n![A guard](a.png)\n\n## § 75.2 Belts\n\nBelts.\n"
    )
    taken(engine, tmp_path / "law.md")
    assert shown(engine) == {"75.1": [digest(picture(7))], "75.2": []}
    assert contents(engine)["75.1"].text_en == "As shown."


def test_a_picture_of_xml_and_its_formula_stay_with_their_section(engine, tmp_path):
    (tmp_path / "a.png").write_bytes(picture(8))
    (tmp_path / "law.xml").write_text(
        '<ECFR><DIV8 N="75.1" TYPE="SECTION"><HEAD>§ 75.1 Guards.</HEAD><P>As<img src="a.png"/> shown:'
        "<math><mfrac><mi>a</mi><mn>2</mn></mfrac></math>.</P></DIV8>"
        '<DIV8 N="75.2" TYPE="SECTION"><HEAD>§ 75.2 Belts.</HEAD><P>Belts.</P><img src="/graphics/er.gif"/></DIV8></ECFR>'
    )
    report = taken(engine, tmp_path / "law.xml")
    assert shown(engine) == {"75.1": [digest(picture(8))], "75.2": []}
    assert contents(engine)["75.1"].text_en == "As shown:a/2."
    assert any("er.gif" in w for w in report.warnings)


def test_a_pdf_keeps_the_picture_of_an_article_and_no_badge_of_its_pages(engine, tmp_path):
    drawing, badge = picture(30, size=(60, 40)), picture(120, size=(20, 20))
    file = fpdf.FPDF()
    file.add_font("cjk", fname=FONT)
    file.set_font("cjk", size=12)
    for number in "一二三":
        file.add_page()
        file.image(io.BytesIO(badge), x=190, y=5, w=8)
        if number == "二":  # drawn before the words below which it stands
            file.image(io.BytesIO(drawing), x=20, y=30, w=60)
        file.cell(text=f"第{number}条 巷道断面必须按照设计的图样布置并且经常检查。", new_x="LMARGIN", new_y="NEXT")
        if number == "二":
            file.set_y(90)
            file.cell(text="第四条 巷道的支护必须完好，损坏的必须及时修复。", new_x="LMARGIN", new_y="NEXT")
    file.output(str(tmp_path / "law.pdf"))
    report = taken(engine, tmp_path / "law.pdf")
    found = contents(engine)
    assert {n: len(c.figures) for n, c in found.items()} == {"1": 0, "2": 1, "3": 0, "4": 0}
    assert (found["2"].figures[0].width, found["2"].figures[0].height) == (60, 40)
    assert found["2"].text_zh == "巷道断面必须按照设计的图样布置并且经常检查。"
    assert report.figures == 1


@pytest.mark.parametrize(
    ("markup", "line"),
    [
        ("<math><msqrt><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow></msqrt></math>", "√(a+b)"),
        ("<math><msub><mi>Q</mi><mi>max</mi></msub><mo>≤</mo><mn>8</mn></math>", "Q_max ≤ 8"),
        ("<math><mfrac><mrow><mi>a</mi><mo>+</mo><mn>1</mn></mrow><mi>b</mi></mfrac></math>", "(a+1)/b"),
        ("<math><semantics><mi>x</mi><annotation>\\x</annotation></semantics></math>", "x"),
        ("<math><mfenced><mi>x</mi><mi>y</mi></mfenced></math>", "(x,y)"),
        (
            (
                f'<m:oMath xmlns:m="{OMML}"><m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr><m:sub><m:r><m:t>i=1</m:t></m:r>'
                "</m:sub><m:sup><m:r><m:t>n</m:t></m:r></m:sup><m:e><m:r><m:t>q</m:t></m:r></m:e></m:nary></m:oMath>"
            ),
            "∑_(i=1)ⁿ q",
        ),
        (
            (
                f'<m:oMath xmlns:m="{OMML}"><m:rad><m:deg/><m:e><m:d><m:dPr><m:begChr m:val="["/><m:endChr m:val="]"/>'
                "</m:dPr><m:e><m:r><m:t>a</m:t></m:r></m:e></m:d></m:e></m:rad></m:oMath>"
            ),
            "√([a])",
        ),
        ("<math>" + "<mrow>" * 120 + "<mi>z</mi>" + "</mrow>" * 120 + "</math>", "z"),
    ],
)
def test_a_formula_reads_in_one_line(markup, line):
    assert linear(etree.fromstring(markup)) == line


def test_an_export_that_names_a_foreign_picture_fetches_nothing(engine, tmp_path):
    rows = [{"number": "1", "text": "甲。", "figures": [{"caption": "x", "data": "http://127.0.0.1:9/a.png"}]}]
    (tmp_path / "law.json").write_text(json.dumps(rows))
    report = taken(engine, tmp_path / "law.json")
    assert shown(engine) == {"1": []}
    assert "nothing is fetched" in "".join(report.warnings)


def test_whatever_is_not_kept_is_told_in_chinese_too():
    sources = "".join((HOUSE / "rules" / name).read_text() for name in ("pictures.py", "figure.py", "pdf_figures.py"))
    said = re.findall(r'(?:refuse\([^"]*?(?:"[^"]*")?,\s*f?|NoFigureError\(f?|return )"((?:it|an?|no) [^"]+)"', sources)
    assert len(said) >= 12
    for sentence in said:
        filled = re.sub(r"\{[^}]*\}", "7", sentence)
        told = warning_in(f"Clause 7: the picture a.png is not kept: {filled}.", "zh")
        assert (
            re.search(
                r"[A-Za-z]{4}",
                told.replace("a.png", "")
                .replace("Windows", "")
                .replace("JPEG", "")
                .replace("TIFF", "")
                .replace("WebP", ""),
            )
            is None
        ), told
