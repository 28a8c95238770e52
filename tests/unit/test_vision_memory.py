"""Which messages are new, and what is remembered of a camera."""

from datetime import UTC, datetime, timedelta

import pytest

from stream.messages import Frame, SourceEnded
from vision.memory import CameraState, admit, dump, restore

START = datetime(2026, 1, 1, tzinfo=UTC)


def frame(sequence: int, seconds: float, read: float = 0.0, opened: float | None = 0.0) -> Frame:
    at = START + timedelta(seconds=seconds)
    read_at = START + timedelta(seconds=read)
    opened_at = None if opened is None else START + timedelta(seconds=opened)
    return Frame(
        mine="m",
        camera="c",
        sequence=sequence,
        captured_at=at,
        read_at=read_at,
        jpeg=b"",
        width=1,
        height=1,
        opened_at=opened_at,
    )


def ended(sequence: int, seconds: float) -> SourceEnded:
    at = START + timedelta(seconds=seconds)
    return SourceEnded(mine="m", camera="c", sequence=sequence, captured_at=at, reason="end")


@pytest.fixture
def state() -> CameraState:
    """A camera whose run of five frames, half a second apart, stands on the log at 10 to 14."""
    state = CameraState()
    for i in range(5):
        state = state.after(frame(i, i / 2), 10 + i)
    return state


@pytest.mark.parametrize(
    ("message", "offset", "admission"),
    [
        (frame(5, 2.5), 15, "new"),
        (frame(4, 2.0), 14, "handled"),
        (frame(0, 0.0), 10, "handled"),
        (frame(0, 0.0), 20, "doubled"),
        (frame(4, 2.0), 20, "doubled"),
        (frame(0, 60.0, opened=60), 15, "new"),
        (frame(0, -30.0, opened=60), 15, "new"),
        (frame(4, 2.0, opened=60), 15, "new"),
        (frame(5, 2.5, opened=60), 3, "new"),  # another log beside the same database
        (frame(4, 2.0, opened=None), 15, "doubled"),
        (frame(5, 2.5, opened=None), 15, "new"),
        (ended(5, 2.0), 15, "new"),
        (ended(4, 2.0), 13, "handled"),
    ],
)
def test_a_message_is_new_once(state: CameraState, message: Frame | SourceEnded, offset: int, admission: str) -> None:
    assert admit(state, message, offset, None) == admission


def test_the_first_frame_of_all_is_new() -> None:
    assert admit(CameraState(), frame(0, 0), 0, None) == "new"
    assert admit(CameraState(), frame(17, 0), 0, None) == "new"


def test_a_source_opened_anew_goes_on_though_its_clock_went_back(state: CameraState) -> None:
    again = state.after(frame(0, -30.0, opened=60), 15)
    assert admit(again, frame(1, -29.5, opened=60), 16, None) == "new"
    assert admit(again, frame(0, -30.0, opened=60), 17, None) == "doubled"


def test_a_frame_read_too_long_ago_is_stale_unless_it_is_old_news_anyway(state: CameraState) -> None:
    oldest = START + timedelta(seconds=10)
    assert admit(state, frame(5, 2.5, read=9.9), 15, oldest) == "stale"
    assert admit(state, frame(5, 2.5, read=10.0), 15, oldest) == "new"
    assert admit(state, frame(4, 2.0, read=9.9), 15, oldest) == "doubled"


def test_what_is_remembered_comes_back(state: CameraState) -> None:
    assert restore(dump({"c": state})) == {"c": state}
