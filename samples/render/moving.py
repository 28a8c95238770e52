"""What moves beside people: a loaded belt and what falls off it, a locomotive, smoke, a cloth before the lens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import cv2
import numpy as np

from samples.render.mine import BELT_HEIGHT
from samples.render.paint import Paint
from samples.render.shape import Array, Block, Drum, Ellipsoid, Part, Solid, body, turned, vector
from samples.render.texture import lumps, noise, sample

_HALF = 0.50
_NEAR, _FAR = 1.0, 26.0
_RUBBER = (0.028, 0.028, 0.03)
_COAL = np.array((0.16, 0.16, 0.17), np.float32)


@dataclass
class Belt:
    """A loaded belt whose middle lies at ``x``, after it has ``travelled`` so many metres."""

    x: float
    travelled: float
    solid: Solid = field(init=False)

    def __post_init__(self) -> None:
        middle, reach = (_NEAR + _FAR) / 2, (_FAR - _NEAR) / 2
        belt = Block("belt", vector(self.x, BELT_HEIGHT - 0.03, middle), vector(_HALF, 0.02, reach), rounding=0.01)
        low = vector(self.x - _HALF, BELT_HEIGHT - 0.08, _NEAR)
        high = vector(self.x + _HALF, BELT_HEIGHT + 0.02, _FAR)
        self.solid = Solid([(belt,)], 0.0, low, high, [None], casts_shadow=False)

    def paint(self, points: Array) -> Paint:
        """Rubber at the edges, coal in the middle, moving towards the camera."""
        paint = Paint.plain(len(points), _RUBBER, gloss=0.12)
        across = (points[:, 0] - self.x) / _HALF
        along = (points[:, 2] + self.travelled) / 2.4
        height = sample(_coal(), across / 2.2, along)
        slope = height - sample(_coal(), across / 2.2 + 0.006, along + 0.006)
        shine = np.clip(0.30 + 0.25 * height + 2.4 * slope, 0.05, 1.3)
        loaded = np.abs(across) < 0.72 + 0.1 * sample(_edge(), np.full_like(along, 0.3), along)
        paint.colour[loaded] = (_COAL * shine[:, None])[loaded]
        paint.gloss[loaded] = 0.10 * shine[loaded]
        paint.set(np.abs(across) > 0.94, (0.10, 0.10, 0.105), 0.1)
        return paint


@cache
def _coal() -> Array:
    return lumps(21)


@cache
def _edge() -> Array:
    return noise(22, 256, 1.2)


class Spill:
    """Coal beside the belt around (x, z), of which the share `fallen` (0..1) lies there."""

    def __init__(self, x: float, z: float, fallen: float) -> None:
        rng = np.random.default_rng(23)
        count = 1 + int(fallen * 54)
        lumps_there: list[Part] = []
        for place, size in zip(
            rng.normal(0, 1, (55, 2)), rng.uniform((0.03, 0.02, 0.03), (0.085, 0.055, 0.085), (55, 3)), strict=True
        ):
            if len(lumps_there) == count:
                break
            centre = vector(x + 0.13 * float(place[0]), 0.02 + 0.04 * float(rng.random()), z + 0.55 * float(place[1]))
            lumps_there.append(Ellipsoid("coal", centre, size.astype(np.float32), turned(float(rng.uniform(0, 180)))))
        groups = [tuple(lumps_there[at : at + 8]) for at in range(0, len(lumps_there), 8)]
        self.solid = body(groups, 0.0, vector(x - 0.6, -0.02, z - 2.2), vector(x + 0.6, 0.2, z + 2.2))

    def paint(self, points: Array) -> Paint:
        """Black and a little shiny."""
        return Paint.plain(len(points), (0.045, 0.045, 0.05), gloss=0.25)


class Locomotive:
    """A battery locomotive on the track at `x`, its front at `z` metres."""

    def __init__(self, x: float, z: float) -> None:
        self._front = z
        groups: list[tuple[Part, ...]] = [
            (Block("hull", vector(x, 0.72, z + 1.6), vector(0.58, 0.40, 1.55), rounding=0.06),),
            (Block("cab", vector(x, 1.32, z + 2.1), vector(0.52, 0.36, 0.62), rounding=0.05),),
            (Block("bumper", vector(x, 0.52, z + 0.02), vector(0.48, 0.12, 0.10), rounding=0.03),),
            tuple(
                Drum("light", vector(x + side, 0.92, z + 0.04), vector(0, 0, 1), 0.10, 0.03) for side in (-0.34, 0.34)
            ),
            tuple(
                Drum("wheel", vector(x + side, 0.30, z + along), vector(1, 0, 0), 0.20, 0.05)
                for side in (-0.46, 0.46)
                for along in (0.6, 2.5)
            ),
        ]
        self.solid = body(groups, 0.0, vector(x - 0.62, 0.05, z - 0.12), vector(x + 0.62, 1.72, z + 3.2))

    def paint(self, points: Array) -> Paint:
        """Yellow with black stripes at the front, dark windows, lights on."""
        names = np.array([part.material for part in self.solid.parts()])[self.solid.nearest_part(points)]
        paint = Paint.plain(len(points), (0.62, 0.36, 0.03), gloss=0.3)
        paint.set(names == "cab", (0.50, 0.29, 0.03), 0.3)
        window = (names == "cab") & (points[:, 1] > 1.28) & (points[:, 1] < 1.56)
        paint.set(window, (0.03, 0.04, 0.05), 0.9)
        stripes = np.mod((points[:, 0] + points[:, 1]) / 0.22, 1) < 0.5
        low = (names == "hull") & (points[:, 2] < self._front + 0.12) & (points[:, 1] < 0.62) & stripes
        paint.set(low, (0.03, 0.03, 0.03), 0.2)
        paint.set(np.isin(names, ["bumper", "wheel"]), (0.05, 0.05, 0.05), 0.3)
        paint.set(names == "light", (1.0, 0.96, 0.85), glow=2.0)
        return paint


def smoky(start: float, thick: float) -> Callable[[Array, float], Array]:
    """Smoke that begins at second ``start`` and is thickest at ``thick``, rising and drifting."""
    cloud = noise(31, 512, 1.7)

    def weather(light: Array, seconds: float) -> Array:
        grown = float(np.clip((seconds - start) / (thick - start), 0, 1))
        if grown <= 0:
            return light
        height, width = light.shape[:2]
        v, u = np.mgrid[0:height, 0:width].astype(np.float32)
        u, v = u / width, v / height
        slow = sample(cloud, u * 0.7 - 0.05 * seconds, v * 0.6 + 0.11 * seconds)
        shape = slow.reshape(height, width)
        source = np.exp(-(((u - 0.30) / (0.18 + 0.5 * grown)) ** 2 + ((v - 0.55) / (0.30 + 0.6 * grown)) ** 2))
        dense = np.clip(grown * 1.6 * source * (0.75 + 0.35 * shape), 0, 0.96)[..., None]
        mixed: Array = light * (1 - dense) + np.array((0.115, 0.113, 0.11), np.float32) * dense
        return mixed

    return weather


def covered(start: float, end: float) -> Callable[[Array, float], Array]:
    """A cloth that falls over the lens at second ``start`` and is taken off at ``end``."""
    weave = cv2.GaussianBlur(noise(41, 512, 0.9), (0, 0), 3)

    def weather(light: Array, seconds: float) -> Array:
        down = float(np.clip((seconds - start) / 0.1, 0, 1) - np.clip((seconds - end) / 0.1, 0, 1))
        if down <= 0:
            return light
        height, width = light.shape[:2]
        edge = int(height * down)
        cloth = 0.0016 + 0.0005 * cv2.resize(weave, (width, height))
        result = light.copy()
        result[:edge] = np.clip(cloth[:edge], 0.0004, 1)[..., None]
        return result

    return weather
