"""Lines of text in a PDF: page by page, without running heads and page numbers, broken sentences put together again."""

import io
import re
from collections import Counter
from collections.abc import Sequence

from rules.errors import ImportRefusedError
from rules.numbering import ARTICLE, CFR, HEADING

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


def pdf_text(name: str, data: bytes) -> str:
    """The text of a PDF. Raises ImportRefusedError for one that is damaged, protected, too long, or only scanned."""
    pages = [_plain(page) for page in _pages(name, data)]
    if sum(len("".join(page)) for page in pages) < LEAST_CHARACTERS * len(pages):
        raise ImportRefusedError(
            f"{name} has {len(pages)} pages and hardly any text: it looks scanned. Have a program read the text first (OCR), or give the code as text, Word or HTML."
        )
    return "\n".join(joined([line for page in _without_running_heads(pages) for line in page]))


def joined(lines: Sequence[str]) -> list[str]:
    """Paragraphs again: a full line that ends no sentence goes on in the next, unless that is a new one."""
    widths = sorted(_width(line) for line in lines)
    full = 0.7 * widths[int(0.95 * (len(widths) - 1))] if widths else 0
    result: list[str] = []
    goes_on = False
    for line in lines:
        if goes_on and not _begins(line):
            space = "" if _HAN.match(line[0]) and _HAN.match(result[-1][-1]) else " "
            result[-1] += space + line
        else:
            result.append(line)
        goes_on = _width(line) >= full and not _ENDS.search(line) and not HEADING.match(line)
    return result


def _pages(name: str, data: bytes) -> list[str]:
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    try:
        reader = PdfReader(io.BytesIO(data))
        locked = reader.is_encrypted and not reader.decrypt("")
        if not locked and (count := len(reader.pages)) <= MOST_PAGES:
            return [page.extract_text() for page in reader.pages]
    except DependencyError:
        locked = True
    except Exception as error:
        raise ImportRefusedError(f"{name} cannot be read as a PDF: {error}.") from error
    if locked:
        raise ImportRefusedError(f"{name} is protected by a password: save it without one.")
    raise ImportRefusedError(f"{name} has {count} pages: more than {MOST_PAGES} are not read.")


def _plain(page: str) -> list[str]:
    return [line for raw in page.splitlines() if (line := re.sub(r"[ \t\u3000]+", " ", raw).strip())]


def _without_running_heads(pages: Sequence[list[str]]) -> list[list[str]]:
    """Pages without page numbers, and without first and last lines that stand on at least every third of them."""
    edges = Counter(line for page in pages for line in {*page[:1], *page[-1:], *page[-2:-1]})
    running = {line for line, count in edges.items() if count >= 3 and count * 3 >= len(pages)}
    return [[li for li in page if li not in running and not _PAGE_NUMBER.match(li)] for page in pages]


def _begins(line: str) -> bool:
    return bool(ARTICLE.match(line) or HEADING.match(line) or CFR.match(line) or _BEGINS.match(line))


def _width(line: str) -> int:
    return sum(2 if _HAN.match(c) else 1 for c in line)
