"""Letterboxing and the reading of networks' answers."""

import numpy as np
import pytest

from vision.yolo_output import PADDING, Placement, Reader, letterbox

LABELS = {0: "helmet", 2: "person"}
THRESHOLDS = {"helmet": 0.5, "person": 0.3}


@pytest.mark.parametrize(
    ("shape", "into", "placement"),
    [
        ((270, 480), (320, 320), Placement(320 / 480, 0, 70, 480, 270)),
        ((480, 270), (320, 320), Placement(320 / 480, 70, 0, 270, 480)),
        ((270, 480), (192, 320), Placement(320 / 480, 0, 6, 480, 270)),
        ((64, 64), (64, 64), Placement(1.0, 0, 0, 64, 64)),
    ],
)
def test_a_picture_lies_in_the_middle_with_grey_around(
    shape: tuple[int, int], into: tuple[int, int], placement: Placement
) -> None:
    target = np.zeros((*into, 3), np.uint8)
    assert letterbox(np.full((*shape, 3), 200, np.uint8), target) == placement
    assert set(np.unique(target)) <= {PADDING, 200}
    assert target[into[0] // 2, into[1] // 2, 0] == 200
    assert np.count_nonzero(target[..., 0] == 200) == round(shape[0] * placement.scale) * round(
        shape[1] * placement.scale
    )


def anchors(*boxes: tuple[float, float, float, float, int, float]) -> np.ndarray:
    """[1, 4 + 3 classes, anchors] from (centre x, centre y, width, height, class, score)."""
    answer = np.zeros((1, 7, max(8, len(boxes))), np.float32)
    for i, (cx, cy, width, height, class_id, score) in enumerate(boxes):
        answer[0, :4, i] = cx, cy, width, height
        answer[0, 4 + class_id, i] = score
    return answer


PLACEMENT = Placement(0.5, 0, 70, 640, 360)


def test_boxes_come_back_relative_to_the_picture() -> None:
    [[found]] = Reader(LABELS, THRESHOLDS, 3).read(anchors((160, 160, 64, 90, 2, 0.8)), [PLACEMENT])
    assert found.label == "person"
    assert found.confidence == pytest.approx(0.8)
    assert found.box == pytest.approx((0.4, 0.25, 0.6, 0.75))


def test_each_label_has_its_threshold_and_unmapped_classes_do_not_exist() -> None:
    answer = anchors((50, 100, 20, 20, 0, 0.45), (150, 100, 20, 20, 2, 0.35), (250, 100, 20, 20, 1, 0.99))
    [found] = Reader(LABELS, THRESHOLDS, 3).read(answer, [PLACEMENT])
    assert [d.label for d in found] == ["person"]


def test_overlapping_boxes_of_one_class_are_one_and_of_two_classes_are_two() -> None:
    answer = anchors((100, 100, 40, 40, 2, 0.6), (102, 101, 40, 40, 2, 0.9), (101, 100, 40, 40, 0, 0.7))
    [found] = Reader(LABELS, THRESHOLDS, 3).read(answer, [PLACEMENT])
    assert [(d.label, round(d.confidence, 2)) for d in found] == [("person", 0.9), ("helmet", 0.7)]


def test_the_end_to_end_answer_reads_the_same() -> None:
    answer = np.zeros((1, 300, 6), np.float32)
    answer[0, 0] = 128, 115, 192, 205, 0.8, 2
    answer[0, 1] = 10, 10, 20, 20, 0.9, 1
    [found] = Reader(LABELS, THRESHOLDS, 3).read(answer, [PLACEMENT])
    [expected] = Reader(LABELS, THRESHOLDS, 3).read(anchors((160, 160, 64, 90, 2, 0.8)), [PLACEMENT])
    assert found == expected


def test_boxes_in_the_padding_are_cut_to_the_picture() -> None:
    [[found]] = Reader(LABELS, THRESHOLDS, 3).read(anchors((10, 70, 60, 60, 2, 0.8)), [PLACEMENT])
    assert found.box[0] == 0.0
    assert found.box[1] == 0.0


def test_nothing_seen_is_no_detection() -> None:
    assert Reader(LABELS, THRESHOLDS, 3).read(np.zeros((2, 7, 8), np.float32), [PLACEMENT, PLACEMENT]) == [[], []]
