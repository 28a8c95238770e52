"""The light of a camera over hours: a slow fall is told, a shadow that passes is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.light import Dimming, Light, dimming, follow_light
from vision.picture import HEIGHT, WIDTH, PictureState, inspect

HOUR = 3600


def watched(levels: list[float], seconds: float) -> Light:
    light = None
    for number, level in enumerate(levels):
        light = follow_light(light, level, 1000.0 + number * seconds)
    assert light is not None
    return light


def test_a_lens_that_gets_dirty_is_told_with_when_nothing_is_seen() -> None:
    found = dimming(watched([200 - 10 * hour / 6 for hour in range(61)], HOUR / 6), 40.0)
    assert found is not None
    assert found.share == pytest.approx(0.5, abs=0.01)
    assert found.hours == pytest.approx(10.0)
    assert found.hours_left == pytest.approx(6.0, abs=0.2)


def test_a_steady_light_and_a_rising_one_are_not_told() -> None:
    assert dimming(watched([180.0] * 100, 600), 40.0) is None
    assert dimming(watched([100.0 + n for n in range(100)], 600), 40.0) is None


def test_an_hour_has_to_pass_first() -> None:
    falling = [200.0] * 60 + [100.0] * 600
    assert dimming(watched(falling, 5), 40.0) is None
    assert dimming(watched([200.0] * 60 + [100.0] * 1000, 5), 40.0) is not None


def test_a_shadow_of_some_seconds_moves_it_little() -> None:
    assert watched([200.0] * 1000 + [60.0] * 10, 0.2).now > 190


def test_a_light_that_is_out_already_has_no_time_left() -> None:
    assert dimming(Light(200.0, 0.0, 30.0, 2 * HOUR), 40.0) == Dimming(0.15, 2.0, 0.0)


def test_a_clock_that_went_back_begins_anew() -> None:
    assert follow_light(Light(200.0, 5000.0, 100.0, 9000.0), 90.0, 4000.0) == Light(90.0, 4000.0, 90.0, 4000.0)


@given(st.lists(st.floats(0, 255), min_size=1, max_size=60), st.floats(0, 1e5))
def test_it_stays_between_the_darkest_and_the_brightest(levels: list[float], seconds: float) -> None:
    light = watched(levels, seconds)
    assert min(levels) - 1e-6 <= light.now <= max(levels) + 1e-6
    found = dimming(light, 40.0)
    assert found is None or (0 <= found.share < 0.75 and found.hours_left >= 0)


def test_every_picture_counts_but_those_of_a_covered_lens() -> None:
    seen = np.tile(np.linspace(0, 250, WIDTH).astype(np.uint8), (HEIGHT, 1))
    seen[::7] = 255 - seen[::7]
    findings, state = inspect(PictureState(), seen, 1000.0)
    assert not findings.blind
    assert state.light == Light(findings.sight.brightness, 1000.0, findings.sight.brightness, 1000.0)
    covered, after = inspect(state, np.zeros_like(seen), 1001.0)
    assert covered.blind
    assert after.light == state.light
