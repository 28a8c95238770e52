"""The parts of capture that are plain decisions: pauses, time lines, kinds of sources."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.camera import Picture, is_live, kind_of
from stream.camera_process import TimeLine
from stream.capture import pause
from stream.errors import SourceError
from stream.site import Camera, Name

OPENED = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Source:
    """A source of ten pictures a second that gives none."""

    def __init__(self, *, live: bool = False, length: int | None = 100) -> None:
        self.live = live
        self.rate = 10.0
        self.length = length

    def read(self) -> Picture | None:
        return None

    def skip(self, count: int) -> None:
        """Nothing to skip."""

    def close(self) -> None:
        """Nothing to close."""


def camera(**given: object) -> Camera:
    return Camera.model_validate({"id": "c", "name": Name(en="C"), "url": "c.mp4", "place": "p", **given})


@given(st.integers(1, 10_000))
def test_pauses_grow_and_stay_bounded(failures: int) -> None:
    assert 0.25 <= pause(failures) <= 45.0
    if failures > 7:
        assert pause(failures) >= 15.0


def test_pauses_are_spread() -> None:
    assert len({pause(3) for _ in range(20)}) > 10


@given(st.integers(0, 10**6))
def test_an_unpaced_file_ends_when_it_is_opened(sequence: int) -> None:
    line = TimeLine(camera(paced=False), Source(), OPENED, 0)
    assert line.captured_at(sequence) == OPENED - timedelta(seconds=10) + timedelta(seconds=sequence / 10)
    assert line.early(sequence) == 0.0


def test_an_unpaced_file_begins_when_it_is_told_to() -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    line = TimeLine(camera(paced=False, start=start), Source(length=None), OPENED, 0)
    assert line.captured_at(5) == start + timedelta(seconds=0.5)


def test_a_paced_file_waits_for_each_picture() -> None:
    line = TimeLine(camera(), Source(), OPENED, sequence=40)
    assert line.early(40) <= 0.0
    assert 0.9 < line.early(50) <= 1.0
    assert (datetime.now(UTC) - line.captured_at(40)).total_seconds() < 5


def test_a_live_camera_never_waits() -> None:
    line = TimeLine(camera(), Source(live=True), OPENED, 0)
    assert line.early(1000) == 0.0
    assert (datetime.now(UTC) - line.captured_at(0)).total_seconds() < 5


def test_a_file_that_fell_behind_is_played_on_from_now() -> None:
    line = TimeLine(camera(), Source(), OPENED, sequence=100)
    assert line.early(50) < -4.9
    assert abs(line.early(50)) < 0.5
    assert line.early(60) > 0.4


@pytest.mark.parametrize(
    ("url", "kind", "live"),
    [
        ("rtsp://host/x", "rtsp", True),
        ("RTSPS://host/x", "rtsp", True),
        ("https://host/x", "http", True),
        ("0", "device", True),
        ("clip.mp4", "file", False),
        ("file:///srv/clip.mp4", "file", False),
        ("concat:a|b", "file", False),
    ],
)
def test_kinds_of_sources(url: str, kind: str, live: bool) -> None:
    assert kind_of(url) == kind
    assert is_live(url) is live


def test_a_folder_is_a_folder(tmp_path: Path) -> None:
    assert kind_of(str(tmp_path)) == "folder"
    assert kind_of(tmp_path.as_uri()) == "folder"


@given(st.text(max_size=40))
def test_any_url_has_a_kind_or_a_reason(url: str) -> None:
    try:
        kind = kind_of(url)
    except SourceError:
        return
    except (ValueError, OSError):
        pytest.fail(f"{url!r} is neither")
    assert kind in {"rtsp", "http", "device", "file", "folder"}
