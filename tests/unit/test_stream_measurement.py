"""What a sensor sends is a value in its range, or there is a reason why not."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import PoisonError
from stream.measurement import AHEAD, BEHIND, Measurement, parse
from stream.site import UNITS, Name, Sensor

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def sensor(quantity: str = "methane") -> Sensor:
    content = {"id": "s", "name": Name(en="S"), "url": "s.csv", "place": "p", "quantity": quantity}
    return Sensor.model_validate({**content, "unit": UNITS[quantity][0]})


def test_what_a_mine_measures_can_be_measured() -> None:
    air = {"methane", "carbon-monoxide", "oxygen", "wind-speed", "dust", "temperature", "humidity"}
    assert air | {"water-level"} <= set(UNITS)


@given(st.sampled_from(sorted(UNITS)), st.floats(0, 1))
def test_every_value_of_the_range_is_taken(quantity: str, share: float) -> None:
    _, lowest, highest = UNITS[quantity]
    value = lowest + share * (highest - lowest)
    assert parse(sensor(quantity), repr(value).encode(), NOW) == Measurement(value, NOW)
    assert parse(sensor(quantity), json.dumps({"value": value}).encode(), NOW).value == value


@given(st.binary(max_size=100))
def test_any_payload_is_a_measurement_or_has_a_reason(payload: bytes) -> None:
    try:
        value, captured_at = parse(sensor(), payload, NOW)
    except PoisonError:
        return
    assert 0 <= value <= 100
    assert NOW - BEHIND <= captured_at <= NOW + AHEAD


@pytest.mark.parametrize("payload", ["1", " 1.0\n", "+1", "1.", "1e0", '{"value": 1}', '{"value": 1.0, "unit": "%"}'])
def test_ways_to_write_one(payload: str) -> None:
    assert parse(sensor(), payload.encode(), NOW) == Measurement(1.0, NOW)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "no number"),
        (b"danger", "no number"),
        (b"nan", "no number"),
        (b"inf", "no number"),
        (b"1_0", "no number"),
        (b"0x10", "no number"),
        (b"1 2", "no number"),
        ("１".encode(), "no number"),
        (b"[1]", "no number"),
        (b"\xff\xfe", "no text"),
        (b"{", "no JSON"),
        (b'{"value": NaN}', "no JSON"),
        (b"{}", "no number"),
        (b'{"value": true}', "no number"),
        (b'{"value": "1"}', "no number"),
        (b'{"value": null}', "no number"),
        (b'{"value": 1, "unit": "ppm"}', "the unit 'ppm'"),
        (b'{"value": 1, "place": "x"}', "known are value, unit and captured_at"),
        (b'{"value": 1, "captured_at": "2026-06-01T12:00:00"}', "the time"),
        (b'{"value": 1, "captured_at": "noon"}', "the time"),
        (b'{"value": 1, "captured_at": 1e30}', "the time"),
        (b'{"value": 1, "captured_at": "1970-01-01T00:00:00Z"}', "set its clock"),
        (b'{"value": 1, "captured_at": 0}', "set its clock"),
        (b'{"value": 1, "captured_at": "2026-06-02T12:00:00Z"}', "set its clock"),
        (b"1e9", "at fault"),
        (b"1e999", "at fault"),
        (b"-0.1", "at fault"),
        (b"100.1", "at fault"),
        (b'{"value": -1}', "at fault"),
    ],
)
def test_what_is_no_reading_is_told(payload: bytes, said: str) -> None:
    with pytest.raises(PoisonError, match=said):
        parse(sensor(), payload, NOW)


@pytest.mark.parametrize(
    ("offset", "taken"), [(AHEAD, True), (-BEHIND, True), (AHEAD * 2, False), (-BEHIND * 2, False)]
)
def test_how_far_a_clock_may_be_off(offset: timedelta, taken: bool) -> None:
    payload = json.dumps({"value": 1, "captured_at": (NOW + offset).isoformat()}).encode()
    if taken:
        assert parse(sensor(), payload, NOW).captured_at == NOW + offset
    else:
        with pytest.raises(PoisonError):
            parse(sensor(), payload, NOW)


def test_a_long_payload_is_told_shortly() -> None:
    with pytest.raises(PoisonError) as caught:
        parse(sensor(), b"x" * 100_000, NOW)
    assert len(str(caught.value)) < 200
