"""Varied wording: sentences whose bracketed parts are chosen anew each time, for teaching a drafting model."""

import random
import re
import tomllib
from functools import cache
from pathlib import Path

import msgspec

from disposal.document import Bilingual
from disposal.errors import MeasuresError
from stream.catalogue import RISK_TYPES

_FILE = Path(__file__).with_name("wording.toml")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
Lines = tuple[Bilingual, ...]


class Family(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is done about a group of risk types."""

    types: tuple[str, ...]
    measures: Lines
    resources: Lines
    contingency: Lines
    acceptance: Lines


class Topic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person's report may be about, told by its words, and what is done about it."""

    words: dict[str, tuple[str, ...]]
    reports: Lines
    measures: Lines
    resources: Lines


class Cue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a clause asks for, told by its words; ways to write such a clause, and the measure that answers it."""

    words: dict[str, tuple[str, ...]]
    clauses: Lines
    measures: Lines


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lines of which one is written."""

    lines: Lines


class Wording(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All wording of the file."""

    family: dict[str, Family]
    topic: dict[str, Topic]
    cue: dict[str, Cue]
    status: dict[str, Said]
    reading: dict[str, Said]

    def family_of(self, risk_type: str) -> Family:
        """The family of that risk type."""
        return next(f for f in self.family.values() if risk_type in f.types)


@cache
def wording() -> Wording:
    """The wording that ships. Raises MeasuresError where the file cannot be read or leaves out a risk type."""
    try:
        found = msgspec.convert(tomllib.loads(_FILE.read_text(encoding="utf-8")), Wording)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise MeasuresError(f"The wording at {_FILE} cannot be read: {error}. Mend or restore the file.") from error
    named = [t for family in found.family.values() for t in family.types]
    if odd := set(named) ^ RISK_TYPES.keys():
        raise MeasuresError(f"The wording at {_FILE} and the catalogue differ in {', '.join(sorted(odd))}.")
    return found


def say(text: str, chance: random.Random) -> str:
    """The sentence with each bracketed part replaced by one of its alternatives."""
    return _CHOICE.sub(lambda part: chance.choice(part.group(1).split("|")), text)


def named(words: dict[str, tuple[str, ...]], text: str, language: str) -> int:
    """Where the first of those words stands in the text; -1 where none does."""
    low = text.lower()
    places = [low.find(w) for w in words[language]]
    return min((p for p in places if p >= 0), default=-1)
