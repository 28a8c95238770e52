"""A font of this machine with Chinese characters, cut down to those that a document needs."""

import io
import threading
from functools import cache
from pathlib import Path
from typing import Any

from fontTools import subset
from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTCollection, TTFont, TTLibError, newTable
from matplotlib.font_manager import findSystemFonts

from disposal.errors import FontMissingError

_PREFERRED = (
    "NotoSansCJK-Regular", "NotoSansCJKsc-Regular", "NotoSansSC-Regular", "NotoSansSC", "SourceHanSansSC-Regular",
    "SourceHanSansCN-Regular", "SourceHanSans-Regular", "msyh", "simsun", "simhei", "wqy-microhei", "wqy-zenhei",
    "NotoSerifCJK-Regular", "NotoSerifSC", "DroidSansFallbackFull", "DroidSansFallback", "uming",
)  # fmt: skip
"""File names of fonts with simplified Chinese, those without serifs first: they read best when small."""
_PROBE = "矿井隐患处置"
_MISSING = (
    "A PDF needs a font with Chinese characters, and this machine has none: install the package fonts-noto-cjk "
    "(Debian, Ubuntu) or google-noto-sans-cjk-fonts (Fedora, RHEL), or export the document as DOCX."
)
_SIMPLIFIED = {"SC", "CN"}
_UNUSED = ["BASE", "GDEF", "GPOS", "GSUB", "VORG", "vhea", "vmtx"]
_UNITS_OFF = 1.0
"""How far, in units of 1/1000 em, a curve may be off when it is drawn anew."""
_lock = threading.Lock()


def small_font(text: str) -> bytes:
    """A TrueType font with the signs of ``text`` as far as the machine's font has them.

    Outlines of the other kind (CFF, as Noto's) are drawn anew: many readers find no text in a PDF that carries them.
    Raises FontMissingError, naming the package to install, where the machine has no font with Chinese characters.
    """
    path, number = system_font()
    with _lock, TTFont(path, fontNumber=number, lazy=True) as font:
        options = subset.Options(layout_features=[], hinting=False, notdef_outline=True, name_IDs=[1, 2, 4, 6])
        options.drop_tables += _UNUSED
        cutter = subset.Subsetter(options)
        cutter.populate(text=text)
        cutter.subset(font)
        if "glyf" not in font:
            _draw_anew(font)
        file = io.BytesIO()
        font.save(file)
        return file.getvalue()


@cache
def system_font() -> tuple[Path, int]:
    """The font's file and its number in it. Raises FontMissingError where there is none, and looks again next time."""
    found: dict[str, Path] = {}
    for name in sorted(findSystemFonts()):
        found.setdefault(Path(name).stem.lower(), Path(name))
    for wanted in _PREFERRED:
        path = found.get(wanted.lower())
        number = _number_in(path) if path else None
        if path is not None and number is not None:
            return path, number
    raise FontMissingError(_MISSING)


def _number_in(path: Path) -> int | None:
    """Which font of the file is the one for simplified Chinese; None where none has Chinese characters."""
    try:
        with path.open("rb") as file:
            many = file.read(4) == b"ttcf"
        with TTCollection(path, lazy=True) if many else TTFont(path, lazy=True) as opened:
            able = [
                (str(font["name"].getDebugName(1) or "").split(), number)
                for number, font in enumerate(opened.fonts if many else [opened])
                if all(ord(sign) in font.getBestCmap() for sign in _PROBE)
            ]
    except (OSError, TTLibError, KeyError):
        return None
    return min(able, key=lambda found: not set(found[0]) & _SIMPLIFIED)[1] if able else None


def _draw_anew(font: Any) -> None:
    """Replace cubic outlines by quadratic ones, and with them the tables that tell of the kind."""
    order, drawn = font.getGlyphOrder(), font.getGlyphSet()
    glyphs = {}
    for name in order:
        pen = TTGlyphPen(drawn)
        drawn[name].draw(Cu2QuPen(pen, _UNITS_OFF, reverse_direction=True))
        glyphs[name] = pen.glyph()
    font["loca"], font["glyf"] = newTable("loca"), newTable("glyf")
    font["glyf"].glyphOrder, font["glyf"].glyphs = order, glyphs
    del font["CFF "]
    font["glyf"].compile(font)
    most = font["maxp"]
    most.tableVersion = 0x00010000
    for name in (
        "maxTwilightPoints", "maxStorage", "maxFunctionDefs", "maxInstructionDefs", "maxStackElements",
        "maxSizeOfInstructions", "maxComponentElements", "maxPoints", "maxContours", "maxCompositePoints",
        "maxCompositeContours", "maxComponentDepth",
    ):  # fmt: skip
        setattr(most, name, 0)
    most.maxZones = 1
    most.compile(font)
    post = font["post"]
    post.formatType, post.extraNames, post.mapping, post.glyphOrder = 2.0, [], {}, order
    font.sfntVersion = "\x00\x01\x00\x00"
