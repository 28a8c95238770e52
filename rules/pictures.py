"""Pictures met while a code's file is read: each leaves a mark in the text, so that it stays with its article.

Where a picture lies comes from outside: nothing is fetched, and of this machine only what lies in the file's own folder
is opened. What is not kept is named in the report.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rules.figure import (
    LARGEST_FIGURE,
    LEAST_SIDE,
    MOST_BYTES,
    MOST_DECODED,
    MOST_FIGURES,
    Figure,
    NoFigureError,
    picture_of,
)
from rules.outline import Article, Lines, Outline

_BEGIN, _END = "\ufdd0", "\ufdd1"
"""Code points that Unicode keeps for a program's own use: no text holds them."""
MARKS_OF_ROW = _BEGIN
"""The column of a table under which the marks of a row's pictures stand: no column is named so."""
MARK = re.compile(f"{_BEGIN}([0-9]{{1,6}}){_END}")
_MARKS = re.compile(f"(?:\\s*{_BEGIN}[0-9]{{1,6}}{_END}\\s*)+")
_DATA = re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,", re.IGNORECASE)
ONLY_A_FIGURE = "（见图） (see the figure)"
"""The text of a clause that is nothing but a figure: without words nobody could find or cite it."""
MOST_TOLD = 20
"""Pictures that are not kept and are named one by one."""


class Pictures:
    """The pictures of one file, in the order of their marks. ``said``: the file's kind can hold pictures."""

    def __init__(self, folder: Path | None = None, *, said: bool = False) -> None:
        self.said = said
        self.kept: dict[str, tuple[str, bytes]] = {}
        self._folder = folder
        self._met: list[Figure | str | None] = []
        self._known: dict[str, Figure | str | None] = {}
        self._bytes = self._pixels = self._looked_at = 0

    def add(self, data: bytes, name: str, caption: str = "", key: str = "") -> str:
        """The mark of a picture; where it cannot be kept, the mark that tells so. ``key``: by which it comes again."""
        try:
            self._looked_at += 1
            if self._looked_at > MOST_FIGURES or self._bytes > MOST_BYTES or self._pixels > MOST_DECODED:
                raise NoFigureError(f"no more than {MOST_FIGURES} pictures of a file are kept, nor more than 64 MiB")
            figure, content = picture_of(data, caption)
        except NoFigureError as error:
            return self.refuse(name, str(error), key)
        self._pixels += figure.width * figure.height
        if min(figure.width, figure.height) < LEAST_SIDE:
            return self._mark(None, key)
        if figure.sha256 not in self.kept:
            self.kept[figure.sha256] = (figure.media_type, content)
            self._bytes += len(content)
        return self._mark(figure, key)

    def again(self, key: str) -> str | None:
        """The mark of a picture that was there before, not looked at once more; None for one that was not."""
        return self._mark(self._known[key]) if key in self._known else None

    def refuse(self, name: str, why: str, key: str = "") -> str:
        """The mark of a picture that is not kept."""
        return self._mark(f"the picture {name[:60]} is not kept: {why}", key)

    def from_address(self, address: str, caption: str = "") -> str:
        """The mark of a picture that a page names: within the page itself, or a file in the page's folder."""
        address = address.strip()
        if (mark := self.again(address)) is not None:
            return mark
        if found := _DATA.match(address):
            return self._decoded(address, found.end(), caption)
        name = re.split(r"[/\\]", address)[-1] or "without a name"
        try:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc or self._folder is None:
                return self.refuse(name, "it lies elsewhere, and nothing is fetched")
            folder = self._folder.resolve()
            path = (folder / unquote(parts.path)).resolve()
            if not path.is_relative_to(folder):
                return self.refuse(name, "it lies outside of the file's folder")
            if not path.is_file():
                return self.refuse(name, "it does not lie beside the file")
            if path.stat().st_size > LARGEST_FIGURE:
                return self.refuse(name, f"it has more than {LARGEST_FIGURE // 1024**2} MiB")
            return self.add(path.read_bytes(), name, caption, address)
        except (OSError, ValueError):
            return self.refuse(name, "it cannot be read")

    def take(self, found: Outline) -> list[str]:
        """Take the marks out of the articles, give each article its figures; answers what was not kept, in prose."""
        told: list[str] = []
        placed: set[int] = set()
        for article in found.articles:
            numbers = _numbers([article.title, *article.parts, *article.english])
            placed.update(numbers)
            _unmark(article)
            met = [self._met[n] for n in numbers if n < len(self._met)]
            told += [f"Clause {article.number}: {one}." for one in met if isinstance(one, str)]
            if figures := tuple(dict.fromkeys(one for one in met if isinstance(one, Figure))):
                article.fields["figures"] = figures
                article.parts = article.parts if article.text or article.title else [ONLY_A_FIGURE]
        found.stray = [(line, text) for line, raw in found.stray if (text := _MARKS.sub(" ", raw).strip())]
        loose = sum(n not in placed and one is not None for n, one in enumerate(self._met))
        if loose:
            told.append(f"{loose} pictures stand in no clause and are not kept.")
        named = {f.sha256 for a in found.articles for f in a.fields.get("figures", ())}
        self.kept = {digest: picture for digest, picture in self.kept.items() if digest in named}
        found.said |= {"figures"} if self.said else frozenset()
        return told if len(told) <= MOST_TOLD else [*told[:MOST_TOLD], f"{len(told) - MOST_TOLD} more are not kept."]

    def _decoded(self, address: str, start: int, caption: str) -> str:
        if len(address) > LARGEST_FIGURE * 3 // 2:
            return self.refuse("within the page", f"it has more than {LARGEST_FIGURE // 1024**2} MiB")
        try:
            return self.add(base64.b64decode(unquote(address[start:])), "within the page", caption, address)
        except (binascii.Error, ValueError):
            return self.refuse("within the page", "it is damaged")

    def _mark(self, met: Figure | str | None, key: str = "") -> str:
        self._met.append(met)
        if key:
            self._known[key] = met
        return f"{_BEGIN}{len(self._met) - 1}{_END}"


def attached(lines: Lines) -> tuple[tuple[int, str], ...]:
    """The lines, with marks that stand alone put behind the line before them: a picture begins no clause."""
    result: list[tuple[int, str]] = []
    for number, text in lines:
        if result and _MARKS.fullmatch(text):
            result[-1] = (result[-1][0], result[-1][1] + text.strip())
        else:
            result.append((number, text))
    return tuple(result)


def _numbers(texts: Sequence[str]) -> list[int]:
    return [int(number) for text in texts for number in MARK.findall(text)]


def _unmark(article: Article) -> None:
    article.title = _clean(article.title)
    article.parts = [_clean(part) for part in article.parts]
    article.heading = tuple(_clean(part) for part in article.heading)
    article.english = (_clean(article.english[0]), _clean(article.english[1]))
    article.fields = {k: _clean(v) if isinstance(v, str) else v for k, v in article.fields.items()}


def _clean(text: str) -> str:
    return _MARKS.sub(" ", text).strip() if _BEGIN in text else text
