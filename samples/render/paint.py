"""What a surface looks like before any light falls on it, and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from samples.render.shape import Array, length, unit

FLOOR_LIGHT = 0.055


@dataclass(frozen=True)
class Lamp:
    """A lamp at a place (metres) with a colour and a power: irradiance times square metres."""

    place: Array
    power: float = 3.2
    colour: tuple[float, float, float] = (1.0, 0.94, 0.82)


@dataclass
class Paint:
    """Colour (N, 3) in linear red, green, blue, and gloss and glow (N,) of as many points."""

    colour: Array
    gloss: Array
    glow: Array

    @classmethod
    def plain(cls, count: int, colour: Sequence[float], gloss: float = 0.0) -> Paint:
        """One colour all over."""
        whole = np.empty((count, 3), dtype=np.float32)
        whole[:] = colour
        return cls(whole, np.full(count, gloss, dtype=np.float32), np.zeros(count, dtype=np.float32))

    def set(self, where: Array, colour: Sequence[float], gloss: float = 0.04, glow: float = 0.0) -> None:
        """Paint the points of a mask."""
        self.colour[where] = np.asarray(colour, dtype=np.float32)
        self.gloss[where] = gloss
        self.glow[where] = glow

    def tint(self, where: Array, factors: Sequence[float]) -> None:
        """Multiply the colour of the points of a mask."""
        self.colour[where] *= np.asarray(factors, dtype=np.float32)


def lit(
    points: Array, facing: Array, view: Array, paint: Paint, lamps: Sequence[Lamp], shade: Array | None = None
) -> Array:
    """Linear light (N, 3) from (N, 3) points with normals `facing`, seen along unit rays `view`.

    `shade` is (lamps, N): what part of each lamp's light arrives.
    """
    upward = 0.6 + 0.4 * facing[:, 1]
    light = paint.colour * (FLOOR_LIGHT * upward)[:, None]
    for number, lamp in enumerate(lamps):
        way = lamp.place - points
        far = length(way)
        way = way / np.maximum(far, 1e-3)[:, None]
        arriving = np.float32(lamp.power) / (1.0 + far * far)
        if shade is not None:
            arriving = arriving * shade[number]
        soft = np.clip((np.einsum("ij,ij->i", facing, way) + 0.18) / 1.18, 0, None)
        halfway = unit(way - view)
        shine = np.clip(np.einsum("ij,ij->i", facing, halfway), 0, None) ** 24 * paint.gloss
        light += arriving[:, None] * (paint.colour * soft[:, None] + shine[:, None]) * np.array(lamp.colour, np.float32)
    glowing: Array = light + paint.colour * paint.glow[:, None]
    return glowing
