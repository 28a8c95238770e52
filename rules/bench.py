"""How fast clauses are found among ten thousand, how soon an edit is, and how far words alone in BM25 would get."""

import math
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from sqlalchemy import Engine
from sqlmodel import Session, SQLModel, select

from rules.clause import ClauseVersion, CodeEdition, Content
from rules.codebook import read_codebook
from rules.embedding import ClauseEmbedding, Embedder, open_embedders, text_hash
from rules.errors import EvaluationError
from rules.evaluate import Item, evaluate, read_items, recall
from rules.importer import import_code
from rules.index import passage
from rules.lexical import features
from rules.matcher import Matcher
from rules.revision import edit, publish, put_drafts, put_edition, put_published, put_review, review
from rules.settings import MatcherSettings
from rules.synonyms import Synonyms, bundled_synonyms
from stream.catalogue import RISK_TYPES
from stream.database import open_database, writing
from stream.messages import Risk, risk_identity, utc_now

CLAUSES, SHORT_CLAUSES = 10_000, 1_000
_MINE, _CODE = "bench", "bench"
_SAMPLE = Path(__file__).parents[1] / "samples" / "codebook" / "national.toml"
_REGULATION, _JUDGED = Path("codes/zh/mkaqgc_2016_articles.json"), Path("retrieval-dev.jsonl")
K1, B = 1.2, 0.75
"""The usual parameters of BM25 (Robertson and Zaragoza 2009)."""
_EPOCH = datetime(2016, 10, 1, tzinfo=UTC)
_SENTENCE = re.compile(r"(?<=[。；;.])\s*")


def measure(material: Path, *, short: bool) -> Mapping[str, Any]:
    """``p95_ms_10k``: a risk to its clauses among 10,000; ``edit_searchable_ms``: a clause published until it is found.

    The clauses are sentences of the sample code book in new mixtures, in both languages. Their vectors are random, for
    time does not depend on their values; the query itself is embedded by the model that ships. ``vs_bm25`` holds
    recall@5 on judged hazards against BM25 where ``material`` has them, else None. ``short`` takes 1,000 clauses.
    ``cpu_ms_10k`` is the processor's time for one search, which other work on the machine disturbs less.
    """
    count = SHORT_CLAUSES if short else CLAUSES
    with _database() as engine:
        _fill(engine, count, open_embedders(""))
        matcher = Matcher(engine, _MINE, MatcherSettings(), urgent=True)
        matcher.wait()
        searches, cpu = _times(matcher, 50 if short else 200)
        edits = _edits(engine, matcher, 3 if short else 7)
    return {
        "clauses": count,
        "p95_ms_10k": round(float(np.quantile(searches, 0.95)), 2),
        "median_ms_10k": round(median(searches), 2),
        "cpu_ms_10k": round(cpu, 2),
        "edit_searchable_ms": round(max(edits), 1),
        "edits": len(edits),
        "vs_bm25": _versus(material),
    }


class Bm25:
    """Plain BM25 over the words and character pairs that the product's search takes, without its concepts."""

    def __init__(self, texts: Sequence[str], synonyms: Synonyms) -> None:
        self._synonyms = synonyms
        self._rows = [_words(text, synonyms) for text in texts]
        self._lengths = [sum(row.values()) for row in self._rows]
        self._mean = fmean(self._lengths)
        present = Counter(word for row in self._rows for word in row)
        self._idf = {w: math.log(1 + (len(texts) - n + 0.5) / (n + 0.5)) for w, n in present.items()}

    def ranked(self, text: str) -> list[int]:
        """The rows, best first."""
        words = _words(text, self._synonyms)
        scores = [self._score(words, row) for row in range(len(self._rows))]
        return sorted(range(len(scores)), key=lambda row: -scores[row])

    def _score(self, words: Mapping[str, int], number: int) -> float:
        row, length = self._rows[number], self._lengths[number]
        bound = K1 * (1 - B + B * length / self._mean)
        return sum(self._idf[w] * row[w] * (K1 + 1) / (row[w] + bound) for w in words if w in row)


def versus_bm25(items: Sequence[Item], numbers: Sequence[str], texts: Sequence[str]) -> float:
    """The mean recall@5 of plain BM25 over the items that have relevant clauses."""
    plain = Bm25(texts, bundled_synonyms())
    found = [(i.grades, [numbers[row] for row in plain.ranked(i.text)[:5]]) for i in items if i.grades]
    return round(fmean(recall(grades, answer, 5) for grades, answer in found), 4)


def _versus(material: Path) -> dict[str, float] | None:
    code, judged = material / _REGULATION, material / _JUDGED
    if not (code.is_file() and judged.is_file()):
        return None
    with _database() as engine:
        import_code(engine, code, _CODE, "2016", None, "bench", mine=_MINE)
        ours = evaluate(engine, judged, MatcherSettings(), code=_CODE, language="zh")["recall@5"]
        with Session(engine) as session:
            rows = session.exec(select(ClauseVersion)).all()
            numbers = [row.clause_id.partition(":")[2] for row in rows]
            texts = [f"{row.title_zh}\n{row.text_zh}" for row in rows]
    bm25 = versus_bm25(read_items(judged, "zh"), numbers, texts)
    return {"ours": ours, "bm25": bm25, "ratio": round(ours / bm25, 2) if bm25 else 0.0}


