"""A detector trained, killed, gone on with, scored and exported: the real trainer on drawn pictures."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import openvino as ov
import pytest
import yaml

from vision.errors import DatasetError, WeightsError
from vision.precision import choose
from vision.weights_file import folder_digest

ARCHITECTURE = {
    "nc": 2,
    "depth_multiple": 0.33,
    "width_multiple": 0.125,
    "backbone": [
        [-1, 1, "Conv", [64, 3, 2]],
        [-1, 1, "Conv", [128, 3, 2]],
        [-1, 1, "Conv", [256, 3, 2]],
        [-1, 1, "Conv", [512, 3, 2]],
    ],
    "head": [[[2, 3], 1, "Detect", ["nc"]]],
}
"""The smallest network that ultralytics trains: it learns nothing much, and every step of the way is real."""

SCRIPT = """
import sys
from pathlib import Path
from vision.train import train
print(train(Path(sys.argv[1]), Path(sys.argv[2]), model=sys.argv[3], epochs=3, image_size=64, batch=4, threads=1))
"""

IN_PROCESS = """
import sys, json
from pathlib import Path
from vision.evaluate import evaluate
from vision.precision import export_fastest
from vision.train import export, strip, train
weights, data, folder = map(Path, sys.argv[1:])
print("AGAIN", train(data.with_name("mapped.yaml"), weights.parents[2]))
small = strip(weights, folder / "small.pt", image_size=64)
exported = export(small, folder, image_size=64)
quantised = export(small, folder / "int8", image_size=64, calibration=data.parent / "dim" / "data.yaml")
renamed = {"Hardhat": "helmet", "lamp": ""}
kept, choice = export_fastest(small, folder / "kept", data, image_size=64, class_map=renamed)
print("KEPT", json.dumps([str(kept), *choice]))
for path in (weights, small, exported, quantised):
    found = evaluate(path, data, class_map={"Hardhat": "helmet", "lamp": ""}, threshold=0.3, image_size=64)
    print("FOUND", json.dumps(found.as_dict()))
