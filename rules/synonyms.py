"""The trade's words: what means the same in both languages, in the code and at the face, and what belongs to it.

``synonyms.toml`` lists concepts. ``zh`` and ``en`` are words for one and the same thing; ``implies`` names concepts
that a mention of this one brings with it (a lighter is an ignition source); ``outside`` marks what no code governs.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

from sqlalchemy import Engine

from rules.errors import ClauseError, KnowledgeError
from rules.knowledge import Texts, current

KIND = "synonyms"
"""The kind of knowledge that a mine's own concepts are, and its changes to those that ship."""
FIELDS = ("names_zh", "names_en", "implies", "outside")
_FILE = Path(__file__).with_name("synonyms.toml")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


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

    def apart(self, other: "Synonyms") -> set[str]:
        """Every name, normalised, of a concept that only one of the two has, or has in other words."""
        changed = {self[i] for i in self} ^ {other[i] for i in other}
        return {normalised(name) for concept in changed for name in (*concept.zh, *concept.en)}

    def with_changes(self, concepts: tuple[Concept, ...]) -> "Synonyms":
        """These concepts with others in their place or beside them; one without a name is gone."""
        kept = self._concepts | {c.id: c for c in concepts}
        kept = {i: c for i, c in kept.items() if c.zh or c.en}
        return Synonyms(tuple(replace(c, implies=tuple(i for i in c.implies if i in kept)) for c in kept.values()))

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


def current_synonyms(engine: Engine, mine: str) -> Synonyms:
    """The concepts that ship with what the mine has published of its own; the same object until that changes."""
    texts = current(engine, mine, KIND)
    return _changed(tuple(concept_of(key, texts[key]) for key in sorted(texts))) if texts else bundled_synonyms()


@lru_cache(maxsize=8)
def _changed(concepts: tuple[Concept, ...]) -> Synonyms:
    return bundled_synonyms().with_changes(concepts)


def concept_of(identity: str, texts: Texts) -> Concept:
    """The concept that a person has written: a name a line, ids of what it implies with commas between.

    Raises KnowledgeError where the id cannot be one or a name is too short to be told from chance.
    """
    if not _NAME.fullmatch(identity):
        raise KnowledgeError(f"{identity!r} cannot name a concept: write small letters, digits and hyphens.")
    zh, en = (tuple(dict.fromkeys(filter(None, map(str.strip, texts.get(f, "").splitlines())))) for f in FIELDS[:2])
    if short := [n for n in (*zh, *en) if len(n) < (2 if n.isascii() else 1)]:
        raise KnowledgeError(f"{short[0]!r} is too short for a word that is searched for.")
    implies = tuple(dict.fromkeys(filter(None, re.split(r"[\s,，、]+", texts.get("implies", "")))))
    return Concept(identity, zh, en, implies, bool(texts.get("outside", "").strip()))


def texts_of(concept: Concept) -> dict[str, str]:
    """The concept as a person edits it; ``concept_of`` reads it back."""
    return {
        "names_zh": "\n".join(concept.zh),
        "names_en": "\n".join(concept.en),
        "implies": ", ".join(concept.implies),
        "outside": "1" * concept.outside,
    }


def shipped_texts() -> Mapping[str, dict[str, str]]:
    """Every concept that ships, as a person edits it."""
    bundled = bundled_synonyms()
    return {identity: texts_of(bundled[identity]) for identity in bundled}


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
