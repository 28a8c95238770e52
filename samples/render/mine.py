"""Roadways: rock, floor, steel arches, lamps, pipes, rails and conveyor frames that do not move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from samples.render.paint import Lamp, Paint
from samples.render.shape import Array, Block, Bound, Cone, Drum, Group, Part, Solid, unit, vector
from samples.render.texture import noise, sample

HALF_WIDTH = 2.4
SPRING = 1.15  # height at which the walls become the arch
CROWN = SPRING + HALF_WIDTH
BELT_HEIGHT = 0.92


@dataclass(frozen=True)
class Rock:
    """The inside of an arched roadway that runs along z, with a flat floor left out."""

    material: str = "rock"

    def distance(self, points: Array) -> Array:
        """Signed distance to walls and arch, positive in the open."""
        high = np.maximum(points[:, 1] - SPRING, 0)
        inside: Array = HALF_WIDTH - np.hypot(points[:, 0], high)
        return inside


@dataclass(frozen=True)
class Floor:
    """The floor at y = 0."""

    material: str = "floor"

    def distance(self, points: Array) -> Array:
        """Height above the floor."""
        height: Array = points[:, 1]
        return height


@dataclass(frozen=True)
class Face:
    """The far end of the roadway."""

    z: float
    material: str = "face"

    def distance(self, points: Array) -> Array:
        """Distance before the end."""
        ahead: Array = self.z - points[:, 2]
        return ahead


@dataclass(frozen=True)
class Arches:
    """Steel arches, one every `every` metres."""

    every: float = 1.0
    material: str = "steel"

    def distance(self, points: Array) -> Array:
        """Signed distance to the nearest arch."""
        high = np.maximum(points[:, 1] - SPRING, 0)
        out = HALF_WIDTH - 0.04 - np.hypot(points[:, 0], high)
        along = np.mod(points[:, 2], self.every) - self.every / 2
        ring = np.maximum(np.abs(out) - 0.055, np.abs(along) - 0.045)
        return ring - np.float32(0.01)


@dataclass(frozen=True)
class Repeated:
    """A part again and again along z, `every` metres apart, from `start` to `end`."""

    part: Part
    every: float
    start: float = -100.0
    end: float = 100.0

    @property
    def material(self) -> str:
        """What the part is made of."""
        return self.part.material

    def distance(self, points: Array) -> Array:
        """Signed distance to the nearest copy."""
        folded = points.copy()
        number = np.clip(np.round(points[:, 2] / self.every), self.start / self.every, self.end / self.every)
        folded[:, 2] = points[:, 2] - np.round(number) * self.every
        return self.part.distance(folded)


@dataclass(frozen=True)
class Roadway:
    """A roadway as a camera sees it when nobody is there."""

    solid: Solid
    lamps: Sequence[Lamp]
    seed: int
    belt_x: float | None = None
    walkway: tuple[float, float] | None = None
    wet: float = 0.2
    whitewash: float = 0.5
    cloud: Array = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cloud", noise(self.seed, 512, 1.45))

    def paint(self, points: Array, facing: Array) -> tuple[Paint, Array]:
        """Paint and roughened normals of (N, 3) points on the surface."""
        parts = self.solid.nearest_part(points)
        names = np.array([part.material for part in self.solid.parts()])[parts]
        paint = Paint.plain(len(points), (0.30, 0.29, 0.27))
        facing = self._rock(points, facing, names, paint)
        facing = self._floor(points, facing, names, paint)
        self._steel(points, names, paint)
        return paint, unit(facing)

    def _rock(self, points: Array, facing: Array, names: Array, paint: Paint) -> Array:
        rock = np.isin(names, ["rock", "face"])
        around = np.arctan2(points[:, 0], points[:, 1] - SPRING) * HALF_WIDTH
        u, v = around / 3.1, points[:, 2] / 3.1
        coarse, fine = sample(self.cloud, u, v), sample(self.cloud, u * 4.3, v * 4.3)
        shade = 0.24 + 0.17 * self.whitewash + 0.05 * coarse + 0.035 * fine
        damp = np.clip((0.9 - points[:, 1] + 0.25 * coarse) / 0.9, 0, 1)
        shade = np.clip(shade * (1 - 0.45 * damp), 0.03, 0.8)
        warm = np.stack([shade * 1.03, shade * 0.99, shade * 0.92], axis=1)
        paint.colour[rock] = warm[rock]
        paint.colour[names == "face"] *= 0.4
        step = 1 / 400
        bump = np.stack([sample(self.cloud, u + step, v) - coarse, sample(self.cloud, u, v + step) - coarse], axis=1)
        rough = facing.copy()
        rough[:, 1] += np.where(rock, 1.6 * bump[:, 0], 0)
        rough[:, 2] += np.where(rock, 1.6 * bump[:, 1], 0)
        return rough

    def _floor(self, points: Array, facing: Array, names: Array, paint: Paint) -> Array:
        floor = names == "floor"
        u, v = points[:, 0] / 2.3, points[:, 2] / 2.3
        coarse, fine = sample(self.cloud, u, v), sample(self.cloud, u * 5.1, v * 5.1)
        shade = np.clip(0.155 + 0.03 * coarse + 0.022 * fine, 0.03, 0.5)
        paint.colour[floor] = np.stack([shade * 1.02, shade, shade * 0.95], axis=1)[floor]
        puddle = np.clip(coarse - 1.1, 0, 1) * self.wet
        paint.gloss[floor] = (0.04 + 1.6 * puddle)[floor]
        paint.colour[floor] *= (1 - 0.5 * np.clip(puddle * 4, 0, 1))[floor, None]
        if self.walkway is not None:
            self._markings(points, floor, fine, paint)
        step = 1 / 400
        rough = facing.copy()
        rough[:, 0] += np.where(floor, 1.2 * (sample(self.cloud, u * 5.1 + step, v * 5.1) - fine), 0)
        rough[:, 2] += np.where(floor, 1.2 * (sample(self.cloud, u * 5.1, v * 5.1 + step) - fine), 0)
        return rough

    def _markings(self, points: Array, floor: Array, worn: Array, paint: Paint) -> None:
        for edge in self.walkway or ():
            line = floor & (np.abs(points[:, 0] - edge) < 0.06) & (worn < 0.9)
            paint.set(line, (0.62, 0.45, 0.05), gloss=0.08)

    def _steel(self, points: Array, names: Array, paint: Paint) -> None:
        rust = sample(self.cloud, points[:, 2] / 0.9, points[:, 1] / 0.9)[:, None]
        for name, colour, gloss in METALS:
            where = names == name
            paint.set(where, colour, gloss)
            paint.colour[where] *= np.clip(1 + 0.16 * rust[where], 0.5, 1.4)
        paint.set(names == "light", (1.0, 0.96, 0.86), glow=2.2)
        stripes = np.mod((points[:, 0] + points[:, 1] + points[:, 2]) / 0.24, 1) < 0.5
        paint.set((names == "guard") & stripes, (0.70, 0.50, 0.03), 0.2)
        paint.set((names == "guard") & ~stripes, (0.04, 0.04, 0.04), 0.2)
        paint.set(names == "sign", (0.80, 0.60, 0.04), 0.1)


METALS: tuple[tuple[str, tuple[float, float, float], float], ...] = (
    ("steel", (0.15, 0.105, 0.08), 0.15),
    ("rail", (0.34, 0.33, 0.32), 0.9),
    ("sleeper", (0.085, 0.07, 0.055), 0.03),
    ("frame", (0.12, 0.20, 0.27), 0.25),
    ("roller", (0.30, 0.10, 0.07), 0.4),
    ("pipe", (0.20, 0.30, 0.36), 0.4),
    ("hydrant", (0.55, 0.06, 0.05), 0.4),
    ("cable", (0.03, 0.03, 0.032), 0.2),
    ("cabinet", (0.32, 0.36, 0.34), 0.3),
    ("drive", (0.10, 0.26, 0.16), 0.35),
    ("drum", (0.09, 0.09, 0.095), 0.25),
)


def row_of_lamps(every: float = 5.0, x: float = 0.0, power: float = 4.4, count: int = 6) -> list[Lamp]:
    """Roof lamps along the roadway, the first a little behind the camera."""
    return [Lamp(vector(x, CROWN - 0.28, -0.5 + every * number), power) for number in range(count)]


@dataclass(frozen=True)
class Cluster:
    """Parts of a roadway that lie together between two heights and two distances from its middle line."""

    parts: Group
    left: float
    right: float
    top: float

    def bound(self) -> Bound:
        """A box around them, all along the roadway."""
        return Bound(vector(self.left, -0.1, -100), vector(self.right, self.top, 100))


def common_parts(lamps: Sequence[Lamp], far: float) -> list[Part | Cluster]:
    """What every roadway has: rock, floor, arches, lamps, a water pipe, cables, a far end."""
    lights = tuple(Block("light", lamp.place + vector(0, 0.12, 0), vector(0.09, 0.05, 0.34)) for lamp in lamps)
    pipes = (
        Drum("pipe", vector(-HALF_WIDTH + 0.22, 2.05, 20), vector(0, 0, 1), 0.075, 40),
        Drum("hydrant", vector(-HALF_WIDTH + 0.18, 1.78, 20), vector(0, 0, 1), 0.04, 40),
    )
    cables = tuple(
        Drum("cable", vector((HALF_WIDTH - 0.16 + 0.03 * number) * 0.985, high, 20), vector(0, 0, 1), 0.026, 40)
        for number, high in enumerate((1.9, 2.05, 2.2))
    )
    return [
        Rock(),
        Floor(),
        Arches(),
        Face(far),
        Cluster(lights, -0.1, 0.1, CROWN),
        Cluster(pipes, -HALF_WIDTH, -HALF_WIDTH + 0.30, 2.2),
        Cluster(cables, HALF_WIDTH - 0.30, HALF_WIDTH, 2.3),
    ]


def conveyor_parts(x: float, *, half: float = 0.56, near: float = -2.0, far: float = 40.0) -> list[Part | Cluster]:
    """A belt conveyor's frame at that x: stringers, legs, troughing and return rollers."""
    middle, reach = (near + far) / 2, (far - near) / 2
    parts: list[Part] = []
    for side in (-1, 1):
        edge = x + side * (half + 0.07)
        parts.append(Block("frame", vector(edge, BELT_HEIGHT - 0.12, middle), vector(0.035, 0.07, reach)))
        leg = Block("frame", vector(edge, (BELT_HEIGHT - 0.12) / 2, 0), vector(0.035, (BELT_HEIGHT - 0.12) / 2, 0.045))
        parts.append(Repeated(leg, 2.0, near, far))
        wing = Cone(
            "roller", vector(x + side * 0.21, BELT_HEIGHT - 0.16, 0), vector(edge, BELT_HEIGHT - 0.1, 0), 0.05, 0.05
        )
        parts.append(Repeated(wing, 1.0, near, far))
        post = Block("frame", vector(edge, BELT_HEIGHT - 0.03, 0), vector(0.03, 0.09, 0.03))
        parts.append(Repeated(post, 1.0, near, far))
    parts.append(
        Repeated(Drum("roller", vector(x, BELT_HEIGHT - 0.16, 0), vector(1, 0, 0), 0.05, 0.21), 1.0, near, far)
    )
    parts.append(Block("drum", vector(x, 0.38, middle), vector(half - 0.05, 0.012, reach), rounding=0.005))
    parts.append(Repeated(Drum("roller", vector(x, 0.33, 0), vector(1, 0, 0), 0.045, half), 2.0, near, far))
    return [Cluster(tuple(parts), x - half - 0.12, x + half + 0.12, BELT_HEIGHT + 0.07)]


