from __future__ import annotations

import json
import math
import tomllib
from pathlib import Path

import pytest
from sqlmodel import SQLModel

from rules.errors import ClauseError, EvaluationError
from rules.evaluate import evaluate, ndcg, recall, reciprocal_rank
from rules.importer import import_code
from rules.lexical import LexicalIndex, RowCache, features
from rules.matcher import WORD_FLOORS
from rules.settings import MatcherSettings
from rules.synonyms import Concept, Synonyms, bundled_synonyms, read_synonyms
from stream.database import open_database

WORDS = MatcherSettings(model="none")
FLOOR_SET = Path(__file__).parents[1] / "benchmarks" / "floor.toml"


@pytest.fixture(scope="module")
def regulation(test_data, tmp_path_factory: pytest.TempPathFactory):
    engine = open_database(f"sqlite:///{tmp_path_factory.mktemp('code')}/book.db")
    SQLModel.metadata.create_all(engine)
    import_code(engine, test_data / "codes/zh/mkaqgc_2016_articles.json", "cmsr", "2016", None, "wang", mine="demo")
    yield engine
    engine.dispose()


def test_the_figures_are_those_of_the_field():
    grades = {"1": 2, "2": 1}
    assert recall(grades, ["1", "9", "2"], 1) == 0.5
    assert recall(grades, ["1", "9", "2"], 3) == 1
    assert reciprocal_rank(grades, ["9", "2"]) == 0.5
    assert reciprocal_rank(grades, []) == 0
    assert ndcg(grades, ["1", "2"]) == 1
    assert ndcg(grades, ["2", "1"]) == pytest.approx((1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3)))
    assert ndcg(grades, []) == 0


def test_an_emptied_answer_scores_nothing(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path}/book.db")
    SQLModel.metadata.create_all(engine)
    code = tmp_path / "law.txt"
    code.write_text(
        "第一条 必须戴安全帽。\n第二条 输送机必须装设防跑偏保护。\n第三条 水仓必须清理。\n", encoding="utf-8"
    )
    import_code(engine, code, "code", "1", None, "wang", mine="demo")
    items = [
        {"zh": "工人没戴安全帽", "relevant": [{"article": 1, "grade": 2}]},
        {"zh": "皮带跑偏", "relevant": [{"article": 2, "grade": 2}]},
        {"zh": "食堂的米饭太硬", "relevant": []},
    ]
    file = tmp_path / "items.jsonl"
    file.write_text("\n".join(json.dumps(i, ensure_ascii=False) for i in items) + "\n", encoding="utf-8")
    figures = evaluate(engine, file, WORDS, code="code")
    assert {k: figures[k] for k in ("recall@1", "ndcg@10", "mrr", "empty_when_none", "empty_wrongly", "items")} == {
        "recall@1": 1, "ndcg@10": 1, "mrr": 1, "empty_when_none": 1, "empty_wrongly": 0, "items": 3,
    }  # fmt: skip
    assert figures["p95_ms"] > 0
    none = evaluate(engine, file, MatcherSettings(model="none", floor=1.0), code="code")
    assert (none["recall@5"], none["empty_wrongly"]) == (0, 1)
    with pytest.raises(EvaluationError, match="no clause"):
        evaluate(engine, file, WORDS, code="nothing")
    engine.dispose()


@pytest.mark.parametrize("line", ["{", '{"zh": "a"}', '{"relevant": []}', '{"zh": "a", "relevant": [{"page": 1}]}', ""])
def test_a_file_of_another_kind_is_refused(tmp_path, line):
    file = tmp_path / "items.jsonl"
    file.write_text(line, encoding="utf-8")
    engine = open_database(f"sqlite:///{tmp_path}/book.db")
    with pytest.raises(EvaluationError):
        evaluate(engine, file, WORDS)
    engine.dispose()


def test_hazards_find_their_articles_of_the_regulation(regulation, test_data):
    figures = evaluate(regulation, test_data / "retrieval-dev.jsonl", WORDS, code="cmsr", language="zh")
    assert figures["recall@5"] >= 0.65
    assert figures["ndcg@10"] >= 0.60
    assert figures["empty_when_none"] >= 0.75
    assert figures["empty_wrongly"] <= 0.05


