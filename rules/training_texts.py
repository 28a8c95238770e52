"""What an embedder is trained on: clauses of codes with their headings, and the same in other words of the trade."""

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rules.errors import ImportRefusedError
from rules.formats import read_content
from rules.ngrams import Ngrams
from rules.outline import Article, outline
from rules.synonyms import Synonyms

Tokens = npt.NDArray[np.int64]
_PART = re.compile(r"(?<=[。；;])|\n|(?=[(（][一二三四五六七八九十]{1,3}[)）])")
_HAN = re.compile(r"[㐀-鿿]")
_SHORTEST, _LONGEST = 6, 1500
_SPAN = (10, 30)
"""Characters of a cut from a sentence: about as long as what people say of a hazard."""
VARIANTS = 4
"""Rewordings of each sentence that are made once, before the first step."""
_REWORDED_SAID, _REWORDED_WRITTEN = 0.7, 0.3
"""How often a name of the trade gives way to another one: in what stands for a hazard, and for a clause."""


@dataclass(frozen=True)
class Passage:
    """A clause as an embedder learns it: the names above it, and its sentences."""

    names: tuple[str, ...]
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Tokened:
    """A passage in numbers: what may be said of it (its sentences, cuts from them, its names), and what it says."""

    said: tuple[tuple[Tokens, ...], ...]
    written: tuple[tuple[Tokens, ...], ...]
    names: tuple[Tokens, ...]


def read_passages(files: Sequence[Path]) -> list[Passage]:
    """The Chinese clauses in these files, each once. Raises ImportRefusedError where they cannot be read."""
    found = dict.fromkeys(p for file in files for p in map(_passage, _articles(file)) if p is not None)
    if not found:
        raise ImportRefusedError("There is no Chinese clause in these files: name files of codes.")
    return list(found)


def tokened(
    passages: Sequence[Passage], ngrams: Ngrams, seed: int, tick: Callable[[], None] = lambda: None
) -> list[Tokened]:
    """The passages in numbers, with rewordings by chance from ``seed``; ``tick`` is called behind each."""
    chance = random.Random(seed)  # noqa: S311  # nothing secret: the same rewordings again
    rewording = Rewording(ngrams.synonyms)
    result = []
    for passage in passages:
        result.append(_tokened(passage, ngrams, rewording, chance))
        tick()
    return result


class Rewording:
    """Puts other names of the same things into a text."""

    def __init__(self, synonyms: Synonyms) -> None:
        self._names = {i: [n for n in synonyms[i].zh if len(n) > 1] for i in synonyms if not synonyms.outside(i)}
        self._owner = {name: i for i, names in self._names.items() for name in names}
        names = sorted(self._owner, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, names))) if names else None

    def reword(self, text: str, share: float, chance: random.Random) -> str:
        """The text with about that share of its names changed for others."""
        if self._pattern is None:
            return text
        return self._pattern.sub(
            lambda m: chance.choice(self._names[self._owner[m[0]]]) if chance.random() < share else m[0], text
        )

    def alike(self, chance: random.Random, count: int) -> list[tuple[str, str]]:
        """Pairs of names for one thing each."""
        several = [names for names in self._names.values() if len(names) > 1]
        return [tuple(chance.sample(names, 2)) for names in chance.sample(several, min(count, len(several)))]  # type: ignore[misc]


def _tokened(passage: Passage, ngrams: Ngrams, rewording: Rewording, chance: random.Random) -> Tokened:
    def numbers(text: str, share: float) -> Tokens:
        return np.array(ngrams.tokens(rewording.reword(text, share, chance)), np.int64)

    said = tuple(
        tuple(numbers(cut(part, chance) if n % 2 else part, _REWORDED_SAID) for n in range(VARIANTS))
        for part in passage.parts
    )
    written = tuple(
        tuple(numbers(part, _REWORDED_WRITTEN if n else 0.0) for n in range(VARIANTS // 2)) for part in passage.parts
    )
    return Tokened(said, written, tuple(numbers(name, 0.0) for name in passage.names))


def cut(text: str, chance: random.Random) -> str:
    """A piece of the text of a hazard's usual length, or the whole where it is no longer than that."""
    length = chance.randint(*_SPAN)
    begin = chance.randint(0, max(0, len(text) - length))
    return text[begin : begin + length]


def _articles(file: Path) -> Iterable[Article]:
    content = read_content(file)
    if content.lines:
        found = outline(content.lines)
        content.pictures.take(found)
        return found.articles
    return [
        Article(str(line), line, title=str(row.get("title", "")), parts=[str(row.get("text", ""))])
        for line, row in content.rows
    ]


def _passage(article: Article) -> Passage | None:
    parts = tuple(p for p in map(str.strip, _PART.split(article.text[:_LONGEST])) if len(p) >= _SHORTEST)
    names = tuple(n for n in (*article.heading, article.title) if _HAN.search(n))
    return Passage(names, parts) if parts and _HAN.search(article.text) else None
