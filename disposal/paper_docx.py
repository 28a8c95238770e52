"""A printed document as DOCX."""

import io
from collections.abc import Sequence

import docx
from docx.oxml.ns import qn
from docx.shared import Mm, Pt

from disposal.paper import Block, Bullet, Heading, Line, Picture, Rows, Title

_LATIN_FONT, _CHINESE_FONT = "Arial", "SimSun"


def write_docx(paper: Sequence[Block], language: str) -> bytes:
    """The file's bytes."""
    del language
    file = docx.Document()
    style = file.styles["Normal"]
    style.font.name, style.font.size = _LATIN_FONT, Pt(10.5)
    style.element.rPr.rFonts.set(qn("w:eastAsia"), _CHINESE_FONT)
    file.core_properties.author = "Minewatch"
    for block in paper:
        match block:
            case Title(text):
                file.core_properties.title = text
                file.add_heading(text, level=0)
            case Heading(text):
                file.add_heading(text, level=2)
            case Line(text, strong):
                file.add_paragraph().add_run(text).bold = strong or None
            case Bullet(text):
                file.add_paragraph(text, style="List Bullet")
            case Rows(rows):
                table = file.add_table(rows=0, cols=2, style="Table Grid")
                for name, value in rows:
                    cells = table.add_row().cells
                    cells[0].text, cells[1].text = name, value
            case Picture(data, width):
                file.add_picture(io.BytesIO(data), width=Mm(width))
    out = io.BytesIO()
    file.save(out)
    return out.getvalue()
