"""A mine's own pictures: labelled by the detector, checked, corrected, and never written over."""

import shutil
from pathlib import Path

import yaml

from tests.acceptance.command import minewatch


def test_new_pictures_are_labelled_for_correction_and_checked(test_data: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for picture in sorted((test_data / "hard-hat-workers" / "images").rglob("*.jpg"))[:400:100]:
        shutil.copy(picture, pictures)
    made = minewatch("vision", "label", pictures, "--out", tmp_path / "set", "--json")
    assert made.code == 0, made.err
    assert made.json["written"] == 4
    name = yaml.safe_load((tmp_path / "set" / "data.yaml").read_text())["names"][0]
    label = next((tmp_path / "set" / "labels").glob("*.txt"))
    label.write_text("0 .9 .5 .4 .2\n")
    assert minewatch("vision", "label", pictures, "--out", tmp_path / "set", "--json").json["kept"] == 4
    assert label.read_text() == "0 .9 .5 .4 .2\n"
    checked = minewatch("vision", "check", tmp_path / "set" / "data.yaml", "--json")
    assert checked.code == 0
    assert [f["reason"] for f in checked.json["findings"] if f["path"] == str(label)] == [
        f"Line 1 ({name}): the box reaches from 0.700, 0.400 to 1.100, 0.600: beyond the picture (0 to 1)."
    ]


def test_what_is_no_set_is_refused(tmp_path: Path) -> None:
    refused = minewatch("vision", "check", tmp_path / "data.yaml")
    assert refused.code == 2
    assert "data.yaml" in refused.line
