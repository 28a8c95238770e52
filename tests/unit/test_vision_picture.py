"""The quality of the picture, measured on real frames: whole, darkened, covered, in dust, shifted, turned, repeated."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.clips import BELT, BOTTLES, CLIPS, PERSONS, WORKER, pictures
from vision.decode import Picture
from vision.picture import (
    FROZEN_SECONDS,
    RUN_OFF,
    Findings,
    PictureState,
    find_belt_edge,
    inspect,
    is_blind,
    measure_sight,
    runs_off,
    thumbnail,
)


def through_jpeg(picture: Picture) -> Picture:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])[1], 1), np.uint8)


def darkened(picture: Picture) -> Picture:
    return (picture * 0.08).astype(np.uint8)


def dimmed(picture: Picture) -> Picture:
    return (picture * 0.6).astype(np.uint8)


def behind_a_cloth(picture: Picture) -> Picture:
    small = cv2.GaussianBlur(cv2.resize(picture, (120, 68), interpolation=cv2.INTER_AREA), (0, 0), 10)
    return np.asarray(cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def in_dust(picture: Picture) -> Picture:
    """Nine parts of ten are lit dust, as in front of a lamp."""
    dust = np.array((120, 135, 145)) + np.random.default_rng(7).normal(0, 4, picture.shape)
    return np.clip(picture * 0.08 + dust * 0.92, 0, 255).astype(np.uint8)


def turned_aside(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    move = np.array(((1, 0, 0.08 * width), (0, 1, 0.03 * height)), np.float32)
    return np.asarray(cv2.warpAffine(picture, move, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8)


def tilted(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 6, 1.0)
    return np.asarray(cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8)


def watch(state: PictureState, shown: list[tuple[float, Picture]]) -> tuple[list[Findings], PictureState]:
    found = []
    for seconds, picture in shown:
        findings, state = inspect(state, thumbnail(through_jpeg(picture)), 1000.0 + seconds)
        found.append(findings)
    return found, state


@pytest.mark.parametrize("clip", CLIPS)
def test_a_normal_clip_is_neither_blind_nor_frozen_nor_moved(test_data: Path, clip: str) -> None:
    found, _ = watch(PictureState(), list(pictures(test_data, clip, every=2 if clip in (BELT, WORKER) else 9)))
    assert len(found) > 15
    assert not any(findings.blind or findings.frozen or findings.moved for findings in found)


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("harm", [darkened, behind_a_cloth, in_dust])
def test_a_dark_or_covered_camera_or_one_in_dust_is_blind(
    test_data: Path, clip: str, harm: Callable[[Picture], Picture]
) -> None:
    for _, picture in pictures(test_data, clip, every=12, limit=10):
        assert is_blind(measure_sight(thumbnail(through_jpeg(harm(picture)))))
        assert not is_blind(measure_sight(thumbnail(through_jpeg(dimmed(picture))))) or clip == BELT


@pytest.mark.parametrize("clip", [BOTTLES, PERSONS])
@pytest.mark.parametrize(("harm", "moved"), [(turned_aside, True), (tilted, True), (dimmed, False)])
def test_a_camera_that_was_turned_has_moved_and_dimmer_light_has_not(
    test_data: Path, clip: str, harm: Callable[[Picture], Picture], moved: bool
) -> None:
    shown = pictures(test_data, clip, every=15)
    learned = [entry for entry in shown if entry[0] < 15]
    _, state = watch(PictureState(), learned)
    assert len(state.cells) > 10
    found, _ = watch(state, [(seconds, harm(picture)) for seconds, picture in shown if seconds >= 15])
    share = sum(bool(findings.moved) for findings in found) / len(found)
    assert share == 1.0 if moved else share == 0.0


def test_a_scene_without_anything_steady_claims_no_move(test_data: Path) -> None:
    loop = [picture for _, picture in pictures(test_data, BELT)]
    shown = [(number / 5, loop[number % len(loop)]) for number in range(150)]
    found, state = watch(PictureState(), shown)
    assert not state.edges
    assert all(findings.moved is None for findings in found)


def test_a_repeated_picture_is_frozen_after_a_while_and_no_longer_once_it_changes(test_data: Path) -> None:
    shown = list(pictures(test_data, PERSONS, limit=30))
    stuck = [(3.0 + number, shown[-1][1]) for number in range(15)]
    found, state = watch(PictureState(), [*shown, *stuck])
    frozen_since = next(number for number, findings in enumerate(found) if findings.frozen)
    assert [*shown, *stuck][frozen_since][0] == pytest.approx(shown[-1][0] + FROZEN_SECONDS, abs=1.0)
    after, _ = watch(state, [(20.0, shown[0][1])])
    assert not after[0].frozen


# The edge of the table under the bottles: as straight, and as often covered, as that of a belt.
TABLE_EDGE = ((0.0, 0.609), (0.98, 0.649), (0.98, 0.749), (0.0, 0.709))


@pytest.mark.parametrize("shift", [0, 3, -3])
def test_the_edge_of_a_belt_runs_along_the_middle_of_its_zone(test_data: Path, shift: int) -> None:
    for _, picture in pictures(test_data, BOTTLES, every=100):
        edge = find_belt_edge(np.roll(picture, shift, axis=0), TABLE_EDGE)
        assert runs_off(edge) is False, edge


@pytest.mark.parametrize("shift", [13, -13])
def test_a_belt_that_runs_off_is_measured(test_data: Path, shift: int) -> None:
    for _, picture in pictures(test_data, BOTTLES, every=100):
        edge = find_belt_edge(np.roll(picture, shift, axis=0), TABLE_EDGE)
        assert runs_off(edge) is True, edge
        assert abs(edge.offset) > RUN_OFF


def test_where_no_edge_shows_nothing_is_said_of_it(test_data: Path) -> None:
    blank = ((0.05, 0.05), (0.95, 0.05), (0.95, 0.2), (0.05, 0.2))
    for _, picture in pictures(test_data, BOTTLES, every=400):
        assert runs_off(find_belt_edge(behind_a_cloth(picture), blank)) is None
