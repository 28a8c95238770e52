"""When a frame goes to the detector."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vision.motion import HEIGHT, WIDTH, MotionState, gate, moved_share, small_grey
from vision.settings import MotionSettings

EMPTY = np.full((HEIGHT, WIDTH), 90, np.uint8)
SCAN = 2.0
SETTINGS = MotionSettings(linger_seconds=1.0)


def with_block(column: int, size: int = 6) -> np.ndarray:
    grey = EMPTY.copy()
    grey[20 : 20 + size, column : column + size] = 200
    return grey


def with_grain(grey: np.ndarray, number: int) -> np.ndarray:
    """As a sensor sees it, never twice the same."""
    grained = grey.copy()
    grained[0, 0] += number % 2
    return grained


def reasons(frames: list[np.ndarray], step: float = 0.5, settings: MotionSettings = SETTINGS) -> list[str]:
    state = MotionState()
    told = []
    for number, grey in enumerate(frames):
        passage = gate(state, with_grain(grey, number), number * step, settings, SCAN)
        assert passage.analyse == (passage.reason != "still")
        state = passage.state
        told.append(passage.reason)
    return told


def test_a_still_scene_is_scanned_now_and_then() -> None:
    assert reasons([EMPTY] * 12) == [
        "first",
        "linger",
        "linger",
        *["still"] * 3,
        "scan",
        *["still"] * 3,
        "scan",
        "still",
    ]


def test_what_moves_is_looked_at_and_for_a_while_after() -> None:
    frames = [EMPTY] * 4 + [with_block(10), with_block(20)] + [with_block(20)] * 4
    assert reasons(frames)[3:] == ["still", "motion", "motion", "linger", "linger", "still", "still"]


def test_noise_is_no_motion() -> None:
    noise = np.random.default_rng(3)
    frames = [np.clip(EMPTY + noise.normal(0, 2, EMPTY.shape), 0, 255).astype(np.uint8) for _ in range(6)]
    assert "motion" not in reasons(frames)


def test_a_creep_too_slow_for_two_frames_is_noticed_in_time() -> None:
    brighter = [np.full_like(EMPTY, 90 + i) for i in range(40)]
    assert "motion" in reasons(brighter, step=0.1, settings=MotionSettings(linger_seconds=0))


def test_time_that_goes_back_begins_anew() -> None:
    passage = gate(MotionState(EMPTY.tobytes(), 100.0, 100.0), EMPTY, 5.0, SETTINGS, SCAN)
    assert passage.reason == "first"


def test_switched_off_everything_is_looked_at() -> None:
    assert "still" not in reasons([EMPTY] * 12, settings=MotionSettings(enabled=False))


def test_a_repeated_picture_never_goes_and_the_scan_waits_for_one_that_is_not() -> None:
    """Every other frame is the one before: were the scan spent on such, a still hazard would never be looked at."""
    for settings_ in (MotionSettings(linger_seconds=0), MotionSettings(enabled=False)):
        state, told = MotionState(), []
        for number in range(20):
            passage = gate(state, with_grain(EMPTY, number // 2), number * 0.4, settings_, SCAN)
            state = passage.state
            told.append(passage.reason)
        assert told[1::2] == ["repeated"] * 10
        looked = [number * 0.4 for number, reason in enumerate(told) if reason not in ("still", "repeated")]
        assert len(looked) >= 3
        assert max(b - a for a, b in pairwise(looked)) <= SCAN + 2 * 0.4


def test_the_share_of_points_that_moved() -> None:
    assert moved_share(EMPTY, with_block(10), 12) == 36 / EMPTY.size
    assert moved_share(EMPTY, EMPTY, 1) == 0.0


def test_any_size_comes_to_the_grid() -> None:
    assert small_grey(np.zeros((90, 160), np.uint8)).shape == (HEIGHT, WIDTH)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=40), st.floats(0.05, 1.5))
@settings(max_examples=100, deadline=None)
def test_no_scene_goes_unseen_for_longer_than_the_scan_takes(blocks: list[int], step: float) -> None:
    told = reasons([with_block(column) for column in blocks], step)
    looked = [number * step for number, reason in enumerate(told) if reason != "still"]
    assert looked[0] == 0.0
    for before, after in zip(looked, [*looked[1:], (len(told) - 1) * step], strict=True):
        assert after - before < SCAN + step
