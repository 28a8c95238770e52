"""How fast cameras are seen to on this machine: against the bare limit, against ultralytics' own way, and live.

Everything in one run on the same weights, pictures and cores. What is compared takes turns, round by round, and the
median of the rounds' ratios counts, so that whatever else the machine does meets both sides.
"""

import os
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
import yaml

from stream.log import Position
from stream.messages import Frame
from stream.site import Camera, Name
from vision.batch import Arrival, look
from vision.bench_cameras import ANALYSED_SHARE, FPS, Live, busy, holding, visited
from vision.bench_scenes import find_pictures, make_scene, with_somebody
from vision.bench_video import h264
from vision.decode import decode_picture
from vision.detector import Detector, open_detector
from vision.motion import MotionState
from vision.offline import prepare, talk_to_stderr
from vision.openvino_detector import OpenVinoDetector, compile_model, read_model
from vision.settings import DetectorSettings, MotionSettings, VisionSettings
from vision.tracker import Tracker
from vision.view import CameraView
from vision.weights_file import find_weights

CAMERAS = 8
GROWTH = (1, 8, 15, 30)
"""Numbers of cameras by which it is seen how the cost grows."""
SIDE = 320
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def measure(material: Path, *, short: bool) -> Mapping[str, Any]:
    """The figures, as ratios where two ways are compared; ``rates`` holds the pictures a second behind them.

    ``processor_ratios``: processor time of each way by that of ours, which other work on the machine moves less.

    Raises DatasetError where ``material`` holds too few pictures and WeightsError where the bundled weights are amiss.
    """
    cv2.setNumThreads(1)  # as the stage does
    pictures = find_pictures(material, 60 if short else 240)
    scenes = [make_scene(pictures, number) for number in range(CAMERAS)]
    # In the order in which CAMERAS cameras send them, each from its own place.
    jpegs = [jpeg for together in zip(*(scene.all for scene in scenes), strict=True) for jpeg in together]
    jpegs = jpegs[: 3 * CAMERAS] if short else jpegs
    detector = open_detector("ppe", DetectorSettings(weights="ppe", backend="openvino"))
    assert isinstance(detector, OpenVinoDetector)
    with tempfile.TemporaryDirectory(prefix="minewatch-bench-") as folder, ThreadPoolExecutor(2) as pool:
        ways = _ways(jpegs, detector, pool, Path(folder))
        seconds, processor = take_turns(ways, 2 if short else 9)
        live = _live(scenes, pictures, detector, seconds, len(jpegs), Path(folder), short=short)
    int8, reason = _quantised(find_weights("ppe", "").path)
    against_torch = ratio(seconds["torch fp32"], seconds["shipped"])
    return {
        "limit_ratio": ratio(seconds["limit"], seconds["ours"]),
        "vs_predict": ratio(seconds["predict"], seconds["ours"]),
        "vs_predict_export": ratio(seconds["predict on the export"], seconds["ours"]),
        "quantised_speedup": against_torch if int8 else None,
        "quantised_reason": reason,
        "shipped_vs_torch_fp32": against_torch,
        **live,
        "rates": {way: round(len(jpegs) / statistics.median(times), 1) for way, times in seconds.items()},
        "processor_ratios": {way: ratio(times, processor["ours"]) for way, times in processor.items()},
        "rounds": len(seconds["ours"]),
        "jpeg_kb": round(statistics.mean(map(len, jpegs)) / 1000),
        "network_input": list(detector.input_size(270, 480)),
    }


