"""A mine worker: joints that walk, flesh and clothes around them, and the paint on both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from samples.render.paint import Paint
from samples.render.shape import Array, Block, Cone, Drum, Ellipsoid, Part, Solid, body, turned, unit, vector

Colour = tuple[float, float, float]
Place = Callable[[float, float, float], Array]

HELMETS: dict[str, Colour] = {
    "yellow": (0.93, 0.68, 0.06),
    "white": (0.90, 0.90, 0.88),
    "red": (0.74, 0.09, 0.06),
    "blue": (0.08, 0.24, 0.62),
}
VESTS: dict[str, Colour] = {"orange": (0.95, 0.30, 0.04), "lime": (0.70, 0.86, 0.12)}
SILVER: Colour = (0.86, 0.88, 0.88)
DARK: Colour = (0.03, 0.03, 0.035)


@dataclass(frozen=True)
class Worker:
    """How one worker looks; `helmet` None is a bare head."""

    helmet: str | None = "yellow"
    vest: str = "orange"
    height: float = 1.76
    skin: Colour = (0.80, 0.56, 0.43)
    hair: Colour = (0.022, 0.018, 0.017)
    overall: Colour = (0.085, 0.115, 0.20)


@dataclass(frozen=True)
class Pose:
    """Where a worker stands (metres, on the floor), where he faces (degrees from +z towards +x), and how.

    `stride` counts double steps walked; `pace` 0 stands and 1 walks; `bend` leans the trunk forward (degrees);
    `reach` lifts both arms forward (0..1); `lift` raises the feet above the floor (metres).
    """

    x: float
    z: float
    facing: float
    stride: float = 0.0
    pace: float = 1.0
    bend: float = 4.0
    reach: float = 0.0
    lift: float = 0.0
    glance: float = 0.0


@dataclass(frozen=True)
class Figure:
    """A worker in a pose: the solid and what paints it."""

    solid: Solid
    worker: Worker
    head: Array
    head_axes: Array
    chest: Array
    chest_axes: Array
    scale: float
    ankles: tuple[Array, Array]
    knees: tuple[Array, Array]
    materials: list[str] = field(default_factory=list)

    def paint(self, points: Array) -> Paint:
        """Colour, gloss and glow of (N, 3) points on the surface."""
        parts = self.solid.nearest_part(points)
        names = np.array(self.materials)[parts]
        paint = Paint.plain(len(points), self.worker.overall, gloss=0.04)
        self._trunk(points, names, paint)
        self._limbs(points, names, paint)
        self._head(points, names, paint)
        self._gear(points, names, paint)
        return paint

    def _trunk(self, points: Array, names: Array, paint: Paint) -> None:
        local = (points - self.chest) @ self.chest_axes.T / self.scale
        side, up, front = np.abs(local[:, 0]), local[:, 1], local[:, 2]
        trunk = names == "trunk"
        vest = trunk & (up > -0.26)
        paint.set(vest, VESTS[self.worker.vest], gloss=0.05)
        bands = ((up > -0.20) & (up < -0.145)) | ((up > -0.06) & (up < -0.005))
        straps = (side > 0.075) & (side < 0.125) & (up > -0.005)
        paint.set(vest & (bands | straps), SILVER, gloss=0.5, glow=0.10)
        opening = vest & (front > 0) & (side < 0.010)
        paint.set(opening, DARK)
        collar = trunk & (up > 0.195) & (side < 0.085)
        paint.set(collar, self.worker.overall)
        paint.set(trunk & (up > -0.315) & (up < -0.265), (0.07, 0.05, 0.035), gloss=0.2)

    def _limbs(self, points: Array, names: Array, paint: Paint) -> None:
        for knee, ankle in zip(self.knees, self.ankles, strict=True):
            axis = ankle - knee
            along = (points - knee) @ axis / (axis @ axis)
            near = np.linalg.norm(points - (knee + along[:, None] * axis), axis=1) < 0.13 * self.scale
            band = (names == "leg") & near & (along > 0.38) & (along < 0.52)
            paint.set(band, SILVER, gloss=0.5, glow=0.08)
        paint.set(names == "cuff", SILVER, gloss=0.5, glow=0.08)
        paint.set(names == "hand", (0.30, 0.27, 0.22))
        paint.set(names == "boot", (0.035, 0.035, 0.04), gloss=0.3)

    def _head(self, points: Array, names: Array, paint: Paint) -> None:
        local = (points - self.head) @ self.head_axes.T / self.scale
        side, up, front = local[:, 0], local[:, 1], local[:, 2]
        skin = np.isin(names, ["head", "neck", "ear", "nose"])
        paint.set(skin, self.worker.skin, gloss=0.12)
        cheeks = (names == "head") & (front > 0.04) & (up < -0.01) & (up > -0.05) & (np.abs(side) > 0.025)
        paint.tint(cheeks, (1.06, 0.94, 0.92))
        hairline = np.where(front > 0.03, 0.082 - 0.35 * np.abs(side), np.where(front > -0.015, 0.010, -0.055))
        paint.set((names == "head") & (up > hairline), self.worker.hair, gloss=0.10)
        eyes = (np.abs(np.abs(side) - 0.031) < 0.011) & (np.abs(up - 0.008) < 0.006) & (front > 0.04)
        brows = (np.abs(np.abs(side) - 0.033) < 0.017) & (np.abs(up - 0.030) < 0.004) & (front > 0.04)
        mouth = (np.abs(side) < 0.024) & (np.abs(up + 0.062) < 0.006) & (front > 0.03)
        paint.set((names == "head") & eyes, (0.05, 0.035, 0.03))
        paint.set((names == "head") & brows, self.worker.hair)
        paint.set((names == "head") & mouth, tuple(0.55 * c for c in self.worker.skin))
        paint.tint((names == "head") & (up < -0.075), (0.78, 0.76, 0.76))
        paint.set(names == "hair", self.worker.hair)
        self._strands(local, (names == "hair") | ((names == "head") & (up > hairline)), paint)

    def _strands(self, local: Array, hair: Array, paint: Paint) -> None:
        x, y, z = (local * 180).T
        strands = np.sin(1.3 * x + np.sin(0.9 * y)) * np.sin(1.1 * y + z) * np.sin(1.2 * z + 0.5 * x)
        paint.colour[hair] *= np.clip(1.3 + 1.2 * strands[hair], 0.5, 3)[:, None]
        paint.gloss[hair] = 0

    def _gear(self, points: Array, names: Array, paint: Paint) -> None:
        shell = HELMETS[self.worker.helmet or "yellow"]
        paint.set(names == "shell", shell, gloss=0.55)
        local = (points - self.head) @ self.head_axes.T / self.scale
        tape = (names == "shell") & (np.abs(local[:, 1] - 0.075) < 0.009) & (np.abs(local[:, 0]) > 0.05)
        paint.set(tape, SILVER, gloss=0.5, glow=0.1)
        paint.set(names == "brim", tuple(0.93 * c for c in shell), gloss=0.5)
        paint.set(names == "lamp", (0.06, 0.06, 0.06), gloss=0.4)
        paint.set(names == "bulb", (1.0, 0.97, 0.88), glow=1.6)
        paint.set(names == "strap", DARK)
        paint.set(names == "rescuer", (0.42, 0.44, 0.46), gloss=0.4)
        paint.set(names == "battery", (0.05, 0.05, 0.055), gloss=0.3)


def stand(worker: Worker, pose: Pose) -> Figure:
    """The figure of a worker in a pose."""
    scale = worker.height / 1.76
    facing = turned(pose.facing)
    swing = 2 * np.pi * pose.stride
    bob = 0.022 * pose.pace * np.cos(2 * swing)
    ground = vector(pose.x, pose.lift, pose.z)

    def place(side: float, up: float, front: float) -> Array:
        return ground + vector(side, up, front) @ facing * scale

    hips = vector(0, 0.93 + bob - 0.10 * np.sin(np.radians(max(pose.bend - 10, 0))), 0)
    lean = np.radians(pose.bend)
    sway = 6 * pose.pace * np.sin(swing)
    trunk_axes = _leaned(facing, float(lean), float(sway) * 0.5)

    def trunk(side: float, up: float, front: float) -> Array:
        return place(*hips) + vector(side, up, front) @ trunk_axes * scale

    chest = trunk(0, 0.33, 0)
    head_axes = _leaned(turned(pose.facing + pose.glance), float(lean) * 0.55 + 0.05, 0)
    neck = trunk(0, 0.56, 0.0)
    head = neck + vector(0, 0.145, 0.025) @ head_axes * scale
    legs, knees, ankles = _legs(place, hips, swing, pose, scale)
    groups: list[list[Part]] = [
        _trunk(trunk, trunk_axes, scale),
        *legs,
        *_arms(trunk, swing, pose, scale),
        _face(head, head_axes, neck, scale, bare=worker.helmet is None),
        *([part] for part in _carried(trunk, trunk_axes, scale)),
    ]
    if worker.helmet is not None:
        groups.append(_helmet(head, head_axes, scale))
    reach = vector(0.75, 0, 0.75) * scale
    low, high = ground - reach - vector(0, 0.02, 0), ground + reach + vector(0, 2.02 * scale, 0)
    solid = body(groups, 0.02 * scale, low, high)
    materials = [part.material for part in solid.parts()]
    return Figure(solid, worker, head, head_axes, chest, trunk_axes, scale, ankles, knees, materials)


def _leaned(axes: Array, pitch: float, twist: float) -> Array:
    """The axes tipped forward by `pitch` radians after a twist of that many degrees."""
    right, up, front = turned(twist) @ axes
    tipped = np.stack([right, up * np.cos(pitch) + front * np.sin(pitch), front * np.cos(pitch) - up * np.sin(pitch)])
    return tipped.astype(np.float32)


def _legs(
    place: Place, hips: Array, swing: float, pose: Pose, scale: float
) -> tuple[list[list[Part]], tuple[Array, Array], tuple[Array, Array]]:
    parts: list[list[Part]] = []
    knees: list[Array] = []
    ankles: list[Array] = []
    for side in (-1, 1):
        phase = swing + (np.pi if side > 0 else 0)
        thigh = np.radians(24) * pose.pace * np.sin(phase) + np.radians(2)
        bent = np.radians(8) + np.radians(46) * pose.pace * max(0.0, float(np.cos(phase))) ** 1.3
        bent += np.radians(max(pose.bend - 10, 0)) * 0.45
        thigh += np.radians(max(pose.bend - 10, 0)) * 0.35
        hip = hips + vector(0.095 * side, 0, 0)
        knee = hip + vector(0.01 * side, -0.42 * np.cos(thigh), 0.42 * np.sin(thigh))
        shin = thigh - bent
        ankle = knee + vector(0, -0.42 * np.cos(shin), 0.42 * np.sin(shin))
        ankle[1] = max(float(ankle[1]), 0.075)
        pitch = min(float(bent) * 0.6, 0.6) * pose.pace
        toe = ankle + vector(0.02 * side, -0.045 - 0.13 * np.sin(pitch), 0.16)
        toe[1] = max(float(toe[1]), 0.035)
        heel = ankle + vector(0, -0.04, -0.035)
        points = [place(*p) for p in (hip, knee, ankle, toe, heel)]
        leg: list[Part] = [
            Cone("leg", points[0], points[1], 0.098 * scale, 0.074 * scale),
            Cone("leg", points[1], points[2], 0.076 * scale, 0.060 * scale),
            Cone("boot", points[4], points[3], 0.046 * scale, 0.042 * scale),
            Cone("boot", points[2], points[4], 0.056 * scale, 0.046 * scale),
        ]
        parts.append(leg)
        knees.append(points[1])
        ankles.append(points[2])
    return parts, (knees[0], knees[1]), (ankles[0], ankles[1])


def _trunk(trunk: Place, axes: Array, scale: float) -> list[Part]:
    return [
        Ellipsoid("trunk", trunk(0, 0.00, 0), vector(0.165, 0.135, 0.125) * scale, axes),
        Ellipsoid("trunk", trunk(0, 0.18, 0.005), vector(0.165, 0.22, 0.125) * scale, axes),
        Ellipsoid("trunk", trunk(0, 0.36, 0.0), vector(0.188, 0.20, 0.132) * scale, axes),
        Cone("trunk", trunk(-0.135, 0.485, -0.01), trunk(0.135, 0.485, -0.01), 0.066 * scale, 0.066 * scale),
    ]


def _arms(trunk: Place, swing: float, pose: Pose, scale: float) -> list[list[Part]]:
    parts: list[list[Part]] = []
    for side in (-1, 1):
        phase = swing + (0 if side > 0 else np.pi)
        upper = np.radians(20) * pose.pace * np.sin(phase) + np.radians(62) * pose.reach
        lower = upper + np.radians(16 + 14 * pose.pace) + np.radians(25) * pose.reach
        shoulder = vector(0.195 * side, 0.475, -0.01)
        elbow = shoulder + vector(0.055 * side, -0.285 * np.cos(upper), 0.285 * np.sin(upper))
        wrist = elbow + vector(-0.01 * side, -0.245 * np.cos(lower), 0.245 * np.sin(lower))
        hand = elbow + (wrist - elbow) * 1.36
        cuff = elbow + (wrist - elbow) * 0.35
        band = elbow + (wrist - elbow) * 0.52
        arm: list[Part] = [
            Cone("arm", trunk(*shoulder), trunk(*elbow), 0.064 * scale, 0.052 * scale),
            Cone("arm", trunk(*elbow), trunk(*wrist), 0.051 * scale, 0.040 * scale),
            Cone("cuff", trunk(*cuff), trunk(*band), 0.0525 * scale, 0.050 * scale),
            Cone("hand", trunk(*wrist), trunk(*hand), 0.036 * scale, 0.042 * scale),
        ]
        parts.append(arm)
    return parts


def _face(head: Array, axes: Array, neck: Array, scale: float, *, bare: bool) -> list[Part]:
    def at(side: float, up: float, front: float) -> Array:
        return head + vector(side, up, front) @ axes * scale

    parts: list[Part] = [
        Ellipsoid("head", at(0, 0.025, -0.008), vector(0.080, 0.098, 0.100) * scale, axes),
        Ellipsoid("head", at(0, -0.045, 0.022), vector(0.060, 0.072, 0.070) * scale, axes),
        Cone("neck", neck - vector(0, 0.05, 0), at(0, -0.04, -0.02), 0.062 * scale, 0.056 * scale),
        Ellipsoid("nose", at(0, -0.015, 0.095), vector(0.014, 0.024, 0.018) * scale, axes),
        Ellipsoid("ear", at(-0.080, 0.0, -0.005), vector(0.012, 0.030, 0.018) * scale, axes),
        Ellipsoid("ear", at(0.080, 0.0, -0.005), vector(0.012, 0.030, 0.018) * scale, axes),
    ]
    if bare:
        parts.append(Ellipsoid("hair", at(0, 0.040, -0.040), vector(0.085, 0.092, 0.084) * scale, axes, above=-0.02))
    return parts


def _helmet(head: Array, axes: Array, scale: float) -> list[Part]:
    def at(side: float, up: float, front: float) -> Array:
        return head + vector(side, up, front) @ axes * scale

    return [
        Ellipsoid("shell", at(0, 0.045, -0.005), vector(0.112, 0.118, 0.135) * scale, axes, above=-0.002),
        Ellipsoid("shell", at(0, 0.150, -0.005), vector(0.018, 0.020, 0.110) * scale, axes),
        Ellipsoid("brim", at(0, 0.046, 0.012), vector(0.128, 0.011, 0.160) * scale, axes),
        Ellipsoid("brim", at(0, 0.042, 0.120), vector(0.080, 0.010, 0.062) * scale, axes),
        Drum("lamp", at(0, 0.092, 0.135), unit(vector(0, 0.1, 1) @ axes), 0.029 * scale, 0.022 * scale),
        Drum("bulb", at(0, 0.094, 0.158), unit(vector(0, 0.1, 1) @ axes), 0.019 * scale, 0.006 * scale),
        Cone("strap", at(-0.084, 0.04, 0.03), at(-0.055, -0.085, 0.035), 0.006 * scale, 0.006 * scale),
        Cone("strap", at(0.084, 0.04, 0.03), at(0.055, -0.085, 0.035), 0.006 * scale, 0.006 * scale),
    ]


def _carried(trunk: Place, axes: Array, scale: float) -> list[Part]:
    return [
        Block("rescuer", trunk(-0.185, 0.02, 0.02), vector(0.045, 0.075, 0.07) * scale, axes, 0.02),
        Block("battery", trunk(0.175, 0.03, -0.06), vector(0.035, 0.065, 0.05) * scale, axes, 0.012),
    ]
