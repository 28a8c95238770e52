"""What moves beside people: a loaded belt, smoke, and a cloth before the lens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import cv2
import numpy as np

from samples.render.mine import BELT_HEIGHT
from samples.render.paint import Paint
from samples.render.shape import Array, Block, Solid, vector
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
        loaded = np.abs(across) < 0.72 + 0.1 * sample(_edge(), np.full_like(along, 0.3), along)
        paint.colour[loaded] = (_COAL * (0.15 + 1.1 * height[:, None]))[loaded]
        paint.gloss[loaded] = 0.35 * height[loaded]
        paint.set(np.abs(across) > 0.94, (0.10, 0.10, 0.105), 0.1)
        return paint


@cache
def _coal() -> Array:
    return lumps(21)


@cache
def _edge() -> Array:
    return noise(22, 256, 1.2)


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
    """A cloth that is drawn over the lens from above at second ``start`` and taken off at ``end``."""
    weave = cv2.GaussianBlur(noise(41, 512, 0.9), (0, 0), 3)

    def weather(light: Array, seconds: float) -> Array:
        down = float(np.clip((seconds - start) / 0.5, 0, 1) - np.clip((seconds - end) / 0.5, 0, 1))
        if down <= 0:
            return light
        height, width = light.shape[:2]
        edge = int(height * down)
        cloth = 0.006 + 0.002 * cv2.resize(weave, (width, height))
        result = light.copy()
        result[:edge] = np.clip(cloth[:edge], 0.001, 1)[..., None]
        return result

    return weather
