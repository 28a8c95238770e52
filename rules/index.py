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
_BATCH = 16
"""Texts between two looks at whether the process wants to end."""
_THREAD = "embedding"
_logger = structlog.get_logger()


@dataclass(frozen=True)
class Scores:
    """One value a clause: cosines of words and of meaning, both fused (0..1); ``meaning``: whether it counts."""

    fused: Vector
    lexical: Vector
    dense: Vector
    meaning: bool = False


DENSE = {"minewatch-zh": 0.15, "all-MiniLM-L6-v2": 0.4}
"""How much meaning counts beside words, by the embedder that ships; set on sentences of this project's own."""
DENSE_OF_OTHERS = 0.5
BASE = {"zh": 0.3, "en": 0.1}
"""The cosine of unrelated texts by the embedders that ship."""
_LIKELY = 0.2
"""The cosine of unrelated texts where there are too few clauses to tell."""
_FEW, _SAMPLE = 20, 200


KINDS_OF_MINE = ("metal-nonmetal", "surface-coal", "underground-coal")
"""Concepts that say which mines a part of the US regulations is for. The first that is named holds: the heading of
part 57 says "underground metal and nonmetal mines", that of part 77 "surface work areas of underground coal mines"."""
ELSEWHERE = 0.9
"""What a clause counts that is meant for another kind of mine than the text names."""


@dataclass(frozen=True)
class Meaning:
    """The vectors of all clauses in a language, how much they count, and the cosine of texts that are not related."""

    matrix: Vector
    weight: float
    base: float


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
        *,
        urgent: bool = False,
    ) -> None:
        self.provisions = tuple(provisions)
        self.synonyms = synonyms
        self._vectors = vectors or Vectors(engine)
        self._embedders = embedders
        self._urgent = urgent
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
        kinds = np.array([kind_of_mine(synonyms.find("\n".join(p.content.heading_en))) for p in self.provisions])
        self._shares = {
            kind: np.where((kinds == kind) | (kinds == ""), 1, ELSEWHERE).astype(np.float32)
            for kind in KINDS_OF_MINE
            if (kinds == kind).any()
        }
        self._passages = {language: [passage(p, language) for p in self.provisions] for language in LANGUAGES}
        self._meaning: dict[str, Meaning] = {}
        self._spoken: dict[tuple[int, str], frozenset[str]] = {}
        self._done = threading.Event()
        self._embedded, self._to_embed = 0, 0
        self._embed_or_start()

    def scores(self, text: str, language: str) -> Scores:
        """The scores of every provision for that text. Raises EmbeddingError where the model cannot be loaded."""
        lexical = self._lexical[language].scores(text)
        share = self._shares.get(kind_of_mine(self.synonyms.find(text)))
        meaning = self._meaning.get(language)
        if meaning is None or not len(self.provisions):
            return Scores(lexical if share is None else lexical * share, lexical, np.zeros_like(lexical))
        query = self._vectors.of_query(self._embedders[language], text)
        with one_thread():
            dense = meaning.matrix @ query
        likeness = np.clip((dense - meaning.base) / (1 - meaning.base), 0, 1)
        fused = (1 - meaning.weight) * lexical + meaning.weight * likeness
        if share is not None:
            fused = fused * share
        return Scores(fused.astype(np.float32), lexical, dense.astype(np.float32), meaning=True)

    def spoken(self, row: int, language: str) -> frozenset[str]:
        """The concepts that the provision names, in its title or text."""
        known = self._spoken.get((row, language))
        if known is None:
            provision = self.provisions[row]
            found = self.synonyms.find(f"{provision.title(language)} {provision.text(language)}")
            known = self._spoken[row, language] = frozenset(found)
        return known

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

    @property
    def progress(self) -> tuple[int, int]:
        """How many texts were embedded for this index, of how many; equal where nothing is left to do."""
        return (self._to_embed, self._to_embed) if self._done.is_set() else (self._embedded, self._to_embed)

    def _embed_or_start(self) -> None:
        """Embed at once what takes no time, and the rest in the background: till then words alone count there."""
        missing = {language: self._missing(language) for language in self._embedders}
        self._to_embed = sum(map(len, missing.values()))
        quick = [la for la, e in self._embedders.items() if e.loaded and len(missing[la]) <= e.at_once]
        self._embed({la: missing[la] for la in quick})
        slow = {la: texts for la, texts in missing.items() if la not in quick}
        if slow and self.provisions:
            # No daemon: a thread that is inside the model while the interpreter goes away brings the process down.
            threading.Thread(target=self._embed_slowly, args=(slow,), name=_THREAD).start()
        else:
            self._done.set()

    def _missing(self, language: str) -> list[str]:
        texts = list(dict.fromkeys(t for t in self._passages[language] if t))
        known = self._vectors.known(self._embedders[language], texts)
        return [t for t in texts if t not in known]

    def _embed_slowly(self, missing: dict[str, list[str]]) -> None:
        self._give_way()
        count = sum(map(len, missing.values()))
        if count:
            _logger.info("embedding clauses", texts=count, languages=sorted(missing))
        try:
            self._embed(missing)
        finally:
            self._done.set()
        if count:
            _logger.info("clauses embedded", texts=self._embedded)

    def _embed(self, missing: dict[str, list[str]]) -> None:
        """Embed what is missing and take the vectors into use, language by language."""
        try:
            for language, texts in missing.items():
                embedder = self._embedders[language]
                for start in range(0, len(texts), _BATCH):
                    if not threading.main_thread().is_alive():
                        return
                    batch = texts[start : start + _BATCH]
                    self._vectors.make(embedder, batch)
                    self._embedded += len(batch)
                if any(self._passages[language]):
                    embedder.load()
                    self._meaning[language] = self._meaning_of(language)
                users = [la for la, other in self._embedders.items() if other is embedder]
                self._vectors.keep_only(embedder, {t for la in users for t in self._passages[la]})
        except (EmbeddingError, SQLAlchemyError) as error:
            _logger.error("searching by words alone", reason=str(error))

    def _give_way(self) -> None:
        """Unless a person waits for it this work is not urgent: detection and alerts go first where the system can."""
        if not self._urgent and hasattr(os, "setpriority"):
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)

    def _meaning_of(self, language: str) -> Meaning:
        embedder = self._embedders[language]
        texts = self._passages[language]
        wanted = {t for t in texts if t}
        vectors = self._vectors.known(embedder, wanted)
        size = len(next(iter(vectors.values()))) if vectors else 1
        empty = np.zeros(size, np.float32)
        matrix = np.stack([vectors.get(t, empty) for t in texts]) if texts else np.zeros((0, size), np.float32)
        ours = DENSE.get(embedder.name.partition("@")[0])
        return Meaning(matrix, ours or DENSE_OF_OTHERS, BASE[language] if ours else unrelated(matrix))


def kind_of_mine(concepts: Sequence[str]) -> str:
    """The kind of mine that these concepts name, or none."""
    return next((kind for kind in KINDS_OF_MINE if kind in concepts), "")


def unrelated(matrix: Vector) -> float:
    """The cosine that two texts have without having to do with each other: some models give all texts 0.8 and more."""
    rows = matrix[np.linspace(0, len(matrix) - 1, min(_SAMPLE, len(matrix))).astype(int)] if len(matrix) else matrix
    if len(rows) < _FEW:
        return _LIKELY
    cosines = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
    return float(np.clip(np.median(cosines), 0, 0.95))


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
