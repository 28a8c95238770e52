"""Solids as distance fields, and the rays that find them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Distance = Callable[[Array], Array]

CLOSE = 0.3  # metres from a group's ball within which its parts are looked at one by one
UPRIGHT: Array = np.eye(3, dtype=np.float32)


def vector(x: float, y: float, z: float) -> Array:
    """A point or direction in metres: x to the right, y up, z into the picture."""
    return np.array([x, y, z], dtype=np.float32)


def length(points: Array) -> Array:
    """The Euclidean norm over the last axis."""
    return norm(points[..., 0], points[..., 1], points[..., 2])


def unit(points: Array) -> Array:
    """The same directions with length one."""
    scaled: Array = points / np.maximum(length(points), np.float32(1e-6))[..., None]
    return scaled


def norm(x: Array, y: Array, z: Array) -> Array:
    """The Euclidean norm of vectors given by their components."""
    root: Array = np.sqrt(x * x + y * y + z * z)
    return root


def moved(points: Array, origin: Array) -> tuple[Array, Array, Array]:
    """The components of (N, 3) points as seen from another origin."""
    return points[:, 0] - origin[0], points[:, 1] - origin[1], points[:, 2] - origin[2]


def seen_along(points: Array, origin: Array, axes: Array) -> tuple[Array, Array, Array]:
    """The components of (N, 3) points as seen from another origin along other axes."""
    x, y, z = moved(points, origin)
    if axes is UPRIGHT:
        return x, y, z
    first, second, third = (x * axis[0] + y * axis[1] + z * axis[2] for axis in axes)
    return first, second, third


def turned(degrees: float) -> Array:
    """Axes (right, up, forward as rows) of something that faces `degrees` from +z towards +x."""
    angle = np.radians(degrees)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    return np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]], dtype=np.float32)


class Part(Protocol):
    """One piece of a solid: a distance, and the name of what it is made of."""

    @property
    def material(self) -> str:
        """The name under which a painter knows this part."""
        ...

    def distance(self, points: Array) -> Array:
        """Signed distance in metres from each of (N, 3) points, negative inside."""
        ...


@dataclass(frozen=True)
class Cone:
    """A limb: a capsule from `a` to `b` whose radius goes from `start` to `end`."""

    material: str
    a: Array
    b: Array
    start: float
    end: float

    def distance(self, points: Array) -> Array:
        """Signed distance; a little short of the truth where the radius changes fast."""
        ax, ay, az = self.b - self.a
        x, y, z = moved(points, self.a)
        along = np.clip((x * ax + y * ay + z * az) / (ax * ax + ay * ay + az * az), 0, 1)
        away: Array = norm(x - along * ax, y - along * ay, z - along * az)
        distance: Array = away - (self.start + along * (self.end - self.start))
        return distance


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid; `above` keeps only what lies higher than that along its own second axis."""

    material: str
    centre: Array
    radii: Array
    axes: Array = field(default_factory=lambda: UPRIGHT)
    above: float | None = None

    def distance(self, points: Array) -> Array:
        """Signed distance, first order."""
        x, y, z = seen_along(points, self.centre, self.axes)
        rx, ry, rz = self.radii
        scaled = norm(x / rx, y / ry, z / rz)
        steep = np.maximum(norm(x / (rx * rx), y / (ry * ry), z / (rz * rz)), 1e-4)
        distance: Array = scaled * (scaled - 1) / steep
        if self.above is None:
            return distance
        return np.maximum(distance, self.above - y)


@dataclass(frozen=True)
class Block:
    """A box with rounded edges; `half` are its half sizes along its own axes."""

    material: str
    centre: Array
    half: Array
    axes: Array = field(default_factory=lambda: UPRIGHT)
    rounding: float = 0.02

    def distance(self, points: Array) -> Array:
        """Signed distance."""
        x, y, z = seen_along(points, self.centre, self.axes)
        hx, hy, hz = self.half - self.rounding
        x, y, z = np.abs(x) - hx, np.abs(y) - hy, np.abs(z) - hz
        outside = norm(np.maximum(x, 0), np.maximum(y, 0), np.maximum(z, 0))
        inside = np.minimum(np.maximum(np.maximum(x, y), z), 0)
        distance: Array = outside + inside - self.rounding
        return distance


@dataclass(frozen=True)
class Drum:
    """A cylinder with flat ends around the unit vector `axis`: wheels, pulleys, pipes."""

    material: str
    centre: Array
    axis: Array
    radius: float
    half: float

    def distance(self, points: Array) -> Array:
        """Signed distance."""
        ax, ay, az = self.axis
        x, y, z = moved(points, self.centre)
        along = x * ax + y * ay + z * az
        around = norm(x - along * ax, y - along * ay, z - along * az) - self.radius
        ends = np.abs(along) - self.half
        inside = np.minimum(np.maximum(around, ends), 0)
        distance: Array = inside + np.hypot(np.maximum(around, 0), np.maximum(ends, 0))
        return distance


Group = tuple[Part, ...]


