"""The library of measures: what is usually done about each risk type, in both languages."""

import math
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

from disposal.document import Bilingual
from disposal.errors import KnownError, MeasuresError
from stream.catalogue import RISK_TYPES

KIND = "measures"
"""The kind of knowledge that a mine's own measures are."""
FIELDS = (
    "measures_zh", "measures_en", "resources_zh", "resources_en", "contingency_zh", "contingency_en",
    "acceptance_zh", "acceptance_en", "deadline_hours",
)  # fmt: skip
LONGEST, MOST, LONGEST_HOURS = 300, 12, 24 * 90
"""Characters of one measure in one language, measures of one risk type, and hours that a deadline may have."""
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


def usual_of(texts: Mapping[str, str]) -> Usual:
    """What a person has written of one risk type: a measure or resource a line, the same number in both languages.

    Raises KnownError that says what does not fit.
    """
    try:
        hours = float(texts.get("deadline_hours", ""))
    except ValueError:
        hours = math.nan
    if not 0 < hours <= LONGEST_HOURS:
        raise KnownError(f"The usual deadline is a number of hours above 0 and at most {LONGEST_HOURS}.")
    measures, resources, contingency, acceptance = (
        _pairs(name, texts) for name in ("measures", "resources", "contingency", "acceptance")
    )
    return Usual(
        deadline_hours=hours,
        measures=measures,
        resources=resources,
        contingency=_one("contingency", contingency),
        acceptance=_one("acceptance", acceptance),
    )


def texts_of(usual: Usual) -> dict[str, str]:
    """The entry as a person edits it; ``usual_of`` reads it back."""
    lists = {
        "measures": usual.measures,
        "resources": usual.resources,
        "contingency": (usual.contingency,),
        "acceptance": (usual.acceptance,),
    }
    texts = {f"{n}_{la}": "\n".join(getattr(b, la) for b in lines) for n, lines in lists.items() for la in ("zh", "en")}
    return texts | {"deadline_hours": f"{usual.deadline_hours:g}"}


def _pairs(name: str, texts: Mapping[str, str]) -> tuple[Bilingual, ...]:
    zh, en = ([li.strip() for li in texts.get(f"{name}_{la}", "").splitlines() if li.strip()] for la in ("zh", "en"))
    if len(zh) != len(en) or not zh:
        raise KnownError(
            f"The {name} have {len(zh)} lines in Chinese and {len(en)} in English: write at least one, and each in both."
        )
    if len(zh) > MOST or any(len(line) > LONGEST for line in (*zh, *en)):
        raise KnownError(f"The {name} may have {MOST} lines of {LONGEST} characters: shorten them.")
    return tuple(Bilingual(one, other) for one, other in zip(zh, en, strict=True))


def _one(name: str, lines: tuple[Bilingual, ...]) -> Bilingual:
    if len(lines) != 1:
        raise KnownError(f"The {name} has {len(lines)} lines: write one.")
    return lines[0]
