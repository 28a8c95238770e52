"""The detectors' own process, stopped, killed and grown, with the bundled weights on real pictures."""

import inspect
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from stream.messages import Detection
from vision.decode import Picture
from vision.detector import open_detectors
from vision.errors import PictureError, WeightsError
from vision.settings import DetectorSettings
from vision.watchdog import HANG_SECONDS, SETTLED, DetectorProcess

PPE = {"ppe": DetectorSettings(weights="ppe")}
Started = Callable[..., DetectorProcess]


@pytest.fixture(scope="module")
def pictures(test_data: Path) -> list[Picture]:
    found = sorted((test_data / "hard-hat-workers" / "images").glob("*.jpg"))[:4]
    return [np.asarray(cv2.imread(str(path)), np.uint8) for path in found]


@pytest.fixture(scope="module")
def expected(pictures: Sequence[Picture]) -> list[list[Detection]]:
    """What the same weights see without a process in between."""
    seen = open_detectors(PPE)["ppe"].detect(pictures)
    assert any(seen)
    return seen


@pytest.fixture
def start() -> Iterator[Started]:
    started: list[DetectorProcess] = []

    def run(**options: object) -> DetectorProcess:
        started.append(DetectorProcess(PPE, **options))  # type: ignore[arg-type]
        return started[-1]

    yield run
    for process in started:
        process.close()


def test_it_answers_as_the_detector_does(
    start: Started, pictures: list[Picture], expected: list[list[Detection]]
) -> None:
    detector = start().detectors["ppe"]
    plain = open_detectors(PPE)["ppe"]
    assert detector.detect(pictures) == expected
    assert detector.detect([]) == []
    assert (detector.name, detector.digest, detector.labels, detector.image_size) == (
        plain.name,
        plain.digest,
        plain.labels,
        plain.image_size,
    )


@pytest.mark.parametrize(("sent", "why"), [(signal.SIGSTOP, "took nothing in"), (signal.SIGKILL, "ended with -9")])
def test_a_hang_or_a_death_costs_no_picture(
    start: Started, pictures: list[Picture], expected: list[list[Detection]], sent: signal.Signals, why: str
) -> None:
    reasons: list[str] = []
    process = start(hang_seconds=2.0, on_restart=reasons.append)
    detector = process.detectors["ppe"]
    assert detector.detect(pictures) == expected
    first = process.pid
    os.kill(first, sent)
    assert detector.detect(pictures) == expected
    assert process.pid != first
    assert len(reasons) == 1
    assert why in reasons[0]
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


def test_pictures_over_which_it_hangs_twice_are_refused_and_the_next_are_seen(
    start: Started, pictures: list[Picture], expected: list[list[Detection]]
) -> None:
    process = start(hang_seconds=2.0)
    stopped: list[str] = []

    def stop_the_next(reason: str) -> None:
        stopped.append(reason)

    process.on_restart = stop_the_next
    ask = process._asked

    def hang(name: str, shown: Sequence[Picture]) -> list[list[Detection]]:
        os.kill(process.pid, signal.SIGSTOP)
        return ask(name, shown)

    process._asked = hang  # type: ignore[method-assign]
    with pytest.raises(PictureError, match="twice over the same pictures"):
        process.detectors["ppe"].detect(pictures)
    process._asked = ask  # type: ignore[method-assign]
    assert len(stopped) == 2
    assert process.detectors["ppe"].detect(pictures) == expected


def test_a_batch_may_take_ten_seconds_and_no_longer() -> None:
    assert inspect.signature(DetectorProcess).parameters["hang_seconds"].default == HANG_SECONDS == 10.0


def test_a_process_that_grows_is_replaced(
    start: Started, pictures: list[Picture], expected: list[list[Detection]]
) -> None:
    reasons: list[str] = []
    process = start(growth_bytes=-1, on_restart=reasons.append)
    for _ in range(SETTLED):
        process.detectors["ppe"].detect(pictures[:1])
    first = process.pid
    assert process.detectors["ppe"].detect(pictures) == expected
    assert process.pid != first
    assert "memory grew" in reasons[0]
    assert process.detectors["ppe"].detect(pictures) == expected


def test_weights_that_may_not_be_loaded_are_refused_here_as_well(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="nowhere"):
        DetectorProcess({"own": DetectorSettings(weights=str(tmp_path / "nowhere"), sha256="0" * 64)})
