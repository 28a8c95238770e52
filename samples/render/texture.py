"""Periodic textures made of seeded noise: rock, dust, lumps of coal."""

from __future__ import annotations

import cv2
import numpy as np

from samples.render.shape import Array


def noise(seed: int, size: int = 512, roughness: float = 1.6) -> Array:
    """Cloudy noise (size, size) with mean 0 and deviation 1 that repeats without a seam.

    White noise is filtered to a spectrum of 1/f**roughness; the higher, the smoother.
    """
    white = np.random.default_rng(seed).normal(size=(size, size))
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(white) / frequency**roughness
    spectrum[0, 0] = 0
    cloud = np.fft.irfft2(spectrum, s=(size, size))
    scaled: Array = (cloud / cloud.std()).astype(np.float32)
    return scaled


def lumps(seed: int, size: int = 512, count: int = 2600, largest: int = 26) -> Array:
    """Heights 0..1 (size, size) of a heap of broken lumps, seen from above, without a seam."""
    rng = np.random.default_rng(seed)
    heap = np.zeros((size, size), dtype=np.float32)
    for _ in range(count):
        radius = float(rng.uniform(0.18, 1) ** 2 * largest) + 2
        reach = int(radius * 1.5)
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
        angle, stretch = rng.uniform(0, np.pi), rng.uniform(0.6, 1)
        along = x * np.cos(angle) + y * np.sin(angle)
        across = (y * np.cos(angle) - x * np.sin(angle)) / stretch
        tilt = rng.uniform(-0.35, 0.35, 2)
        facets = np.maximum(np.abs(along), np.abs(across)) * 0.6 + np.hypot(along, across) * 0.4
        lump = np.clip(1 - facets / radius, 0, None) * (1.6 + tilt[0] * along / radius + tilt[1] * across / radius)
        lump = np.minimum(lump, 0.55 + 0.2 * along / radius * tilt[0]) * (radius / largest) ** 0.7
        cy, cx = rng.integers(0, size, 2)
        rows = np.arange(cy - reach, cy + reach + 1) % size
        columns = np.arange(cx - reach, cx + reach + 1) % size
        heap[np.ix_(rows, columns)] = np.maximum(heap[np.ix_(rows, columns)], lump)
    heights: Array = heap / heap.max()
    return heights


def sample(texture: Array, u: Array, v: Array) -> Array:
    """The texture's values at (u, v) in repeats of the whole texture, any shape of two dimensions or one."""
    size = texture.shape[0]
    shape = u.shape
    flat = (-1, 1) if u.ndim == 1 else shape
    x = np.mod(u, 1).astype(np.float32).reshape(flat) * size
    y = np.mod(v, 1).astype(np.float32).reshape(flat) * size
    if u.ndim == 1:  # remap takes pictures below 32768 rows only
        width = 1024
        padded = -(-len(x) // width) * width
        x = np.resize(x, (padded // width, width))
        y = np.resize(y, (padded // width, width))
    wrapped = np.pad(texture, ((0, 1), (0, 1)), mode="wrap")
    values: Array = cv2.remap(wrapped, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return values.reshape(-1)[: u.size].reshape(shape)
