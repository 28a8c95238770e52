"""A pinhole camera on the roof of a roadway."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samples.render.shape import Array, unit, vector


@dataclass(frozen=True)
class Camera:
    """Where it hangs, what it looks at (metres), and how wide it sees (degrees across)."""

    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    across: float = 62.0

    def axes(self) -> Array:
        """Right, up and forward as rows."""
        forward = unit(vector(*self.target) - vector(*self.eye))
        right = unit(np.cross(vector(0, 1, 0), forward).astype(np.float32))
        up = np.cross(forward, right).astype(np.float32)
        return np.stack([right, up, forward])

    def focal(self, width: int) -> float:
        """The focal length in pixels of a picture of that width."""
        return float(width / 2 / np.tan(np.radians(self.across) / 2))

    def rays(self, width: int, height: int) -> Array:
        """Unit rays (height, width, 3), one through the middle of each pixel."""
        focal = self.focal(width)
        x = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / focal
        y = -(np.arange(height, dtype=np.float32) + 0.5 - height / 2) / focal
        grid = np.empty((height, width, 3), dtype=np.float32)
        grid[..., 0], grid[..., 1], grid[..., 2] = x[None, :], y[:, None], 1
        return unit(grid @ self.axes())

    def pixels(self, points: Array, width: int, height: int) -> Array:
        """Pixel positions (N, 2) of (N, 3) points; what lies behind the camera comes out as nan."""
        local = (points - vector(*self.eye)) @ self.axes().T
        depth = np.where(local[:, 2] > 0.05, local[:, 2], np.nan)
        focal = self.focal(width)
        x = local[:, 0] / depth * focal + width / 2
        y = -local[:, 1] / depth * focal + height / 2
        return np.stack([x, y], axis=1).astype(np.float32)
