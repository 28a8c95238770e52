"""The library of measures: what is usually done about each risk type, in both languages."""

import tomllib
from functools import cache
from pathlib import Path

import msgspec

from disposal.document import Bilingual
from disposal.errors import MeasuresError
from stream.catalogue import RISK_TYPES

_FILE = Path(__file__).with_name("measures.toml")


class Usual(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is usually done about one risk type. ``deadline_hours`` is also the longest time that a draft may give."""

    deadline_hours: float
    measures: tuple[Bilingual, ...]
    resources: tuple[Bilingual, ...]
    contingency: Bilingual
    acceptance: Bilingual


def read_library(path: Path = _FILE) -> dict[str, Usual]:
    """The library in that file, by risk type.

    Raises MeasuresError where it cannot be read, lacks a risk type of the catalogue or names one that it has not.
    """
    try:
        found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), dict[str, Usual])
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise MeasuresError(
            f"The library of measures at {path} cannot be read: {error}. Mend or restore the file."
        ) from error
    if odd := found.keys() ^ RISK_TYPES.keys():
        raise MeasuresError(
            f"The library of measures at {path} and the catalogue differ in {', '.join(sorted(odd))}: add or remove those."
        )
    return found


@cache
def library() -> dict[str, Usual]:
    """The library that ships."""
    return read_library()
