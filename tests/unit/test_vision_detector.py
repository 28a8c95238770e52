"""Which weights run where."""

import pytest

from vision.detector import form_of, has_gpu
from vision.settings import Backend, DetectorSettings
from vision.weights_file import bundled_pins


@pytest.mark.parametrize(
    ("backend", "gpu", "form"),
    [
        ("auto", False, "ppe"),
        ("auto", True, "ppe-torch"),
        ("openvino", True, "ppe"),
        ("torch", False, "ppe-torch"),
    ],
)
def test_bundled_weights_run_in_torch_where_there_is_a_gpu_and_in_openvino_else(
    backend: Backend, gpu: bool, form: str
) -> None:
    assert form_of(DetectorSettings(weights="ppe", backend=backend), gpu=gpu) == form
    assert form_of(DetectorSettings(weights="/own/weights", backend=backend), gpu=gpu) == "/own/weights"


@pytest.mark.parametrize("gpu", [True, False])
@pytest.mark.parametrize("form", ["ppe", "ppe-torch"])
def test_what_ran_once_is_run_again_by_its_digest(form: str, gpu: bool) -> None:
    assert form_of(DetectorSettings(weights="ppe", sha256=bundled_pins()[form][1]), gpu=gpu) == form


def test_a_machine_is_asked_for_its_gpu() -> None:
    import torch

    assert has_gpu() == torch.cuda.is_available()
