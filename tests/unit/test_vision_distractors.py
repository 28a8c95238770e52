"""Things with a person's outline, drawn as background for a training."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from vision.distractors import draw_distractors
from vision.errors import DatasetError


@pytest.fixture
def background(tmp_path: Path) -> Path:
    path = tmp_path / "wall.png"
    cv2.imwrite(str(path), np.full((240, 320, 3), 90, np.uint8))
    return path


def test_a_seed_draws_the_same_pictures_and_another_draws_others(background: Path, tmp_path: Path) -> None:
    first = [p.read_bytes() for p in draw_distractors([background], 4, tmp_path / "a", seed=1)]
    again = [p.read_bytes() for p in draw_distractors([background], 4, tmp_path / "b", seed=1)]
    other = [p.read_bytes() for p in draw_distractors([background], 4, tmp_path / "c", seed=2)]
    assert first == again
    assert len(set(first)) == 4
    assert not set(first) & set(other)


def test_something_upright_stands_in_the_picture(background: Path, tmp_path: Path) -> None:
    [path] = draw_distractors([background], 1, tmp_path / "drawn", seed=3)
    drawn = cv2.imread(str(path))
    assert drawn is not None
    changed = (np.abs(drawn.astype(int) - 90).max(axis=2) > 60).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(changed)
    tallest = max(stats[1:], key=lambda row: row[cv2.CC_STAT_HEIGHT])
    assert tallest[cv2.CC_STAT_HEIGHT] > 240 * 0.1


def test_a_background_that_is_no_picture_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_text("no picture")
    with pytest.raises(DatasetError, match=r"broken\.jpg"):
        draw_distractors([broken], 1, tmp_path / "drawn")
