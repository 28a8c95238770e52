"""Trains a YOLO detector and exports it for the backend that runs on a processor; resumes what was cut short."""

import shutil
from pathlib import Path
from typing import Any

from vision.errors import DatasetError
from vision.offline import prepare


def train(
    data_yaml: Path,
    folder: Path,
    *,
    model: str | Path = "yolo11n.yaml",
    epochs: int = 40,
    hours: float | None = None,
    image_size: int = 320,
    batch: int = 16,
    seed: int = 7,
    threads: int | None = None,
) -> Path:
    """Train on a YOLO set and answer the path of the best weights.

    Checkpoints lie in ``folder``; where they are those of a training that was cut short, it goes on from them.
    ``hours`` bounds the time instead of ``epochs``. Pictures are turned, scaled and mirrored, because cameras in a
    mine look down from all sides. Raises DatasetError where the set cannot be used.
    """
    prepare()
    from ultralytics import YOLO

    if not data_yaml.is_file():
        raise DatasetError(f"There is no set at {data_yaml}: name its data.yaml.")
    _use_threads(threads)
    last = folder / "run" / "weights" / "last.pt"
    if _unfinished(last):
        YOLO(str(last)).train(resume=True)
    else:
        YOLO(str(model)).train(
            data=str(data_yaml),
            epochs=epochs,
            time=hours,
            imgsz=image_size,
            batch=batch,
            seed=seed,
            project=str(folder.resolve()),
            name="run",
            exist_ok=True,
            workers=0,
            cache="ram",
            optimizer="AdamW",
            lr0=0.002,
            cos_lr=True,
            warmup_epochs=1,
            close_mosaic=max(1, epochs // 5),
            patience=0,
            degrees=15,
            scale=0.6,
            plots=False,
            verbose=False,
        )
    return last.with_name("best.pt")


def export(weights: Path, folder: Path, *, image_size: int = 320) -> Path:
    """Export weights to OpenVINO in fp16 with a free batch size, so that frames of many cameras go as one request.

    Answers the folder ``NAME_openvino_model`` under ``folder``.
    """
    prepare()
    from ultralytics import YOLO

    made = Path(YOLO(str(weights)).export(format="openvino", half=True, dynamic=True, imgsz=image_size))
    target = folder / f"{weights.stem}_openvino_model"
    if made.resolve() != target.resolve():
        shutil.rmtree(target, ignore_errors=True)
        shutil.move(made, target)
    return target


def _unfinished(last: Path) -> bool:
    if not last.exists():
        return False
    import torch

    checkpoint: dict[str, Any] = torch.load(last, map_location="cpu", weights_only=False)  # our own checkpoint
    return int(checkpoint["epoch"]) >= 0  # ultralytics writes -1 once a training is complete


def _use_threads(threads: int | None) -> None:
    """ultralytics keeps its own count of threads and sets torch to it when a training begins."""
    if threads is None:
        return
    import torch
    from ultralytics import utils
    from ultralytics.utils import torch_utils

    utils.NUM_THREADS = torch_utils.NUM_THREADS = threads
    torch.set_num_threads(threads)
