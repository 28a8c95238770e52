"""Lexical search: weights of character n-grams, words and concepts, and the cosine between a text and many."""

import re
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from sklearn.utils import murmurhash3_32

from rules.synonyms import Synonyms, normalised

Vector = npt.NDArray[np.float32]
_FEATURES = 2**20
_HAN = re.compile(r"[㐀-鿿]+")
_WORD = re.compile(r"[a-z][a-z0-9']*|\d+(?:\.\d+)?")
WEIGHT = {"=": 1.7, "!": 4.0}
"""How much more a concept (``=``), or a concept outside of every code (``!``), counts than a plain n-gram as rare."""
IMPLIED = 0.5
"""What an implied concept counts beside one that is named."""

PIVOT = 0.75
"""How much a row's own length counts against the mean length: 1 would favour short clauses too much."""


def features(text: str, synonyms: Synonyms) -> Counter[str]:
    """What a text is made of: characters and their pairs (Chinese), words (others), and concepts by id."""
    plain = normalised(text)
    counts: Counter[str] = Counter()
    for run in _HAN.findall(plain):
        counts.update(run)
        counts.update(run[i : i + 2] for i in range(len(run) - 1))
    counts.update(_stem(w) for w in _WORD.findall(plain) if w not in ENGLISH_STOP_WORDS)
    counts.update(("!" if synonyms.outside(identity) else "=") + identity for identity in synonyms.find(plain))
    return counts


class LexicalIndex:
    """Texts as weighted rows of pivoted length (Singhal 1996). Rows of unchanged texts are kept between rebuilds."""

    def __init__(self, texts: Sequence[str], synonyms: Synonyms, cache: "RowCache") -> None:
        self._synonyms = synonyms
        rows = [cache.row(text, synonyms) for text in texts]
        lengths = np.fromiter((len(r[0]) for r in rows), dtype=np.int64, count=len(rows))
        indices = np.concatenate([r[0] for r in rows]) if rows else np.zeros(0, np.int32)
        data = np.concatenate([r[1] for r in rows]) if rows else np.zeros(0, np.float32)
        present = np.bincount(indices, minlength=_FEATURES)
        self._idf = (np.log((1 + len(rows)) / (1 + present)) + 1).astype(np.float32)
        data = data * self._idf[indices]
        pointers = np.concatenate([[0], np.cumsum(lengths)])
        # By columns: a search looks at those few that its text has.
        self._columns = csr_matrix((data, indices, pointers), shape=(len(rows), _FEATURES)).tocsc()
        owners = np.repeat(np.arange(len(rows)), lengths)
        norms = np.sqrt(np.bincount(owners, weights=data.astype(np.float64) ** 2, minlength=len(rows)))
        pivot = norms.mean() if len(rows) else 1.0
        self._norms = np.maximum((1 - PIVOT) * pivot + PIVOT * norms, 1e-6).astype(np.float32)

    def scores(self, text: str) -> Vector:
        """The likeness (about 0..1) between ``text`` and each row."""
        indices, data = hashed(query_features(text, self._synonyms))
        weights = data * self._idf[indices]
        found = np.zeros(len(self._norms), np.float32)
        columns = self._columns
        for weight, begin, end in zip(weights, columns.indptr[indices], columns.indptr[indices + 1], strict=True):
            found[columns.indices[begin:end]] += columns.data[begin:end] * weight
        norm = float(np.linalg.norm(weights)) or 1.0
        result: Vector = found / (self._norms * norm)
        return result


class RowCache:
    """Hashed features of texts seen before, the least recently used going first. Safe to use from several threads."""

    def __init__(self, size: int = 50_000) -> None:
        self._rows: OrderedDict[str, tuple[npt.NDArray[np.int32], Vector]] = OrderedDict()
        self._size = size
        self._synonyms: Synonyms | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, text: str, synonyms: Synonyms) -> tuple[npt.NDArray[np.int32], Vector]:
        """Indices and weights of the text."""
        with self._lock:
            if synonyms is not self._synonyms:
                self._turn_to(synonyms)
            row = self._rows.get(text)
            if row is not None:
                self._rows.move_to_end(text)
                return row
        row = hashed(text_features(text, synonyms))
        with self._lock:
            if synonyms is self._synonyms:
                self._rows[text] = row
            if len(self._rows) > self._size:
                self._rows.popitem(last=False)
        return row

    def _turn_to(self, synonyms: Synonyms) -> None:
        """Forget the rows of texts that hold a name of a concept that has changed."""
        names = self._synonyms.apart(synonyms) if self._synonyms else ()
        self._synonyms = synonyms
        for text in [t for t in self._rows if names and any(n in normalised(t) for n in names)]:
            del self._rows[text]


def text_features(text: str, synonyms: Synonyms) -> dict[str, float]:
    """The features of a clause; what is outside of every code counts only in what is searched for."""
    return {k: float(v) for k, v in features(text, synonyms).items() if k[0] != "!"}


def query_features(text: str, synonyms: Synonyms) -> dict[str, float]:
    """The features of what is searched for, with the concepts that it implies."""
    counts = {k: float(v) for k, v in features(text, synonyms).items()}
    for identity in synonyms.implied(synonyms.find(text)):
        counts[f"={identity}"] = max(counts.get(f"={identity}", 0.0), IMPLIED)
    return counts


def hashed(counts: dict[str, float]) -> tuple[npt.NDArray[np.int32], Vector]:
    """Features as column numbers and sublinear weights; those that fall together are added up."""
    columns: dict[int, float] = {}
    for feature, count in counts.items():
        weight = (1 + np.log(count)) if count >= 1 else count
        weight *= WEIGHT.get(feature[0], 1.0)
        column = int(murmurhash3_32(feature, positive=True)) % _FEATURES
        columns[column] = columns.get(column, 0.0) + float(weight)
    return np.fromiter(columns, np.int32, len(columns)), np.fromiter(columns.values(), np.float32, len(columns))


def _stem(word: str) -> str:
    """The word without the commonest English endings; short words stay."""
    for ending in ("ings", "ing", "edly", "ies", "ied", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word
