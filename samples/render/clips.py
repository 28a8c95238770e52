"""The clips of the rendered mine: who walks where, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from samples.render.camera import Camera
from samples.render.figure import Pose, Worker, stand
from samples.render.lens import Picture, develop
from samples.render.mine import Roadway, common_parts, conveyor_parts, roadway, row_of_lamps, track_parts
from samples.render.moving import Belt, covered, smoky
from samples.render.scene import Moving, draw, still
from samples.render.shape import Array

SIZE = (640, 360)
FRAMES_PER_SECOND = 10
_DRAWN = (880, 495)
"""Width and height at which light is computed before the lens brings it down to SIZE."""
_BELT_X = -1.1
_STEP = 1.4
"""Metres of a double step."""

Movers = Callable[[float], list[Moving]]
Weather = Callable[[Array, float], Array]


@dataclass(frozen=True)
class Clip:
    """One clip: what its camera sees, who moves in it at each second, and what comes before the lens."""

    name: str
    seconds: int
    camera: Camera
    mine: Callable[[], Roadway]
    movers: Movers
    weather: Weather | None = None

    @property
    def frame_count(self) -> int:
        """How many frames it has."""
        return self.seconds * FRAMES_PER_SECOND


def frames(clip: Clip, first: int = 0, count: int | None = None) -> Iterator[Picture]:
    """The clip's frames (360, 640, 3) in BGR, the same each time."""
    mine = clip.mine()
    empty = still(clip.camera, mine, *_DRAWN)
    last = clip.frame_count if count is None else min(clip.frame_count, first + count)
    for number in range(first, last):
        seconds = number / FRAMES_PER_SECOND
        view = empty.copy()
        draw(view, clip.movers(seconds), mine.lamps)
        light = view.light if clip.weather is None else clip.weather(view.light, seconds)
        yield develop(light, SIZE, seed=number)


def _belt_roadway() -> Roadway:
    lamps = row_of_lamps()
    return roadway(common_parts(lamps, 40) + conveyor_parts(_BELT_X), lamps, 3, walkway=(-0.25, 1.9))


def _plain_roadway() -> Roadway:
    lamps = row_of_lamps()
    return roadway(common_parts(lamps, 40), lamps, 11, walkway=(-0.6, 1.6), wet=0.5)


def _track_roadway() -> Roadway:
    lamps = row_of_lamps()
    return roadway(common_parts(lamps, 40) + track_parts(-0.4), lamps, 5, whitewash=0.8)


def _walk(worker: Worker, path: Sequence[tuple[float, float, float]], seconds: float, **more: float) -> list[Moving]:
    """A worker on a path of (second, x, z): between two points he walks, before the first and after the last he is away."""
    for (start, x0, z0), (end, x1, z1) in zip(path, path[1:], strict=False):
        if start <= seconds < end:
            share = (seconds - start) / (end - start)
            way = float(np.hypot(x1 - x0, z1 - z0))
            facing = float(np.degrees(np.arctan2(x1 - x0, z1 - z0))) if way > 0.05 else 180.0
            pose = Pose(
                x0 + share * (x1 - x0),
                z0 + share * (z1 - z0),
                facing,
                stride=share * way / _STEP + 0.13 * start,
                pace=1.0 if way > 0.05 else 0.0,
                **more,
            )
            return [stand(worker, pose)]
    return []


_MINER = Worker()
_FITTER = Worker(helmet="white", vest="lime", height=1.82)
_BARE = Worker(helmet=None, vest="lime", height=1.79, skin=(0.72, 0.50, 0.38))


def _in_the_roadway(seconds: float) -> list[Moving]:
    bare = _walk(_BARE, [(0.5, 0.9, 11.0), (7.5, 0.5, 2.4), (8.2, 0.4, 1.0)], seconds)
    helmeted = _walk(_MINER, [(5.0, 0.1, 13.0), (12.5, 0.9, 2.4), (13.2, 1.0, 1.0)], seconds)
    return bare + helmeted


def _at_the_belt(seconds: float) -> list[Moving]:
    belt = Belt(_BELT_X, travelled=1.6 * seconds)
    worker = _walk(_BARE, [(1.0, 1.2, 9.0), (3.0, 0.05, 6.2)], seconds)
    worker += _walk(_BARE, [(3.0, -0.12, 6.2), (7.0, -0.14, 6.15)], seconds, bend=28.0, reach=0.9)
    worker += _walk(_BARE, [(7.0, 0.05, 6.2), (8.0, 1.2, 5.2), (10.4, 1.3, 2.2), (11.0, 1.4, 1.0)], seconds)
    return [belt, *worker]


def _over_the_belt(seconds: float) -> list[Moving]:
    belt = Belt(_BELT_X, travelled=1.6 * seconds)
    way = _walk(_FITTER, [(1.0, 1.3, 8.5), (3.5, 0.1, 6.4)], seconds)
    way += _walk(_FITTER, [(3.5, _BELT_X, 6.4), (7.5, _BELT_X + 0.05, 6.3)], seconds, lift=0.98)
    way += _walk(_FITTER, [(7.5, 0.1, 6.4), (11.0, 1.2, 2.2), (11.6, 1.3, 1.0)], seconds)
    return [belt, *way]


def _on_the_track(seconds: float) -> list[Moving]:
    return _walk(
        _MINER, [(1.0, 1.3, 12.0), (3.0, -0.4, 9.6), (8.0, -0.4, 3.6), (9.4, 1.4, 2.3), (10.2, 1.5, 1.0)], seconds
    )


def _off_its_rollers(seconds: float) -> list[Moving]:
    drift = 0.24 * float(np.clip((seconds - 3.0) / 1.5, 0, 1) - np.clip((seconds - 11.0) / 1.5, 0, 1))
    return [Belt(_BELT_X + drift, travelled=1.6 * seconds)]


def _smoke(seconds: float) -> list[Moving]:
    return [
        Belt(_BELT_X, travelled=1.6 * min(seconds, 5.0)),
        *_walk(_MINER, [(3.0, 0.8, 9.0), (8.0, 0.9, 2.3), (8.8, 1.0, 1.0)], seconds),
    ]


_OVER_THE_ROADWAY = Camera((0.3, 2.55, 0.0), (0.1, 1.15, 6.0))
_OVER_THE_BELT = Camera((0.9, 2.6, 0.6), (-0.6, 0.95, 6.4))

CLIPS: tuple[Clip, ...] = (
    Clip("roadway", 18, _OVER_THE_ROADWAY, _plain_roadway, _in_the_roadway),
    Clip("belt-tail", 17, _OVER_THE_BELT, _belt_roadway, _at_the_belt),
    Clip("belt-crossing", 15, _OVER_THE_BELT, _belt_roadway, _over_the_belt),
    Clip("haulage", 15, _OVER_THE_ROADWAY, _track_roadway, _on_the_track),
    Clip("belt-head", 18, _OVER_THE_BELT, _belt_roadway, _off_its_rollers),
    Clip("smoke", 14, _OVER_THE_BELT, _belt_roadway, _smoke, smoky(3.0, 12.0)),
    Clip("covered", 14, _OVER_THE_ROADWAY, _plain_roadway, lambda _: [], covered(3.0, 8.5)),
)
