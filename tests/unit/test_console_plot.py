import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.plot import HEIGHT, WIDTH, Level, Point, Tick, bars, line, share_bar

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


def parts(drawing: str, name: str, kind: str = "") -> list[ElementTree.Element]:
    return [e for e in ElementTree.fromstring(drawing).iter(name) if kind in e.get("class", "").split() or not kind]


def test_bars_above_the_level_are_marked() -> None:
    drawn = bars([0, 5, 10, 11], label="alarms", level=Level(10, "limit 10"), titles=["a", "b", "c", "d"])
    found = parts(drawn, "rect", "bar")
    assert [("over" in e.get("class", ""), e[0].text) for e in found] == [(False, "b"), (False, "c"), (True, "d")]
    heights = [float(e.get("height", "0")) for e in found]
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.2)


def test_a_line_is_broken_where_nothing_was_measured() -> None:
    points = [Point(0.1, 1), Point(0.12, 2), Point(0.5, 1), Point(0.9, 3), Point(0.94, 3)]
    drawn = line(points, label="methane", levels=[Level(2.5, "2.5 %")], moments=[Tick(0.5, "alarm")])
    assert [len(e.get("points", "").split()) for e in parts(drawn, "polyline")] == [2, 1, 2]
    assert len(parts(drawn, "circle")) == 1
    assert len(parts(drawn, "line", "level")) == 1
    assert len(parts(drawn, "line", "moment")) == 1


def test_names_from_outside_stay_text() -> None:
    hostile = '"><script>alert(1)</script>'
    for drawn in (
        bars([1], label=hostile, ticks=[Tick(0, hostile)], level=Level(1, hostile), titles=[hostile]),
        line(
            [Point(0, 1)],
            label=hostile,
            ticks=[Tick(0, hostile)],
            levels=[Level(1, hostile)],
            moments=[Tick(0, hostile)],
        ),
    ):
        assert "<script" not in drawn
        assert ElementTree.fromstring(drawn).get("aria-label") == hostile


@given(st.lists(st.tuples(st.floats(0, 1), FINITE), max_size=30), st.lists(FINITE, max_size=3))
def test_whatever_is_measured_stays_within_the_drawing(points: list[tuple[float, float]], levels: list[float]) -> None:
    drawn = line(
        [Point(*p) for p in sorted(points)], label="any", levels=[Level(value, f"{value}") for value in levels]
    )
    for shape in parts(drawn, "polyline"):
        for pair in shape.get("points", "").split():
            x, y = map(float, pair.split(","))
            assert -0.1 <= x <= WIDTH + 0.1
            assert -0.1 <= y <= HEIGHT + 0.1
    for shape in parts(drawn, "line", "level"):
        assert -0.1 <= float(shape.get("y1", "nan")) <= HEIGHT + 0.1


@pytest.mark.parametrize(("share", "width"), [(0, "0.0"), (0.5, "50.0"), (1.7, "100.0"), (-1, "0.0")])
def test_a_share_is_a_bar_of_its_width(share: float, width: str) -> None:
    assert re.search(rf'class="bar" width="{width}"', share_bar(share, 0.2))
