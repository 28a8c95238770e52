"""A detector on OpenVINO: the export of ultralytics, without ultralytics or torch in the process."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import yaml
from openvino.preprocess import ColorFormat, PrePostProcessor

from stream.messages import Detection
from vision.decode import Picture
from vision.errors import BackendError, WeightsError
from vision.labels import map_classes
from vision.settings import DetectorSettings
from vision.weights_file import Weights
from vision.yolo_output import Reader, letterbox

STRIDE = 32
"""YOLO networks halve their input five times: sides are multiples of this."""


class OpenVinoDetector:
    """Runs an export folder (``*.xml``, ``*.bin``, ``metadata.yaml``) on the processor."""

    def __init__(self, name: str, weights: Weights, settings: DetectorSettings) -> None:
        metadata = _metadata(weights.path)
        names = {int(index): str(text) for index, text in metadata["names"].items()}
        classes = map_classes(str(weights.path), names, settings.class_map)
        self.name = name
        self.digest = weights.digest
        self.labels = frozenset(classes.values())
        thresholds = {label: settings.thresholds.get(label, settings.threshold) for label in self.labels}
        self._reader = Reader(classes, thresholds, len(names))
        model = read_model(weights.path)
        shape = model.inputs[0].get_partial_shape()
        self._batched = bool(shape[0].is_dynamic)
        self._free_size = bool(shape[2].is_dynamic and shape[3].is_dynamic)
        exported = max(int(side) for side in metadata["imgsz"])
        self.image_size = settings.image_size or exported
        if not self._free_size and self.image_size != exported:
            raise BackendError(
                f"The weights {weights.path} were exported for pictures of {exported} pixels and cannot run at {self.image_size}: "
                "leave image_size out, or export with dynamic=True."
            )
        self._request = compile_model(model, settings.precision).create_infer_request()

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection]]:
        """The boxes in each picture, most confident first."""
        found: list[list[Detection]] = [[] for _ in pictures]
        for size, places in self._by_input_size(pictures).items():
            step = len(places) if self._batched else 1
            for start in range(0, len(places), step):
                chosen = places[start : start + step]
                for place, boxes in zip(chosen, self._run([pictures[i] for i in chosen], size), strict=True):
                    found[place] = boxes
        return found

    def _by_input_size(self, pictures: Sequence[Picture]) -> dict[tuple[int, int], list[int]]:
        """Pictures of one shape go together: a wide picture needs no grey bars above and below it."""
        sizes: dict[tuple[int, int], list[int]] = {}
        for index, picture in enumerate(pictures):
            sizes.setdefault(self.input_size(*picture.shape[:2]), []).append(index)
        return sizes

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the network's input for pictures of that size."""
        if not self._free_size:
            return self.image_size, self.image_size
        scale = self.image_size / max(height, width)
        rows, columns = (max(STRIDE, -(-round(side * scale) // STRIDE) * STRIDE) for side in (height, width))
        return rows, columns

    def _run(self, pictures: Sequence[Picture], size: tuple[int, int]) -> list[list[Detection]]:
        tensor = np.empty((len(pictures), *size, 3), np.uint8)
        placements = [letterbox(picture, into) for picture, into in zip(pictures, tensor, strict=True)]
        self._request.infer({0: ov.Tensor(tensor, shared_memory=True)}, share_inputs=True)
        return self._reader.read(self._request.get_output_tensor(0).data, placements)


def _metadata(folder: Path) -> dict[str, Any]:
    path = folder / "metadata.yaml"
    try:
        content = yaml.safe_load(path.read_text())
        if content.get("task", "detect") == "detect" and content["names"] and content["imgsz"]:
            return dict(content)
    except (OSError, yaml.YAMLError, AttributeError, KeyError) as error:
        raise WeightsError(
            f"{path} does not say which classes and picture size the weights have ({error}): export them with ultralytics."
        ) from error
    raise WeightsError(f"The weights in {folder} are made for {content['task']}: detection weights are needed.")


def read_model(folder: Path) -> Any:
    """The network of an export folder. Raises WeightsError where there is none, BackendError where it is unreadable."""
    files = sorted(folder.glob("*.xml"))
    if len(files) != 1:
        raise WeightsError(f"{folder} holds {len(files)} .xml files: an OpenVINO export has one.")
    try:
        return ov.Core().read_model(files[0])
    except RuntimeError as error:
        raise BackendError(
            f"OpenVINO cannot read {files[0]}: {str(error).splitlines()[0]}. Export the weights again."
        ) from error


def compile_model(model: Any, precision: str) -> Any:
    """The model with the way from BGR bytes to planes of floats built in, which OpenVINO does faster than NumPy."""
    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_color_format(ColorFormat.BGR)
    steps.input().model().set_layout(ov.Layout("NCHW"))
    steps.input().preprocess().convert_element_type(ov.Type.f32).convert_color(ColorFormat.RGB).scale(255.0)
    options = {"PERFORMANCE_HINT": "LATENCY"}
    if precision == "fp32":
        options["INFERENCE_PRECISION_HINT"] = "f32"
    return ov.Core().compile_model(steps.build(), "CPU", options)
