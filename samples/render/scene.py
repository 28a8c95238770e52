"""One camera's view: the still roadway drawn once, and what moves drawn into it frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from samples.render.camera import Camera
from samples.render.mine import Roadway, haze, occlusion
from samples.render.paint import Lamp, Paint, lit
from samples.render.shape import Array, Solid, length, march, normals, vector

FAR = 45.0
FINER = 3  # half pixels: the still picture's light is computed this much finer
DUST = 0.012
FILL = 5.0  # power of the light beside the camera, which whatever moves is seen by
DUST_LIGHT = (0.10, 0.097, 0.09)


class Moving(Protocol):
    """A solid that can be painted: a worker or a vehicle."""

    @property
    def solid(self) -> Solid:
        """Where it is."""
        ...

    def paint(self, points: Array) -> Paint:
        """What it looks like at (N, 3) points on its surface."""
        ...


@dataclass
class View:
    """Light (H, W, 3), distance (H, W) and each lamp's share (lamps, H, W) as a camera sees them."""

    camera: Camera
    rays: Array
    light: Array
    distance: Array
    share: Array

    def copy(self) -> View:
        """A view whose light and distance may be drawn over."""
        return View(self.camera, self.rays, self.light.copy(), self.distance.copy(), self.share)

    def points(self, rows: Array, columns: Array) -> Array:
        """The places (N, 3) that those pixels show."""
        seen: Array = vector(*self.camera.eye) + self.rays[rows, columns] * self.distance[rows, columns, None]
        return seen


def still(camera: Camera, mine: Roadway, width: int, height: int) -> View:
    """The roadway with nobody in it; its light is taken finer than the pixels and averaged."""
    fine_width, fine_height = width * FINER // 2, height * FINER // 2
    fine = camera.rays(fine_width, fine_height).reshape(-1, 3)
    light = seen(camera, mine, fine)[0].reshape(fine_height, fine_width, 3)
    rays = camera.rays(width, height)
    _, far, share = seen(camera, mine, rays.reshape(-1, 3))
    return View(
        camera,
        rays,
        cv2.resize(light, (width, height), interpolation=cv2.INTER_AREA),
        far.reshape(height, width),
        share.reshape(-1, height, width),
    )


def seen(camera: Camera, mine: Roadway, rays: Array) -> tuple[Array, Array, Array]:
    """Light (N, 3), distance (N,) and the lamps' shares (lamps, N) along unit rays (N, 3)."""
    eye = vector(*camera.eye)
    far = np.minimum(march(eye, rays, mine.solid.distance, 0.05, FAR, steps=110), FAR)
    points = eye + rays * far[:, None]
    facing = normals(points, mine.solid.distance)
    openness = occlusion(points, facing, mine.solid)
    paint, rough = mine.paint(points, facing)
    light = lit(points, rough, rays, paint, mine.lamps) * openness[:, None]
    share = np.stack([lamp_share(points, facing, lamp) for lamp in mine.lamps])
    share /= np.maximum(share.sum(axis=0), 1e-6)
    air = haze(far, DUST)[:, None]
    return light * air + np.array(DUST_LIGHT, np.float32) * (1 - air), far, share


def lamp_share(points: Array, facing: Array, lamp: Lamp) -> Array:
    """How much of one lamp's light falls on each point, not scaled."""
    way = lamp.place - points
    far = length(way)
    slant = np.clip(np.einsum("ij,ij->i", facing, way) / np.maximum(far, 1e-3) + 0.15, 0.02, None)
    arriving: Array = np.float32(lamp.power) * slant / (1 + far * far)
    return arriving


def draw(view: View, movers: Sequence[Moving], lamps: Sequence[Lamp]) -> None:
    """Draw movers into the view, nearest in front, with their shadows on what is there."""
    for mover in movers:
        if mover.solid.casts_shadow:
            cast_shadow(view, mover.solid, lamps)
    beside = Lamp(vector(*view.camera.eye) - vector(0, 0.5, 0), FILL)
    for mover in movers:
        draw_one(view, mover, [*lamps, beside])


def window(view: View, low: Array, high: Array, margin: int) -> tuple[slice, slice] | None:
    """The pixels that a box of the world can cover; None where it is out of the picture."""
    height, width = view.distance.shape
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    pixels = view.camera.pixels(corners.astype(np.float32), width, height)
    if np.isnan(pixels).all():
        return None
    left, top = np.nanmin(pixels, axis=0) - margin
    right, bottom = np.nanmax(pixels, axis=0) + margin
    if np.isnan(pixels).any():
        left, top, right, bottom = 0, 0, width, height
    x0, x1 = int(np.clip(left, 0, width)), int(np.clip(right + 1, 0, width))
    y0, y1 = int(np.clip(top, 0, height)), int(np.clip(bottom + 1, 0, height))
    return (slice(y0, y1), slice(x0, x1)) if x1 > x0 and y1 > y0 else None


