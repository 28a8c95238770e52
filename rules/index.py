"""Clauses made searchable: lexical rows and dense vectors in both languages, and the scores of a text against them."""

import contextlib
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from rules.clause import Provision
from rules.embedding import Embedder, Vector, Vectors, one_thread
from rules.errors import EmbeddingError
from rules.lexical import LexicalIndex, RowCache
from rules.synonyms import Synonyms

Rows = npt.NDArray[np.int64]
LANGUAGES = ("zh", "en")
INLINE = 16
"""So few new texts are embedded at once, where the models are loaded; else all that happens in the background, while
search goes on by words alone."""
_BATCH = 16
"""Texts between two looks at whether the process wants to end."""
_THREAD = "embedding"
_logger = structlog.get_logger()


@dataclass(frozen=True)
class Scores:
    """One value a clause: the cosines of words and of meaning, and both fused (0..1)."""

    fused: Vector
    lexical: Vector
    dense: Vector


@dataclass(frozen=True)
class Weights:
    """How the two kinds of likeness make one score in a language. ``base`` is the dense cosine of unrelated texts."""

    dense: float
    base: float


WEIGHTS: dict[str, Weights] = {"zh": Weights(dense=0.4, base=0.2), "en": Weights(dense=0.5, base=0.1)}


class Index:
    """An immutable list of provisions, found by words at once, and by meaning as soon as their vectors are there."""

    def __init__(
        self,
        provisions: Sequence[Provision],
        engine: Engine,
        embedders: Mapping[str, Embedder],
        synonyms: Synonyms,
        cache: RowCache,
        vectors: Vectors | None = None,
    ) -> None:
        self.provisions = tuple(provisions)
        self.synonyms = synonyms
        self._vectors = vectors or Vectors(engine)
        self._embedders = embedders
        self._begin = _moments([p.content.effective_from for p in self.provisions])
        self._end = _moments([p.content.effective_to for p in self.provisions])
        self._bound: dict[str, list[int]] = {}
        for row, provision in enumerate(self.provisions):
            for key in (provision.clause_id, *provision.content.hazards):
                self._bound.setdefault(key, []).append(row)
        self._lexical = {
            language: LexicalIndex([lexical_text(p, language) for p in self.provisions], synonyms, cache)
            for language in LANGUAGES
        }
        self._passages = {language: [passage(p, language) for p in self.provisions] for language in LANGUAGES}
        self._dense: dict[str, Vector] = {}
        self._done = threading.Event()
        self._embed_or_start()

    def scores(self, text: str, language: str) -> Scores:
        """The scores of every provision for that text. Raises EmbeddingError where the model cannot be loaded."""
        lexical = self._lexical[language].scores(text)
        matrix = self._dense.get(language)
        if matrix is None or not len(self.provisions):
            return Scores(lexical, lexical, np.zeros_like(lexical))
        query = self._vectors.of_query(self._embedders[language], text)
        with one_thread():
            dense = matrix @ query
        weights = WEIGHTS[language]
        meaning = np.clip((dense - weights.base) / (1 - weights.base), 0, 1)
        fused = (1 - weights.dense) * lexical + weights.dense * meaning
        return Scores(fused.astype(np.float32), lexical, dense.astype(np.float32))

    def in_force(self, at: datetime, without: Sequence[int] = ()) -> Rows:
        """The rows of those provisions that are in force at that time, but for those ``without``."""
        moment = at.timestamp()
        holds = (self._begin <= moment) & (moment < self._end)
        holds[list(without)] = False
        return np.flatnonzero(holds)

    def named(self, *keys: str) -> list[int]:
        """The rows with one of these clause ids or hazard tags."""
        return sorted({row for key in keys for row in self._bound.get(key, ())})

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until every text is embedded; answers whether it is."""
        return self._done.wait(timeout)

    def _embed_or_start(self) -> None:
        missing = {language: self._missing(language) for language in self._embedders}
        few = sum(len(texts) for texts in missing.values()) <= INLINE
        if few and all(embedder.loaded for embedder in self._embedders.values()):
            self._embed(missing)
        elif self.provisions:
            # No daemon: a thread that is inside the model while the interpreter goes away brings the process down.
            threading.Thread(target=self._embed, args=(missing,), name=_THREAD).start()
        else:
            self._done.set()

    def _missing(self, language: str) -> list[str]:
        texts = list(dict.fromkeys(t for t in self._passages[language] if t))
        known = self._vectors.known(self._embedders[language], texts)
        return [t for t in texts if t not in known]

    def _embed(self, missing: dict[str, list[str]]) -> None:
        """Load the models, embed what is missing and take the vectors into use, language by language."""
        self._give_way()
        try:
            for language, embedder in self._embedders.items():
                texts = missing[language]
                for start in range(0, len(texts), _BATCH):
                    if not threading.main_thread().is_alive():
                        return
                    self._vectors.make(embedder, texts[start : start + _BATCH])
                if any(self._passages[language]):
                    embedder.load()
                    self._dense[language] = self._matrix(language)
            for embedder in self._embedders.values():
                users = [la for la, other in self._embedders.items() if other is embedder]
                self._vectors.keep_only(embedder, {t for la in users for t in self._passages[la]})
        except (EmbeddingError, SQLAlchemyError) as error:
            _logger.error("searching by words alone", reason=str(error))
        finally:
            self._done.set()

    def _give_way(self) -> None:
        """In a thread of its own this work is not urgent: detection and alerts go first where the system knows how."""
        if threading.current_thread().name == _THREAD and hasattr(os, "setpriority"):
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)

    def _matrix(self, language: str) -> Vector:
        texts = self._passages[language]
        wanted = {t for t in texts if t}
        vectors = self._vectors.known(self._embedders[language], wanted)
        size = len(next(iter(vectors.values()))) if vectors else 1
        empty = np.zeros(size, np.float32)
        return np.stack([vectors.get(t, empty) for t in texts]) if texts else np.zeros((0, size), np.float32)


def _moments(times: Sequence[datetime | None]) -> npt.NDArray[np.float64]:
    """Times as seconds, to compare thousands at once; what has none never comes."""
    return np.array([t.timestamp() if t else np.inf for t in times], np.float64)


def lexical_text(provision: Provision, language: str) -> str:
    """The words that a clause is found by: headings, title twice, text; in the other language where it has none."""
    content = provision.content
    headings = content.heading_zh if language == "zh" else content.heading_en
    title = provision.title(language)
    return "\n".join((*headings, title, title, provision.text(language)))


def passage(provision: Provision, language: str) -> str:
    """What of a clause is embedded in that language: headings, title, text, as far as a model reads; or nothing."""
    content = provision.content
    headings, text = (
        (content.heading_zh, content.text_zh) if language == "zh" else (content.heading_en, content.text_en)
    )
    return "\n".join((*headings, provision.title(language), text)).strip()[:2000] if text else ""
