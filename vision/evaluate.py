"""Scores detector weights on labelled pictures, by ultralytics' own reckoning."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vision.dataset import read_examples, write_data_yaml, write_example
from vision.errors import DatasetError, WeightsError
from vision.offline import open_yolo, prepare, talk_to_stderr


@dataclass(frozen=True)
class ClassScore:
    """Of one class: average precision at an overlap of 0.5, and precision and recall at the threshold."""

    ap50: float
    precision: float
    recall: float


@dataclass(frozen=True)
class Evaluation:
    """Scores over the classes that both the weights and the set have; ``map50`` is the mean of their ap50."""

    pictures: int
    threshold: float
    map50: float
    map50_95: float
    classes: dict[str, ClassScore]

    def as_dict(self) -> dict[str, object]:
        """Fit for JSON, rounded to four digits."""
        return {
            "pictures": self.pictures,
            "threshold": self.threshold,
            "map50": round(self.map50, 4),
            "map50_95": round(self.map50_95, 4),
            "classes": {
                name: {"ap50": round(s.ap50, 4), "precision": round(s.precision, 4), "recall": round(s.recall, 4)}
                for name, s in self.classes.items()
            },
        }


def evaluate(
    weights: Path,
    data_yaml: Path,
    *,
    class_map: Mapping[str, str] | None = None,
    threshold: float = 0.4,
    image_size: int | None = None,
    split: str = "val",
) -> Evaluation:
    """Score ``weights`` (a .pt file or an OpenVINO folder) on one split of a YOLO set.

    Pictures are shown at ``image_size`` (long side, pixels), else at the size that the weights were made for.
    ``class_map`` renames the set's classes on the way in; an empty name drops one. Raises WeightsError for weights
    that are not there and DatasetError for a set that cannot be read or shares no class with the weights.
    """
    with opened(weights, image_size) as (model, size):
        names = _names(model, weights)
        examples = read_examples(data_yaml, class_map, split)
        if not {name for example in examples for name, _ in example.boxes} & set(names):
            raise DatasetError(f"{data_yaml} and {weights} share no class: rename the set's classes with --map.")
        with tempfile.TemporaryDirectory(prefix="minewatch-evaluate-") as scratch:
            for example in examples:
                write_example(example, names, Path(scratch), "val")
            metrics = model.val(
                data=str(write_data_yaml(Path(scratch), names)),
                project=scratch,
                plots=False,
                verbose=False,
                workers=0,
                batch=1,
                rect=True,
                **size,
            )
    return _read(metrics, names, len(examples), threshold)


@contextmanager
def opened(weights: Path, image_size: int | None) -> Iterator[tuple[Any, dict[str, int]]]:
    """ultralytics' model of the weights, and what it must be told of the size: ``image_size``, else their own.

    What it says meanwhile goes to stderr. Raises WeightsError for weights that are not there, damaged or hostile.
    """
    if not weights.exists():
        raise WeightsError(f"There are no weights at {weights}: check the path.")
    prepare()
    with talk_to_stderr():
        yield open_yolo(weights), {"imgsz": image_size} if image_size else own_size(weights)


def own_size(weights: Path) -> dict[str, int]:
    """What ultralytics must be told so that an export runs at the size that it was made for; it assumes 640 pixels.

    Empty for a .pt file, which ultralytics asks itself.
    """
    if not weights.is_dir():
        return {}
    import yaml

    sides = yaml.safe_load((weights / "metadata.yaml").read_text(encoding="utf-8"))["imgsz"]
    return {"imgsz": max(int(side) for side in sides)}


def _names(model: Any, weights: Path) -> list[str]:
    """The weights' class names in the order of their ids; an export knows them only from its metadata."""
    if weights.is_dir():
        import yaml

        named: dict[int, str] = yaml.safe_load((weights / "metadata.yaml").read_text(encoding="utf-8"))["names"]
    else:
        named = model.names
    return [named[index] for index in sorted(named)]


def _read(metrics: Any, names: list[str], pictures: int, threshold: float) -> Evaluation:
    box = metrics.box
    # The curves give precision and recall at 1,000 thresholds from 0 to 1.
    at = int(np.clip(round(threshold * (box.p_curve.shape[1] - 1)), 0, box.p_curve.shape[1] - 1))
    classes = {
        names[int(index)]: ClassScore(float(box.ap50[row]), float(box.p_curve[row, at]), float(box.r_curve[row, at]))
        for row, index in enumerate(box.ap_class_index)
    }
    return Evaluation(pictures, threshold, float(box.map50), float(box.map), classes)
