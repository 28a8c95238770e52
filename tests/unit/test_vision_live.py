from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from stream.live import LivePictures
from stream.messages import Detection, utc_now
from vision import live
from vision.live import WIDTH, LiveView, drawn

PERSON = Detection(label="person", confidence=0.9, box=(0.25, 0.25, 0.75, 0.75))


def shot(*, analyse: bool = True, camera: str = "cam-1") -> Any:
    return SimpleNamespace(
        frame=SimpleNamespace(camera=camera, captured_at=utc_now()),
        picture=np.zeros((360, 640, 3), np.uint8),
        passage=SimpleNamespace(analyse=analyse),
    )


def coloured(jpeg: bytes) -> int:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    return int((picture.max(axis=2) > 100).sum())


@pytest.fixture
def pictures(tmp_path: Path) -> LivePictures:
    return LivePictures(tmp_path, "north")


def test_boxes_are_drawn_where_things_are_and_wide_pictures_are_shrunk() -> None:
    jpeg = drawn(np.zeros((1080, 1920, 3), np.uint8), [PERSON])
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (360, WIDTH, 3)
    assert picture[180, 160].max() > 100
    assert picture[180, 320].max() < 30
    assert coloured(drawn(np.zeros((90, 160, 3), np.uint8), [])) == 0


def test_nothing_is_drawn_while_nobody_looks(pictures: LivePictures) -> None:
    LiveView(pictures).show(shot(), [PERSON])
    pictures.look()
    assert pictures.get("cam-1") is None


def test_two_pictures_a_second_of_each_camera_at_most(pictures: LivePictures) -> None:
    pictures.look()
    view = LiveView(pictures)
    frames = [shot(), shot(), shot(camera="cam-2")]
    for frame in frames:
        view.show(frame, [])
    first, second = pictures.get("cam-1"), pictures.get("cam-2")
    assert first is not None
    assert second is not None
    assert first.captured_at == frames[0].frame.captured_at
    assert second.captured_at == frames[2].frame.captured_at


def test_what_was_seen_stays_marked_while_nothing_moves(
    pictures: LivePictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "EVERY", 0.0)
    pictures.look()
    view = LiveView(pictures)
    marks = []
    for frame, seen in ((shot(), [PERSON]), (shot(analyse=False), []), (shot(), [])):
        view.show(frame, seen)
        found = pictures.get("cam-1")
        assert found is not None
        marks.append(coloured(found.jpeg) > 0)
    assert marks == [True, True, False]


def test_a_disk_that_takes_nothing_stops_no_watching(pictures: LivePictures, tmp_path: Path) -> None:
    pictures.look()
    view = LiveView(pictures)
    assert pictures.looked()
    (tmp_path / "north" / "live").rename(tmp_path / "away")
    view.show(shot(), [PERSON])