def draw_one(view: View, mover: Moving, lamps: Sequence[Lamp]) -> None:
    """Draw one mover where it is nearer than what is there."""
    place = window(view, mover.solid.low, mover.solid.high, 2)
    if place is None:
        return
    rays = view.rays[place].reshape(-1, 3)
    eye = vector(*view.camera.eye)
    near, last = crossing(eye, rays, mover.solid)
    behind = view.distance[place].reshape(-1)
    candidates = np.flatnonzero((near < last) & (near < behind))
    if not len(candidates):
        return
    far = float(last[candidates].max())
    hit = march(eye, rays[candidates], mover.solid.distance, near[candidates], far, steps=48)
    seen = hit < behind[candidates]
    candidates, hit = candidates[seen], hit[seen]
    if not len(candidates):
        return
    points = eye + rays[candidates] * hit[:, None]
    facing = normals(points, mover.solid.distance, 0.006)
    openness = 0.55 + 0.45 * occlusion(points, facing, mover.solid, (0.1,))
    light = lit(points, facing, rays[candidates], mover.paint(points), lamps) * openness[:, None]
    air = haze(hit, DUST)[:, None]
    picture = view.light[place].reshape(-1, 3)
    picture[candidates] = light * air + np.array(DUST_LIGHT, np.float32) * (1 - air)
    behind[candidates] = hit
    view.light[place] = picture.reshape(view.light[place].shape)
    view.distance[place] = behind.reshape(view.distance[place].shape)


def crossing(eye: Array, rays: Array, solid: Solid) -> tuple[Array, Array]:
    """Where each ray enters and leaves the solid's box, in metres along it; enters after it leaves where it misses."""
    slope = 1 / np.where(np.abs(rays) < 1e-6, np.float32(1e-6), rays)
    one, other = (solid.low - eye) * slope, (solid.high - eye) * slope
    near = np.minimum(one, other).max(axis=1)
    last = np.maximum(one, other).min(axis=1)
    return np.maximum(near, 0.05), last


def cast_shadow(view: View, solid: Solid, lamps: Sequence[Lamp]) -> None:
    """Darken what lies near a solid: its contact, and the shadows that the two strongest lamps throw."""
    reach = vector(1.5, 0.0, 1.5)
    place = window(view, solid.low - reach, solid.high + reach - vector(0, 1.0, 0), 2)
    if place is None:
        return
    distance = view.distance[place]
    eye = vector(*view.camera.eye)
    points = eye + view.rays[place].reshape(-1, 3) * distance.reshape(-1, 1)
    middle = (solid.low + solid.high) / 2
    apart = np.hypot(points[:, 0] - middle[0], points[:, 2] - middle[2])
    size = float(max(solid.high[0] - solid.low[0], solid.high[2] - solid.low[2])) / 2
    chosen = np.flatnonzero(apart < size + 1.4)
    if not len(chosen):
        return
    points = points[chosen]
    shade = np.ones(len(chosen), dtype=np.float32)
    gap = solid.distance(points)
    shade *= 1 - 0.45 * np.exp(-np.clip(gap, 0, None) / 0.12)
    share = view.share[(slice(None), *place)].reshape(len(lamps), -1)[:, chosen]
    strength = share.mean(axis=1)
    for number in np.argsort(-strength)[:2]:
        dark = 1 - lamp_reaches(points, lamps[int(number)], solid)
        shade *= 1 - 0.85 * dark * share[int(number)]
    picture = view.light[place].reshape(-1, 3)
    picture[chosen] *= shade[:, None]
    view.light[place] = picture.reshape(view.light[place].shape)


def lamp_reaches(points: Array, lamp: Lamp, solid: Solid) -> Array:
    """What part of a lamp's light passes a solid on its way to each point, with a soft edge."""
    way = lamp.place - points
    far = length(way)
    way = way / np.maximum(far, 1e-3)[:, None]
    passed = np.ones(len(points), dtype=np.float32)
    along = np.full(len(points), 0.06, dtype=np.float32)
    for _ in range(10):
        gap = solid.distance(points + way * along[:, None])
        passed = np.minimum(passed, np.clip(5 * gap / along + 0.1, 0, 1))
        along = along + np.clip(gap, 0.05, 0.5)
    return passed
