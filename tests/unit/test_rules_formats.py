from __future__ import annotations

import io
import os
import resource
import shutil
import zipfile
import zlib
from pathlib import Path

import docx
import fpdf
import openpyxl
import pypdf
import pytest
from PIL import Image, ImageDraw, ImageFont

from rules.errors import ImportRefusedError
from rules.formats import LARGEST_RATIO, Content, read_content
from rules.ocr import lines_of
from rules.outline import outline
from rules.pdf import joined
from rules.rows import from_rows

_TO_UNICODE = b"""/CIDInit /ProcSet findresource begin 12 dict begin begincmap
1 begincodespacerange <0000> <FFFF> endcodespacerange
1 beginbfrange <0000> <FFFF> <0000> endbfrange endcmap end end"""


FONT = next(Path("/usr/share/fonts").rglob("NotoSansCJK-Regular.ttc"), None)


def pdf(pages: list[list[str]]) -> bytes:
    """A PDF with those lines on its pages, in a font whose codes are UTF-16."""
    count = len(pages)
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(count))
    font = 4 + 2 * count
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>".encode(),
        b"<< >>",
    ]
    for i, lines in enumerate(pages):
        shown = "".join(f"<{line.encode('utf-16-be').hex()}> Tj 0 -18 Td " for line in lines)
        stream = zlib.compress(f"BT /F1 12 Tf 60 780 Td {shown}ET".encode())
        bodies.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {5 + 2 * i} 0 R "
            f"/Resources << /Font << /F1 {font} 0 R >> >> >>".encode()
        )
        bodies.append(f"<< /Length {len(stream)} /Filter /FlateDecode >>\nstream\n".encode() + stream + b"\nendstream")
    bodies += [
        f"<< /Type /Font /Subtype /Type0 /BaseFont /Song /Encoding /Identity-H /DescendantFonts [{font + 1} 0 R] "
        f"/ToUnicode {font + 2} 0 R >>".encode(),
        b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Song /CIDSystemInfo << /Registry (A) /Ordering (B) >> >>",
        b"<< /Length %d >>\nstream\n" % len(_TO_UNICODE) + _TO_UNICODE + b"\nendstream",
    ]
    out, places = io.BytesIO(), []
    out.write(b"%PDF-1.7\n")
    for number, body in enumerate(bodies, start=1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n" % number + body + b"\nendobj\n")
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(bodies) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % place for place in places))
    out.write(b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(bodies) + 1, start))
    return out.getvalue()


def read(tmp_path: Path, name: str, data: bytes | str) -> Content:
    (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_content(tmp_path / name)


def clauses(content: Content) -> dict[str, str]:
    found = outline(content.lines) if content.lines else from_rows("file", content)
    return {a.number: a.text for a in found.articles}


def test_a_pdf_gives_its_articles_without_heads_and_page_numbers(tmp_path):
    long = "带式输送机必须装设防打滑、跑偏、堆煤、撕裂等保护装置，同时应当装设温度、烟雾监测"
    pages = [
        ["煤矿安全规程（试行）", "第一章 总则", "第一条 为了保障安全，制定本规程。", "第二条 " + long, "- 1 -"],
        ["煤矿安全规程（试行）", "装置和自动洒水装置。", "（一）应当具备沿线急停功能。", "第 2 页"],
        ["煤矿安全规程（试行）", "第三条 必须遵守。", "3 / 3"],
    ]
    content = read(tmp_path, "law.pdf", pdf(pages))
    assert clauses(content) == {
        "1": "为了保障安全，制定本规程。",
        "2": long + "装置和自动洒水装置。\n（一）应当具备沿线急停功能。",
        "3": "必须遵守。",
    }
    assert outline(content.lines).articles[0].heading == ("第一章 总则",)


def test_radicals_that_a_pdf_gives_become_the_characters_that_were_meant(tmp_path):
    text = "第一条 煤矿⻔⼝必须有⼈值守，防⽌⽆关⼈员进⼊，⻋⻢⼈员⼀律登记。"
    assert clauses(read(tmp_path, "law.pdf", pdf([[text]]))) == {
        "1": "煤矿门口必须有人值守，防止无关人员进入，车马人员一律登记。"
    }


def test_broken_english_lines_are_put_together_with_a_space():
    lines = ["§ 75.1722 Mechanical equipment guards.", "(a) Gears; sprockets; chains and similar exposed moving"]
    lines += ["machine parts shall be guarded.", "(b) Guards at conveyor drives shall extend a distance"]
    assert joined([*lines, "sufficient to prevent a person."])[1:] == [
        "(a) Gears; sprockets; chains and similar exposed moving machine parts shall be guarded.",
        "(b) Guards at conveyor drives shall extend a distance sufficient to prevent a person.",
    ]


def scan(pages: list[Image.Image]) -> bytes:
    file = io.BytesIO()
    pages[0].save(file, "PDF", save_all=True, append_images=pages[1:], resolution=300)
    return file.getvalue()


def test_a_scan_of_three_hundred_pages_without_text_is_refused(tmp_path, monkeypatch):
    blank = scan([Image.new("L", (60, 80), 200)] * 300)
    told = r"300 pages and hardly any text: it looks scanned.*tesseract-ocr tesseract-ocr-chi-sim"
    if shutil.which("tesseract"):
        with pytest.raises(ImportRefusedError, match="300 scanned pages on which nothing can be read"):
            read(tmp_path, "scan.pdf", blank)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImportRefusedError, match=told):
        read(tmp_path, "scan.pdf", blank)


