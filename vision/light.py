"""How bright a camera's pictures are over hours and days, remembered in three figures."""

from typing import NamedTuple

import msgspec

SECONDS = 60.0
"""Over about this long brightness is averaged, so that a passing lamp or a person before the lens does not count."""

LEAST_SECONDS = 3600.0
"""A change is told after this long at the earliest: a shorter one may be a lamp that somebody carried by."""

DIMMED = 0.75
"""Darker: less than this share of the brightness that there was at first."""


class Light(msgspec.Struct, frozen=True):
    """The averaged brightness (0..255) at first and now, with the captured times that they are of (epoch seconds)."""

    first: float
    since: float
    now: float
    at: float


class Dimming(NamedTuple):
    """The share of the first brightness that is left, after how many hours, and in how many more it is at the floor."""

    share: float
    hours: float
    hours_left: float


def follow_light(light: Light | None, brightness: float, captured_at: float) -> Light:
    """What is remembered once another picture was seen; a clock that went back begins it anew."""
    if light is None or captured_at < light.at:
        return Light(brightness, captured_at, brightness, captured_at)
    now = light.now + (brightness - light.now) * min(1.0, (captured_at - light.at) / SECONDS)
    first = now if captured_at - light.since < SECONDS else light.first
    return Light(first, light.since, now, captured_at)


def dimming(light: Light, floor: float) -> Dimming | None:
    """How much darker the camera got; None where it did not, or has not been watched for long enough."""
    seconds = light.at - light.since
    if seconds < LEAST_SECONDS or light.now >= DIMMED * light.first:
        return None
    rate = (light.first - light.now) / seconds
    return Dimming(light.now / light.first, seconds / 3600, max(0.0, light.now - floor) / rate / 3600)