def take_turns(
    ways: Mapping[str, Callable[[], object]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds, and seconds of processor time, that each way took in each round; a first round does not count."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    processor: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, act in ways.items():
            began, used = time.perf_counter(), time.process_time()
            act()
            if number:
                seconds[way].append(time.perf_counter() - began)
                processor[way].append(time.process_time() - used)
    return seconds, processor


def ratio(others: Sequence[float], ours: Sequence[float]) -> float:
    """How many times as long the other way took: the median of the rounds."""
    return round(statistics.median(other / own for other, own in zip(others, ours, strict=True)), 3)


def _ways(
    jpegs: Sequence[bytes], detector: OpenVinoDetector, pool: ThreadPoolExecutor, folder: Path
) -> dict[str, Callable[[], object]]:
    """What is compared, each over all the pictures once."""
    small = [decode_picture(jpeg, SIDE) for jpeg in jpegs]
    in_torch = open_detector("ppe", DetectorSettings(weights="ppe-torch", precision="fp32", image_size=SIDE))
    files = folder / "pictures"
    files.mkdir()
    for number, jpeg in enumerate(jpegs):
        (files / f"{number:03}.jpg").write_bytes(jpeg)
    return {
        "ours": lambda: track(jpegs, detector, pool),
        "limit": _limit(jpegs, detector, pool),
        "predict": _predict(find_weights("ppe-torch", "").path, files),
        "predict on the export": _predict(find_weights("ppe", "").path, files),
        "shipped": lambda: _in_batches(detector, small),
        "torch fp32": lambda: _in_batches(in_torch, small),
    }


def track(jpegs: Sequence[bytes], detector: Detector, pool: ThreadPoolExecutor) -> int:
    """The shipped path from JPEG bytes to tracked detections, as the stage takes them; answers how many it saw.

    The JPEGs come from CAMERAS cameras in turn, and each of them goes to the detector.
    """
    settings = VisionSettings(motion=MotionSettings(enabled=False))
    views = [_view(f"cam-{number}", detector) for number in range(CAMERAS)]
    trackers = [Tracker() for _ in views]
    arrivals = [
        Arrival(_frame(jpeg, views[i % CAMERAS], i), Position("frames", 0, i), views[i % CAMERAS], MotionState())
        for i, jpeg in enumerate(jpegs)
    ]
    return sum(
        len(trackers[i % CAMERAS].update(detections, shot.frame.captured_at))
        for i, (shot, detections) in enumerate(look(arrivals, settings, pool))
    )


def _limit(jpegs: Sequence[bytes], detector: OpenVinoDetector, pool: ThreadPoolExecutor) -> Callable[[], object]:
    """Scaled decode of each JPEG on all cores, then bare requests of the same batches: nothing around them."""
    request = compile_model(read_model(find_weights("ppe", "").path), "auto").create_infer_request()
    batch = VisionSettings().batch
    tensor = ov.Tensor(np.full((batch, *detector.input_size(270, 480), 3), 114, np.uint8))
    flag = cv2.IMREAD_REDUCED_COLOR_4 | cv2.IMREAD_IGNORE_ORIENTATION

    def run() -> None:
        list(pool.map(lambda jpeg: cv2.imdecode(np.frombuffer(jpeg, np.uint8), flag), jpegs))
        for _ in range(0, len(jpegs), batch):
            request.infer({0: tensor}, share_inputs=True)

    return run


def _predict(weights: Path, files: Path) -> Callable[[], object]:
    """ultralytics on the folder of JPEGs, as its user starts it, with all cores."""
    prepare()
    from ultralytics import YOLO

    model = YOLO(str(weights), task="detect", verbose=False)

    def run() -> None:
        cv2.setNumThreads(-1)
        try:
            with talk_to_stderr():
                options = {"imgsz": SIDE, "conf": 0.4, "verbose": False, "device": "cpu"}
                deque(model.predict(str(files), stream=True, stream_buffer=True, **options), maxlen=0)
        finally:
            cv2.setNumThreads(1)

    return run


def _in_batches(detector: Detector, pictures: Sequence[Any]) -> None:
    batch = VisionSettings().batch
    for start in range(0, len(pictures), batch):
        detector.detect(pictures[start : start + batch])


def _live(
    scenes: Sequence[Any],
    pictures: Sequence[Any],
    detector: Detector,
    seconds: Mapping[str, Sequence[float]],
    count: int,
    folder: Path,
    *,
    short: bool,
) -> dict[str, Any]:
    """How many cameras are held, and how long a risk takes from its frame, both on the real log with the real stage."""
    ours, shipped = (statistics.median(seconds[way]) / count for way in ("ours", "shipped"))
    estimate = max(1, round(0.8 / (FPS * (max(ours - shipped, ours / 4) + ANALYSED_SHARE * shipped))))
    tries: list[Live] = []
    held = holding(
        lambda cameras: busy(scenes, cameras, detector, folder, 5.0 if short else 20.0),
        estimate,
        1 if short else 6,
        tries,
    )
    grown = [
        busy(scenes, cameras, detector, folder, 3.0 if short else 15.0) for cameras in (GROWTH[:2] if short else GROWTH)
    ]
    told = visited(with_somebody(pictures, detector, CAMERAS), detector, folder, 6.0 if short else 40.0)
    cores = len(os.sched_getaffinity(0))
    return {
        "cameras": held,
        "cores": cores,
        "growth": [run.as_dict() for run in grown],
        "h264": h264(pictures, folder, max(grown, key=lambda run: run.cameras).cores / grown[-1].cameras, cores),
        "cameras_by_processor_time": _affordable(tries),
        "camera_runs": [run.as_dict() for run in tries],
        "frame_to_risk_ms": told.latencies(),
        "frame_to_risk_run": told.as_dict(),
    }


def _affordable(runs: Sequence[Live]) -> int | None:
    """How many cameras all cores would afford by what one took in the largest run that was held; an estimate.

    Beside ``cameras`` it says what other work on the machine has taken away.
    """
    held = [run for run in runs if run.held]
    if not held:
        return None
    largest = max(held, key=lambda run: run.cameras)
    return int(len(os.sched_getaffinity(0)) * largest.cameras / largest.cores)


def _quantised(folder: Path) -> tuple[bool, str]:
    """Whether the shipped export is in int8, and what it is else."""
    arguments = yaml.safe_load((folder / "metadata.yaml").read_text()).get("args") or {}
    bits = arguments.get("quantize") or (8 if arguments.get("int8") else 16 if arguments.get("half") else 32)
    if bits == 8:
        return True, ""
    return False, f"The shipped export is in {bits} bits, not in int8: see shipped_vs_torch_fp32."


def _view(camera: str, detector: Detector) -> CameraView:
    known = Camera(id=camera, name=Name(en=camera), url=f"{camera}.mp4", place="face", detectors=(detector.name,))
    return CameraView(known, (), (), (detector,), frozenset())


def _frame(jpeg: bytes, view: CameraView, number: int) -> Frame:
    at = _NOW + timedelta(seconds=number // CAMERAS / FPS)
    return Frame(
        mine="bench",
        camera=view.camera.id,
        sequence=number // CAMERAS,
        captured_at=at,
        read_at=at,
        jpeg=jpeg,
        width=1920,
        height=1080,
    )
