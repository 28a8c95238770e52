"""The benchmark in small: its pictures are what it says, its runs are real, and its figures follow from them."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from console.bench import BENCHES, draw
from vision.bench import _affordable, ratio, take_turns, track
from vision.bench_cameras import Live, busy, holding, visited
from vision.bench_scenes import Scene, Visit, find_pictures, make_scene, with_somebody
from vision.bench_video import h264
from vision.decode import Picture, decode_picture, read_header
from vision.detector import Detector, open_detector
from vision.errors import DatasetError
from vision.motion import moved_share, small_grey
from vision.picture import thumbnail
from vision.settings import DetectorSettings, MotionSettings

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture(scope="module")
def detector() -> Detector:
    return open_detector("ppe", DetectorSettings(weights="ppe"))


@pytest.fixture(scope="module")
def pictures(test_data: Path) -> list[Picture]:
    return find_pictures(test_data, 60)


@pytest.fixture(scope="module")
def visits(pictures: list[Picture], detector: Detector) -> list[Visit]:
    return with_somebody(pictures, detector, 2)


@pytest.fixture(scope="module")
def scene(pictures: list[Picture]) -> Scene:
    return make_scene(pictures, 3)


def test_a_scene_is_a_camera_s_picture_still_but_for_grain_or_moving(scene: Scene) -> None:
    assert all((read_header(jpeg).width, read_header(jpeg).height) == (1920, 1080) for jpeg in scene.all)
    assert min(map(len, scene.all)) > 150_000
    grey = [small_grey(thumbnail(decode_picture(jpeg, 320))) for jpeg in scene.all]
    motion = MotionSettings()
    assert not np.array_equal(grey[0], grey[1]) or scene.still[0] != scene.still[1]
    assert moved_share(grey[0], grey[1], motion.level) < motion.share
    assert all(moved_share(grey[0], moving, motion.level) > motion.share for moving in grey[2:])


def test_pictures_come_from_clips_where_there_are_no_others(tmp_path: Path) -> None:
    assert len(find_pictures(SAMPLES, 24)) == 24
    with pytest.raises(DatasetError, match="24 pictures"):
        find_pictures(tmp_path, 24)


def test_the_path_that_is_measured_finds_what_the_detector_sees(visits: list[Visit], detector: Detector) -> None:
    with ThreadPoolExecutor(2) as pool:
        assert track([visit.nobody[0] for visit in visits], detector, pool) == 0
        assert track([visit.somebody[0] for visit in visits], detector, pool) >= 2


def test_ways_take_turns_and_the_first_round_does_not_count() -> None:
    order: list[str] = []
    seconds, processor = take_turns({"one": lambda: order.append("one"), "two": lambda: order.append("two")}, 2)
    assert order == ["one", "two"] * 3
    assert [len(times) for times in (*seconds.values(), *processor.values())] == [2] * 4
    assert ratio([2.0, 9.0, 4.0], [1.0, 3.0, 2.0]) == 2.0


@pytest.mark.parametrize(
    ("first", "most", "limit", "found"),
    [(10, 9, 24, 24), (10, 1, 24, 10), (30, 8, 24, 24), (10, 1, 5, 0), (3, 5, 0, 0)],
)
def test_the_most_cameras_are_sought_until_one_more_is_too_many(first: int, most: int, limit: int, found: int) -> None:
    runs: list[Live] = []
    held = holding(lambda cameras: live(cameras, held=cameras <= limit), first, most, runs)
    assert abs(held - found) <= 1
    assert held <= limit or held == 0
    assert len(runs) <= most


def live(cameras: int, *, held: bool) -> Live:
    frames = cameras * 50
    lost = 0 if held else frames // 10
    counts = {"frames_analysed": frames // 4, "frames_still": frames - frames // 4 - lost, "frames_skipped": lost}
    return Live(cameras, 10.0, counts, cores=0.04 * cameras, late=False, milliseconds=(1.0, 2.0, 3.0))


def test_a_run_is_held_when_the_frames_came_and_few_were_dropped() -> None:
    well = live(10, held=True)
    assert well.held
    assert not live(10, held=False).held
    assert not well._replace(late=True).held
    assert not well._replace(counts={"frames_analysed": 10}).held
    assert not well._replace(counts={**well.counts, "records_skipped": 9}).held
    assert well.latencies() == {"p50": 2, "p95": 3, "p99": 3, "events": 3}
    assert well._replace(milliseconds=()).latencies()["p99"] is None
    assert _affordable([well, live(50, held=False)]) == pytest.approx(len(os.sched_getaffinity(0)) / 0.04, abs=1)
    assert _affordable([]) is None


def test_cameras_run_against_the_real_stage(scene: Scene, detector: Detector, tmp_path: Path) -> None:
    run = busy([scene], 1, detector, tmp_path, seconds=2.0, warm=0.0)
    assert run.dropped == 0
    assert 3 <= run.counts["frames_analysed"] + run.counts.get("frames_still", 0) <= 11
    assert 0 < run.cores < len(os.sched_getaffinity(0))
    assert not list(tmp_path.iterdir())


def test_somebody_who_appears_is_told(visits: list[Visit], detector: Detector, tmp_path: Path) -> None:
    run = visited(visits[:1], detector, tmp_path, seconds=3.0, warm=0.0)
    assert run.milliseconds
    assert 0 < min(run.milliseconds) < 3000


def test_it_can_be_asked_for() -> None:
    assert BENCHES["vision"] == "vision.bench"


def test_an_h264_camera_costs_what_it_costs_to_decode(pictures: list[Picture], tmp_path: Path) -> None:
    told = h264(pictures, tmp_path, 0.05, cores=2)
    assert 0 < told["decode_cores_per_camera"] < 5
    assert told["cameras"] in range(int(2 / 5.05), int(2 / 0.05))


def test_the_figures_are_drawn(tmp_path: Path) -> None:
    figures = {
        "rates": {"ours": 300.0, "limit": 340.0, "predict": 110.0},
        "growth": [live(1, held=True).as_dict(), live(30, held=False).as_dict()],
        "cores": 2,
        "cameras": 27,
        "frame_to_risk_ms": {"p50": 50, "p95": 122, "p99": None, "events": 9},
    }
    draw("vision", figures, tmp_path / "a.svg")
    drawn = (tmp_path / "a.svg").read_text()
    assert all(said in drawn for said in ("YOLO.predict in torch", "27 held", "122", "all cores"))