@pytest.mark.skipif(
    not (shutil.which("tesseract") and FONT) and not os.environ.get("CI"), reason="Tesseract or its font is missing"
)
def test_a_scan_is_read_by_tesseract_and_its_doubtful_pages_are_listed(tmp_path):
    font = ImageFont.truetype(str(FONT), 44)

    def page(*lines: str) -> Image.Image:
        drawn = Image.new("L", (1400, 400), 245)
        for row, line in enumerate(lines):
            ImageDraw.Draw(drawn).text((80, 60 + 90 * row), line, fill=20, font=font)
        return drawn

    smeared = page("第三条 矿井必须有完整的通风系统。").resize((110, 32)).resize((1400, 400))
    steps: list[tuple[int, int]] = []
    path = tmp_path / "scan.pdf"
    clear = page("第一条 严禁乘坐输送带。", "第二条 入井人员必须戴安全帽。")
    path.write_bytes(scan([clear, smeared, Image.new("L", (1400, 400), 245)]))
    content = read_content(path, lambda done, total: steps.append((done, total)))
    text = "".join(line for _, line in content.lines)
    assert "第一条" in text
    assert "乘坐输送带" in text
    assert "必须戴安全" in text
    assert [number for number, _ in content.doubtful] == [2]
    assert content.doubtful[0][1] < 85
    assert steps[-1] == (3, 3)


def test_tesseracts_words_become_lines_and_a_confidence():
    head = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n"
    rows = [("1", "第"), ("1", "一条"), ("1", "CH4"), ("1", "不得"), ("2", "Two"), ("2", "words")]
    table = (
        head
        + "".join(f"5\t1\t1\t1\t{li}\t1\t0\t0\t1\t1\t80\t{w}\n" for li, w in rows)
        + "4\t1\t1\t1\t3\t0\t0\t0\t1\t1\t-1\t\n"
    )
    assert lines_of(table) == ("第一条CH4不得\nTwo words", 80.0)
    assert lines_of(head) == ("", 0.0)


def test_a_thousand_pages_are_read_under_a_bar_in_bounded_memory(tmp_path):
    path = tmp_path / "law.pdf"
    law = fpdf.FPDF()
    law.set_font("helvetica")
    for number in range(1001, 2001):
        law.add_page()
        law.cell(text=f"\u00a7 75.{number} Each belt entry shall be kept free of accumulations of coal.")
    path.write_bytes(bytes(law.output()))
    steps: list[tuple[int, int]] = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    content = read_content(path, lambda done, total: steps.append((done, total)))
    assert len(content.lines) == 1000
    assert steps == [(n, 1000) for n in range(1, 1001)]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


def test_a_pdf_under_a_password_is_refused(tmp_path):
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf([["第一条 为了保障安全，制定本规程，全体职工必须遵守。"]])))
    writer.encrypt("secret", algorithm="RC4-128")
    locked = io.BytesIO()
    writer.write(locked)
    with pytest.raises(ImportRefusedError, match="protected by a password"):
        read(tmp_path, "law.pdf", locked.getvalue())


def test_a_damaged_pdf_is_refused(tmp_path):
    with pytest.raises(ImportRefusedError, match="cannot be read as a PDF"):
        read(tmp_path, "law.pdf", b"%PDF-1.7\n1 0 obj << /Type /Catalog >> endobj")


