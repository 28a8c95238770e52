from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.bench_warning import measure
from rules.episode import (
    SensorState,
    decode_states,
    encode_states,
    evaluate,
    fault,
    implausible,
    silent_since,
    stuck,
    unheard,
)
from rules.limits import ACTIONS, PLACE_KINDS, CarriedLimit, Limit, applicable, by_weight, loosened, read_limits
from rules.settings import LimitSettings
from rules.trend import minutes_until, remembered, trend
from rules.warning import early_warning
from stream.messages import Reading, Risk

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = LimitSettings(hysteresis=0.05, clear_seconds=10, clear_readings=3)


def methane(value: float, action: str = "stop-work", **changes) -> Limit:
    row = {"quantity": "methane", "comparison": ">=", "value": value, "unit": "%", "action": action, **changes}
    return read_limits([row])[0]


def carried(limit: Limit, clause: str = "cn-coal:173") -> CarriedLimit:
    return CarriedLimit(clause, f"{clause}@1", f"Methane at the face ({clause})", limit)


def reading(value: float, second: float, quantity: str = "methane", unit: str = "%") -> Reading:
    moment = NOW + timedelta(seconds=second)
    return Reading(
        mine="demo", sensor="gas-1", place="face", quantity=quantity, value=value, unit=unit, sequence=int(second),
        captured_at=moment, read_at=moment,
    )  # fmt: skip


def play(limits: list[CarriedLimit], values: list[tuple[float, float]]) -> tuple[SensorState | None, list[Risk]]:
    """Hold (second, value) pairs against the limits, writing the state down in between as a restart would."""
    state, events = None, []
    for second, value in values:
        state, found = evaluate(state, reading(value, second), f"readings/0/{second:g}", limits, SETTINGS, NOW)
        state = decode_states(encode_states({"gas-1": state}))["gas-1"]
        events.extend(found)
    return state, events


def test_a_broken_limit_is_raised_with_the_clause_that_set_it_and_cleared_after_the_off_delay():
    _, events = play([carried(methane(1.0))], [(0, 0.4), (1, 1.0), (2, 1.2), (3, 0.9), (8, 0.9), (12, 0.9), (14, 0.5)])
    assert [(e.state, e.sequence) for e in events] == [("raised", 0), ("cleared", 1)]
    raised, cleared = events
    assert raised.type == "methane-high"
    assert raised.clauses == ("cn-coal:173",)
    assert raised.measured[0].value == 1.0
    assert ">= 1 %" in (raised.measured[0].limit or "")
    assert raised.started_at == NOW + timedelta(seconds=1)
    assert cleared.risk_id == raised.risk_id
    assert cleared.absence is not None
    assert (cleared.absence.full_scans, cleared.absence.seconds) == (4, 11)
    assert (cleared.absence.zone_in_view, cleared.absence.camera_moved, cleared.absence.persons_in_zone) == (
        True,
        False,
        0,
    )


def test_a_limit_counts_only_after_its_hold_time():
    limits = [carried(methane(1.0, hold_seconds=30))]
    _, events = play(limits, [(0, 1.1), (20, 1.1), (25, 0.2), (30, 1.1), (59, 1.1)])
    assert events == []
    _, events = play(limits, [(0, 1.1), (20, 1.1), (30, 1.1)])
    assert [e.state for e in events] == ["raised"]
    assert events[0].started_at == NOW


def test_values_between_the_hysteresis_and_the_limit_do_not_clear():
    _, events = play([carried(methane(1.0))], [(0, 1.1), *((s, 0.97) for s in range(1, 60))])
    assert [e.state for e in events] == ["raised"]


def test_the_strictest_limit_decides_and_a_severer_one_updates_the_same_risk():
    limits = [
        carried(methane(1.0), "cn-coal:173"),
        carried(methane(0.8), "north:1"),
        carried(methane(1.5, "withdraw"), "cn-coal:173"),
    ]
    _, events = play(limits, [(0, 0.9), (1, 1.2), (2, 1.6), (3, 1.1), (4, 1.6)])
    assert [(e.state, e.sequence) for e in events] == [("raised", 0), ("updated", 1), ("updated", 2)]
    assert events[0].clauses == ("north:1",)
    assert events[1].clauses == ("north:1", "cn-coal:173")
    assert "withdraw" in (events[2].measured[0].limit or "")
    assert len({e.risk_id for e in events}) == 1