def test_the_floor_tells_what_no_code_governs_from_what_it_does(regulation, test_data):
    rows = json.loads((test_data / "codes/zh/mkaqgc_2016_articles.json").read_text(encoding="utf-8"))
    index = LexicalIndex([row["text"] for row in rows], bundled_synonyms(), RowCache())
    sentences = tomllib.loads(FLOOR_SET.read_text(encoding="utf-8"))["zh"]
    outside = [index.scores(s).max() < WORD_FLOORS["zh"] for s in sentences["outside"]]
    inside = [index.scores(s).max() < WORD_FLOORS["zh"] for s in sentences["inside"]]
    assert len(outside) >= 90
    assert sum(outside) >= 0.75 * len(outside)
    assert sum(inside) <= 0.05 * len(inside)


def test_concepts_are_found_in_both_languages_within_longer_words():
    words = bundled_synonyms()
    assert len(words) > 200
    assert {"belt-conveyor", "belt-deviation"} <= set(words.find("皮带机跑偏")) & set(
        words.find("The belt is off track")
    )
    assert "methane" in words.find("甲烷传感器")
    assert "carbon-monoxide" in words.find("CO从9ppm升到62ppm")
    assert "carbon-monoxide" not in words.find("company")
    assert "harmful-gas" in words.implied(words.find("一氧化碳"))
    assert features("皮带跑偏", words)["=belt-conveyor"] == 1


def test_every_concept_has_a_name_in_both_languages_and_implies_others_that_exist():
    words = bundled_synonyms()
    for identity in words:
        assert words[identity].zh, identity
        assert words[identity].en, identity
    with pytest.raises(ClauseError, match="not listed"):
        Synonyms((Concept("a", ("甲",), (), ("b",)),))


def test_synonyms_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "bad.toml").write_text("[a")
    with pytest.raises(ClauseError, match="cannot be read"):
        read_synonyms(tmp_path / "bad.toml")


def test_the_row_cache_forgets_what_was_not_used():
    cache = RowCache(size=2)
    LexicalIndex(["甲乙", "丙丁", "戊己"], bundled_synonyms(), cache)
    assert len(cache) == 2


@pytest.mark.slow
def test_a_model_of_the_mines_own_is_used_for_meaning(tmp_path):
    """Stands in for a multilingual model: a tiny sentence-transformers model whose words are ours to place."""
    import numpy as np
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, WordEmbeddings
    from sentence_transformers.sentence_transformer.modules.tokenizer.whitespace import WhitespaceTokenizer

    vocabulary = ["alpha", "beta", "gamma", "delta"]
    vectors = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], np.float32)
    layer = WordEmbeddings(WhitespaceTokenizer(vocabulary), vectors)
    SentenceTransformer(modules=[layer, Pooling(2)], device="cpu").save(str(tmp_path / "model"))
    engine = open_database(f"sqlite:///{tmp_path}/book.db")
    SQLModel.metadata.create_all(engine)
    code = tmp_path / "law.csv"
    code.write_text("number,text\n1,alpha\n2,gamma\n", encoding="utf-8")
    import_code(engine, code, "code", "1", None, "wang", mine="demo")
    file = tmp_path / "items.jsonl"
    file.write_text('{"en": "beta", "relevant": [{"article": 1}]}\n{"en": "delta", "relevant": [{"article": 2}]}\n')
    assert evaluate(engine, file, WORDS, code="code", language="en")["recall@1"] == 0
    own = MatcherSettings(model=str(tmp_path / "model"))
    assert evaluate(engine, file, own, code="code", language="en")["recall@1"] == 1
    engine.dispose()


def test_a_model_that_is_not_there_leaves_words(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path}/book.db")
    SQLModel.metadata.create_all(engine)
    code = tmp_path / "law.txt"
    code.write_text("第一条 必须戴安全帽。\n第二条 水仓。\n", encoding="utf-8")
    import_code(engine, code, "code", "1", None, "wang", mine="demo")
    file = tmp_path / "items.jsonl"
    file.write_text('{"zh": "没戴安全帽", "relevant": [{"article": 1}]}\n', encoding="utf-8")
    figures = evaluate(engine, file, MatcherSettings(model=str(tmp_path / "no-model")), code="code")
    assert figures["recall@1"] == 1
    engine.dispose()
