"""A mine drawn by numpy and OpenCV alone, the same frame for frame from one seed.

It shows the product where no real clip is at hand, and proves nothing about detection.
"""

from samples.render.clips import CLIPS, FRAMES_PER_SECOND, SIZE, Clip, frames

__all__ = ["CLIPS", "FRAMES_PER_SECOND", "SIZE", "Clip", "frames"]
