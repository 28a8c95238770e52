"""Each stage is killed once in the middle: no acknowledged risk is lost, none is doubled."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.heartbeat import stages_since, total
from stream.log import open_log
from stream.messages import Risk, decode
from tests.integration.house import House, build, until


@pytest.fixture(scope="module")
def clips(test_data: Path) -> list[Path]:
    return [test_data / "video" / "one-by-one-person-detection.mp4"]


@pytest.fixture(scope="module")
def undisturbed(clips: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str | None, str]]:
    house = build(tmp_path_factory.mktemp("undisturbed"), clips)
    house.run()
    return house.episodes()


def acknowledged(house: House) -> Iterator[Risk]:
    """What the log promised to keep."""
    log = open_log(house.installation.settings.log)
    consumer = log.subscribe("auditor-of-the-test", ["risks"])
    try:
        while records := consumer.poll(500, 2.0):
            for record in records:
                message = decode(record.value)
                assert isinstance(message, Risk)
                yield message
    finally:
        consumer.close()
        log.close()


@pytest.mark.parametrize("stage", ["capture", "vision", "disposal"])
def test_a_kill_in_the_middle_loses_and_doubles_nothing(
    stage: str, clips: list[Path], undisturbed: list[tuple[str, str | None, str]], tmp_path: Path
) -> None:
    house = build(tmp_path / "data", clips)
    killed = threading.Event()

    def kill() -> None:
        def analysed() -> int:
            beats = stages_since(house.installation.engine, "watch", house.operation.started_at)
            return total(beats)["frames_analysed"]

        until(lambda: analysed() > 300)
        pid = house.operation.pid(stage)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        killed.set()

    killer = threading.Thread(target=kill)
    killer.start()
    result = house.run()
    killer.join()

    assert killed.is_set()
    promised = {(risk.risk_id, risk.sequence) for risk in acknowledged(house)}
    stored = [(event.risk_id, event.sequence) for event in house.events()]
    assert set(stored) == promised, "an acknowledged risk was lost"
    assert len(stored) == len(set(stored)), "a risk event was stored twice"
    assert house.episodes() == undisturbed
    assert result["documents"] == result["alerts"]
