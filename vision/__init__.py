"""Turns frames into risks: detects, tracks and measures what cameras see, and decides over time what is a hazard.

``vision.worker.run_vision`` runs the stage on a log, ``vision.detector.open_detectors`` loads pinned weights.
The package itself imports neither, so that reading settings costs no process the libraries of detection.
"""

from vision.settings import VisionSettings

__all__ = ["VisionSettings"]
