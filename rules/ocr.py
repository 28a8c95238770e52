"""Scanned pages read by Tesseract, where it is installed: one page in memory at a time, each with its confidence."""

import csv
import io
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rules.errors import ImportRefusedError

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

Progress = Callable[[int, int], None]
PACKAGES = "tesseract-ocr tesseract-ocr-chi-sim"
LANGUAGES = ("chi_sim", "eng")
DOUBTFUL = 85.0
"""Percent of confidence (Tesseract's own, the mean over a page's words) below which a person compares the page."""
PAGE_SECONDS = 120.0
ONE_BLOCK = "6"
"""Tesseract's mode for one block of lines: its own search for columns tears short lines of Chinese apart."""
LARGEST_PICTURE = 100_000_000
"""Pixels that a scanned page may have: A0 at 300 dots an inch has 140 million, A3 has 17."""
_PARAGRAPH = ("block_num", "par_num", "line_num")


class ReadPage(NamedTuple):
    """What stands on a page, and how sure Tesseract is of it (0..100)."""

    text: str
    confidence: float


BLANK = ReadPage("", 100.0)
LEAST_CONTRAST = 48
"""Shades of grey between the lightest and the darkest dot of a page that is not blank."""


def ignored(done: int, total: int) -> None:
    """For those who want to hear of no progress."""


def scanned(name: str, reader: "PdfReader", progress: Progress) -> Iterator[ReadPage]:
    """Each page of a scan, in order. Raises ImportRefusedError where Tesseract is missing or cannot read a page."""
    count = len(reader.pages)
    program = shutil.which("tesseract")
    languages = _languages(program) if program else ()
    if program is None or not languages:
        raise ImportRefusedError(
            f"{name} has {count} pages and hardly any text: it looks scanned, and Tesseract is not here to read it. Install it (Debian: {PACKAGES}), or give text, Word or HTML."
        )
    for number, page in enumerate(reader.pages, start=1):
        try:
            pictures = [_read(program, languages, data) if data else BLANK for data in _pictures(page)]
        except ImportRefusedError as error:
            raise ImportRefusedError(f"{name}, page {number}: {error}") from error
        except Exception as error:
            raise ImportRefusedError(f"{name}, page {number} cannot be read: {error}.") from error
        words = sum(len(p.text) for p in pictures)
        sure = sum(p.confidence * len(p.text) for p in pictures) / words if words else _empty(pictures)
        yield ReadPage("\n".join(p.text for p in pictures), round(sure, 1))
        progress(number, count)


def lines_of(table: str) -> ReadPage:
    """The lines in Tesseract's table of words; Chinese characters stand without the blanks that it puts between."""
    lines: dict[tuple[str, ...], list[str]] = {}
    sure, letters = 0.0, 0
    for row in csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE):
        word, confidence = (row.get("text") or "").strip(), float(row.get("conf") or -1)
        if not word or confidence < 0:
            continue
        lines.setdefault(tuple(row[part] for part in _PARAGRAPH), []).append(word)
        sure, letters = sure + confidence * len(word), letters + len(word)
    return ReadPage("\n".join(_joined(words) for words in lines.values()), sure / letters if letters else 0.0)


def _joined(words: list[str]) -> str:
    line = words[0]
    for word in words[1:]:
        line += word if line[-1] >= "⺀" or word[0] >= "⺀" else f" {word}"
    return line


def _empty(pictures: list[ReadPage]) -> float:
    """A page on which nothing was found is doubtful, unless nothing is on it."""
    return min((p.confidence for p in pictures), default=BLANK.confidence)


def _pictures(page: "PageObject") -> Iterator[bytes]:
    """The page's pictures in grey as PNG; empty for one that is blank."""
    for image in page.images:
        picture = image.image
        if picture is None:
            continue
        if picture.width * picture.height > LARGEST_PICTURE:
            raise ImportRefusedError(f"its picture has {picture.width} x {picture.height} pixels, too many to be read.")
        grey = picture.convert("L")
        shades = np.asarray(grey)
        data = io.BytesIO()
        if int(shades.max()) - int(shades.min()) >= LEAST_CONTRAST:
            grey.save(data, "PNG")
        yield data.getvalue()


def _read(program: str, languages: tuple[str, ...], picture: bytes) -> ReadPage:
    try:
        done = subprocess.run(  # noqa: S603  # the program is the machine's own, and nothing of the file is on its line
            [program, "stdin", "stdout", "-l", "+".join(languages), "--dpi", "300", "--psm", ONE_BLOCK, "tsv"],
            input=picture,
            capture_output=True,
            timeout=PAGE_SECONDS,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise ImportRefusedError(f"Tesseract did not read it within {PAGE_SECONDS:g} s.") from error
    except (OSError, subprocess.CalledProcessError) as error:
        raise ImportRefusedError(f"Tesseract cannot read it: {error}.") from error
    return lines_of(done.stdout.decode("utf-8", "replace"))


def _languages(program: str) -> tuple[str, ...]:
    """Those of our languages that Tesseract has; nothing where it has no Chinese."""
    try:
        said = subprocess.run(  # noqa: S603  # as above
            [program, "--list-langs"], capture_output=True, timeout=PAGE_SECONDS, check=True, text=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    have = set((said.stdout + said.stderr).split())
    return tuple(la for la in LANGUAGES if la in have) if "chi_sim" in have else ()