def test_oxygen_breaks_downwards():
    limit = read_limits([{"quantity": "oxygen", "comparison": "<", "value": 20, "unit": "%"}])[0]
    state, events = evaluate(None, reading(19.9, 0, "oxygen"), "readings/0/0", [carried(limit)], SETTINGS, NOW)
    assert [e.type for e in events] == ["oxygen-low"]
    _, events = evaluate(state, reading(20.5, 1, "oxygen"), "readings/0/1", [carried(limit)], SETTINGS, NOW)
    assert events == ()


def test_a_silent_sensor_loses_what_was_going_on_and_is_a_risk_itself():
    state, _ = play([carried(methane(1.0))], [(0, 1.2)])
    later = NOW + timedelta(seconds=40)
    assert silent_since(state, NOW, 30, later)
    assert not silent_since(state, later, 30, later)
    state, events = fault(state, "nothing was heard for 40 s", "readings/0/0/silent", later)
    assert [(e.type, e.state) for e in events] == [("methane-high", "lost"), ("sensor-stale", "raised")]
    assert events[0].absence is None
    assert fault(state, "still nothing", "readings/0/0/silent", later)[1] == ()
    state, events = evaluate(state, reading(0.2, 60), "readings/0/60", [carried(methane(1.0))], SETTINGS, later)
    assert [(e.type, e.state) for e in events] == [("sensor-stale", "cleared")]
    assert state.episodes == {}


def test_a_sensor_never_heard_is_named_by_when_it_was_first_expected():
    state = unheard("demo", "gas-9", "face", "since/1", NOW)
    _, events = fault(state, "nothing was ever heard", state.position, NOW + timedelta(minutes=1))
    assert [e.type for e in events] == ["sensor-stale"]
    assert events[0].measured == ()


def test_a_limit_that_ends_leaves_its_risk_lost_not_cleared():
    state, _ = play([carried(methane(1.0))], [(0, 1.2)])
    _, events = evaluate(state, reading(1.2, 1), "readings/0/1", [], SETTINGS, NOW)
    assert [e.state for e in events] == ["lost"]


@pytest.mark.parametrize("value", [-1, 100.5, float("nan"), float("inf")])
def test_absurd_values_are_no_measurements(value):
    assert implausible(reading(value, 0))


def test_another_unit_is_no_measurement():
    assert implausible(reading(1.0, 0, unit="ppm"))
    assert implausible(reading(1.0, 0)) is None


@given(
    values=st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=30),
    limit=st.floats(0.1, 99),
    hold=st.integers(0, 20),
)
def test_values_within_the_limit_never_raise(values, limit, hold):
    rule = carried(methane(limit, hold_seconds=hold))
    _, events = play([rule], [(second, value) for second, value in enumerate(values) if value < limit])
    assert events == []


