"""Labelled sets are split so that no scene is on both sides, and nothing is lost or mixed up on the way."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from console.cli import app
from tests.unit.test_vision_dataset import scene, write_set
from vision.check import check_set
from vision.errors import DatasetError
from vision.split import split_sets

BOX = "0 .5 .5 .2 .2\n2 .5 .5 .9 .9"


def a_set(folder: Path, numbers: range, name: str = "p") -> Path:
    pictures = {f"{name}{number:02}": scene(number) for number in numbers}
    return write_set(folder, pictures, dict.fromkeys(pictures, BOX))


def test_sets_are_split_by_scene_with_their_classes_renamed(tmp_path: Path) -> None:
    """Each scene is in both sets: its two pictures go the same way."""
    first, second = a_set(tmp_path / "one", range(30)), a_set(tmp_path / "two", range(30), "q")
    out = tmp_path / "split"
    options = ["--out", str(out), "--share", "0.2", "--map", "Hardhat=helmet,dump truck=", "--json"]
    answer = CliRunner().invoke(app, ["vision", "split", str(first), str(second), *options])
    assert answer.exit_code == 0, answer.output
    done = json.loads(answer.stdout)
    assert done["pictures"] == {"train": 48, "val": 12}
    assert done["boxes"] == {"train": {"helmet": 48}, "val": {"helmet": 12}}
    assert yaml.safe_load((out / "data.yaml").read_text())["names"] == {0: "helmet", 1: "NO-Hardhat"}
    sides = [{p.stem.split("-")[1][1:] for p in (out / "images" / name).iterdir()} for name in ("train", "val")]
    assert not sides[0] & sides[1]
    assert check_set(out / "data.yaml").findings == ()
    again = split_sets([first, second], tmp_path / "again", share=0.2, class_map={"Hardhat": "helmet"})
    assert {p.name for p in (again.data_yaml.parent / "images" / "val").iterdir()} == {
        p.name for p in (out / "images" / "val").iterdir()
    }, "the same seed holds the same pictures back"


def test_what_cannot_be_split_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    one_scene = write_set(tmp_path / "fixed", {f"p{n}": scene(1) for n in range(12)}, {})
    with pytest.raises(DatasetError, match="too few scenes"):
        split_sets([one_scene], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    twin = a_set(tmp_path / "other" / "fixed", range(3))
    (twin.parent / "images" / "p00.jpg").rename(twin.parent / "images" / "p1.jpg")
    with pytest.raises(DatasetError, match="same name"):
        split_sets([one_scene, twin], tmp_path / "out")
    with pytest.raises(DatasetError, match="not empty"):
        split_sets([one_scene], tmp_path / "fixed")
    already = a_set(tmp_path / "already", range(3))
    (already.parent / "more").mkdir()
    (already.parent / "images" / "p00.jpg").rename(already.parent / "more" / "p00.jpg")
    already.write_text(yaml.safe_dump({"train": "more", "val": "images", "names": ["a", "b", "c"]}))
    with pytest.raises(DatasetError, match="split already"):
        split_sets([already], tmp_path / "out")
