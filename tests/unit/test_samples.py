"""The samples are what they say: clips that read, series that cross, clauses in both languages and in own words."""

import csv
import json
import os
import re
import tomllib
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from rules.limits import read_limits
from samples.render.clips import CLIPS, Clip, empty, frames
from stream.catalogue import RISK_TYPES

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
BOOKS = {
    name: tomllib.loads((SAMPLES / "codebook" / f"{name}.toml").read_text("utf-8"))
    for name in ("national", "supplement")
}
CLAUSES = [clause for book in BOOKS.values() for clause in book["clause"]]
COPIED = 16
"""Chinese characters in a row that nobody writes twice by chance."""


def readings(name: str) -> list[tuple[float, float]]:
    with (SAMPLES / "sensors" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [(float(row["captured_at_s"]), float(row["value"])) for row in csv.DictReader(file)]


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_a_clip_reads_back_with_every_frame(clip: Clip) -> None:
    capture = cv2.VideoCapture(str(SAMPLES / "clips" / f"{clip.name}.mp4"), cv2.CAP_FFMPEG)
    count, shapes = 0, set()
    while True:
        read, picture = capture.read()
        if not read:
            break
        count += 1
        shapes.add(picture.shape)
    assert count == clip.frame_count
    assert shapes == {(360, 640, 3)}
    assert capture.get(cv2.CAP_PROP_FPS) == 10


def test_the_clips_are_small_and_all_of_them_are_drawn() -> None:
    files = list((SAMPLES / "clips").glob("*.mp4"))
    assert {file.stem for file in files} == {clip.name for clip in CLIPS}
    assert len(files) >= 5
    assert sum(file.stat().st_size for file in files) < 5_000_000


def test_drawing_twice_gives_the_same_frames() -> None:
    clip = next(clip for clip in CLIPS if clip.name == "belt-tail")
    drawn = []
    for _ in range(2):
        empty.cache_clear()
        drawn.append(list(frames(clip, first=40, count=3, size=(128, 72))))
    empty.cache_clear()
    assert len(drawn[0]) == 3
    assert all(np.array_equal(one, other) for one, other in zip(*drawn, strict=True))
    assert not np.array_equal(drawn[0][0], drawn[0][2])


@pytest.mark.parametrize(("name", "limit"), [("methane-return", 1.0), ("carbon-monoxide-belt", 24.0)])
def test_a_series_crosses_its_limit_and_comes_back(name: str, limit: float) -> None:
    series = readings(name)
    over = [at for at, value in series if value > limit]
    assert series[0][1] < limit
    assert series[-1][1] < limit
    assert len(over) >= 5
    assert over[0] <= 40


@pytest.mark.parametrize(("name", "low", "high"), [("wind-speed-return", 0.25, 6.0), ("temperature-face", 10.0, 26.0)])
def test_a_normal_series_stays_within_its_limits(name: str, low: float, high: float) -> None:
    assert all(low < value < high for _, value in readings(name))


@pytest.mark.parametrize("file", sorted((SAMPLES / "sensors").glob("*.csv")), ids=lambda file: file.stem)
def test_a_series_runs_on_for_a_minute_at_one_or_two_readings_a_second(file: Path) -> None:
    times = [at for at, _ in readings(file.stem)]
    assert times[0] == 0
    assert 60 <= times[-1] <= 120
    assert all(0.5 <= later - earlier <= 1 for earlier, later in pairwise(times))


def test_there_are_enough_clauses_and_no_number_stands_twice() -> None:
    assert len(BOOKS["national"]["clause"]) >= 48
    assert [clause["number"] for clause in BOOKS["supplement"]["clause"]] == [f"S-{n}" for n in range(1, 13)]
    numbers = [clause["number"] for clause in CLAUSES]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause["number"])
def test_a_clause_stands_in_both_languages_with_known_hazards_and_limits_that_parse(clause: dict) -> None:
    for field in ("title", "text"):
        assert re.search(r"[一-鿿]", clause[field]["zh"])
        assert re.search(r"[A-Za-z]{3}", clause[field]["en"])
        assert not re.search(r"[一-鿿]", clause[field]["en"])
    assert set(clause.get("hazards", [])) <= set(RISK_TYPES)
    assert len(read_limits(clause.get("limits", []))) == len(clause.get("limits", []))


def test_the_editions_say_what_they_are() -> None:
    national, supplement = BOOKS["national"]["code"], BOOKS["supplement"]["code"]
    assert (national["id"], national["edition"], str(national["effective_from"])) == ("CMSR", "2016", "2016-10-01")
    assert "2022" in national["note"]["zh"]
    assert "not the law" in national["note"]["en"]
    assert supplement["kind"] == "supplement"
    known = {f"CMSR {clause['number']}" for clause in BOOKS["national"]["clause"]}
    tightened = {clause["tightens"] for clause in BOOKS["supplement"]["clause"] if "tightens" in clause}
    assert tightened
    assert tightened <= known


@pytest.mark.skipif("MINEWATCH_TEST_DATA" not in os.environ, reason="MINEWATCH_TEST_DATA is not set")
def test_no_clause_copies_the_regulation() -> None:
    path = Path(os.environ["MINEWATCH_TEST_DATA"]) / "codes" / "zh" / "mkaqgc_2016_articles.json"
    law = "\n".join(han(article["text"]) for article in json.loads(path.read_text("utf-8")))
    runs = {law[at : at + COPIED] for at in range(len(law) - COPIED + 1)}
    copied = []
    for clause in CLAUSES:
        text = han(clause["text"]["zh"])
        copied += [
            (clause["number"], text[at : at + COPIED])
            for at in range(len(text) - COPIED + 1)
            if text[at : at + COPIED] in runs
        ]
    assert copied == []


@pytest.mark.skipif("MINEWATCH_TEST_DATA" not in os.environ, reason="MINEWATCH_TEST_DATA is not set")
def test_every_national_clause_names_an_article_of_the_regulation() -> None:
    path = Path(os.environ["MINEWATCH_TEST_DATA"]) / "codes" / "zh" / "mkaqgc_2016_articles.json"
    articles = {str(article["article"]) for article in json.loads(path.read_text("utf-8"))}
    merged = {"93", "97", "104"}
    named = {re.split(r"\(", clause["number"])[0] for clause in BOOKS["national"]["clause"]}
    assert named <= articles | merged


def han(text: str) -> str:
    return re.sub(r"[^一-鿿]", "", text)
