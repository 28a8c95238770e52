"""From light to the picture of a cheap camera: exposure, lens, sensor noise."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from samples.render.shape import Array

Picture = NDArray[np.uint8]


def develop(light: Array, size: tuple[int, int], seed: int, *, exposure: float = 2.6, grain: float = 2.2) -> Picture:
    """An 8-bit BGR picture of `size` (width, height) from linear light (H, W, 3) in red, green, blue."""
    exposed = 1 - np.exp(-np.maximum(light, 0) * np.float32(exposure))
    toned = np.power(exposed, np.float32(1 / 2.2))
    grey = toned @ np.array([0.3, 0.59, 0.11], dtype=np.float32)
    toned = 0.88 * toned + 0.12 * grey[..., None]
    small = cv2.resize(toned.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 0.55) * vignette(size)[..., None]
    rng = np.random.default_rng(seed)
    fine = rng.normal(0, grain / 255, (size[1], size[0], 1)).astype(np.float32)
    colour = cv2.resize(rng.normal(0, grain / 255, (size[1] // 2, size[0] // 2, 3)).astype(np.float32), size)
    noisy = small + fine + 0.6 * colour
    picture: Picture = np.clip(noisy[..., ::-1] * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(picture)


def vignette(size: tuple[int, int]) -> Array:
    """The darkening towards the corners, (height, width)."""
    width, height = size
    x = (np.arange(width, dtype=np.float32) / width - 0.5)[None, :]
    y = (np.arange(height, dtype=np.float32) / height - 0.5)[:, None]
    darkening: Array = 1 - 0.42 * (x * x + y * y)
    return darkening.astype(np.float32)