@given(values=st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_episodes_are_raised_once_and_numbered_without_gaps(values):
    limits = [carried(methane(1.0)), carried(methane(1.5, "withdraw"), "cn-coal:174")]
    _, events = play(limits, list(enumerate(values)))
    for identity in {e.risk_id for e in events}:
        of_one = [e for e in events if e.risk_id == identity]
        assert [e.sequence for e in of_one] == list(range(len(of_one)))
        assert [e.state for e in of_one].count("raised") == 1
        assert of_one[0].state == "raised"
        assert all(e.state == "updated" for e in of_one[1:-1])


limits_drawn = st.builds(
    lambda value, sign, hold, action, place: methane(value, action, comparison=sign, hold_seconds=hold, places=[place]),
    st.integers(1, 4).map(lambda n: n / 2),
    st.sampled_from([">", ">="]),
    st.sampled_from([0, 30]),
    st.sampled_from(sorted(ACTIONS)),
    st.sampled_from(["any", "heading", "return-airway"]),
)


@given(national=st.lists(limits_drawn, min_size=1, max_size=4), supplement=limits_drawn, value=st.floats(0, 3))
def test_a_supplement_that_passes_is_broken_whenever_the_national_limit_of_its_action_is(national, supplement, value):
    if loosened(supplement, national) is not None:
        return
    for limit in national:
        meets = "any" in (*limit.places, *supplement.places) or limit.places == supplement.places
        if limit.action == supplement.action and meets and limit.broken_by(value):
            assert supplement.broken_by(value)


def test_the_looser_limit_is_named():
    national = [methane(1.5, "withdraw"), methane(1.0)]
    assert loosened(methane(1.2), national) == national[1]
    assert loosened(methane(1.0, comparison=">"), national) == national[1]
    assert loosened(methane(1.0, hold_seconds=5), national) == national[1]
    assert loosened(methane(1.3, "withdraw"), national) is None
    assert loosened(methane(1.3, "watch"), national) == national[1]
    assert loosened(methane(3.0, places=["heading"]), [methane(1.0, places=["return-airway"])]) is None


def test_limits_hold_at_their_kinds_of_place():
    rules = [carried(methane(1.0, places=["return-airway"])), carried(methane(2.0))]
    assert applicable(rules, "methane", "return-airway") == tuple(rules)
    assert applicable(rules, "methane", "heading") == (rules[1],)
    assert applicable(rules, "oxygen", "heading") == ()
    assert by_weight([carried(methane(1.0)), carried(methane(1.5, "withdraw"))])[0].limit.value == 1.5


@pytest.mark.parametrize(
    "row",
    [
        {"quantity": "radon", "comparison": ">", "value": 1, "unit": "%"},
        {"quantity": "methane", "comparison": ">", "value": 1, "unit": "ppm"},
        {"quantity": "methane", "comparison": ">", "value": 1000, "unit": "%"},
        {"quantity": "methane", "comparison": "!=", "value": 1, "unit": "%"},
        {"quantity": "methane", "comparison": "<", "value": 1, "unit": "%"},
        {"quantity": "methane", "comparison": ">", "value": 1, "unit": "%", "places": ["moon"]},
        {"quantity": "methane", "comparison": ">", "value": 1, "unit": "%", "places": []},
        {"quantity": "methane", "comparison": ">", "value": 1, "unit": "%", "hold_seconds": -1},
        {"quantity": "methane", "comparison": ">", "value": 1, "unit": "%", "colour": "red"},
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(row):
    with pytest.raises(ValueError):
        read_limits([row])


def test_limits_speak_both_languages():
    limit = methane(1.0, "withdraw", places=["return-airway"], hold_seconds=30)
    assert limit.text("zh") == "采区或工作面回风巷 >= 1 %，持续30秒：停止作业，切断电源，撤出人员"
    assert "for 30 s" in limit.text("en")
    assert all(zh and en for zh, en in PLACE_KINDS.values())


def test_a_sensor_that_gives_the_very_same_value_for_too_long_is_stuck():
    state, events = play([carried(methane(1.0))], [(0, 0.3), (10, 0.4), (20, 0.4), (30, 0.4)])
    assert events == []
    assert stuck(state, reading(0.4, 69), 60) is None
    why = stuck(state, reading(0.4, 70), 60)
    assert why is not None
    assert "exactly 0.4 % since" in why
    assert stuck(state, reading(0.41, 500), 60) is None, "another value: it lives"
    assert stuck(state, reading(0.4, 500), None) is None, "only where the site says how long"
    assert stuck(state, reading(0.4, -3600), 60) is None, "a clock that was set back is no sign of it"
    after, events = fault(state, why, "readings/0/70", NOW)
    assert [(e.type, e.state) for e in events] == [("sensor-stale", "raised")]
    _, events = evaluate(after, reading(0.5, 80), "readings/0/80", [carried(methane(1.0))], SETTINGS, NOW)
    assert [(e.type, e.state) for e in events] == [("sensor-stale", "cleared")]


def rising(start: float, slope: float, seconds: int, noise: float = 0.0) -> list[tuple[float, float]]:
    """A value every 15 s that grows by ``slope`` a minute, with ``noise`` up and down in turn."""
    return [(t, start + slope * t / 60 + noise * (-1) ** (t // 15)) for t in range(0, seconds, 15)]


def test_the_trend_warns_before_the_limit_and_becomes_the_same_risk_when_it_is_broken():
    asked = methane(1.0, warn_minutes=15)
    _, events = play([carried(asked)], rising(0.3, 0.04, 1500, 0.01))
    assert [(e.state, e.sequence) for e in events] == [("raised", 0), ("updated", 1)]
    warning, broken = events
    assert warning.risk_id == broken.risk_id
    told = early_warning(warning.reason)
    assert told is not None
    assert "has not broken" in warning.reason
    assert told.limit.endswith("1 %")
    ahead = datetime.strptime(told.clock, "%Y-%m-%d %H:%M").replace(tzinfo=UTC) - warning.observed_at
    assert abs(ahead - timedelta(minutes=told.minutes)) <= timedelta(minutes=1)
    assert early_warning(broken.reason) is None
    assert "breaks" in broken.reason
    assert warning.clauses == broken.clauses == ("cn-coal:173",)
    assert warning.measured[0].value < 0.6
    lead = broken.observed_at - warning.observed_at
    assert timedelta(minutes=9) <= lead <= timedelta(minutes=15)
    _, unasked = play([carried(methane(1.0))], rising(0.3, 0.04, 1500, 0.01))
    assert [e.state for e in unasked] == ["raised"]
    assert unasked[0].measured[0].value >= 1.0


def test_a_warning_ends_when_the_trend_turns_and_wandering_values_never_warn():
    asked = carried(methane(1.0, warn_minutes=15))
    up = rising(0.3, 0.04, 600)
    down = [(600 + t, v) for t, v in rising(0.68, -0.04, 900)]
    _, events = play([asked], up + down)
    assert [e.state for e in events] == ["raised", "cleared"]
    assert events[1].absence is not None
    wandering = [(t, 0.9 + 0.05 * (-1) ** (t // 15)) for t in range(0, 3600, 15)]
    assert play([asked], wandering)[1] == []
    assert play([asked], rising(0.9, -0.04, 900))[1] == []


def test_a_trend_downwards_warns_of_a_lower_limit():
    low = read_limits([{"quantity": "oxygen", "comparison": "<", "value": 20, "unit": "%", "warn_minutes": 10}])[0]
    state, events = None, []
    for t in range(0, 600, 15):
        state, found = evaluate(
            state, reading(20.8 - 0.1 * t / 60, t, "oxygen"), f"readings/0/{t}", [carried(low)], SETTINGS, NOW
        )
        events += found
    assert [e.state for e in events] == ["raised", "updated"]


@given(values=st.lists(st.floats(0, 100), max_size=80), gaps=st.lists(st.integers(0, 400), min_size=80, max_size=80))
def test_a_window_stays_small_in_order_and_within_its_time(values, gaps):
    points, at = (), NOW
    for value, gap in zip(values, gaps, strict=False):
        at += timedelta(seconds=gap)
        points = remembered(points, at, value)
    assert len(points) <= 60
    assert list(points) == sorted(points, key=lambda p: p.at)
    assert not points or (points[-1].at - points[0].at).total_seconds() <= 600
    assert minutes_until(trend(points), 50, upper=True) is None or len(points) >= 8


@pytest.mark.parametrize("minutes", [-1, 121, float("nan")])
def test_a_warning_time_that_makes_no_sense_is_refused(minutes):
    with pytest.raises(ValueError, match="warn_minutes"):
        methane(1.0, warn_minutes=minutes)


@pytest.mark.skipif("MINEWATCH_TEST_DATA" not in os.environ, reason="outside material is not at hand")
def test_lead_time_and_false_warnings_are_measured_on_recorded_sensors():
    found = measure(Path(os.environ["MINEWATCH_TEST_DATA"]), short=True)["series"]
    hot = found["temperature-28"]
    assert (hot["breaks"], hot["warned"], hot["warnings"]) == (2, 1, 1)
    assert 5 < hot["lead_minutes_median"] < 30
    assert hot["false_warning_share"] == 0
    assert found["co-24"]["false_warning_share"] == 1


def test_a_bench_without_recorded_sensors_says_so(tmp_path):
    assert measure(tmp_path, short=True)["series"] is None