def _words(text: str, synonyms: Synonyms) -> Counter[str]:
    return Counter({w: n for w, n in features(text, synonyms).items() if w[0] not in "=!"})


@contextmanager
def _database() -> Iterator[Engine]:
    with tempfile.TemporaryDirectory(prefix="minewatch-bench-") as folder:
        engine = open_database(f"sqlite:///{folder}/book.db")
        try:
            SQLModel.metadata.create_all(engine)
            yield engine
        finally:
            engine.dispose()


def _fill(engine: Engine, count: int, embedders: Mapping[str, Embedder]) -> None:
    """Publish ``count`` clauses and keep a vector for each."""
    clauses = {str(number + 1): content for number, content in enumerate(mixed(count))}
    with writing(engine) as session:
        put_edition(session, CodeEdition(code=_CODE, edition="1", kind="national", effective_from=_EPOCH))
        ids = put_drafts(session, _CODE, "1", clauses, "author")
        rows = [session.get_one(ClauseVersion, identity) for identity in ids]
        for row in rows:
            put_review(session, row, "author")
        put_published(session, _CODE, rows, "approver", _EPOCH)
    generator = np.random.default_rng(0)
    for language, embedder in embedders.items():
        texts = dict.fromkeys(passage(p, language) for p in Matcher(engine, _MINE, _WORDS_ALONE).index().provisions)
        size = embedder.encode(["size"]).shape[1]
        with writing(engine) as session:
            for text in filter(None, texts):
                vector = np.asarray(generator.standard_normal(size), "<f4")
                data = (vector / np.linalg.norm(vector)).tobytes()
                kept = ClauseEmbedding(model=embedder.name, text_hash=text_hash(text), vector=data, created_at=_EPOCH)
                session.add(kept)


_WORDS_ALONE = MatcherSettings(model="none")


def mixed(count: int) -> Iterator[Content]:
    """Clauses of two to six sentences each from the sample code book, in both languages, always the same ones."""
    book = read_codebook(_SAMPLE, _MINE)
    chance = random.Random(0)  # noqa: S311  # nothing secret: the same clauses on every machine
    pool = [
        (c.title_zh, c.title_en, _SENTENCE.split(c.text_zh), _SENTENCE.split(c.text_en)) for c in book.clauses.values()
    ]
    for number in range(count):
        parts = [chance.choice(pool) for _ in range(chance.randint(2, 6))]
        yield Content(
            title_zh=parts[0][0],
            title_en=parts[0][1],
            text_zh="".join(chance.choice(p[2]) for p in parts) + f"编号{number}。",
            text_en=" ".join(chance.choice(p[3]) for p in parts) + f" Number {number}.",
            effective_from=_EPOCH,
        )


def _times(matcher: Matcher, count: int) -> tuple[list[float], float]:
    """Milliseconds from a risk to its clauses, over all types of risk, each with its own note; and of the processor."""
    kinds = [k for k in RISK_TYPES.values() if "person" not in k.seen_by]
    found, spent = [], 0.0
    for number in range(-3, count):
        risk = _risk(kinds[number % len(kinds)].id, f"camera {number} reports belt {number * 7} at 0.{number} m/s")
        begun, worked = time.perf_counter(), time.process_time()
        matcher.match(risk, risk.observed_at)
        if number >= 0:
            found.append((time.perf_counter() - begun) * 1000)
            spent += (time.process_time() - worked) * 1000
    return found, spent / count


def _risk(kind: str, note: str) -> Risk:
    now = utc_now()
    return Risk(
        mine=_MINE, risk_id=risk_identity("bench", kind, None, note), sequence=0, state="raised", type=kind,
        source="bench", source_kind="camera", place="bench", zone=None, confidence=1.0, started_at=now, observed_at=now,
        read_at=now, published_at=now, reason="measured", note=note,
    )  # fmt: skip


def _edits(engine: Engine, matcher: Matcher, count: int) -> list[float]:
    """Milliseconds from the publication of an edited clause until a search for its new word finds it first."""
    found = []
    for number in range(count):
        word = f"zq{number}xv"
        identity = f"{_CODE}:{number * 31 + 1}"
        version = edit(engine, identity, "author", {"text_en": f"The {word} {word} device is tested every week."})
        review(engine, version, "reviewer")
        publish(engine, version, "approver")
        begun = time.perf_counter()
        matches = matcher.search(f"{word} device", "en")
        found.append((time.perf_counter() - begun) * 1000)
        if not matches or matches[0].clause_id != identity:
            raise EvaluationError(f"The edit of {identity} was not found: its time cannot be measured.")
    return found
