"""Frames of many cameras, looked at together: what one camera shows changes nothing of what is seen of another."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from stream.log import Position
from stream.messages import Detection
from stream.site import Camera, Name
from tests.clips import as_frame
from vision.batch import Arrival, look
from vision.decode import Picture
from vision.motion import MotionState
from vision.settings import MotionSettings, VisionSettings
from vision.view import CameraView


class Telling:
    """A detector as far as batches ask for it: it tells by its own name what it was shown, by the picture's grey."""

    def __init__(self, name: str) -> None:
        self.name, self.digest, self.labels, self.image_size = name, "0" * 64, frozenset({name}), 64
        self.shown: list[int] = []

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection]]:
        greys = [round(float(picture.mean()) / 10) for picture in pictures]
        self.shown += greys
        return [[Detection(label=self.name, confidence=grey / 100, box=(0.0, 0.0, 1.0, 1.0))] for grey in greys]


def arrivals(views: Sequence[CameraView], greys: Sequence[Sequence[int]]) -> list[Arrival]:
    """Frames of all cameras in turn, a fifth of a second apart; ``greys`` (in tens) are what each of them shows."""
    found = []
    for number, together in enumerate(zip(*greys, strict=True)):
        for view, grey in zip(views, together, strict=True):
            picture = np.full((64, 64, 3), 10 * grey, np.uint8)
            picture[:8, :8] += 3 * (number % 2)  # no sensor gives the same picture twice
            frame = as_frame(picture, view.camera.id, number, number / 5)
            found.append(Arrival(frame, Position("frames", 0, len(found)), view, MotionState()))
    return found


def view(name: str, *detectors: Telling) -> CameraView:
    camera = Camera(id=name, name=Name(en=name), url=f"{name}.mp4", place="face", detectors=())
    return CameraView(camera, (), (), detectors, frozenset())


def test_each_camera_is_gated_by_its_own_pictures() -> None:
    """Two scenes in which nothing moves are no motion, whatever the frames between them show."""
    settings = VisionSettings(motion=MotionSettings(linger_seconds=0.3), full_scan_seconds=0.9)
    views = [view("dark"), view("bright"), view("moving")]
    greys = [[4] * 8, [20] * 8, [4, 20] * 4]
    with ThreadPoolExecutor(2) as pool:
        shots = [shot for shot, _ in look(arrivals(views, greys), settings, pool)]
    reasons = {v.camera.id: [s.passage.reason for s in shots if s.view is v] for v in views}
    still = ["first", "linger", *["still"] * 4, "scan", "still"]
    assert reasons == {"dark": still, "bright": still, "moving": ["first", *["motion"] * 7]}


def test_a_picture_goes_to_the_detectors_of_its_own_camera_alone() -> None:
    helmets, flames = Telling("helmet"), Telling("fire")
    views = [view("a", helmets), view("b", helmets, flames), view("c")]
    settings = VisionSettings(motion=MotionSettings(enabled=False), batch=4)
    with ThreadPoolExecutor(2) as pool:
        seen = list(look(arrivals(views, [[3, 4, 5], [13, 14, 15], [23, 24, 25]]), settings, pool))
    assert (helmets.shown, flames.shown) == ([3, 13, 4, 14, 5, 15], [13, 14, 15])
    told = [[(d.label, round(d.confidence * 100)) for d in detections] for _, detections in seen]
    for number, (a, b, c) in enumerate(zip(told[::3], told[1::3], told[2::3], strict=True)):
        assert (a, b, c) == ([("helmet", 3 + number)], [("helmet", 13 + number), ("fire", 13 + number)], [])
