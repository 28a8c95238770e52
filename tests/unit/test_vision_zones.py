"""Who stands in which zone."""

import pytest

from stream.catalogue import Purpose
from stream.messages import Box, Detection
from stream.site import Zone
from vision.zones import ZoneMap, heads_in, persons, persons_in

LEFT_HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
FLOOR = ((0.2, 0.6), (0.8, 0.6), (1.0, 1.0), (0.0, 1.0))
NOTCHED = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.6, 1.0), (0.6, 0.3), (0.4, 0.3), (0.4, 1.0), (0.0, 1.0))
WHOLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


def zone(polygon: tuple[tuple[float, float], ...], purpose: Purpose = "restricted") -> ZoneMap:
    return ZoneMap(Zone(id="z", camera="c", purpose=purpose, polygon=polygon))


def seen(label: str, *box: float) -> Detection:
    left, top, right, bottom = box
    return Detection(label=label, confidence=0.8, box=(left, top, right, bottom))


@pytest.mark.parametrize(
    ("polygon", "point", "inside"),
    [
        (LEFT_HALF, (0.25, 0.5), True),
        (LEFT_HALF, (0.75, 0.5), False),
        (WHOLE, (0.0, 0.0), True),
        (WHOLE, (1.0, 1.0), True),
        (NOTCHED, (0.5, 0.8), False),
        (NOTCHED, (0.5, 0.1), True),
        (NOTCHED, (0.2, 0.8), True),
    ],
)
def test_points_are_in_or_out(
    polygon: tuple[tuple[float, float], ...], point: tuple[float, float], inside: bool
) -> None:
    assert zone(polygon).has_point(*point) is inside


@pytest.mark.parametrize(
    ("box", "share"),
    [
        ((0.0, 0.0, 0.5, 1.0), 1.0),
        ((0.25, 0.2, 0.75, 0.8), 0.5),
        ((0.6, 0.0, 0.9, 0.5), 0.0),
        ((0.4, 0.4, 0.6, 0.6), 0.5),
    ],
)
def test_the_covered_share_of_a_box(box: Box, share: float) -> None:
    assert zone(LEFT_HALF).covered_share(box) == pytest.approx(share, abs=0.03)


def test_a_person_stands_where_the_feet_are() -> None:
    in_front = seen("person", 0.4, 0.3, 0.5, 0.9)
    behind = seen("person", 0.4, 0.2, 0.5, 0.55)
    assert persons_in(zone(FLOOR), [in_front, behind]) == (in_front,)


@pytest.mark.parametrize(
    ("person", "near_the_border"),
    [
        (seen("person", 0.47, 0.4, 0.53, 0.6), False),
        (seen("person", 0.27, 0.4, 0.33, 0.6), True),
        (seen("person", 0.45, 0.1, 0.55, 0.6), True),  # close by: one step is far across the picture
        (seen("helmet", 0.49, 0.55, 0.51, 0.58), False),
        (seen("helmet", 0.27, 0.55, 0.29, 0.58), True),
    ],
)
def test_one_step_leads_out_of_a_zone_only_from_near_its_border(person: Detection, near_the_border: bool) -> None:
    middle = zone(((0.25, 0.4), (0.75, 0.4), (0.75, 0.8), (0.25, 0.8)))
    assert middle.one_step_out(person) is near_the_border


def test_one_step_leads_out_of_the_picture() -> None:
    assert zone(WHOLE).one_step_out(seen("person", 0.93, 0.5, 0.99, 0.8))
    assert zone(WHOLE).one_step_out(seen("person", 0.5, 0.7, 0.6, 1.0))
    assert not zone(WHOLE).one_step_out(seen("person", 0.5, 0.5, 0.55, 0.7))


def test_from_above_a_person_is_in_the_zone_by_most_of_the_body() -> None:
    head_to_feet = seen("person", 0.3, 0.4, 0.55, 0.6)
    assert persons_in(zone(((0.25, 0.35), (0.6, 0.35), (0.6, 0.58), (0.25, 0.58))), [head_to_feet]) == (head_to_feet,)


def test_a_head_without_a_body_is_a_person_and_with_one_is_not_a_second() -> None:
    body = seen("person", 0.3, 0.3, 0.4, 0.9)
    own = seen("no_helmet", 0.33, 0.3, 0.37, 0.36)
    alone = seen("helmet", 0.7, 0.5, 0.74, 0.56)
    assert persons([body, own, alone]) == (body, alone)
    assert persons_in(zone(LEFT_HALF), [body, own, alone]) == (body,)


def test_the_head_of_a_body_cut_off_at_the_picture_belongs_to_it() -> None:
    cut = seen("person", 0.3, 0.8, 0.5, 1.0)
    head = seen("helmet", 0.35, 0.8, 0.45, 0.95)
    assert persons([cut, head]) == (cut,)


def test_a_head_counts_where_it_is_or_where_its_person_stands() -> None:
    body = seen("person", 0.4, 0.2, 0.5, 0.9)
    over_the_line = seen("no_helmet", 0.43, 0.2, 0.47, 0.27)
    elsewhere = seen("no_helmet", 0.1, 0.1, 0.14, 0.16)
    in_it = seen("no_helmet", 0.5, 0.7, 0.54, 0.76)
    helmet = seen("helmet", 0.6, 0.7, 0.64, 0.76)
    listed = [body, over_the_line, elsewhere, in_it, helmet]
    assert heads_in(zone(FLOOR), listed, "no_helmet") == (over_the_line, in_it)
