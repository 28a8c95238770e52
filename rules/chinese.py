"""The Chinese embedder that comes with the product: the mean of its features' vectors, without torch.

Its folder is one of sentence-transformers' too (WordEmbeddings and mean Pooling); rules.ngram_module is its tokenizer.
"""

import json
import threading
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rules.errors import EmbeddingError
from rules.model_files import folder_digest
from rules.ngrams import Ngrams

Vector = npt.NDArray[np.float32]
MODELS = Path(__file__).parent / "models"
_WORDS, _POOLING = "0_WordEmbeddings", "1_Pooling"
_WEIGHTS, _ROWS = "model.safetensors", "emb_layer.weight"
_TOKENIZER = "rules.ngram_module.NgramTokenizer"


class ChineseEmbedder:
    """Vectors of Chinese texts, thousands a second. Raises EmbeddingError where its files are not those pinned."""

    def __init__(self, folder: Path | None = None) -> None:
        path, pin = pinned()
        self._folder, self._pin = (path, pin) if folder is None else (folder, "")
        self.name = f"minewatch-zh@{(self._pin or folder_digest(self._folder))[:16]}"
        self._ngrams: Ngrams | None = None
        self._lock = threading.Lock()

    at_once = 4000
    """So many texts take about a second."""

    @property
    def loaded(self) -> bool:
        """Always: it loads in the time of a few searches."""
        return True

    def load(self) -> None:
        """Read the vectors, once. Raises EmbeddingError where they are missing or altered."""
        with self._lock:
            if self._ngrams is None:
                self._rows, self._ngrams = self._read()

    def encode(self, texts: Sequence[str]) -> Vector:
        """One row of unit length for each text; of a text with nothing known, zeros."""
        self.load()
        assert self._ngrams is not None
        found = np.zeros((len(texts), self._rows.shape[1]), np.float32)
        for row, text in enumerate(texts):
            tokens = self._ngrams.tokens(text)
            if tokens:
                mean = self._rows[tokens].mean(axis=0)
                found[row] = mean / max(float(np.linalg.norm(mean)), 1e-9)
        return found

    def _read(self) -> tuple[Vector, Ngrams]:
        from safetensors.numpy import load_file

        digest = folder_digest(self._folder)
        if self._pin and digest != self._pin:
            raise EmbeddingError(
                f"The Chinese embedder in {self._folder} has the sha256 {digest}, not the pinned {self._pin}: it was altered. Install the release again."
            )
        try:
            rows = load_file(self._folder / _WORDS / _WEIGHTS)[_ROWS]
        except (OSError, KeyError, ValueError) as error:
            raise EmbeddingError(f"The Chinese embedder in {self._folder} cannot be read: {error}.") from error
        return rows.astype(np.float32), Ngrams.read(self._folder / _WORDS)


def pinned() -> tuple[Path, str]:
    """Where the Chinese embedder of this release lies, and the digest that it must have."""
    entry = tomllib.loads((MODELS / "models.toml").read_text(encoding="utf-8"))["chinese"]
    return MODELS / entry["path"], entry["sha256"]


def save_model(folder: Path, ngrams: Ngrams, vectors: Vector) -> None:
    """Write the model as sentence-transformers reads it, its numbers in 16 bits."""
    from safetensors.numpy import save_file

    words, pooling = folder / _WORDS, folder / _POOLING
    for path in (words, pooling):
        path.mkdir(parents=True)
    rows = np.array(vectors, np.float16)
    rows[0] = 0
    save_file({_ROWS: rows}, words / _WEIGHTS, metadata={"format": "pt"})
    ngrams.save(words)
    _write(
        words / "wordembedding_config.json",
        {"tokenizer_class": _TOKENIZER, "update_embeddings": False, "max_seq_length": 1_000_000},
    )
    _write(pooling / "config.json", {"embedding_dimension": rows.shape[1], "pooling_mode": "mean"})
    package = "sentence_transformers.sentence_transformer.modules"
    modules = (
        ("0", _WORDS, f"{package}.word_embeddings.WordEmbeddings"),
        ("1", _POOLING, f"{package}.pooling.Pooling"),
    )
    _write(
        folder / "modules.json",
        [{"idx": int(n), "name": n, "path": path, "type": kind} for n, path, kind in modules],
    )
    _write(
        folder / "config_sentence_transformers.json",
        {"model_type": "SentenceTransformer", "similarity_fn_name": "cosine"},
    )


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
