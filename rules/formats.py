"""Files that codes come in: what they hold as lines of text or as rows, with sizes bounded and encodings found."""

import csv
import io
import itertools
import json
import re
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rules.errors import ImportRefusedError
from rules.markup import html_text, xml_content
from rules.ocr import Progress, ignored
from rules.pdf import pdf_text
from rules.pictures import MARKS_OF_ROW, Pictures, attached
from rules.word import docx_lines

LARGEST = 200 * 1024**2
"""Bytes of a file that are read at most."""
LARGEST_UNPACKED = 64 * 1024**2
"""Bytes that a .docx or .xlsx may unpack to; a thousand pages of text stay far below."""
LARGEST_RATIO = 250
"""A part of more than a MiB that unpacks to more than this many times its size holds nothing that a person wrote."""
MOST_ROWS, MOST_COLUMNS = 100_000, 64
"""Rows and columns of a table that are read at most; the largest code here has some 3,000 sections."""
TEXT, TABLE = (".txt", ".md", ".docx", ".html", ".htm", ".pdf"), (".json", ".csv", ".xlsx", ".xml")
_PACKED = (".docx", ".xlsx")
_PICTURED = (".docx", ".pdf", ".html", ".htm", ".xml", ".md")
_MD_PICTURE = re.compile(r"!\[([^\]\n]*)\]\(\s*<?([^)\s>]+)>?(?:\s[^)\n]*)?\)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f]")
_INVISIBLE = re.compile(r"[\u200b-\u200f\u2060\ufeff]")


_RADICALS = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0x2F00, 0x2FD6)} | {
    ord(radical): character
    for radical, character in zip(
        "⺟⺠⻁⻄⻅⻆⻉⻋⻓⻔⻘⻙⻚⻛⻜⻝⻢⻣⻤⻥⻦⻧⻨⻩⻬⻮⻰⻳",
        "母民虎西见角贝车长门青韦页风飞食马骨鬼鱼鸟卤麦黄齐齿龙龟",
        strict=True,
    )
}
_RADICALS[ord("㬵")] = "胶"
"""Code points that PDFs give for characters that look like them: ⽣ for 生, ⻔ for 门."""


@dataclass(frozen=True)
class Content:
    """What a file holds: numbered lines of text, or rows of named values; and the encoding that it was in.

    ``style``: how rows are numbered, where the file's kind says it: ``cfr`` leaves gaps by intention.
    ``doubtful``: pages of a scan that were read with little confidence, with it (0..100). ``pictures``: what the marks
    in the text stand for.
    """

    lines: tuple[tuple[int, str], ...] = ()
    rows: tuple[tuple[int, dict[str, Any]], ...] = ()
    encoding: str = ""
    style: str = "rows"
    doubtful: tuple[tuple[int, float], ...] = ()
    pictures: Pictures = field(default_factory=Pictures, compare=False)


def read_content(path: Path, progress: Progress = ignored) -> Content:
    """The content of a code's file; ``progress`` is told the pages of a PDF that are read, and of how many.

    Raises ImportRefusedError for one that is missing, too large or of another kind.
    """
    suffix = path.suffix.lower()
    if suffix not in (*TEXT, *TABLE):
        raise ImportRefusedError(
            f"{path.name} is no kind of file that a code is imported from: give one of {', '.join((*TEXT, *TABLE))}."
        )
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= LARGEST else b""
    except OSError as error:
        raise ImportRefusedError(f"{path} cannot be read: {error.strerror}.") from error
    if size > LARGEST:
        raise ImportRefusedError(f"{path.name} has {size // 1024**2} MiB: more than {LARGEST // 1024**2} are not read.")
    if not data.strip():
        raise ImportRefusedError(f"{path.name} is empty.")
    pictures = Pictures(path.parent, said=suffix in _PICTURED)
    if suffix in _PACKED:
        _refuse_bomb(path.name, data)
        if suffix == ".xlsx":
            return Content(rows=_xlsx(path.name, data, pictures), pictures=pictures)
        return _with_pictures(docx_lines(path.name, data, pictures), pictures, f"{path.name} holds no text.")
    if suffix == ".pdf":
        found = pdf_text(path.name, data, pictures, progress)
        return replace(_with_pictures(found.text, pictures), doubtful=found.doubtful)
    text, encoding = decoded(data, path.name)
    return replace(_of_text(path.name, suffix, text, pictures), encoding=encoding)


def _of_text(name: str, suffix: str, text: str, pictures: Pictures) -> Content:
    """The content of a file that is text in its kind's way of writing."""
    if suffix in (".html", ".htm"):
        return _with_pictures(html_text(name, text, pictures), pictures)
    if suffix == ".md":
        return _with_pictures(_MD_PICTURE.sub(lambda found: pictures.from_address(found[2], found[1]), text), pictures)
    if suffix == ".xml":
        text, rows = xml_content(name, text, pictures)
        return replace(_with_pictures(text, pictures), rows=rows, style="cfr")
    if suffix == ".json":
        return Content(rows=_json(name, text, pictures), pictures=pictures)
    return Content(rows=_csv(text)) if suffix == ".csv" else Content(lines=mended(text))


def _with_pictures(text: str, pictures: Pictures, empty: str = "") -> Content:
    lines = attached(mended(text))
    if empty and not lines:
        raise ImportRefusedError(empty)
    return Content(lines=lines, pictures=pictures)


