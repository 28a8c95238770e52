"""The benchmark of this package in small, and the shortcuts that its figures led to."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlmodel import SQLModel

import rules.bench
from console.bench import measure
from rules.bench import Bm25
from rules.clause import CodeEdition, Content, published
from rules.embedding import Vectors
from rules.published import Published
from rules.revision import add_edition, draft, edit, publish, repeal, review
from rules.synonyms import bundled_synonyms
from stream.database import open_database

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path):
    engine = open_database(f"sqlite:///{tmp_path}/book.db")
    SQLModel.metadata.create_all(engine)
    yield engine
    engine.dispose()


def test_the_bench_answers_with_every_figure(tmp_path, monkeypatch):
    monkeypatch.setattr(rules.bench, "SHORT_CLAUSES", 120)
    articles = [{"article": 1, "text": "输送机必须装设防跑偏保护。"}, {"article": 2, "text": "井下严禁吸烟。"}]
    articles += [{"article": n, "text": f"第{n}种设备每{n}天检查一次。"} for n in range(3, 9)]
    judged = {"id": "a", "zh": "胶带走偏了，蹭到机架", "relevant": [{"article": 1, "grade": 2}]}
    (tmp_path / "codes/zh").mkdir(parents=True)
    (tmp_path / "codes/zh/mkaqgc_2016_articles.json").write_text(json.dumps(articles), encoding="utf-8")
    (tmp_path / "retrieval-dev.jsonl").write_text(json.dumps(judged) + "\n", encoding="utf-8")
    figures = measure("rules", material=tmp_path, short=True)
    assert figures["clauses"] == 120
    assert 0 < figures["median_ms_10k"] <= figures["p95_ms_10k"] < 10_000
    assert 0 < figures["edit_searchable_ms"] < 10_000
    assert figures["vs_bm25"]["ours"] == 1.0
    assert 0 <= figures["vs_bm25"]["bm25"] <= 1


def test_bm25_prefers_rare_words_and_short_texts():
    texts = ["皮带 皮带 运输", "皮带 风门", "风门 " + "巷道支护 " * 30]
    plain = Bm25(texts, bundled_synonyms())
    assert plain.ranked("风门")[0] == 1
    assert plain.ranked("支护")[0] == 2


def test_what_is_published_is_read_again_only_where_it_changed(engine, monkeypatch):
    add_edition(engine, CodeEdition(code="code", edition="1", kind="national"))

    def put(number: str) -> str:
        version = draft(engine, "code", "1", number, Content(text_zh="甲。", effective_from=NOW), "wang")
        review(engine, version, "wang")
        publish(engine, version, "li", NOW)
        return version

    for number in ("1", "2", "10"):
        put(number)
    kept = Published(engine, "demo")
    assert [p.version_id for p in kept.now()] == ["code:1@1", "code:2@1", "code:10@1"]

    def forbidden(*_):
        raise AssertionError("everything was read again")

    with monkeypatch.context() as patch:
        patch.setattr("rules.published.published", forbidden)
        new = edit(engine, "code:2", "wang", {"text_zh": "乙。", "effective_from": NOW + timedelta(days=1)})
        review(engine, new, "wang")
        publish(engine, new, "li", NOW)
        repeal(engine, "code:1", "li", NOW + timedelta(days=2))
        again = kept.now()
    assert [(p.version_id, p.content) for p in again] == [(p.version_id, p.content) for p in published(engine, "demo")]
    add_edition(engine, CodeEdition(code="code", edition="1", kind="national", title_zh="新名"))
    assert {p.code_title_zh for p in kept.now()} == {"新名"}


class Counting:
    """An embedder that counts what it was asked for."""

    name, loaded, at_once = "counting", True, 16

    def __init__(self) -> None:
        self.asked: list[str] = []

    def load(self) -> None:
        return

    def encode(self, texts):
        self.asked += texts
        return np.ones((len(texts), 2), np.float32) / np.sqrt(2)


def test_vectors_are_made_once_and_found_again_by_others(engine):
    embedder, vectors = Counting(), Vectors(engine)
    assert vectors.known(embedder, ["a"]) == {}
    vectors.make(embedder, ["a"])
    assert list(vectors.known(embedder, ["a", "b"])) == ["a"]
    assert list(Vectors(engine).known(embedder, ["a", "b"])) == ["a"]
    assert embedder.asked == ["a"]
    assert (vectors.of_query(embedder, "q") == vectors.of_query(embedder, "q")).all()
    assert embedder.asked == ["a", "q"]
    vectors.keep_only(embedder, ["b"])
    assert list(vectors.known(embedder, ["a"])) == ["a"]
