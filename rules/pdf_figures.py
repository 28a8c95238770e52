"""Pictures on the pages of a PDF: each is put, as a mark, behind the line of text that stands above it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rules.figure import MOST_PIXELS, NoFigureError
from rules.pictures import MARK, Pictures

if TYPE_CHECKING:
    from pypdf import PageObject

WHOLE_PAGE = 0.8
"""Share of a page from which a picture is the page itself, scanned."""
LEAST_RUNNING = 3
"""Pages on which the same picture, on at least every third of them, is a badge at their edge and no figure."""
_BESIDE = "\ufdd2"
"""Stands in a page's text where a picture was, until it is known which of them are figures."""


class Drawn(NamedTuple):
    """A picture on a page: its name there, what the PDF calls it (the same for the same picture), share of the page."""

    page: int
    name: str
    identity: str
    share: float


class PageReader:
    """Reads pages one by one and remembers which pictures they draw; only later are those decoded that are figures."""

    def __init__(self) -> None:
        self.drawn: list[Drawn] = []

    def text(self, page: "PageObject", number: int) -> str:
        """The text of a page; a line ``place(n)`` stands where the picture ``self.drawn[n]`` is."""
        known = _images(page)
        if not known:
            return page.extract_text()
        pieces: list[tuple[str, float]] = []
        met: list[tuple[str, Sequence[float]]] = []

        def on_text(text: str, cm: Sequence[float], tm: Sequence[float], *_: object) -> None:
            pieces.append((text, tm[4] * cm[1] + tm[5] * cm[3] + cm[5]))

        def on_operand(operator: bytes, operands: Sequence[Any], cm: Sequence[float], _: object) -> None:
            if operator == b"Do" and operands and str(operands[0]) in known:
                met.append((str(operands[0]), tuple(float(n) for n in cm)))

        text = page.extract_text(visitor_text=on_text, visitor_operand_after=on_operand)
        area = abs(float(page.mediabox.width) * float(page.mediabox.height)) or 1.0
        behind: dict[int, list[int]] = {}
        for name, cm in met:
            share = abs(cm[0] * cm[3] - cm[1] * cm[2]) / area
            self.drawn.append(Drawn(number, name, known[name], share))
            behind.setdefault(_above(pieces, cm[5] + cm[3] / 2), []).append(len(self.drawn) - 1)
        if "".join(piece for piece, _ in pieces).strip() != text.strip():
            return "\n".join([text, *(place(n) for numbers in behind.values() for n in numbers)])
        told = "".join(place(n) for n in behind.get(-1, ()))
        for index, (piece, _) in enumerate(pieces):
            told += piece + "".join(place(n) for n in behind.get(index, ()))
        return told

    def marks(self, pages: Sequence["PageObject"], pictures: Pictures) -> Mapping[int, str]:
        """The mark of each picture drawn, by its number; empty for those that are no figures."""
        on = Counter(identity for identity, _ in {(d.identity, d.page) for d in self.drawn})
        running = {i for i, count in on.items() if count >= LEAST_RUNNING and count * 3 >= len(pages)}
        return {
            n: "" if drawn.identity in running else self._mark(pages[drawn.page - 1], drawn, pictures)
            for n, drawn in enumerate(self.drawn)
        }

    def _mark(self, page: "PageObject", drawn: Drawn, pictures: Pictures) -> str:
        name = f"{drawn.name.strip('/')} on page {drawn.page}"
        if drawn.share >= WHOLE_PAGE:
            return pictures.refuse(name, "it covers the page, as a scan does")
        if (mark := pictures.again(drawn.identity)) is not None:
            return mark
        try:
            return pictures.add(_decoded(page, drawn.name), name, key=drawn.identity)
        except NoFigureError as error:
            return pictures.refuse(name, str(error), drawn.identity)


def _decoded(page: "PageObject", name: str) -> bytes:
    try:
        held = page["/Resources"]["/XObject"][name]  # type: ignore[index]  # a PDF's own nesting
        if int(held.get("/Width", 0)) * int(held.get("/Height", 0)) > MOST_PIXELS:
            raise NoFigureError("it has too many pixels")
        return page.images[name].data
    except NoFigureError:
        raise
    except Exception as error:
        raise NoFigureError(f"it cannot be read ({type(error).__name__})") from error


def place(number: int) -> str:
    """The line that stands for the picture of that number while a page's text is put together."""
    return f"\n{_BESIDE}{number}{_BESIDE}\n"


def marked(line: str, marks: Mapping[int, str]) -> str | None:
    """The mark for a line that is the place of a picture; None for every other line."""
    if not (line.startswith(_BESIDE) and line.endswith(_BESIDE)):
        return None
    number = line.strip(_BESIDE)
    return marks.get(int(number), "") if number.isdecimal() else None


def is_mark(line: str) -> bool:
    """Whether the line is the mark of a picture and nothing else."""
    return MARK.fullmatch(line) is not None


def _images(page: "PageObject") -> dict[str, str]:
    """The pictures that the page may draw, by name, each with what tells that it is the same on another page."""
    try:
        held = page["/Resources"]["/XObject"].get_object()  # type: ignore[index]  # as above
        return {
            str(name): str(getattr(held.raw_get(name), "idnum", f"{name} {id(page)}"))
            for name in held
            if held[name].get("/Subtype") == "/Image"
        }
    except (KeyError, AttributeError, TypeError):
        return {}


def _above(pieces: Sequence[tuple[str, float]], y: float) -> int:
    """The index of the piece of text that stands right above ``y``, the last one of its line; -1 where none does."""
    above = [(height, -index) for index, (text, height) in enumerate(pieces) if text.strip() and height >= y]
    return -min(above)[1] if above else -1
