"""The clips of the rendered mine: who walks where, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from samples.render.camera import Camera
from samples.render.figure import Pose, Worker, stand
from samples.render.lens import Picture, develop
from samples.render.mine import Roadway, common_parts, conveyor_parts, roadway, row_of_lamps, track_parts
from samples.render.moving import Belt, Locomotive, Spill, covered, smoky
from samples.render.scene import Moving, View, draw, still
from samples.render.shape import Array

SIZE = (640, 360)
FRAMES_PER_SECOND = 10
BELT_X = -1.1
TRACK_X = -0.5
STEP = 1.4  # metres of a double step

Movers = Callable[[float], list[Moving]]
Weather = Callable[[Array, float], Array]
Way = Sequence[tuple[float, float, float, float]]
"""Second, x, z and height above the floor: straight lines between them."""


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


def frames(clip: Clip, first: int = 0, count: int | None = None, size: tuple[int, int] = SIZE) -> Iterator[Picture]:
    """The clip's frames, (height, width, 3) in BGR, from frame `first` on: the same each time for one size."""
    view, mine = empty(clip.camera, clip.mine, size)
    last = clip.frame_count if count is None else min(clip.frame_count, first + count)
    for number in range(first, last):
        seconds = number / FRAMES_PER_SECOND
        seen = view.copy()
        draw(seen, clip.movers(seconds), mine.lamps)
        light = seen.light if clip.weather is None else clip.weather(seen.light, seconds)
        yield develop(light, size, seed=number)


@cache
def empty(camera: Camera, mine: Callable[[], Roadway], size: tuple[int, int]) -> tuple[View, Roadway]:
    """What that camera sees when nobody is there; drawn once for all clips of one place."""
    built = mine()
    return still(camera, built, *size), built


def belt_roadway() -> Roadway:
    """A belt conveyor on the left, a marked walkway on the right."""
    lamps = row_of_lamps()
    return roadway(common_parts(lamps, 40) + conveyor_parts(BELT_X), lamps, 3, walkway=(-0.25, 1.9))


def plain_roadway() -> Roadway:
    """A roadway with nothing in it."""
    lamps = row_of_lamps()
    return roadway(common_parts(lamps, 40), lamps, 11, walkway=(-0.6, 1.6), wet=0.5)


def track_roadway() -> Roadway:
    """A haulage roadway with one track."""
    lamps = row_of_lamps()
    return roadway(common_parts(lamps, 40) + track_parts(TRACK_X), lamps, 5, whitewash=0.8)


def walk(worker: Worker, way: Way, seconds: float, **more: float) -> list[Moving]:
    """A worker on his way: he walks between points, stands where two are the same, and is away before and after."""
    walked = 0.0
    for (start, x0, z0, y0), (end, x1, z1, y1) in pairwise(way):
        far = float(np.hypot(x1 - x0, z1 - z0))
        if start <= seconds < end:
            share = (seconds - start) / (end - start)
            moves = far > 0.05
            pose = Pose(
                x0 + share * (x1 - x0),
                z0 + share * (z1 - z0),
                float(np.degrees(np.arctan2(x1 - x0, z1 - z0))) if moves else more.get("facing", 180.0),
                stride=(walked + share * far) / STEP,
                pace=1.0 if moves else 0.0,
                bend=more.get("bend", 4.0),
                reach=more.get("reach", 0.0),
                lift=y0 + share * (y1 - y0),
                glance=more.get("glance", 0.0),
            )
            return [stand(worker, pose)]
        walked += far
    return []


MINER = Worker()
BARE = Worker(helmet=None, height=1.74)


def in_the_roadway(seconds: float) -> list[Moving]:
    """A worker without a helmet comes, waits and goes; then one with a helmet; then nobody."""
    bare = walk(BARE, [(0.5, 0.8, 10.5, 0), (3.0, 0.35, 7.6, 0)], seconds)
    bare += walk(BARE, [(3.0, 0.35, 7.6, 0), (7.0, 0.35, 7.6, 0)], seconds, facing=178.0)
    bare += walk(BARE, [(7.0, 0.35, 7.6, 0), (8.6, 0.5, 5.2, 0), (9.6, 0.5, 3.4, 0)], seconds)
    helmeted = walk(MINER, [(7.5, 0.0, 12.0, 0), (12.0, 0.4, 6.0, 0), (13.6, 0.5, 3.4, 0)], seconds)
    return bare + helmeted


