"""Lines of text in a PDF: page by page, without running heads and page numbers, broken sentences put together again."""

import io
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from rules.errors import ImportRefusedError
from rules.numbering import ARTICLE, CFR, HEADING
from rules.ocr import DOUBTFUL, Progress, ignored, scanned
from rules.pdf_figures import PageReader, is_mark, marked
from rules.pictures import Pictures

if TYPE_CHECKING:
    from pypdf import PdfReader

MOST_PAGES = 5000
"""Pages of a file that are read at most."""
LEAST_CHARACTERS = 20
"""Fewer characters on a page than this, on average, are the stamp of a scanner and no text."""
_PAGE_NUMBER = re.compile(r"^[\s\-—–·•]*(?:第\s*)?\d{1,4}(?:\s*页)?(?:\s*(?:/|of|共)\s*\d{1,4}\s*页?)?[\s\-—–·•]*$")
_ENDS = re.compile(r"[。；：！？.;:!?|]$")
_BEGINS = re.compile(
    r"^(?:[（(][一二三四五六七八九十\da-zA-Z]{1,4}[）)]|\d{1,3}(?:\.\d{1,3})*[\s、.．)）]|[一二三四五六七八九十]{1,3}、)"
)
_HAN = re.compile(r"[⺀-鿿，、；。]")


class PdfText(NamedTuple):
    """The text of a PDF, and pages (from 1) of a scan that were read with little confidence, each with it."""

    text: str
    doubtful: tuple[tuple[int, float], ...] = ()


def pdf_text(name: str, data: bytes, pictures: Pictures, progress: Progress = ignored) -> PdfText:
    """The text of a PDF, page by page, with the marks of ``pictures``; of one only scanned as Tesseract reads it.

    Raises ImportRefusedError for one that is damaged, protected, too long, or scanned where Tesseract is missing.
    """
    reader = _opened(name, data)
    count = len(reader.pages)
    drawn = PageReader()
    try:
        pages = []
        for number, page in enumerate(reader.pages, start=1):
            pages.append(_plain(drawn.text(page, number)))
            progress(number, count)
    except Exception as error:
        raise ImportRefusedError(f"{name} cannot be read as a PDF: {error}.") from error
    doubtful: tuple[tuple[int, float], ...] = ()
    if sum(len(li) for page in pages for li in page if marked(li, {}) is None) < LEAST_CHARACTERS * len(pages):
        pictures.said = False
        read = list(scanned(name, reader, progress))
        pages = [_plain(page.text) for page in read]
        doubtful = tuple((n, p.confidence) for n, p in enumerate(read, start=1) if p.confidence < DOUBTFUL)
        if not any(pages):
            raise ImportRefusedError(
                f"{name} has {count} scanned pages on which nothing can be read: scan it with 300 dots an inch, upright."
            )
    elif drawn.drawn:
        marks = drawn.marks(reader.pages, pictures)
        pages = [[told for li in page if (told := _or(marked(li, marks), li))] for page in pages]
    return PdfText("\n".join(joined([li for page in _without_running_heads(pages) for li in page])), doubtful)


def joined(lines: Sequence[str]) -> list[str]:
    """Paragraphs again: a full line that ends no sentence goes on in the next, unless that is a new one."""
    widths = sorted(_width(line) for line in lines)
    full = 0.7 * widths[int(0.95 * (len(widths) - 1))] if widths else 0
    result: list[str] = []
    goes_on = False
    for line in lines:
        if is_mark(line) and result:
            result[-1] += line
            continue
        if goes_on and not _begins(line):
            space = "" if _HAN.match(line[0]) and _HAN.match(result[-1][-1]) else " "
            result[-1] += space + line
        else:
            result.append(line)
        goes_on = _width(line) >= full and not _ENDS.search(line) and not HEADING.match(line)
    return result


def _opened(name: str, data: bytes) -> "PdfReader":
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    try:
        reader = PdfReader(io.BytesIO(data))
        locked = reader.is_encrypted and not reader.decrypt("")
        count = 0 if locked else len(reader.pages)
    except DependencyError:
        locked = True
    except Exception as error:
        raise ImportRefusedError(f"{name} cannot be read as a PDF: {error}.") from error
    if locked:
        raise ImportRefusedError(f"{name} is protected by a password: save it without one.")
    if count > MOST_PAGES:
        raise ImportRefusedError(f"{name} has {count} pages: more than {MOST_PAGES} are not read.")
    return reader


def _or(mark: str | None, line: str) -> str:
    return line if mark is None else mark


def _plain(page: str) -> list[str]:
    # Codes of two bytes, of which one is empty, reach us as a character behind a NUL from some writers of PDFs.
    return [line for raw in page.replace("\0", "").splitlines() if (line := re.sub(r"[ \t\u3000]+", " ", raw).strip())]


def _without_running_heads(pages: Sequence[list[str]]) -> list[list[str]]:
    """Pages without page numbers, and without first and last lines that stand on at least every third of them."""
    texts = [[li for li in page if not is_mark(li)] for page in pages]
    edges = Counter(line for page in texts for line in {*page[:1], *page[-1:], *page[-2:-1]})
    running = {line for line, count in edges.items() if count >= 3 and count * 3 >= len(pages)}
    return [[li for li in page if li not in running and not _PAGE_NUMBER.match(li)] for page in pages]


def _begins(line: str) -> bool:
    return bool(ARTICLE.match(line) or HEADING.match(line) or CFR.match(line) or _BEGINS.match(line))


def _width(line: str) -> int:
    return sum(2 if _HAN.match(c) else 1 for c in line)