@dataclass(frozen=True)
class Bound:
    """A box from `low` to `high`, wider by `radius` all around; a ball where both corners are the same."""

    low: Array
    high: Array
    radius: float = 0.0

    def distance(self, points: Array) -> Array:
        """Signed distance to the box's rounded outside."""
        x, y, z = (
            np.maximum(np.maximum(self.low[axis] - points[:, axis], points[:, axis] - self.high[axis]), 0)
            for axis in range(3)
        )
        return norm(x, y, z) - np.float32(self.radius)


@dataclass(frozen=True)
class Solid:
    """Parts that belong together, in the box from `low` to `high`; a group's parts melt together over `melt` metres.

    Far from a group's bound the bound stands for its group; None where a group is everywhere.
    """

    groups: Sequence[Group]
    melt: float
    low: Array
    high: Array
    bounds: Sequence[Bound | None]
    casts_shadow: bool = True

    def distance(self, points: Array) -> Array:
        """Signed distance to the nearest part; never more than the truth."""
        points = np.asfortranarray(points)  # whole columns side by side: twice as fast
        nearest = np.full(len(points), np.inf, dtype=np.float32)
        for group, bound in zip(self.groups, self.bounds, strict=True):
            if bound is None:
                nearest = np.minimum(nearest, whole(group, points, self.melt))
                continue
            apart = bound.distance(points)
            close = np.flatnonzero(apart < CLOSE)
            apart[close] = whole(group, np.asfortranarray(points[close]), self.melt)
            nearest = np.minimum(nearest, apart)
        return nearest

    def parts(self) -> list[Part]:
        """All parts in a fixed order: `nearest_part` counts along it."""
        return [part for group in self.groups for part in group]

    def nearest_part(self, points: Array) -> NDArray[np.int64]:
        """The index in `parts()` of the part that each point lies on."""
        points = np.asfortranarray(points)
        nearest: NDArray[np.int64] = np.argmin(np.stack([part.distance(points) for part in self.parts()]), axis=0)
        return nearest


def whole(group: Group, points: Array, melt: float) -> Array:
    """Signed distance to the parts of one group, melted together."""
    distance = group[0].distance(points)
    for part in group[1:]:
        distance = melted(distance, part.distance(points), melt)
    return distance


def body(groups: Sequence[Sequence[Part]], melt: float, low: Array, high: Array) -> Solid:
    """A solid of small parts, with a ball around each group."""
    bounds = []
    for group in groups:
        balls = [ball_around(part) for part in group]
        middle = np.mean([ball[:3] for ball in balls], axis=0)
        radius = max(float(length(ball[:3] - middle)) + float(ball[3]) for ball in balls)
        middle = middle.astype(np.float32)
        bounds.append(Bound(middle, middle, radius))
    return Solid([tuple(group) for group in groups], melt, low, high, bounds)


def ball_around(part: Part) -> Array:
    """The centre and radius (x, y, z, radius) of a ball that holds a limb, ellipsoid, box or cylinder."""
    match part:
        case Cone():
            return np.append((part.a + part.b) / 2, length(part.b - part.a) / 2 + max(part.start, part.end))
        case Ellipsoid():
            return np.append(part.centre, part.radii.max())
        case Block():
            return np.append(part.centre, length(part.half))
        case Drum():
            return np.append(part.centre, np.hypot(part.radius, part.half))
    raise TypeError(f"{type(part).__name__} has no end: it cannot move.")


def melted(first: Array, second: Array, over: float) -> Array:
    """The union of two fields whose seam is rounded over that many metres."""
    if over <= 0:
        return np.minimum(first, second)
    overlap = np.maximum(np.float32(over) - np.abs(first - second), 0) / np.float32(over)
    joined: Array = np.minimum(first, second) - overlap * overlap * np.float32(over / 4)
    return joined


def march(
    origin: Array,
    rays: Array,
    distance: Distance,
    near: Array | float,
    far: float,
    *,
    steps: int = 60,
    pace: float = 0.9,
) -> Array:
    """How far along each unit ray (N, 3) the surface lies, in metres; inf where there is none before `far`."""
    travelled: Array = np.broadcast_to(np.asarray(near, dtype=np.float32), (len(rays),)).copy()
    found = np.full(len(rays), np.inf, dtype=np.float32)
    going = np.flatnonzero(travelled < far)
    for _ in range(steps):
        if not len(going):
            break
        along = travelled[going]
        gap = distance(origin + rays[going] * along[:, None])
        hit = gap < np.float32(0.0012) * along
        found[going[hit]] = along[hit]
        along = along + gap * np.float32(pace)
        travelled[going] = along
        going = going[~hit & (along < far)]
    return found


def normals(points: Array, distance: Distance, reach: float = 0.004) -> Array:
    """Unit normals of the field at (N, 3) points, by four samples each."""
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], dtype=np.float32)
    slope: Array = np.zeros_like(points)
    for corner in corners:
        slope += corner * distance(points + corner * np.float32(reach))[:, None]
    return unit(slope)