def at_the_belt(seconds: float) -> list[Moving]:
    """A worker steps up to the running belt, works at it, and leaves."""
    worker = walk(MINER, [(1.0, 1.2, 8.0, 0), (3.0, 0.0, 5.4, 0)], seconds)
    worker += walk(MINER, [(3.0, 0.0, 5.4, 0), (7.0, 0.0, 5.4, 0)], seconds, facing=195.0, bend=8.0, reach=0.4)
    worker += walk(MINER, [(7.0, 0.0, 5.4, 0), (8.2, 1.2, 4.6, 0), (10.0, 1.35, 2.4, 0), (10.8, 1.4, 1.4, 0)], seconds)
    return [Belt(BELT_X, 1.6 * seconds), *worker]


def over_the_belt(seconds: float) -> list[Moving]:
    """A worker climbs on the running belt's frame, stands over the belt, and climbs down again."""
    on = BELT_X + 0.1
    way = [
        *[(1.0, 1.3, 8.0, 0.0), (3.0, -0.1, 5.6, 0.0), (3.8, on, 5.3, 0.95), (7.0, on, 5.3, 0.95)],
        *[(7.8, 0.0, 5.0, 0.0), (10.0, 0.9, 2.6, 0.0), (10.7, 0.9, 1.4, 0.0)],
    ]
    return [Belt(BELT_X, 1.6 * seconds), *walk(MINER, way, seconds, facing=165.0)]


def on_the_track(seconds: float) -> list[Moving]:
    """A worker walks between the rails before a slow locomotive, which stops; he steps off and goes."""
    way = [
        *[(0.5, 1.3, 10.5, 0.0), (2.0, TRACK_X, 9.0, 0.0), (7.5, TRACK_X, 4.4, 0.0)],
        *[(8.7, 1.1, 3.6, 0.0), (10.0, 1.4, 2.2, 0.0), (10.6, 1.5, 1.3, 0.0)],
    ]
    near = 22.0 - 1.5 * min(seconds, 6.0) + 0.125 * min(seconds, 6.0) ** 2 * 0.5
    return [Locomotive(TRACK_X, near), *walk(MINER, way, seconds)]


def off_its_rollers(seconds: float) -> list[Moving]:
    """The belt runs off to the walkway's side, sheds coal on the floor, and comes back."""
    drift = 0.17 * float(np.clip((seconds - 3.0) / 1.5, 0, 1) - np.clip((seconds - 10.5) / 1.5, 0, 1))
    fallen = float(np.clip((seconds - 4.5) / 6.0, 0, 1))
    return [Belt(BELT_X + drift, 1.6 * seconds), *([Spill(BELT_X + 0.98, 5.2, fallen)] if fallen > 0 else [])]


def smoke_at_the_belt(seconds: float) -> list[Moving]:
    """Smoke rises at the belt drive while a worker with a helmet goes away from it; the belt is stopped."""
    belt = Belt(BELT_X, 1.6 * min(seconds, 6.0))
    return [belt, *walk(MINER, [(2.0, 0.8, 9.0, 0), (7.5, 0.95, 2.4, 0), (8.2, 1.0, 1.2, 0)], seconds)]


def nobody(_seconds: float) -> list[Moving]:
    """An empty roadway."""
    return []


OVER_THE_ROADWAY = Camera((0.3, 2.55, 0.0), (0.1, 1.15, 6.0))
ALONG_THE_ROADWAY = Camera((0.3, 2.2, 0.0), (0.3, 1.0, 8.0), 38.0)
OVER_THE_BELT = Camera((0.9, 2.6, 0.6), (-0.6, 0.95, 6.4))
ACROSS_THE_BELT = Camera((0.4, 2.7, 0.2), (-0.7, 1.75, 6.4), 50.0)

CLIPS: tuple[Clip, ...] = (
    Clip("roadway", 20, ALONG_THE_ROADWAY, plain_roadway, in_the_roadway),
    Clip("belt-tail", 17, OVER_THE_BELT, belt_roadway, at_the_belt),
    Clip("belt-crossing", 17, ACROSS_THE_BELT, belt_roadway, over_the_belt),
    Clip("haulage", 17, OVER_THE_ROADWAY, track_roadway, on_the_track),
    Clip("belt-head", 24, OVER_THE_BELT, belt_roadway, off_its_rollers),
    Clip("smoke", 14, OVER_THE_BELT, belt_roadway, smoke_at_the_belt, smoky(3.0, 12.0)),
    Clip("covered", 14, OVER_THE_ROADWAY, plain_roadway, nobody, covered(3.0, 8.5)),
)
