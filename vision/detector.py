"""What every detector answers, whatever runs it, and the opening of one by its settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from stream.messages import Detection
from vision.decode import Picture
from vision.errors import BackendError
from vision.settings import DetectorSettings
from vision.weights_file import Weights, bundled_pins, find_weights


class Detector(Protocol):
    """One set of weights on one backend. Not thread-safe: one detector, one thread."""

    name: str
    digest: str
    """sha256 of the weights that run."""
    labels: frozenset[str]
    """The labels that it can answer."""
    image_size: int
    """Long side of its input in pixels: what a picture need not exceed."""

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection]]:
        """The boxes in each picture (BGR), most confident first, at or above the thresholds of the settings."""
        ...


def open_detector(name: str, settings: DetectorSettings) -> Detector:
    """Load the weights and answer a detector ready to run.

    Raises WeightsError where the weights are missing, altered or name unknown classes, and BackendError where the
    backend cannot run them; in both cases nothing of the weights was run.
    """
    weights = find_weights(form_of(settings, gpu=has_gpu()), settings.sha256)
    if _backend(settings, weights) == "openvino":
        from vision.openvino_detector import OpenVinoDetector

        return OpenVinoDetector(name, weights, settings)
    from vision.torch_detector import TorchDetector  # seconds of import, for those only who need torch

    return TorchDetector(name, weights, settings)


def open_detectors(settings: Mapping[str, DetectorSettings]) -> dict[str, Detector]:
    """All detectors of the settings by name; the first that cannot be opened raises."""
    return {name: open_detector(name, one) for name, one in settings.items()}


def form_of(settings: DetectorSettings, *, gpu: bool) -> str:
    """Which weights the settings mean on a machine with or without a GPU: bundled ones come for both backends.

    A digest decides, where one is given: what ran once is run again.
    """
    pins = bundled_pins()
    name, in_torch = settings.weights, f"{settings.weights}-torch"
    if name not in pins or in_torch not in pins:
        return name
    if settings.sha256:
        return in_torch if settings.sha256 == pins[in_torch][1] else name
    return in_torch if settings.backend == "torch" or (settings.backend == "auto" and gpu) else name


def has_gpu() -> bool:
    """Whether torch can calculate on a graphics processor here; it is asked only where the system shows one."""
    if not any(path for pattern in _DEVICES for path in Path("/dev").glob(pattern)):
        return False
    import torch  # seconds of import

    return bool(torch.cuda.is_available())


_DEVICES = ("nvidia[0-9]*", "kfd")
"""Device files of NVIDIA's and of AMD's drivers."""


def _backend(settings: DetectorSettings, weights: Weights) -> str:
    fitting = "openvino" if weights.path.is_dir() else "torch"
    if settings.backend not in ("auto", fitting):
        raise BackendError(
            f"The weights {weights.path} are {'an OpenVINO export' if fitting == 'openvino' else 'a torch file'}, "
            f"but the detector's backend is {settings.backend!r}: write 'auto', or give the weights in the other form."
        )
    return fitting
