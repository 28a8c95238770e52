"""Turns frames into risks: detects, tracks and measures what cameras see, and decides over time what is a hazard.

``VisionStage`` is the stage that does it, ``run_vision`` runs it on a log; ``open_detectors`` loads pinned weights.
Nothing here imports torch unless a detector needs it.
"""

from vision.detector import Detector, open_detectors
from vision.settings import VisionSettings
from vision.worker import VisionStage, run_vision

__all__ = ["Detector", "VisionSettings", "VisionStage", "open_detectors", "run_vision"]
