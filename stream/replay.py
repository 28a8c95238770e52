"""A CSV file played again as if a sensor measured it now, at its own speed or faster."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from stream.errors import SourceError
from stream.site import Sensor

RELATIVE = "captured_at_s"
"""The time column that counts seconds; the others hold ISO 8601 times (UTC where they say no zone)."""

ABSOLUTE = ("captured_at", "created_at", "timestamp", "time")


class Row(NamedTuple):
    """One line: seconds since the first one, and the value as it stands there."""

    seconds: float
    text: str


class CsvFile(NamedTuple):
    """Which file, and which of its columns hold the time and the value."""

    path: Path
    time: str
    value: str


def open_csv(sensor: Sensor) -> CsvFile:
    """Find the file and the columns: ``FILE.csv`` or ``FILE.csv?column=NAME``.

    Raises SourceError where the file cannot be read, or its columns do not tell what is time and what is the value.
    """
    path, column = _split(sensor.url)
    names = _header(path)
    time = next((n for n in (RELATIVE, *ABSOLUTE) if n in names), None)
    if time is None:
        raise SourceError(f"{path} has no column {RELATIVE}, {', '.join(ABSOLUTE)}: name the time's column so.")
    others = [n for n in names if n != time]
    value = column or ("value" if "value" in others else others[0] if len(others) == 1 else None)
    if value not in others:
        raise SourceError(
            f"{path} has the columns {', '.join(others) or 'none'}: say which one holds the value with {path.name}?column=NAME."
        )
    file = CsvFile(path, time, value)
    if next(rows(file), None) is None:
        raise SourceError(f"{path} holds no line with a time that can be read.")
    return file


def rows(file: CsvFile) -> Iterator[Row]:
    """The lines in order; one whose time cannot be read, or goes back, takes the time of the line before it.

    Raises SourceError where the file cannot be read on.
    """
    first: float | None = None
    seconds = 0.0
    try:
        with file.path.open(encoding="utf-8-sig", newline="") as stream:
            for line in csv.DictReader(stream):
                at = _seconds(file, line.get(file.time) or "")
                if at is not None:
                    first = at if first is None else first
                    seconds = max(seconds, at - first)
                if first is not None:
                    yield Row(seconds, line.get(file.value) or "")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{file.path} cannot be read as CSV: {error}.") from error


def _split(url: str) -> tuple[Path, str | None]:
    if url.lower().startswith("file://"):
        parts = urlsplit(url)
        return Path(unquote(parts.path)), parse_qs(parts.query).get("column", [None])[0]
    path, _, query = url.partition("?column=")
    return Path(path), unquote(query) or None


def _header(path: Path) -> list[str]:
    if not path.is_file():
        raise SourceError(f"There is no file {path}. Check the path.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return next(csv.reader(stream), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path} cannot be read as CSV: {error}.") from error


def _seconds(file: CsvFile, text: str) -> float | None:
    try:
        if file.time == RELATIVE:
            seconds = float(text)
            return seconds if abs(seconds) < 1e12 else None
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
