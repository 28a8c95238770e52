"""What counts as found, missed and wrongly seen, and the sheet that shows it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from vision.dataset import Example
from vision.errors import DatasetError
from vision.mistakes import Mistakes, Named, compare, draw_sheet

HEAD: Named = ("helmet", (0.5, 0.5, 0.2, 0.2))
BESIDE: Named = ("helmet", (0.55, 0.5, 0.2, 0.2))
FAR: Named = ("helmet", (0.1, 0.1, 0.1, 0.1))
BARE: Named = ("no_helmet", (0.5, 0.5, 0.2, 0.2))


@pytest.mark.parametrize(
    ("labelled", "seen", "right", "missed", "false"),
    [
        ([HEAD], [HEAD], [HEAD], [], []),
        ([HEAD], [BESIDE], [BESIDE], [], []),
        ([HEAD], [FAR], [], [HEAD], [FAR]),
        ([HEAD], [BARE], [], [HEAD], [BARE]),
        ([HEAD], [HEAD, BESIDE], [HEAD], [], [BESIDE]),
        ([HEAD, BESIDE], [BESIDE, HEAD], [BESIDE, HEAD], [], []),
        ([], [], [], [], []),
    ],
)
def test_a_labelled_box_is_found_once_by_its_own_class(
    labelled: list[Named], seen: list[Named], right: list[Named], missed: list[Named], false: list[Named]
) -> None:
    picture = Path("picture.jpg")
    assert compare(Example(picture, tuple(labelled)), seen) == Mistakes(
        picture, tuple(right), tuple(missed), tuple(false)
    )


def test_the_sheet_shows_each_kind_in_its_colour(tmp_path: Path) -> None:
    picture = tmp_path / "grey.png"
    cv2.imwrite(str(picture), np.full((200, 400, 3), 128, np.uint8))
    sheet = draw_sheet(
        [Mistakes(picture, (HEAD,), (FAR,), (("person", (0.8, 0.5, 0.2, 0.8)),))] * 5, tmp_path / "s.jpg"
    )
    drawn = cv2.imread(str(sheet))
    assert drawn is not None
    assert drawn.shape == (2 * 320, 4 * 320, 3)
    tile = drawn[:160, :320].astype(int)
    blue, green, red = tile[..., 0], tile[..., 1], tile[..., 2]
    assert ((green - blue > 50) & (green - red > 50)).any()
    assert ((red - blue > 90) & (green - blue > 90)).any()
    assert ((red - blue > 90) & (red - green > 90)).any()


def test_no_pictures_are_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no pictures"):
        draw_sheet([], tmp_path / "s.jpg")
