"""What the options of the detector's commands mean."""

import pytest

from console.cli_vision import class_map
from stream.errors import ConfigurationError


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
