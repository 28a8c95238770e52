"""Detectors on real weights and real pictures."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from stream.log import Position
from stream.messages import Box, Detection
from stream.site import Camera, Name
from tests.clips import BELT, PERSONS, WORKER, as_frame, pictures
from vision.batch import Arrival, look
from vision.decode import Picture
from vision.detect import detect_pictures
from vision.detector import Detector, open_detector
from vision.errors import BackendError, WeightsError
from vision.evaluate import evaluate
from vision.motion import MotionState
from vision.settings import DetectorSettings, MotionSettings, VisionSettings
from vision.train import export, train
from vision.view import CameraView
from vision.weights_file import bundled_pins, folder_digest

COCO = "weights/yolo11n_coco_int8_openvino_model"


@pytest.fixture(scope="module")
def coco(test_data: Path) -> Detector:
    weights = test_data / COCO
    return open_detector("coco", DetectorSettings(weights=str(weights), sha256=folder_digest(weights)))


def overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(0.0, width) * max(0.0, height)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return both / (sum(areas) - both)


def persons(detections: list[Detection]) -> list[Detection]:
    return [d for d in detections if d.label == "person"]


def test_weights_of_ones_own_see_persons_where_they_are(coco: Detector, test_data: Path) -> None:
    assert coco.labels == {"person", "vehicle"}
    shown = [picture for _, picture in pictures(test_data, WORKER, every=14)]
    found = coco.detect(shown)
    assert [len(persons(detections)) for detections in found] == [1] * len(shown)
    # where the worker stands in the first and in the last of these pictures, measured by hand
    assert overlap(found[0][0].box, (0.51, 0.52, 0.71, 1.0)) > 0.8
    assert overlap(found[-1][0].box, (0.19, 0.2, 0.33, 0.79)) > 0.8


def test_no_person_is_seen_on_an_empty_belt(coco: Detector, test_data: Path) -> None:
    shown = [picture for _, picture in pictures(test_data, BELT, every=4)]
    assert not any(persons(detections) for detections in coco.detect(shown))


def test_a_picture_is_seen_the_same_alone_and_among_others(test_data: Path) -> None:
    detector = open_detector("ppe", DetectorSettings(weights="ppe", threshold=0.05))
    shown = [picture for _, picture in pictures(test_data, PERSONS, every=150)]
    shown.append(np.ascontiguousarray(np.rot90(shown[0])))
    together = detector.detect(shown)
    for picture, expected in zip(shown, together, strict=True):
        [alone] = detector.detect([picture])
        assert [d.label for d in alone] == [d.label for d in expected]
        for one, other in zip(alone, expected, strict=True):
            assert one.confidence == pytest.approx(other.confidence, abs=0.01)
            assert one.box == pytest.approx(other.box, abs=0.005)


@pytest.mark.parametrize(
    ("family", "folder", "every", "alike", "share"),
    [
        ("ppe", "hard-hat-workers", 1, 0.8, 0.9),
        ("fire", "fire-smoke", 20, 0.7, 0.9),  # flames have no edge: eight bits move their boxes further
        ("belt", "belt-damage", 20, 0.95, 1.0),  # in half precision
    ],
)
def test_the_backends_agree_on_real_pictures(
    test_data: Path, family: str, folder: str, every: int, alike: float, share: float
) -> None:
    """The same weights in torch and in OpenVINO see the same things.

    Where the export calculates in eight-bit integers, boxes may differ by a fifth of their overlap or more, and of
    those near the threshold one backend may see what the other does not; in half precision hardly by anything. Torch
    pads a picture to other sides than OpenVINO does.
    """
    openvino = open_detector(family, DetectorSettings(weights=family, backend="openvino", threshold=0.05))
    in_torch = open_detector(family, DetectorSettings(weights=family, backend="torch", threshold=0.05))
    pins = bundled_pins()
    assert (openvino.digest, in_torch.digest) == (pins[family][1], pins[f"{family}-torch"][1])
    assert in_torch.labels == openvino.labels
    shown = sorted((test_data / folder).rglob("*.jpg"))[::every][:16]
    total = agreed = 0
    for one, other in zip(_detected(openvino, shown), _detected(in_torch, shown), strict=True):
        for detection in (d for d in one if d.confidence >= 0.15):
            total += 1
            agreed += any(d.label == detection.label and overlap(d.box, detection.box) > alike for d in other)
    assert total >= 10
    assert agreed / total >= share


def _detected(detector: Detector, paths: list[Path]) -> list[tuple[Detection, ...]]:
    return [seen.detections for path in paths for seen in detect_pictures(detector, path)]


def test_openvino_needs_no_torch_in_the_process() -> None:
    code = (
        "import sys; from vision.detector import open_detector; from vision.settings import DetectorSettings;"
        "open_detector('ppe', DetectorSettings(weights='ppe', backend='openvino'));"
        "import vision.worker; sys.exit('torch' in sys.modules or 'ultralytics' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Counting:
    """A real detector, with the number of pictures in each request written down."""

    def __init__(self, detector: Detector) -> None:
        self._detector, self.requests = detector, list[int]()
        self.name, self.digest, self.labels = detector.name, detector.digest, detector.labels
        self.image_size = detector.image_size

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection]]:
        self.requests.append(len(pictures))
        return self._detector.detect(pictures)


def test_frames_of_several_cameras_go_to_the_detector_together(test_data: Path) -> None:
    detector = Counting(open_detector("ppe", DetectorSettings(weights="ppe")))
    shown = {"worker": pictures(test_data, WORKER, every=30, limit=2), "belt": pictures(test_data, BELT, limit=1)}
    arrivals = []
    for name, clip in shown.items():
        camera = Camera(id=name, name=Name(en=name), url=f"{name}.mp4", place="face", detectors=("ppe",))
        view = CameraView(camera, (), (), (detector,), frozenset())
        frames = [as_frame(picture, name, number, seconds) for number, (seconds, picture) in enumerate(clip)]
        arrivals += [
            Arrival(f, Position("frames", 0, len(arrivals) + i), view, MotionState()) for i, f in enumerate(frames)
        ]
    with ThreadPoolExecutor(2) as pool:
        settings = VisionSettings(motion=MotionSettings(enabled=False), batch=2)
        found = [detections for _, detections in look(arrivals, settings, pool)]
    assert detector.requests == [2, 1], "three frames of two cameras, two at most in one request"
    assert [any(d.label == "person" for d in detections) for detections in found] == [True, True, False]


class Malicious:
    """What runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, (f"touch {self.marker}",)


