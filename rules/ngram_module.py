"""The Chinese embedder's tokenizer under the name by which sentence-transformers finds it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sentence_transformers.sentence_transformer.modules.tokenizer import WordTokenizer

from rules.ngrams import Ngrams


class NgramTokenizer(WordTokenizer):  # type: ignore[misc]
    """Characters, pairs, words and concepts of a text as numbers."""

    def __init__(self, ngrams: Ngrams) -> None:
        self._ngrams = ngrams

    def set_vocab(self, vocab: Iterable[str]) -> None:
        """Take another vocabulary with the same concepts."""
        self._ngrams = Ngrams(tuple(vocab), self._ngrams.synonyms)

    def get_vocab(self) -> tuple[str, ...]:
        """The features by their numbers."""
        return self._ngrams.vocabulary

    def tokenize(self, text: str, **_: Any) -> list[int]:
        """The numbers of what the text has."""
        return self._ngrams.tokens(text)

    def save(self, output_path: str) -> None:
        """Write vocabulary and concepts into that folder."""
        self._ngrams.save(Path(output_path))

    @staticmethod
    def load(input_path: str) -> "NgramTokenizer":
        """The tokenizer that was saved there."""
        return NgramTokenizer(Ngrams.read(Path(input_path)))
