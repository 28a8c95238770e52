"""Sentences as vectors: by the models that come with the product, one a language, or one that the mine names for both.

A model loads on first use, from this machine alone; vectors are kept in a table by content and model.
"""

import contextlib
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from sqlalchemy import Column, Engine, LargeBinary
from sqlmodel import Field, SQLModel, col, select
from threadpoolctl import ThreadpoolController

from rules.chinese import ChineseEmbedder
from rules.english import EnglishEmbedder
from rules.errors import EmbeddingError
from rules.model_files import folder_digest
from stream.database import UtcDateTime, reading, writing
from stream.messages import utc_now

Vector = npt.NDArray[np.float32]
_CHUNK = 500
FEW = 4
"""So few texts are encoded by one thread: more of them only wait for each other, and long ones for other work."""


QUERIES = 512
"""Vectors of queries kept in memory."""


class ClauseEmbedding(SQLModel, table=True):
    """The vector of one text by one model, as little-endian 32-bit floats of unit length."""

    __tablename__ = "clause_embedding"

    model: str = Field(primary_key=True)
    text_hash: str = Field(primary_key=True)
    vector: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))


class Embedder(Protocol):
    """A model that turns texts into vectors of unit length.

    ``name`` tells it from every other model, another training of the same included. So few new texts as ``at_once``
    are embedded at once, where it is loaded; more happen in the background, while search goes on by words alone.
    """

    name: str
    at_once: int

    @property
    def loaded(self) -> bool:
        """Whether it can encode at once."""
        ...

    def load(self) -> None:
        """Load the model where that has not happened. Raises EmbeddingError where it cannot be loaded."""
        ...

    def encode(self, texts: Sequence[str]) -> Vector:
        """One row for each text. Raises EmbeddingError where the model cannot be loaded."""
        ...


class SentenceTransformerEmbedder:
    """A sentence-transformers model by name or folder; nothing is fetched."""

    at_once = 16

    def __init__(self, model: str) -> None:
        folder = Path(model)
        # A folder may hold another training tomorrow: its vectors are not those of today.
        self.name = f"{model}@{folder_digest(folder)[:16]}" if folder.is_dir() else model
        self._path = model
        self._model: Any = None
        self._lock = threading.Lock()

    @property
    def loaded(self) -> bool:
        """Whether it can encode at once."""
        return self._model is not None

    def load(self) -> None:
        """Load the model where that has not happened."""
        with self._lock:
            if self._model is None:
                self._model = self._open()

    def encode(self, texts: Sequence[str]) -> Vector:
        """One row of unit length for each text."""
        self.load()
        with self._lock, one_thread() if len(texts) <= FEW else contextlib.nullcontext():
            result: Vector = self._model.encode(
                list(texts), normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
            )
        return result.astype(np.float32)

    def _open(self) -> Any:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        try:
            from sentence_transformers import SentenceTransformer

            return SentenceTransformer(self._path, device="cpu", local_files_only=True)
        except Exception as error:
            raise EmbeddingError(
                f"The embedding model {self._path!r} cannot be loaded: {error}. Name a folder of a sentence-transformers model, or leave rules.matcher.model empty."
            ) from error


def open_embedders(model: str) -> dict[str, Embedder]:
    """The embedder of each language: the model that is named, for both, else those that come with the product.

    ``none`` names no model: then clauses are found by words alone.
    """
    if model == "none":
        return {}
    if model:
        both = SentenceTransformerEmbedder(model)
        return {"zh": both, "en": both}
    return {"zh": ChineseEmbedder(), "en": EnglishEmbedder()}


@cache
def _threads() -> ThreadpoolController:
    """The pools of threads of the libraries loaded; asked for once the model is there, for looking takes a while."""
    return ThreadpoolController()


def one_thread() -> contextlib.AbstractContextManager[Any]:
    """For work of a millisecond or few: several threads would wait for each other longer, on busy cores ten times."""
    limited: contextlib.AbstractContextManager[Any] = _threads().limit(limits=1)
    return limited


class Vectors:
    """The vectors of one table, those read or made here kept in memory. Safe to use from several threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: dict[tuple[str, str], Vector] = {}
        self._queries: OrderedDict[tuple[str, str], Vector] = OrderedDict()
        self._lock = threading.Lock()

    def of_query(self, embedder: Embedder, text: str) -> Vector:
        """The vector of what is searched for; hazards of a kind come again and again in the same words."""
        key = (embedder.name, text)
        with self._lock:
            known = self._queries.get(key)
            if known is not None:
                self._queries.move_to_end(key)
                return known
        vector: Vector = embedder.encode([text])[0]
        with self._lock:
            self._queries[key] = vector
            if len(self._queries) > QUERIES:
                self._queries.popitem(last=False)
        return vector

    def known(self, embedder: Embedder, texts: Iterable[str]) -> dict[str, Vector]:
        """The vectors of those texts that are there already, by text."""
        name = embedder.name
        with self._lock:
            found = {text: vector for text in texts if (vector := self._kept.get((name, text))) is not None}
        others = [text for text in texts if text not in found]
        if others:
            more = stored(self._engine, embedder, others)
            self._keep(name, more)
            found |= more
        return found

    def make(self, embedder: Embedder, texts: Sequence[str]) -> None:
        """Encode the texts and keep their vectors, in the table too."""
        self._keep(embedder.name, store(self._engine, embedder, texts))

    def keep_only(self, embedder: Embedder, texts: Collection[str]) -> None:
        """Forget, in memory, the vectors of other texts of that model."""
        with self._lock:
            self._kept = {k: v for k, v in self._kept.items() if k[0] != embedder.name or k[1] in texts}

    def _keep(self, name: str, vectors: Mapping[str, Vector]) -> None:
        with self._lock:
            self._kept |= {(name, text): vector for text, vector in vectors.items()}


def text_hash(text: str) -> str:
    """The hash under which the vector of a text is kept."""
    return hashlib.sha256(text.encode()).hexdigest()


def stored(engine: Engine, embedder: Embedder, texts: Sequence[str]) -> dict[str, Vector]:
    """The vectors of those texts that are in the table already, by text."""
    wanted = {text_hash(text): text for text in texts}
    hashes = list(wanted)
    found: dict[str, Vector] = {}
    with reading(engine) as session:
        for start in range(0, len(hashes), _CHUNK):
            rows = session.exec(
                select(ClauseEmbedding.text_hash, ClauseEmbedding.vector).where(
                    ClauseEmbedding.model == embedder.name,
                    col(ClauseEmbedding.text_hash).in_(hashes[start : start + _CHUNK]),
                )
            ).all()
            found.update({wanted[key]: np.frombuffer(vector, "<f4") for key, vector in rows})
    return found


def store(engine: Engine, embedder: Embedder, texts: Sequence[str]) -> dict[str, Vector]:
    """Encode the texts, keep their vectors in the table, and answer them by text."""
    vectors = embedder.encode(texts)
    now = utc_now()
    with writing(engine) as session:
        for text, vector in zip(texts, vectors, strict=True):
            data = vector.astype("<f4").tobytes()
            session.merge(ClauseEmbedding(model=embedder.name, text_hash=text_hash(text), vector=data, created_at=now))
    return dict(zip(texts, vectors, strict=True))