def track_parts(x: float, *, gauge: float = 0.9) -> list[Part | Cluster]:
    """A railway track on sleepers around that x."""
    parts: list[Part] = []
    for side in (-1, 1):
        rail = x + side * gauge / 2
        parts.append(Block("rail", vector(rail, 0.115, 20), vector(0.032, 0.022, 45), rounding=0.01))
        parts.append(Block("rail", vector(rail, 0.07, 20), vector(0.012, 0.045, 45), rounding=0.004))
    sleeper = Block("sleeper", vector(x, 0.02, 0), vector(gauge / 2 + 0.28, 0.04, 0.10), rounding=0.01)
    parts.append(Repeated(sleeper, 0.7))
    return [Cluster(tuple(parts), x - gauge / 2 - 0.3, x + gauge / 2 + 0.3, 0.15)]


def roadway(parts: Sequence[Part | Cluster], lamps: Sequence[Lamp], seed: int, **looks: Any) -> Roadway:
    """A roadway of those parts."""
    corner = vector(HALF_WIDTH, CROWN, 60)
    groups = [part.parts if isinstance(part, Cluster) else (part,) for part in parts]
    bounds = [part.bound() if isinstance(part, Cluster) else None for part in parts]
    return Roadway(Solid(groups, 0.0, -corner, corner, bounds), lamps, seed, **looks)


def occlusion(points: Array, facing: Array, solid: Solid, reaches: Sequence[float] = (0.06, 0.22, 0.6)) -> Array:
    """How open the surface is, 0..1, from the field at those metres above it."""
    openness = np.ones(len(points), dtype=np.float32)
    weight = 0.85 / len(reaches)
    for reach in reaches:
        free = np.clip(solid.distance(points + facing * np.float32(reach)) / reach, 0, 1)
        openness -= np.float32(weight) * (1 - free)
    return openness


def haze(distance: Array, density: float) -> Array:
    """What part of the light comes through that many metres of dusty air."""
    clear: Array = np.exp(-np.minimum(distance, 200) * np.float32(density))
    return clear
