"""What the options of the detector's commands mean."""

from pathlib import Path

import pytest

from console.cli_feedback import within_site
from console.cli_vision import class_map, named
from stream.errors import ConfigurationError
from vision.settings import DetectorSettings


def test_classes_of_a_set_are_renamed_or_left_out() -> None:
    assert class_map("NO-Hardhat=no_helmet, Hardhat=helmet,dump truck=") == {
        "NO-Hardhat": "no_helmet",
        "Hardhat": "helmet",
        "dump truck": "",
    }
    assert class_map("") == {}


def test_a_renaming_without_an_equals_sign_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'helmet': write OLD=NEW"):
        class_map("a=b,helmet")


def test_detectors_are_chosen_by_name() -> None:
    there = {name: DetectorSettings(weights=name) for name in ("ppe", "fire", "belt")}
    assert named(there, ()) == there
    assert list(named(there, ("belt", "ppe"))) == ["ppe", "belt"]
    with pytest.raises(ConfigurationError, match="no detector 'lamp': there are belt, fire, ppe"):
        named(there, ("ppe", "lamp"))


def test_pictures_of_people_stay_below_the_data_folder(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert within_site(None, data) == data / "feedback"
    assert within_site(data / "sets" / "may", data) == data / "sets" / "may"
    (data / "way").mkdir(parents=True)
    (data / "way" / "out").symlink_to(tmp_path)
    for outside in (tmp_path / "elsewhere", data, data / ".." / "x", data / "way" / "out" / "x"):
        with pytest.raises(ConfigurationError, match="outside the data folder"):
            within_site(outside, data)
