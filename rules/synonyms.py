"""The trade's words: what means the same in both languages, in the code and at the face, and what belongs to it.

``synonyms.toml`` lists concepts. ``zh`` and ``en`` are words for one and the same thing; ``implies`` names concepts
that a mention of this one brings with it (a lighter is an ignition source); ``outside`` marks what no code governs.
"""

import tomllib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rules.errors import ClauseError

_FILE = Path(__file__).with_name("synonyms.toml")


@dataclass(frozen=True)
class Concept:
    """One thing under all its names; the first name of each language is the one that codes use."""

    id: str
    zh: tuple[str, ...]
    en: tuple[str, ...]
    implies: tuple[str, ...] = ()
    outside: bool = False

    def name(self, language: str) -> str:
        """The name that codes use."""
        names = self.zh if language == "zh" else self.en
        return names[0] if names else ""


class Synonyms:
    """Finds concepts in text, also names within longer names (甲烷 in 甲烷传感器)."""

    def __init__(self, concepts: tuple[Concept, ...]) -> None:
        self._concepts = {c.id: c for c in concepts}
        names: dict[str, list[str]] = {}
        for concept in concepts:
            if missing := [i for i in concept.implies if i not in self._concepts]:
                raise ClauseError(f"The concept {concept.id} implies {', '.join(missing)}, which is not listed.")
            for name in (*concept.zh, *concept.en):
                names.setdefault(normalised(name), []).append(concept.id)
        self._by_start: dict[str, list[tuple[str, list[str]]]] = {}
        for name, identities in names.items():
            self._by_start.setdefault(name[:2], []).append((name, identities))

    def find(self, text: str) -> list[str]:
        """Ids of the concepts that the text names, in its order, each as often as it is named."""
        plain = normalised(text)
        found: list[str] = []
        for position, first in enumerate(plain):
            starts = self._by_start.get(plain[position : position + 2], ())
            for name, identities in (*self._by_start.get(first, ()), *starts):
                if plain.startswith(name, position) and _whole(plain, position, name):
                    found += identities
        return found

    def implied(self, identities: list[str]) -> list[str]:
        """Ids of the concepts that those bring with them, one step on."""
        return [i for identity in identities for i in self._concepts[identity].implies]

    def outside(self, identity: str) -> bool:
        """Whether a mention of the concept makes a text less like every clause."""
        return self._concepts[identity].outside

    def __getitem__(self, identity: str) -> Concept:
        return self._concepts[identity]

    def __iter__(self) -> Iterator[str]:
        return iter(self._concepts)

    def __len__(self) -> int:
        return len(self._concepts)


def normalised(text: str) -> str:
    """Text for comparing: full-width forms made narrow, lower case."""
    return unicodedata.normalize("NFKC", text).lower()


def read_synonyms(path: Path) -> Synonyms:
    """The concepts in that TOML file. Raises ClauseError that says what does not fit."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return Synonyms(
            tuple(
                Concept(
                    identity,
                    tuple(row.get("zh", ())),
                    tuple(row.get("en", ())),
                    tuple(row.get("implies", ())),
                    row.get("outside", False),
                )
                for identity, row in data.items()
            )
        )
    except (OSError, ValueError, AttributeError) as error:
        raise ClauseError(f"The synonyms in {path} cannot be read: {error}.") from error


@cache
def bundled_synonyms() -> Synonyms:
    """The concepts that ship with the product."""
    return read_synonyms(_FILE)


def _whole(text: str, position: int, name: str) -> bool:
    """Chinese names count anywhere, others as whole words, with a plural s; a number may stand right before a unit."""
    if not name[0].isascii():
        return True
    end = position + len(name)
    if text[end : end + 1] == "s":
        end += 1
    behind = text[end : end + 1]
    return not (_letter(text[position - 1 : position]) or _letter(behind) or (behind.isascii() and behind.isdigit()))


def _letter(character: str) -> bool:
    return character.isascii() and character.isalpha()
