"""In which precision weights are exported: eight-bit integers only where they cost next to nothing."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from vision.evaluate import evaluate
from vision.train import export

Precision = Literal["int8", "fp16"]

COST = 0.005
"""What eight-bit integers may cost: half a point of mAP50 on the validation pictures."""


class Choice(NamedTuple):
    """The precision to use, mAP50 (0..1) of each that was tried, and why."""

    precision: Precision
    map50: dict[Precision, float]
    reason: str


def choose(int8: float, fp16: float) -> Choice:
    """The fastest precision by mAP50 (0..1) of both on the same pictures; the next most precise where in doubt."""
    scores: dict[Precision, float] = {"int8": int8, "fp16": fp16}
    cost = round(fp16 - int8, 6)  # 0.8 - 0.795 is a little more than 0.005
    said = f"eight-bit integers have mAP50 {int8:.4f} where half precision has {fp16:.4f}"
    if not fp16 > 0:
        return Choice("fp16", scores, f"{said}: nothing is found, so nothing shows what they cost.")
    if cost <= COST:
        return Choice("int8", scores, f"{said}: no more than {100 * COST} points lost.")
    return Choice("fp16", scores, f"{said}: {100 * COST} points may be lost at most.")


def export_fastest(
    weights: Path,
    folder: Path,
    calibration: Path,
    *,
    image_size: int = 320,
    class_map: Mapping[str, str] | None = None,
) -> tuple[Path, Choice]:
    """Export weights in eight-bit integers and in half precision, score both, and keep the one that ``choose`` takes.

    ``calibration`` is the data.yaml of a labelled set like the pictures to come: the ranges of the integers are taken
    from its validation pictures, and the scores on them. ``class_map`` renames its classes. Answers the folder
    ``NAME_openvino_model`` under ``folder``, and the choice. Raises as ``export`` and ``evaluate`` do.
    """
    with tempfile.TemporaryDirectory(prefix="minewatch-precision-") as scratch:
        made: dict[Precision, Path] = {
            "int8": export(weights, Path(scratch) / "int8", image_size=image_size, calibration=calibration),
            "fp16": export(weights, Path(scratch) / "fp16", image_size=image_size),
        }
        scores = {name: evaluate(path, calibration, class_map=class_map).map50 for name, path in made.items()}
        choice = choose(scores["int8"], scores["fp16"])
        target = folder / made[choice.precision].name
        shutil.rmtree(target, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.move(made[choice.precision], target)
    return target, choice
