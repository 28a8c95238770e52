"""Videos with what is seen drawn on them: what they are made of, and what is refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from stream.errors import ConfigurationError, SourceError
from vision.annotated_clip import annotate_clip


def test_pictures_of_a_folder_are_drawn_and_broken_ones_passed_over(tmp_path: Path) -> None:
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), np.full((90, 161, 3), 40 * number, np.uint8))
    (tmp_path / "3.jpg").write_bytes(b"text")
    told: list[tuple[int, int]] = []
    seen = annotate_clip([], str(tmp_path), tmp_path / "out" / "seen.webm", progress=lambda *at: told.append(at))
    assert (seen.frames, dict(seen.labels)) == (4, {})
    assert told[-1][0] <= told[-1][1] == 5
    clip = cv2.VideoCapture(str(seen.clip))
    shown = []
    while (read := clip.read())[0]:
        shown.append(read[1])
    assert len(shown) == 4
    assert [round(float(picture.mean()) / 40) for picture in shown] == [0, 1, 2, 4]


@pytest.mark.parametrize("camera", ["rtsp://user:secret@127.0.0.1/1", "0"])
def test_a_camera_has_no_end(tmp_path: Path, camera: str) -> None:
    with pytest.raises(ConfigurationError, match="no end"):
        annotate_clip([], camera, tmp_path / "seen.webm")


def test_what_holds_no_picture_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.jpg").write_bytes(b"text")
    with pytest.raises(SourceError, match="no picture that can be read"):
        annotate_clip([], str(tmp_path / "in"), tmp_path / "seen.webm")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
