"""What the doctor foretells: from files, records and remembered pictures as an installation leaves them."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from console import outlook
from console.doctor import _stores
from console.installation import Installation, open_installation
from console.outlook import Growth, falls_behind, growth_of, hours_until_full
from console.settings import Settings, load
from stream.checkpoint import Checkpoints
from stream.embedded import EmbeddedLog
from stream.errors import MinewatchError
from stream.heartbeat import Heartbeat
from stream.log import Position, Topic
from vision.light import Light
from vision.memory import CameraState, dump
from vision.picture import PictureState

HOUR = 3600


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    settings = load(None, {"MINEWATCH_MINE": "north", "MINEWATCH_LOG__FRAMES_BYTES": str(16 * 1024**2)}, tmp_path)
    made = open_installation(settings, tmp_path, "site")
    yield made
    made.engine.dispose()


def stored(folder: Path, size: int, hours_ago: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{len(list(folder.iterdir()))}.jpg"
    path.write_bytes(b"x" * size)
    os.utime(path, (time.time() - hours_ago * HOUR,) * 2)


def test_growth_is_what_the_last_day_added(tmp_path: Path) -> None:
    for hours_ago in (0.5, 3, 10, 30):
        stored(tmp_path / "north" / "ab", 1000, hours_ago)
    found = growth_of(tmp_path, time.time())
    assert found.bytes == 3000
    assert found.seconds == pytest.approx(10 * HOUR, abs=5)
    assert growth_of(tmp_path / "absent", time.time()) == Growth(0, 0.0)


def test_hours_until_full() -> None:
    assert hours_until_full(10e9, Growth(10**9, 2 * HOUR)) == pytest.approx(20)
    assert hours_until_full(-5, Growth(10**9, 2 * HOUR)) == 0
    assert hours_until_full(10e9, Growth(10**9, 600)) is None
    assert hours_until_full(10e9, Growth(0, 2 * HOUR)) is None


def test_a_disk_that_is_soon_full_is_said_with_the_hours(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: Settings = installation.settings
    folder = installation.evidence.root
    assert "Too little" in outlook.disk(settings, installation.data)
    for hours_ago in (1, 5, 10):
        stored(folder, 2_000_000, hours_ago)
    usage = outlook.shutil.disk_usage(folder)
    log = settings.log.frames_bytes
    monkeypatch.setattr(outlook.shutil, "disk_usage", lambda _: usage._replace(free=12_000_000 + log))
    with pytest.raises(MinewatchError, match=r"is full in 20 hours\. Free space"):
        outlook.disk(settings, installation.data)
    monkeypatch.setattr(outlook.shutil, "disk_usage", lambda _: usage._replace(free=600_000_000 + log))
    assert "is full in 1000 hours" in outlook.disk(settings, installation.data)


@pytest.mark.parametrize(
    ("lags", "rate"),
    [([600, 610, 640], 20.0), ([600, 640, 610], None), ([600, 600, 610], None), ([1, 2, 3], None), ([0, 0, 0], None)],
)
def test_a_lag_counts_when_it_keeps_growing(lags: list[int], rate: float | None) -> None:
    assert falls_behind(lags) == rate


class Filling(EmbeddedLog):
    """A log that takes more in each time somebody looks."""

    def lag(self, group: str, topic: Topic) -> int:
        for _ in range(3):
            self.append("readings", "north/ch4-1", b"reading")
        return super().lag(group, topic)


def test_a_stage_that_falls_behind_is_named(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlook, "APART", 0.01)
    monkeypatch.setattr(outlook, "BEHIND", 10)
    log = Filling(installation.settings.log)
    assert "No stage" in outlook.lag(installation.engine, log, "north")
    heartbeat = Heartbeat(installation.engine, "north", "limits")
    heartbeat.ready()
    with pytest.raises(MinewatchError, match=r"^limits has 18 readings waiting, 3 more each second: give it"):
        outlook.lag(installation.engine, log, "north")
    heartbeat.close()
    assert "No stage" in outlook.lag(installation.engine, log, "north")
    log.close()


def remember(installation: Installation, content: bytes) -> None:
    checkpoints = Checkpoints(installation.engine, "vision")
    checkpoints.take("frames", 0)
    checkpoints.take("frames", 1)  # nothing was saved of it yet
    checkpoints.save([(Position("frames", 0, 7), content)])


def test_a_camera_that_gets_darker_is_named(installation: Installation) -> None:
    states = {
        "cam-belt": CameraState(picture=PictureState(light=Light(200.0, 0.0, 100.0, 10 * HOUR))),
        "cam-shaft": CameraState(picture=PictureState(light=Light(200.0, 0.0, 195.0, 10 * HOUR))),
        "cam-new": CameraState(),
    }
    remember(installation, dump(states))
    [(camera, text)] = outlook.darkening(installation.engine)
    assert camera == "cam-belt"
    assert "50% of the light that it had 10 hours ago" in text
    assert "sees nothing in 6 hours" in text


def test_the_doctor_says_all_three(installation: Installation, tmp_path: Path) -> None:
    states = {"cam-belt": CameraState(picture=PictureState(light=Light(200.0, 0.0, 100.0, 10 * HOUR)))}
    remember(installation, dump(states))
    found = {finding.subject: finding for finding in _stores(installation.settings, tmp_path)}
    assert found["disk, ahead"].well
    assert found["log, ahead"].well
    assert not found["cameras, ahead"].well
    assert "cam-belt" in found["cameras, ahead"].text


def test_checkpoints_of_another_release_do_not_stop_the_doctor(installation: Installation, tmp_path: Path) -> None:
    remember(installation, b"\xc1")
    found = {finding.subject: finding for finding in _stores(installation.settings, tmp_path)}
    assert "cannot be read" in found["cameras, ahead"].text
