"""The benchmarks of this package in small."""

from pathlib import Path

import msgspec
import pytest

from console.bench import measure
from disposal.bench_policy import BAD_WRONG, SOUND_WRONG, simulate
from disposal.policy import SHIPPED


def test_a_sound_policy_closes_most_of_the_routine_and_is_never_suspended() -> None:
    month = simulate(SOUND_WRONG, seed=3, risks=4000)
    assert not month.suspended
    assert month.closed + month.waiting == month.active
    assert month.routine_closed == month.closed
    assert month.routine_closed / month.routine >= 0.8
    assert sum(month.missed.values()) >= month.routine - month.routine_closed
    assert "suspended" not in month.missed
    assert simulate(SOUND_WRONG, seed=3, risks=4000) == month


def test_a_policy_that_goes_bad_is_caught_and_closes_nothing_after() -> None:
    month = simulate(BAD_WRONG, seed=0)
    assert month.suspended
    assert 0 < month.wrong_caught <= month.wrong_injected
    assert month.closed == month.closed_before_suspension < 10_000
    assert month.missed["suspended"] > 0


@pytest.mark.parametrize("change", [{"sample": 0.0}, {"types": ()}])
def test_the_months_go_through_the_policy_itself(change: dict[str, object]) -> None:
    month = simulate(BAD_WRONG, seed=0, policy=msgspec.structs.replace(SHIPPED, **change), risks=3000)
    assert not month.suspended
    assert (month.sampled, month.wrong_caught) == (0, 0)
    assert bool(month.closed) == ("sample" in change)


def test_the_bench_answers_with_every_figure() -> None:
    found = measure("policy", material=Path(), short=True)
    assert found["false_suspensions"] == found["closed_after_suspension"] == 0
    assert found["suspended_after"] < found["suspended_after_most"] < 9000
    assert found["routine_closed_share"] >= 0.8
    assert set(found["routine_not_closed"]) >= {"recurrence", "confidence", "readings"}


def test_the_bench_of_drafts_answers_with_every_figure() -> None:
    found = measure("draft", material=Path(), short=True)
    assert found["schema_valid"] == found["citations_retrieved"] == 1.0
    assert found["drafts_ended"] == found["drafts"] == 8
    assert found["composer_p95_ms"] > 0
    assert found["batch8_speedup"] > 0
    assert found["constraint_cost"] > -1
    assert found["clerk_pass"] >= 0.75, "a few of 8 in the short run; the whole run has 200"
    assert found["clerk_p95_s"] > 0
    assert found["clerk_taught_lines"] > 0.8
