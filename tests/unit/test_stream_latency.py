"""The histogram that a stage keeps of how old its inputs were."""

from hypothesis import given
from hypothesis import strategies as st

from stream import latency
from stream.messages import Health, utc_now


@given(st.lists(st.floats(0, 1000), max_size=50))
def test_every_input_is_counted_once_under_each_bound_that_it_keeps(ages: list[float]) -> None:
    counters: dict[str, int] = {"frames_read": 7}
    for seconds in ages:
        for name, amount in latency.counted(seconds):
            counters[name] = counters.get(name, 0) + amount
    others, found = latency.split(counters)
    assert others == {"frames_read": 7}
    assert found.total == len(ages)
    kept = [sum(age <= bound for age in ages) for bound in latency.BOUNDS]
    assert [count for _, count in found.counts] == [*kept, len(ages)]
    assert abs(found.seconds - sum(ages)) <= 0.001 * len(ages) + 1e-6


def test_what_carries_no_picture_and_no_reading_has_no_age() -> None:
    said = Health(mine="m", source="cam-1", source_kind="camera", status="ok", detail="", observed_at=utc_now())
    assert latency.age(said) is None
