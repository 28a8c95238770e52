"""From messages to detections: pictures of many cameras are decoded side by side and go to the detector in batches."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from stream.log import Position
from stream.messages import Detection, Frame
from vision.decode import Picture, decode_picture
from vision.motion import MotionState, Passage, gate
from vision.picture import Grey, thumbnail
from vision.settings import VisionSettings
from vision.view import CameraView


class Arrival(NamedTuple):
    """One new frame, where it stands on the log, and what its camera looks for; ``motion`` as before this batch."""

    frame: Frame
    position: Position
    view: CameraView
    motion: MotionState


class Shot(NamedTuple):
    """One new frame, decoded: its picture, the thumbnail, and whether it goes to the detector."""

    frame: Frame
    position: Position
    view: CameraView
    picture: Picture
    grey: Grey
    passage: Passage


def look(
    arrivals: Sequence[Arrival], settings: VisionSettings, pool: ThreadPoolExecutor
) -> Iterator[tuple[Shot, tuple[Detection, ...]]]:
    """Each new frame, decoded, and what its detectors see in it, in order.

    All are decoded ahead, side by side, while the detector has those before and the caller deals with what it saw.

    Raises PictureError for a picture that cannot be decoded; some that came before it may not have been answered then.
    """
    motion: dict[str, MotionState] = {}
    waiting: list[Shot] = []
    due = 0
    for arrival, (picture, grey) in zip(arrivals, pool.map(_decode, arrivals), strict=True):
        frame = arrival.frame
        before = motion.get(frame.camera, arrival.motion)
        at = frame.captured_at.timestamp()
        passage = gate(before, grey, at, settings.motion, settings.full_scan_seconds)
        motion[frame.camera] = passage.state
        waiting.append(Shot(frame, arrival.position, arrival.view, picture, grey, passage))
        due += passage.analyse
        if due == settings.batch:
            yield from zip(waiting, detect(waiting, settings.batch), strict=True)
            waiting, due = [], 0
    yield from zip(waiting, detect(waiting, settings.batch), strict=True)


def detect(shots: Sequence[Shot], batch: int) -> list[tuple[Detection, ...]]:
    """What each shot's detectors see in it, in the order of ``shots``; nothing where it does not go to them."""
    found: list[tuple[Detection, ...]] = [() for _ in shots]
    detectors = {id(d): d for shot in shots for d in shot.view.detectors}
    for detector in detectors.values():
        due = [i for i, shot in enumerate(shots) if shot.passage.analyse and detector in shot.view.detectors]
        for start in range(0, len(due), batch):
            chosen = due[start : start + batch]
            for index, detections in zip(chosen, detector.detect([shots[i].picture for i in chosen]), strict=True):
                found[index] += tuple(detections)
    return found


def _decode(arrival: Arrival) -> tuple[Picture, Grey]:
    picture = decode_picture(arrival.frame.jpeg, arrival.view.side)
    return picture, thumbnail(picture)
