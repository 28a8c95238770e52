"""One frame of one camera, from what was detected in it to what it means for the camera's episodes."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from stream.messages import Detection
from vision.batch import Shot
from vision.episode import Event
from vision.labels import PEOPLE, sees_people
from vision.memory import CameraState
from vision.picture import Findings, find_belt_edge, inspect, runs_off
from vision.risk import CameraConfirmation, Observation, observe
from vision.support import Evaluation, Key, Support, evaluate
from vision.view import PICTURE_KEYS

_NOTHING = Evaluation({}, frozenset(), {})
_MEASURED = 1.0
"""Confidence of what is measured and not recognised: the delays, not a network's doubt, decide whether it is real."""


class Step(NamedTuple):
    """What one frame came to: the camera's state after it, and what happened to its episodes."""

    state: CameraState
    events: list[Event]


def follow(
    state: CameraState,
    shot: Shot,
    detections: tuple[Detection, ...],
    confirmation: CameraConfirmation,
    record_after: float | None,
) -> Step:
    """Take one frame into the camera's state. ``detections`` are empty where the frame did not go to the detectors."""
    frame = shot.frame
    findings, picture = inspect(state.picture, shot.grey, frame.captured_at.timestamp())
    measured, measurable = _measured(shot, findings)
    evaluation = evaluate(shot.view.zones, detections) if shot.passage.analyse else _NOTHING
    recognised = _recognised(shot) if shot.passage.analyse else frozenset[Key]()
    observation = Observation(
        offset=shot.position.offset,
        position=str(shot.position),
        captured_at=frame.captured_at,
        read_at=frame.read_at,
        watched=shot.view.keys,
        seen=recognised | measurable,
        supports={**evaluation.supports, **measured},
        uncertain=evaluation.uncertain,
        persons=evaluation.persons,
        record_after=record_after,
        repeated=shot.passage.reason == "repeated",
        people=_people(shot, detections),
    )
    episodes, events = observe(frame.camera, state.episodes, state.seen_at, observation, confirmation)
    after = msgspec.structs.replace(
        state.after(frame, shot.position.offset),
        seen_at=frame.captured_at,
        motion=shot.passage.state,
        picture=picture,
        episodes=episodes,
    )
    return Step(after, events)


def _people(shot: Shot, detections: tuple[Detection, ...]) -> tuple[Detection, ...] | None:
    """Every person and head in the frame; None where no detector of the camera looked for them in it."""
    labels = frozenset(label for detector in shot.view.detectors for label in detector.labels)
    if not shot.passage.analyse or not sees_people(labels):
        return None
    return tuple(d for d in detections if d.label in PEOPLE)


def _measured(shot: Shot, findings: Findings) -> tuple[Mapping[Key, Support], frozenset[Key]]:
    """What the picture's own quality supports, and the keys on which it says something.

    One that repeats the picture before says nothing of the scene, and nothing of the camera but what is wrong with it.
    """
    supports: dict[Key, Support] = {}
    seen = set(PICTURE_KEYS)
    if findings.blind:
        supports[Key("camera-blind", None)] = Support(_MEASURED)
    if findings.frozen:
        supports[Key("camera-frozen", None)] = Support(_MEASURED)
    if findings.moved:
        supports[Key("camera-moved", None)] = Support(_MEASURED)
    if shot.passage.reason == "repeated":
        return supports, frozenset(supports)
    if findings.moved is None:
        seen.discard(Key("camera-moved", None))
    if not findings.blind:
        for zone in shot.view.belt_edges:
            off = runs_off(find_belt_edge(shot.picture, zone.zone.polygon))
            key = Key("belt-deviation", zone.zone.id)
            if off is not None:
                seen.add(key)
            if off:
                supports[key] = Support(_MEASURED)
    return supports, frozenset(seen)


def _recognised(shot: Shot) -> frozenset[Key]:
    """What a frame that went to the detectors says something about: all but what is measured on the picture itself."""
    edges = {Key("belt-deviation", zone.zone.id) for zone in shot.view.belt_edges}
    return shot.view.keys - PICTURE_KEYS - edges
