"""Class names of all kinds of weights."""

import pytest

from vision.errors import WeightsError
from vision.labels import map_classes

COCO_PART = ["person", "car", "bus", "truck", "traffic light", "fire hydrant", "stop sign", "teddy bear", "hair drier"]
COCO = dict(enumerate([*COCO_PART, "toothbrush", *(f"thing {i}" for i in range(70))]))


def test_own_names_are_taken_in_any_writing() -> None:
    assert map_classes("w", {0: "helmet", 1: "No-Helmet", 2: "Person"}, {}) == {
        0: "helmet",
        1: "no_helmet",
        2: "person",
    }


def test_coco_needs_no_map() -> None:
    assert map_classes("w", COCO, {}) == {0: "person", 1: "vehicle", 2: "vehicle", 3: "vehicle"}


def test_cocos_map_can_be_changed() -> None:
    assert map_classes("w", COCO, {"bus": ""})[0] == "person"
    assert 2 not in map_classes("w", COCO, {"bus": ""})


def test_a_map_gives_classes_their_meaning_or_leaves_them_out() -> None:
    names = {0: "NO-Hardhat", 1: "Hardhat", 2: "Ladder"}
    class_map = {"NO-Hardhat": "no_helmet", "Hardhat": "helmet", "Ladder": ""}
    assert map_classes("w", names, class_map) == {0: "no_helmet", 1: "helmet"}


@pytest.mark.parametrize(
    ("names", "class_map", "reason"),
    [
        ({0: "person", 1: "gizmo"}, {}, "gizmo"),
        ({0: "person"}, {"person": "human"}, "human"),
        ({0: "person"}, {"prson": "person"}, "prson"),
        ({0: "ladder"}, {"ladder": ""}, "no class that Minewatch uses"),
    ],
)
def test_what_nobody_mapped_is_refused(names: dict[int, str], class_map: dict[str, str], reason: str) -> None:
    with pytest.raises(WeightsError, match=reason):
        map_classes("w", names, class_map)
