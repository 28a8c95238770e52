"""What the Chinese embedder reads of a text: characters, their pairs, words and the trade's concepts, as numbers."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from rules.errors import EmbeddingError
from rules.lexical import text_features
from rules.synonyms import Concept, Synonyms

_VOCABULARY, _CONCEPTS = "vocabulary.json", "concepts.json"
PADDING = "[PAD]"
"""Token 0, which no text has."""


class Ngrams:
    """A vocabulary of features, with the concepts that it was trained on: a later synonym does not change a vector."""

    def __init__(self, vocabulary: Sequence[str], synonyms: Synonyms) -> None:
        self.vocabulary = tuple(vocabulary)
        self.synonyms = synonyms
        self._numbers = {feature: number for number, feature in enumerate(self.vocabulary)}

    def tokens(self, text: str) -> list[int]:
        """The numbers of the features that ``text`` has, each once; those that are not in the vocabulary are left."""
        numbers = (self._numbers.get(feature) for feature in text_features(text, self.synonyms))
        return [n for n in numbers if n is not None]

    def save(self, folder: Path) -> None:
        """Write the vocabulary and the concepts into that folder."""
        concepts = {i: {"zh": self.synonyms[i].zh, "en": self.synonyms[i].en} for i in self.synonyms if i in self._used}
        _write(folder / _VOCABULARY, self.vocabulary)
        _write(folder / _CONCEPTS, concepts)

    @property
    def _used(self) -> set[str]:
        return {feature[1:] for feature in self.vocabulary if feature.startswith("=")}

    @classmethod
    def read(cls, folder: Path) -> "Ngrams":
        """What was saved there. Raises EmbeddingError where it cannot be read."""
        try:
            vocabulary = json.loads((folder / _VOCABULARY).read_text(encoding="utf-8"))
            concepts = json.loads((folder / _CONCEPTS).read_text(encoding="utf-8"))
            found = (Concept(i, tuple(names["zh"]), tuple(names["en"])) for i, names in concepts.items())
            return cls(vocabulary, Synonyms(tuple(found)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EmbeddingError(f"{folder} holds no vocabulary of the Chinese embedder: {error}.") from error


def vocabulary(texts: Iterable[str], synonyms: Synonyms, least: int) -> list[str]:
    """The features that at least so many of the texts have, and every concept of no code's outside; padding first."""
    present: dict[str, int] = {}
    for text in texts:
        for feature in text_features(text, synonyms):
            present[feature] = present.get(feature, 0) + 1
    concepts = {f"={i}" for i in synonyms if synonyms[i].zh and not synonyms.outside(i)}
    return [PADDING, *sorted(concepts | {feature for feature, count in present.items() if count >= least})]


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
