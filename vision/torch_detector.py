"""A detector on torch through ultralytics: for a GPU, and for weights that were never exported."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from stream.messages import Detection
from vision.decode import Picture
from vision.errors import BackendError
from vision.labels import map_classes
from vision.offline import open_yolo
from vision.settings import DetectorSettings
from vision.weights_file import Weights
from vision.yolo_output import MOST_BOXES, OVERLAP


class TorchDetector:
    """Runs a ``.pt`` file of ultralytics on a GPU where there is one, else on the processor."""

    def __init__(self, name: str, weights: Weights, settings: DetectorSettings) -> None:
        self._model = _load(weights)
        names = {int(index): str(text) for index, text in self._model.names.items()}
        self._classes = map_classes(str(weights.path), names, settings.class_map)
        self.name = name
        self.digest = weights.digest
        self.labels = frozenset(self._classes.values())
        self._thresholds = {label: settings.thresholds.get(label, settings.threshold) for label in self.labels}
        self.image_size = settings.image_size or int(self._model.overrides.get("imgsz", 640))

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection]]:
        """The boxes in each picture, most confident first."""
        if not pictures:
            return []
        results = self._model.predict(
            list(pictures),
            imgsz=self.image_size,
            conf=min(self._thresholds.values()),
            iou=OVERLAP,
            max_det=MOST_BOXES,
            classes=sorted(self._classes),
            verbose=False,
        )
        return [self._detections(result.boxes) for result in results]

    def _detections(self, boxes: Any) -> list[Detection]:
        corners = boxes.xyxyn.cpu().numpy().astype(float).clip(0.0, 1.0)
        found = []
        for corner, confidence, class_id in zip(corners, boxes.conf.tolist(), boxes.cls.tolist(), strict=True):
            label = self._classes[int(class_id)]
            if confidence >= self._thresholds[label]:
                box = tuple(np.round(corner, 5).tolist())
                found.append(Detection(label=label, confidence=round(confidence, 4), box=box))
        return sorted(found, key=lambda detection: -detection.confidence)


def _load(weights: Weights) -> Any:
    model = open_yolo(weights.path)
    if model.task != "detect":
        raise BackendError(f"The weights {weights.path} are made for {model.task}: detection weights are needed.")
    return model