def test_a_malicious_pickle_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    marker, weights = tmp_path / "it-ran", tmp_path / "evil.pt"
    torch.save({"model": Malicious(marker)}, weights)
    with pytest.raises(WeightsError, match=r"evil\.pt"):
        open_detector("evil", DetectorSettings(weights=str(weights), sha256=folder_digest(weights)))
    assert not marker.exists()
    torch.load(weights, weights_only=False)
    assert marker.exists(), "the file would have run, had it been let"


def test_no_command_runs_what_a_pickle_holds(tmp_path: Path) -> None:
    """Scored, exported, trained from, gone on with: what a colleague sent is as foreign as what a camera sends."""
    marker, weights = tmp_path / "it-ran", tmp_path / "evil.pt"
    torch.save({"model": Malicious(marker), "epoch": 0, "train_args": {"epochs": 1}}, weights)
    data = tmp_path / "data.yaml"
    data.write_text("names: {0: helmet}\ntrain: images\nval: images\n")
    run = tmp_path / "sent" / "run"
    for folder, name in (("kept", "last.pt"), ("kept", "best.pt"), ("weights", "last.pt")):
        (run / folder).mkdir(parents=True, exist_ok=True)
        (run / folder / name).write_bytes(weights.read_bytes())
    asked: list[Callable[[], object]] = [
        lambda: evaluate(weights, data),
        lambda: export(weights, tmp_path / "out"),
        lambda: train(data, tmp_path / "new", model=weights),
        lambda: train(data, tmp_path / "sent"),
    ]
    for ask in asked:
        with pytest.raises(WeightsError, match=r"(evil|last)\.pt: "):
            ask()
        assert not marker.exists()


@pytest.mark.parametrize(
    ("settings", "error", "reason"),
    [
        ({"backend": "torch"}, BackendError, "OpenVINO export"),
        ({"image_size": 320}, BackendError, "exported for pictures of 640 pixels"),
        ({"class_map": {"person": "human"}}, WeightsError, "human"),
    ],
)
def test_weights_that_do_not_fit_their_settings_are_refused(
    test_data: Path, settings: dict[str, object], error: type[Exception], reason: str
) -> None:
    weights = test_data / COCO
    with pytest.raises(error, match=reason):
        open_detector(
            "coco",
            DetectorSettings.model_validate({"weights": str(weights), "sha256": folder_digest(weights), **settings}),
        )


def test_a_broken_export_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metadata.yaml").write_text("names: {0: person}\nimgsz: [320, 320]\ntask: detect\n")
    (tmp_path / "model.xml").write_text("<nothing/>")
    with pytest.raises(BackendError, match="cannot read"):
        open_detector("own", DetectorSettings(weights=str(tmp_path), sha256=folder_digest(tmp_path)))
    (tmp_path / "metadata.yaml").write_text("just text")
    with pytest.raises(WeightsError, match=r"metadata\.yaml"):
        open_detector("own", DetectorSettings(weights=str(tmp_path), sha256=folder_digest(tmp_path)))


def test_pictures_on_disk_are_looked_at_and_broken_ones_named(coco: Detector, tmp_path: Path, test_data: Path) -> None:
    import cv2

    for number, (_, picture) in enumerate(pictures(test_data, WORKER, every=30)):
        cv2.imwrite(str(tmp_path / f"{number}.{'png' if number % 2 else 'jpg'}"), picture)
    (tmp_path / "9.jpg").write_bytes(b"no picture")
    seen = list(detect_pictures(coco, tmp_path, batch=2))
    assert [one.picture.name for one in seen] == ["0.jpg", "1.png", "2.jpg", "9.jpg"]
    assert [len(one.detections) for one in seen] == [1, 1, 1, 0]
    assert "no JPEG" in seen[3].error