def decoded(data: bytes, name: str) -> tuple[str, str]:
    """The text in ``data`` and its encoding, found by what it holds: UTF-8, UTF-16 with its mark, or GB 18030 (GBK)."""
    encodings = ["utf-16"] if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not _CONTROL.search(text):
            return text, encoding.removesuffix("-sig")
    raise ImportRefusedError(
        f"{name} is no text in UTF-8, UTF-16 or GB 18030: save it as text in UTF-8, or give the right kind of file."
    )


def mended(text: str) -> tuple[tuple[int, str], ...]:
    r"""Numbered lines without invisible characters and stray radicals, literal ``\n``, ``\t`` made real, none empty."""
    lines: list[tuple[int, str]] = []
    for number, line in enumerate(text.translate(_RADICALS).splitlines(), start=1):
        for part in line.replace("\\r", "").replace("\\t", " ").split("\\n"):
            clean = _INVISIBLE.sub("", part).replace("\u3000", " ").strip()
            if clean:
                lines.append((number, clean))
    return tuple(lines)


def _refuse_bomb(name: str, data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            parts = packed.infolist()
    except zipfile.BadZipFile as error:
        kind = "is protected by a password or of another kind" if data[:4] == b"\xd0\xcf\x11\xe0" else "is damaged"
        raise ImportRefusedError(f"{name} {kind}: save it anew without a password.") from error
    total = sum(part.file_size for part in parts)
    if any(part.flag_bits & 1 for part in parts):
        raise ImportRefusedError(f"{name} is protected by a password: save it without one.")
    if total > LARGEST_UNPACKED:
        raise ImportRefusedError(
            f"{name} unpacks to {total // 1024**2} MiB, more than the {LARGEST_UNPACKED // 1024**2} that are read: it is refused."
        )
    if any(p.file_size > max(1024**2, LARGEST_RATIO * p.compress_size) for p in parts):
        raise ImportRefusedError(f"{name} unpacks to more than {LARGEST_RATIO} times its size: it is refused.")


def _xlsx(name: str, data: bytes, pictures: Pictures) -> tuple[tuple[int, dict[str, Any]], ...]:
    import openpyxl

    from rules.sheet_pictures import SheetPictures

    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheet = book.active
        cells = () if sheet is None else sheet.iter_rows(values_only=True, max_col=MOST_COLUMNS)
        rows = [list(row) for row in itertools.islice(cells, MOST_ROWS + 1)]
        # Reading rows one by one is what keeps memory bounded, and openpyxl gives no pictures with it.
        held = SheetPictures(data, getattr(sheet, "_worksheet_path", ""), pictures)
        rows = [[held.take(number, cell) for cell in row] for number, row in enumerate(rows, start=1)]
        held.close()
    except Exception as error:
        raise ImportRefusedError(f"{name} cannot be read as an Excel file: {error}.") from error
    if len(rows) > MOST_ROWS:
        raise ImportRefusedError(f"{name} has more than {MOST_ROWS} rows: that is no code.")
    return tuple(_beside(list(_named(iter(rows))), held.rows))


def _beside(rows: list[tuple[int, dict[str, Any]]], marks: dict[int, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows with the marks of their pictures; one on an empty row belongs to the row above."""
    ends = [number for number, _ in rows[1:]] + [MOST_ROWS + 2]
    for (number, row), end in zip(rows, ends, strict=True):
        held = "".join(marks[at] for at in sorted(marks) if number <= at < end)
        yield number, row | {MARKS_OF_ROW: held} if held else row


def _csv(text: str) -> tuple[tuple[int, dict[str, Any]], ...]:
    # Only the delimiter is guessed, by the head: what guesses the quotes too goes wrong on cells that hold JSON.
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    csv.field_size_limit(1_000_000)
    return tuple(
        _named([_unquoted(cell) for cell in row] for row in csv.reader(io.StringIO(text), delimiter=delimiter))
    )


def _unquoted(cell: str) -> str:
    """A cell without the apostrophe that keeps a spreadsheet from running it as a formula."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in ("=", "+", "@") else cell


def _named(rows: Iterator[list[Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    head = [str(cell or "").strip() for cell in next(rows, [])]
    for number, row in enumerate(rows, start=2):
        values = {name: cell for name, cell in zip(head, row, strict=False) if name}
        if any(str(v or "").strip() for v in values.values()):
            yield number, values


def _json(name: str, text: str, pictures: Pictures) -> tuple[tuple[int, dict[str, Any]], ...]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ImportRefusedError(f"{name} is no JSON: {error}.") from error
    if isinstance(data, dict):
        inner = next((v for v in data.values() if isinstance(v, list) and v and isinstance(v[0], dict)), None)
        data = inner if inner is not None else [{"number": k, "text": v} for k, v in data.items()]
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise ImportRefusedError(f"{name} is JSON of another kind: write a list of objects with a number and a text.")
    pictures.said = any("figures" in row for row in data)
    return tuple(enumerate((_marked(row, pictures) for row in data), start=1))


def _marked(row: dict[str, Any], pictures: Pictures) -> dict[str, Any]:
    """A row of ``clauses export``: its pictures, written as data addresses, leave their marks in the number's text."""
    figures = row.get("figures")
    if not isinstance(figures, list):
        return row
    held = [f for f in figures if isinstance(f, dict)]
    marks = "".join(pictures.from_address(str(f.get("data", "")), str(f.get("caption", ""))) for f in held)
    column = next((c for c in ("text_zh", "text_en", "text") if row.get(c)), "text")
    return {k: v for k, v in row.items() if k != "figures"} | {column: f"{row.get(column) or ''}{marks}"}
