from datetime import UTC, datetime, timedelta

import pytest

from console.performance import (
    Annunciation,
    Corrections,
    FalseAlarms,
    Metric,
    Period,
    Raised,
    chattering,
    closures,
    corrections,
    false_alarms,
    in_buckets,
    in_flood,
    interval,
    measure,
    ranked,
    share_met,
    times,
)

START = datetime(2026, 3, 2, 8, tzinfo=UTC)


def after(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def shift(hours: float = 12) -> Period:
    return Period(START, START + timedelta(hours=hours))


def raised(*minutes: float, **more: object) -> list[Raised]:
    said = {"type": "smoke", "priority": "low", "source": "cam-1"} | more
    return [Raised(at=after(m), **said) for m in minutes]  # type: ignore[arg-type]


def metric(name: str, rows: list[Raised], period: Period | None = None, operators: int = 1) -> Metric:
    return next(m for m in measure(period or shift(), rows, (), 0, operators).metrics if m.name == name)


@pytest.mark.parametrize(
    ("minutes", "hours", "counts"),
    [
        ((), 1, (0, 0, 0, 0, 0, 0)),
        ((0, 9.99, 10, 59), 1, (2, 1, 0, 0, 0, 1)),
        ((-1, 60, 61), 1, (0, 0, 0, 0, 0, 0)),
        ((0, 14.9), 0.25, (1, 1)),
        ((0,), 0.01, (1,)),
        ((), 0, (0,)),
    ],
)
def test_alarms_are_counted_in_the_ten_minutes_in_which_they_came(
    minutes: tuple[float, ...], hours: float, counts: tuple[int, ...]
) -> None:
    assert in_buckets(shift(hours), [after(m) for m in minutes]) == counts


@pytest.mark.parametrize(
    ("counts", "operators", "flooded"),
    [
        ((10, 10), 1, "--"),
        ((11, 5, 4, 10), 1, "FF--"),
        ((0, 11, 6, 6, 4, 11), 1, "-FFF-F"),
        ((11, 20, 21, 10, 9), 2, "--FF-"),
    ],
)
def test_a_flood_begins_above_ten_and_ends_below_five(counts: tuple[int, ...], operators: int, flooded: str) -> None:
    assert "".join("F" if f else "-" for f in in_flood(counts, operators)) == flooded


@pytest.mark.parametrize(
    ("name", "rows", "operators", "value", "met"),
    [
        ("per-ten", raised(*range(72)), 1, 1.0, True),
        ("per-ten", raised(*range(73)), 1, 73 / 72, False),
        ("per-ten", raised(*range(73)), 2, 73 / 144, True),
        ("per-hour", raised(*range(72)), 1, 6.0, True),
        ("most-in-ten", raised(*[1.0] * 10), 1, 10, True),
        ("most-in-ten", raised(*[1.0] * 11), 1, 11, False),
        ("busy-hours", raised(*[1.0] * 30), 1, 0.0, True),
        ("busy-hours", raised(*[1.0] * 31), 1, 1 / 12, False),
        ("busy-tens", raised(*[1.0] * 11), 1, 1 / 72, False),
        ("flood", raised(*[1.0] * 11, *[11.0] * 5), 1, 2 / 72, False),
        ("flood", [], 1, 0.0, True),
        ("top-ten", [], 1, None, None),
        ("top-ten", raised(1, 2), 1, 1.0, None),
        ("top-ten", [r._replace(source=f"cam-{n}") for n, r in enumerate(raised(*range(11)))], 1, 10 / 11, False),
    ],
)
def test_each_rate_stands_beside_its_target(
    name: str, rows: list[Raised], operators: int, value: float | None, met: bool | None
) -> None:
    found = metric(name, rows, operators=operators)
    assert found.value == pytest.approx(value)
    assert found.met is met


def test_a_shift_that_has_just_begun_is_not_extrapolated() -> None:
    assert metric("per-hour", raised(0), Period(START, after(1))).value == 1


def test_sources_are_ranked_and_only_ten_are_the_top() -> None:
    names = [f"cam-{n:02}" for n in range(20)] + ["cam-07"] * 20
    assert ranked(names)[0] == ("cam-07", 21, 21 / 40)
    rows = [Raised(START, "smoke", "low", name) for name in names]
    figures = measure(shift(), rows, (), 0)
    assert [r.name for r in figures.top][:3] == ["cam-07", "cam-00", "cam-01"]
    assert len(figures.top) == 10
    assert next(m for m in figures.metrics if m.name == "top-ten").value == pytest.approx(30 / 40)


@pytest.mark.parametrize(
    ("seconds", "found"),
    [((0, 30, 60), True), ((0, 30, 61), False), ((0, 100, 130, 155), True), ((0, 10), False), ((60, 0, 30), True)],
)
def test_three_raisings_of_a_cause_within_a_minute_are_chattering(seconds: tuple[int, ...], found: bool) -> None:
    raisings = [Annunciation(START + timedelta(seconds=s), "cam-1|smoke|") for s in seconds]
    others = [Annunciation(START, f"cam-{n}|smoke|") for n in range(2, 7)]
    assert [r.name for r in chattering([*raisings, *others])] == (["cam-1|smoke|"] if found else [])


def test_stale_alerts_are_counted_against_fewer_than_five() -> None:
    assert [
        next(m for m in measure(shift(), [], (), stale).metrics if m.name == "stale").met for stale in (0, 4, 5)
    ] == [True, True, False]


def test_priorities_are_spread_and_held_against_their_targets() -> None:
    rows = [*raised(*range(8)), *raised(1, priority="critical"), *raised(1, priority="medium")]
    spread = measure(shift(), rows, (), 0).priorities
    assert [(r.name, r.alarms) for r in spread] == [("critical", 1), ("high", 0), ("medium", 1), ("low", 8)]
    assert [share_met(r, 10) for r in spread] == [False, True, True, True]
    assert {share_met(r, 0) for r in measure(shift(), [], (), 0).priorities} == {None}


def test_times_are_of_alerts_that_somebody_handled() -> None:
    rows = [
        *raised(0, acked_at=after(1), decided_at=after(3), decision="approve"),
        *raised(0, acked_at=after(2)),
        *raised(0),
        *raised(0, acked_at=after(0.1), decided_at=after(1), by_policy=True),
    ]
    figures = measure(shift(), rows, (), 0)
    assert figures.acknowledge == (3, 60, 120, 120)
    assert figures.decide == (1, 180, 180, 180)
    assert times([]) == (0, None, None, None)
    assert times(range(1, 11)) == (10, 5, 9, 10)
    assert times([-5.0]) == (1, 0, 0, 0)


def test_automatic_closures_carry_their_bounds() -> None:
    none = closures([])
    assert (none.rate, none.rate_bounds, none.wrong_bound) == (None, None, 1.0)
    rows = [
        *raised(*range(6)),
        *raised(*range(10), by_policy=True),
        *raised(*range(3), by_policy=True, decision="uphold"),
        *raised(1, by_policy=True, decision="overturn"),
    ]
    found = closures(rows)
    assert (found.alerts, found.closed, found.judged, found.wrong) == (20, 14, 4, 1)
    assert found.rate == pytest.approx(0.7)
    assert found.rate_bounds == pytest.approx((0.4572, 0.8811), abs=1e-4)
    assert found.wrong_bound == pytest.approx(0.7514, abs=1e-4)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (5, 10, 0.1871, 0.8129), (0, 1, 0.0, 0.975)],
)
def test_the_interval_is_that_of_clopper_and_pearson(successes: int, trials: int, low: float, high: float) -> None:
    assert interval(successes, trials) == pytest.approx((low, high), abs=1e-4)


def test_false_alarms_are_told_by_source_and_type_among_those_that_persons_decided() -> None:
    rows = [
        *raised(1, 2, decision="reject"),
        *raised(3, decision="approve"),
        *raised(4),
        *raised(1, source="cam-2", decision="reject"),
        *raised(1, source="cam-3", decision="approve"),
    ]
    found = false_alarms(rows)
    assert found == (FalseAlarms("cam-1", "smoke", 3, 2), FalseAlarms("cam-2", "smoke", 1, 1))
    assert found[0].share == pytest.approx(2 / 3)


def test_corrected_documents_are_told_by_source_and_type_among_those_that_persons_decided() -> None:
    rows = [*raised(1, corrected=True, decision="approve"), *raised(2, decision="approve"), *raised(3, corrected=True)]
    found = corrections([*rows, *raised(1, source="cam-2", decision="approve")])
    assert found == (Corrections("cam-1", "smoke", 2, 1),)
    assert found[0].share == 0.5
