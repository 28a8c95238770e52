"""Grouping, suppression and joining as pure decisions, and as what they do to alerts in the tables."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disposal.grouping import (
    CAUSES,
    CONFIRMED_BY,
    RULES,
    Known,
    cause_of,
    confirms,
    explained,
    group_of,
    leading,
    may_be_suppressed,
    raised_priority,
    restless,
    rising,
)
from stream.catalogue import RISK_TYPES

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
KNOWN = st.builds(
    Known,
    id=st.uuids().map(str),
    type=st.sampled_from(sorted(RISK_TYPES)),
    source=st.sampled_from(("cam-1", "cam-2", "co-1")),
    source_kind=st.sampled_from(("camera", "sensor", "person")),
    place=st.sampled_from(("roadway", "return")),
    active=st.booleans(),
    shelved=st.booleans(),
)


def known(kind: str, identity: str, **changes: object) -> Known:
    fields = {"source": "cam-1", "source_kind": "camera", "place": "roadway", "active": True, "shelved": False}
    return Known(id=identity, type=kind, **(fields | changes))  # type: ignore[arg-type]


@given(st.lists(KNOWN, max_size=12, unique_by=lambda a: a.id))
def test_no_major_hazard_is_ever_suppressed_and_every_cause_is_itself_on_the_screen(alerts: list[Known]) -> None:
    by_id = {a.id: a for a in alerts}
    found = explained(alerts)
    for small, why in found.items():
        kind = RISK_TYPES[by_id[small].type]
        assert (kind.grade, kind.latching) == ("general", False)
        assert kind.priority != "critical"
        assert by_id[small].source_kind != "person"
        cause = by_id[why.by]
        assert why.by not in found, "the alert that explains others is never suppressed itself"
        assert cause.active
        assert not cause.shelved
        assert cause.source == by_id[small].source or cause.place == by_id[small].place
        assert why.why.zh
        assert why.why.en
    assert explained(list(reversed(alerts))) == found, "the order does not matter"
    assert explained([a._replace(active=False) for a in alerts]) == {}, "without an active cause nothing is suppressed"


def test_a_larger_hazard_explains_a_smaller_one_of_its_source_or_place() -> None:
    tear, wear, other = known("belt-tear", "1"), known("belt-wear", "2", source="cam-2"), known("no-helmet", "3")
    assert explained([tear, wear, other]) == {"2": (found := explained([tear, wear])["2"])}
    assert (found.by, found.why.en) == ("1", "the belt is torn: its other damage is part of that")
    assert explained([tear, wear._replace(place="return")]) == {}
    assert explained([tear._replace(shelved=True), wear]) == {}
    offline, blind = known("camera-offline", "4"), known("camera-blind", "5")
    assert explained([offline, blind]).keys() == {"5"}
    assert explained([offline, blind._replace(source="cam-2")]) == {}


def test_an_explanation_is_followed_to_its_end() -> None:
    chain = [known("person-on-belt", "1"), known("person-in-restricted-zone", "2"), known("person-present", "3")]
    assert {small: why.by for small, why in explained(chain).items()} == {"2": "1", "3": "1"}


def test_rules_name_types_that_there_are_and_form_no_circle() -> None:
    for rule in RULES:
        assert rule.larger in RISK_TYPES
        for small in rule.smaller:
            assert may_be_suppressed(small, "camera"), small
            larger = ("critical", "high", "medium", "low").index(RISK_TYPES[rule.larger].priority)
            assert larger <= ("critical", "high", "medium", "low").index(RISK_TYPES[small].priority)
            assert not any(r.larger == small and rule.larger in r.smaller for r in RULES)


def test_groups_are_place_and_cause_and_every_type_has_a_cause() -> None:
    assert group_of("roadway", "belt-wear", "a") == group_of("roadway", "belt-tear", "b")
    assert group_of("roadway", "belt-wear", "a") != group_of("return", "belt-wear", "a")
    assert group_of("roadway", "belt-wear", "a") != group_of("roadway", "no-helmet", "a")
    assert group_of("roadway", "hand-raised", "a") != group_of("roadway", "hand-raised", "b")
    assert {cause_of(kind) for kind in RISK_TYPES} == set(CAUSES)
    assert [kind for kind in RISK_TYPES if cause_of(kind) == "report"] == ["hand-raised"]


def test_only_what_a_sensor_of_the_place_can_confirm_is_joined() -> None:
    assert confirms("smoke", "camera", "carbon-monoxide-high", "sensor")
    assert confirms("temperature-high", "sensor", "fire", "camera")
    assert not confirms("smoke", "camera", "methane-high", "sensor")
    assert not confirms("smoke", "camera", "fire", "camera")
    assert not confirms("smoke", "person", "carbon-monoxide-high", "sensor")
    assert leading("temperature-high", "smoke") == "smoke"
    assert leading("smoke", "carbon-monoxide-high") == "smoke", "of two alike the first"
    assert [raised_priority(p) for p in ("low", "medium", "high", "critical")] == [
        "medium",
        "high",
        "critical",
        "critical",
    ]
    assert set(CONFIRMED_BY) <= set(RISK_TYPES)


@pytest.mark.parametrize(
    ("values", "rises"),
    [
        ((4, 5, 8, 13), (4, 13)),
        ((4, 5, 4, 5), None),
        ((13, 8, 5, 4), None),
        ((4, 20, 15, 11), None),
        ((4, 13), None),
    ],
)
def test_a_rise_is_more_than_noise_and_still_going_on(
    values: tuple[float, ...], rises: tuple[float, float] | None
) -> None:
    told = [(NOW - timedelta(minutes=len(values) - 1 - n), float(v)) for n, v in enumerate(values)]
    assert rising("carbon-monoxide", told, NOW) == rises
    assert rising("humidity", told, NOW) is None
    assert rising("carbon-monoxide", [(at - timedelta(hours=1), v) for at, v in told], NOW) is None


def test_chattering_is_three_in_a_minute_and_recurring_four_in_a_shift() -> None:
    def times(*seconds: float) -> list[datetime]:
        return [NOW - timedelta(seconds=s) for s in seconds]

    assert restless(times(0, 20, 59), NOW) == ("chattering", 3)
    assert restless(times(0, 20, 61), NOW) is None
    assert restless(times(0, 3600, 7200, 28_000), NOW) == ("recurring", 4)
    assert restless(times(0, 3600, 7200, 29_000), NOW) is None
    assert restless([], NOW) is None
