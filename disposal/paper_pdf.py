"""A printed document as PDF, in a font of this machine that has Chinese characters."""

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fpdf import FPDF, XPos, YPos
from fpdf.enums import WrapMode
from PIL import Image

from disposal.chinese_font import small_font
from disposal.paper import Block, Bullet, Heading, Line, Picture, Rows, Title

_FONT = "chinese"
_HEIGHT = 110.0
"""Millimetres that a picture may be high at most."""


def write_pdf(paper: Sequence[Block], language: str) -> bytes:
    """The file's bytes; its text can be searched and copied. Raises FontMissingError where there is no such font."""
    writer = _Writer(small_font(_texts(paper)), language)
    for block in paper:
        writer.add(block)
    return writer.close()


def _texts(paper: Sequence[Block]) -> str:
    """Every sign that is printed."""
    said = ["0123456789/• "]
    for block in paper:
        match block:
            case Rows(rows):
                said += [text for row in rows for text in row]
            case Picture():
                pass
            case _:
                said.append(block.text)
    return "".join(said)


class _Writer:
    def __init__(self, font: bytes, language: str) -> None:
        # Between Chinese characters a line may break anywhere; English breaks between words.
        self._wrap = WrapMode.CHAR if language == "zh" else WrapMode.WORD
        self._pdf = FPDF(format="A4")
        self._pdf.set_author("Minewatch")
        self._pdf.set_lang("zh-CN" if language == "zh" else "en")
        self._pdf.set_margin(20)
        self._pdf.set_auto_page_break(True, margin=20)
        with tempfile.TemporaryDirectory(prefix="minewatch-font-") as folder:
            file = Path(folder) / "font.ttf"
            file.write_bytes(font)
            self._pdf.add_font(_FONT, fname=file)
        self._pdf.add_page()

    def add(self, block: Block) -> None:
        """Print a block below the last."""
        match block:
            case Title(text):
                self._pdf.set_title(text)
                self._text(text, 18, 9)
            case Heading(text):
                self._pdf.ln(2)
                self._text(text, 13, 8)
            case Line(text, strong):
                self._text(text, 10.5, 6, strong=strong)
            case Bullet(text):
                self._text(f"• {text}", 10.5, 6)
            case Rows(rows):
                self._rows(rows)
            case Picture(data, width):
                self._picture(data, width)

    def close(self) -> bytes:
        """Everything that was printed."""
        return bytes(self._pdf.output())

    def _text(self, text: str, size: float, height: float, *, strong: bool = False) -> None:
        self._pdf.set_font(_FONT, size=size)
        self._pdf.text_mode = 2 if strong else 0
        self._pdf.multi_cell(0, height, text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT, wrapmode=self._wrap)
        self._pdf.text_mode = 0

    def _rows(self, rows: tuple[tuple[str, str], ...]) -> None:
        self._pdf.set_font(_FONT, size=10)
        with self._pdf.table(
            col_widths=(1, 2), first_row_as_headings=False, text_align="LEFT", line_height=6, wrapmode=self._wrap
        ) as table:
            for name, value in rows:
                row = table.row()
                row.cell(name)
                row.cell(value)

    def _picture(self, data: bytes, width: float) -> None:
        with Image.open(io.BytesIO(data)) as picture:
            shape = picture.height / picture.width
        self._pdf.image(io.BytesIO(data), w=min(width, _HEIGHT / shape))
        self._pdf.ln(2)