"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of 16 pictures, each with a yellow disc (Hardhat) and a white square (lamp)."""
    folder = tmp_path_factory.mktemp("drawn")
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    rng = np.random.default_rng(7)
    for number in range(16):
        picture = np.full((64, 64, 3), 40, np.uint8)
        x, y = (int(value) for value in rng.integers(12, 30, 2))
        cv2.circle(picture, (x, y), 8, (0, 220, 220), -1)
        cv2.rectangle(picture, (40, 40), (52, 52), (255, 255, 255), -1)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture)
        (folder / "labels" / f"{number}.txt").write_text(
            f"0 {x / 64} {y / 64} 0.25 0.25\n1 {46 / 64} {46 / 64} {12 / 64} {12 / 64}\n"
        )
    names = {"names": {0: "Hardhat", 1: "lamp"}, "train": "images", "val": "images"}
    (folder / "data.yaml").write_text(yaml.safe_dump(names))
    mapped = {"names": {0: "helmet", 1: "lamp"}, "train": "images", "val": "images"}
    (folder / "mapped.yaml").write_text(yaml.safe_dump(mapped))
    (folder / "yolo11n-tiny.yaml").write_text(yaml.safe_dump(ARCHITECTURE))
    for part in ("images", "labels"):
        (folder / "dim" / part).mkdir(parents=True)
    for number in range(4):
        picture = cv2.imread(str(folder / "images" / f"{number}.png"))
        cv2.imwrite(str(folder / "dim" / "images" / f"{number}.png"), picture // 5)
        shutil.copy(folder / "labels" / f"{number}.txt", folder / "dim" / "labels")
    shutil.copy(folder / "data.yaml", folder / "dim")
    return folder


def start(script: str, *arguments: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def epochs(folder: Path) -> list[str]:
    """The lines of the training's record, one an epoch."""
    record = folder / "run" / "results.csv"
    return record.read_text().splitlines()[1:] if record.exists() else []


def finished(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def trained(drawn: Path) -> tuple[Path, list[str]]:
    """Weights of a training that was killed once, and the epochs that it had behind it then."""
    folder = drawn / "training"
    arguments = (drawn / "mapped.yaml", folder, drawn / "yolo11n-tiny.yaml")
    process = start(SCRIPT, *arguments)
    deadline = time.monotonic() + 120
    while not (folder / "run" / "kept" / "last.pt").exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    before = epochs(folder)
    for name in ("last.pt", "best.pt"):  # as a kill in the middle of writing leaves them
        file = folder / "run" / "weights" / name
        file.write_bytes(file.read_bytes()[:1000])
    said = finished(start(SCRIPT, *arguments))
    assert "3/3" in said, "a bar shows the epoch of how many"
    assert "100%" in said, "and how far it is in it"
    return Path(said.strip().splitlines()[-1]), before


@pytest.mark.slow
def test_a_killed_training_goes_on_from_its_checkpoint(drawn: Path, trained: tuple[Path, list[str]]) -> None:
    best, before = trained
    after = epochs(drawn / "training")
    assert best.is_file()
    assert 1 <= len(before) < 3
    assert after[: len(before)] == before
    assert [line.split(",")[0] for line in after] == ["1", "2", "3"]


@pytest.mark.slow
def test_weights_score_alike_stripped_and_exported_and_tell_no_folders(
    drawn: Path, trained: tuple[Path, list[str]]
) -> None:
    import json

    out = drawn / "out"
    before = epochs(drawn / "training")
    said = finished(start(IN_PROCESS, trained[0], drawn / "data.yaml", out))
    assert f"AGAIN {trained[0]}" in said.splitlines()  # all epochs are done: nothing is trained
    assert epochs(drawn / "training") == before
    scores = [json.loads(line.removeprefix("FOUND ")) for line in said.splitlines() if line.startswith("FOUND ")]
    assert len(scores) == 4
    for score in scores:
        assert score["pictures"] == 16
        assert list(score["classes"]) == ["helmet"]
        assert score["map50"] == score["classes"]["helmet"]["ap50"]
        assert score["map50"] == pytest.approx(scores[0]["map50"], abs=0.1)
    assert str(drawn).encode() not in (out / "small.pt").read_bytes()
    exported = out / "small_openvino_model"
    assert str(drawn) not in (exported / "metadata.yaml").read_text()
    assert (out / "small.pt").stat().st_size < trained[0].stat().st_size + 10_000
    assert folder_digest(exported) != folder_digest(out / "small.pt")
    quantised = out / "int8" / exported.name
    assert str(drawn) not in (quantised / "metadata.yaml").read_text()
    assert 0.15 < brightest(quantised) < 0.25, "the range is that of the pictures given: dim, and not of others"
    assert "FakeQuantize" not in (exported / "small.xml").read_text()

    kept, precision, map50, reason = json.loads(said.partition("KEPT ")[2].splitlines()[0])
    assert Path(kept) == out / "kept" / exported.name
    assert map50["fp16"] == pytest.approx(scores[2]["map50"], abs=1e-4)
    assert (precision, map50, reason) == choose(map50["int8"], map50["fp16"])
    assert ("FakeQuantize" in (Path(kept) / "small.xml").read_text()) == (precision == "int8")


def brightest(export: Path) -> float:
    """How bright pictures get (0..1) by the range of an eight-bit network's first integers."""
    operations = ov.Core().read_model(export / "small.xml").get_ordered_ops()
    ranges = [o for o in operations if o.get_type_name() == "FakeQuantize"]
    first = next(o for o in ranges if o.input_value(0).get_node().get_type_name() not in ("Constant", "Convert"))
    return float(first.input_value(2).get_node().get_data().max())


def test_a_training_by_the_clock_ends_with_a_low_rate() -> None:
    from vision.train import LEARNING_RATE, WARM_UP, learning_rate

    rates = [learning_rate(spent / 100, WARM_UP) for spent in range(101)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(LEARNING_RATE)
    assert rates[-1] == pytest.approx(LEARNING_RATE / 100)
    assert learning_rate(0.0, 1) == pytest.approx(LEARNING_RATE / WARM_UP)
    assert learning_rate(2.0, WARM_UP) == rates[-1]


def test_what_is_not_there_is_named(tmp_path: Path, drawn: Path) -> None:
    from vision.evaluate import evaluate
    from vision.train import train

    with pytest.raises(DatasetError, match=r"nowhere\.yaml"):
        train(tmp_path / "nowhere.yaml", tmp_path)
    with pytest.raises(WeightsError, match=r"nowhere\.pt"):
        evaluate(tmp_path / "nowhere.pt", drawn / "data.yaml")