PAGE = """<!DOCTYPE html><html><head><meta charset="utf-8"><title>x</title><style>p{}</style></head><body>
<nav>首页 第九条 不是条文</nav><h2>第一章 总则</h2><p><b>第一条</b>　为了保障
安全，制定本规程。<script>alert("第五条 x")</script></p><div>第二条&nbsp;必须遵守：<br>（一）甲；<ul><li>（二）乙。</li></ul></div>
<table><tr><td>第三条</td><td>风速<i>不小于</i> 0.25 m/s。</td></tr></table></body></html>"""


@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_html_gives_what_a_reader_sees_whatever_encoding_it_names(tmp_path, encoding):
    content = read(tmp_path, "law-utf8.html", PAGE.replace("&nbsp;", " ").encode(encoding))
    assert clauses(content) == {
        "1": "为了保障安全，制定本规程。",
        "2": "必须遵守：\n（一）甲；\n（二）乙。",
        "3": "风速不小于 0.25 m/s。",
    }
    assert outline(content.lines).articles[0].heading == ("第一章 总则",)


ECFR = """<?xml version="1.0" encoding="UTF-8"?>
<ECFR><DIV1 N="1" TYPE="TITLE"><DIV5 N="75" TYPE="PART"><HEAD>PART 75—MANDATORY SAFETY STANDARDS</HEAD>
<AUTH><HED>Authority:</HED><P>30 U.S.C. 811.</P></AUTH>
<DIV6 N="R" TYPE="SUBPART"><HEAD>Subpart R—Miscellaneous</HEAD>
<DIV8 N="75.1722" TYPE="SECTION"><HEAD>§ 75.1722   Mechanical equipment guards.</HEAD>
<P>(a) Gears <I>and</I> chains shall be guarded.</P><P>(b) Guards at conveyor drives.</P>
<CITA TYPE="N">[38 FR 4975, Feb. 23, 1973]</CITA></DIV8>
<DIV8 N="75.1725" TYPE="SECTION"><HEAD>§ 75.1725   Machinery.</HEAD><P>Belts &amp; rollers at 30 &#176;C.</P>
<DIV width="100%"><TABLE><TR><TD>Belt</TD><TD>0.5</TD></TR></TABLE></DIV></DIV8>
</DIV6></DIV5></DIV1></ECFR>"""


def test_the_xml_of_the_ecfr_gives_sections_with_their_part(tmp_path):
    content = read(tmp_path, "title-30.xml", ECFR)
    found = from_rows("title-30.xml", content)
    assert found.style == "cfr"
    first, second = found.articles
    assert (first.number, first.title) == ("75.1722", "Mechanical equipment guards")
    assert first.text == "(a) Gears and chains shall be guarded.\n(b) Guards at conveyor drives."
    assert first.heading == ("Part 75—mandatory safety standards", "Subpart R—Miscellaneous")
    assert second.text == "Belts & rollers at 30 °C.\nBelt 0.5"


def test_other_xml_is_read_as_lines(tmp_path):
    text = "<law><ti>第一章 总则</ti><art>第一条 为了<em>保障</em>安全。</art><art>第二条 必须遵守。</art></law>"
    assert clauses(read(tmp_path, "law.xml", text)) == {"1": "为了保障安全。", "2": "必须遵守。"}


@pytest.mark.parametrize(
    "declared",
    ['<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">', '<!ENTITY b SYSTEM "file:///etc/hostname">'],
)
def test_xml_with_entities_of_its_own_is_refused(tmp_path, declared):
    with pytest.raises(ImportRefusedError, match="declares entities"):
        read(tmp_path, "law.xml", f"<!DOCTYPE law [{declared}]><law><art>第一条 &b;</art></law>")


def test_damaged_xml_is_refused(tmp_path):
    with pytest.raises(ImportRefusedError, match="no well-formed XML"):
        read(tmp_path, "law.xml", "<law><art>第一条 甲。</law>")


def test_a_part_that_unpacks_beyond_reason_is_refused(tmp_path):
    document = io.BytesIO()
    docx.Document().save(document)
    with zipfile.ZipFile(document, "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("word/more.xml", b"\0" * (10 * 1024**2))
    with pytest.raises(ImportRefusedError, match=f"more than {LARGEST_RATIO} times"):
        read(tmp_path, "law.docx", document.getvalue())


def test_a_sheet_with_a_row_far_below_is_refused(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["number", "text"])
    book.active.cell(1_048_576, 2, "甲")
    book.save(tmp_path / "law.xlsx")
    with pytest.raises(ImportRefusedError, match="more than 100000 rows"):
        read_content(tmp_path / "law.xlsx")


def test_a_sheet_under_a_password_is_refused(tmp_path):
    with pytest.raises(ImportRefusedError, match="password"):
        read(tmp_path, "law.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
