"""Messages become bytes and come back the same; what is no message is said to be none."""

from datetime import UTC, datetime, timedelta, timezone
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import UnknownMessageError
from stream.messages import (
    VERSION,
    Absence,
    AnyMessage,
    DeadLetter,
    Detection,
    Evidence,
    Frame,
    Health,
    Measured,
    Reading,
    Risk,
    SourceEnded,
    decode,
    encode,
    risk_identity,
)

times = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
counts = st.integers(0, 2**62)
reals = st.floats(allow_nan=False, allow_infinity=False)
shares = st.floats(0, 1)
boxes = st.tuples(shares, shares, shares, shares)

detections = st.builds(Detection, label=texts, confidence=shares, box=boxes, track=st.none() | counts)
evidence = st.builds(
    Evidence,
    sha256=texts,
    media_type=texts,
    kind=st.sampled_from(["frame", "annotated", "clip", "analysis", "photo", "context"]),
    captured_at=times,
)
measured = st.builds(
    Measured, sensor=texts, quantity=texts, value=reals, unit=texts, captured_at=times, limit=st.none() | texts
)
absences = st.builds(
    Absence,
    full_scans=counts,
    seconds=reals,
    zone_in_view=st.booleans(),
    camera_moved=st.booleans(),
    persons_in_zone=counts,
    reason=texts,
)
messages = st.one_of(
    st.builds(
        Frame,
        mine=texts,
        camera=texts,
        sequence=counts,
        captured_at=times,
        read_at=times,
        jpeg=st.binary(max_size=200),
        width=counts,
        height=counts,
        opened_at=st.none() | times,
    ),
    st.builds(SourceEnded, mine=texts, camera=texts, sequence=counts, captured_at=times, reason=texts),
    st.builds(
        Reading,
        mine=texts,
        sensor=texts,
        place=texts,
        quantity=texts,
        value=reals,
        unit=texts,
        sequence=counts,
        captured_at=times,
        read_at=times,
    ),
    st.builds(
        Health,
        mine=texts,
        source=texts,
        source_kind=st.sampled_from(["camera", "sensor", "person"]),
        status=st.sampled_from(["ok", "offline", "ended"]),
        detail=texts,
        observed_at=times,
    ),
    st.builds(
        Risk,
        mine=texts,
        risk_id=texts,
        sequence=counts,
        state=st.sampled_from(["raised", "updated", "cleared", "lost"]),
        type=texts,
        source=texts,
        source_kind=st.sampled_from(["camera", "sensor", "person"]),
        place=texts,
        zone=st.none() | texts,
        confidence=shares,
        started_at=times,
        observed_at=times,
        read_at=times,
        published_at=times,
        detections=st.lists(detections, max_size=3).map(tuple),
        evidence=st.lists(evidence, max_size=3).map(tuple),
        measured=st.lists(measured, max_size=3).map(tuple),
        clauses=st.lists(texts, max_size=3).map(tuple),
        absence=st.none() | absences,
        detector=st.none() | texts,
        reason=texts,
        note=texts,
    ),
    st.builds(
        DeadLetter,
        mine=texts,
        stage=texts,
        topic=texts,
        partition=st.integers(-1, 1000),
        offset=st.integers(-1, 2**62),
        key=texts,
        reason=texts,
        stack=texts,
        payload=st.binary(max_size=200),
        failed_at=times,
    ),
)

ENDED = SourceEnded(mine="mine", camera="c", sequence=1, captured_at=datetime(2026, 1, 1, tzinfo=UTC), reason="end")


@given(messages)
def test_every_message_comes_back_the_same(message: AnyMessage) -> None:
    again = decode(encode(message))
    assert again == message
    assert type(again) is type(message)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_said_to_be_none(data: bytes) -> None:
    try:
        message = decode(data)
    except UnknownMessageError:
        return
    assert isinstance(message, get_args(AnyMessage))


@given(messages, st.data())
def test_a_message_cut_short_is_none(message: AnyMessage, data: st.DataObject) -> None:
    whole = encode(message)
    with pytest.raises(UnknownMessageError):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_a_newer_version_is_named() -> None:
    newer = msgspec.structs.replace(ENDED, version=VERSION + 1)
    with pytest.raises(UnknownMessageError, match=f"version {VERSION + 1}"):
        decode(encode(newer))


def test_an_unknown_field_is_refused() -> None:
    content = msgspec.to_builtins(ENDED, builtin_types=[datetime])
    with pytest.raises(UnknownMessageError, match="colour"):
        decode(msgspec.msgpack.encode({**content, "colour": "red"}))


def test_times_come_back_in_utc() -> None:
    shanghai = datetime(2026, 1, 1, 8, tzinfo=timezone(timedelta(hours=8)))
    again = decode(encode(msgspec.structs.replace(ENDED, captured_at=shanghai)))
    assert isinstance(again, SourceEnded)
    assert again.captured_at == shanghai
    assert again.captured_at.utcoffset() == timedelta(0)


def test_a_time_without_a_zone_is_refused() -> None:
    naive = msgspec.structs.replace(ENDED, captured_at=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(UnknownMessageError):
        decode(encode(naive))


@given(texts, texts, st.none() | texts, texts)
def test_a_risk_has_one_identity(source: str, kind: str, zone: str | None, position: str) -> None:
    identity = risk_identity(source, kind, zone, position)
    assert identity == risk_identity(source, kind, zone, position)
    assert len(identity) == 32
    assert identity != risk_identity(source + "x", kind, zone, position)
    assert identity != risk_identity(source, kind, zone, position + "x")
