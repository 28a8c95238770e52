"""Trains a YOLO detector and exports it for the backend that runs on a processor; resumes what was cut short."""

import math
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vision.dataset import read_set
from vision.errors import DatasetError
from vision.offline import open_yolo, prepare, read_checkpoint, talk_to_stderr

LEARNING_RATE = 0.002
WARM_UP = 100
"""Batches over which the learning rate rises."""
CALIBRATION = 128
"""Pictures at most from which the ranges of an eight-bit export are taken: seconds, not minutes."""
PLAIN_FROM = 0.8
"""From this share of the time on, pictures are shown whole instead of as mosaics of four."""


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

    Checkpoints lie in ``folder``; where they are those of a training that was cut short, it goes on from them, and
    where its epochs are all done nothing is trained.
    ``hours`` bounds the time of this call instead of ``epochs``: the learning rate is annealed by the clock, so that
    it ends low however busy the machine was. Every batch takes a step of its own, because on a processor few batches
    are to be had. Pictures are turned, scaled and mirrored, because cameras in a mine look down from all sides.
    Raises DatasetError where the set cannot be used, and WeightsError for weights or checkpoints that are damaged or
    hostile: a pickle may be anybody's, and nothing in it is run.
    """
    prepare()
    if not data_yaml.is_file():
        raise DatasetError(f"There is no set at {data_yaml}: name its data.yaml.")
    kept = Kept(folder / "run")
    resumed = kept.restore()
    if resumed and kept.finished():
        return kept.best
    begin = {
        "data": str(data_yaml),
        "epochs": epochs if hours is None else 10_000,
        "imgsz": image_size,
        "batch": batch,
        "nbs": batch,
        "seed": seed,
        "project": str(folder.resolve()),
        "warmup_epochs": 0 if hours is not None else 1,
        "close_mosaic": 0 if hours is not None else max(1, epochs // 5),
    }
    with talk_to_stderr():
        _use_threads(threads)
        _learn(kept, model, {"resume": True} if resumed else {**_WAY, **begin}, hours)
    return kept.best


_WAY: dict[str, Any] = {
    "name": "run",
    "exist_ok": True,
    "workers": 0,
    "cache": "ram",
    "optimizer": "AdamW",
    "lr0": LEARNING_RATE,
    "cos_lr": True,
    "patience": 0,
    "degrees": 15,
    "scale": 0.6,
    "plots": False,
    "verbose": False,
}
"""How every training is done, in ultralytics' words."""


def _learn(kept: "Kept", model: str | Path, options: dict[str, Any], hours: float | None) -> None:
    yolo = open_yolo(kept.last if "resume" in options else model)
    yolo.add_callback("on_model_save", kept.keep)
    if hours is not None:
        annealing = Annealing(started=time.monotonic(), seconds=hours * 3600)
        yolo.add_callback("on_train_batch_start", annealing.apply)
    yolo.train(**options)


class Kept:
    """Whole copies of a run's checkpoints, for a kill may come while ultralytics is writing its own."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._copies = run / "kept"
        self.last = run / "weights" / "last.pt"
        self.best = run / "weights" / "best.pt"

    def keep(self, trainer: Any) -> None:
        """Copy the checkpoints that the trainer has just written; the last one last, since it vouches for the other."""
        self._copies.mkdir(exist_ok=True)
        for file in (trainer.best, trainer.last):
            draft = self._copies / f"{file.name}.draft"
            shutil.copyfile(file, draft)
            draft.replace(self._copies / file.name)

    def restore(self) -> bool:
        """Put the copies back in their place; without any, whatever lies there is cleared away and it is False."""
        if not (self._copies / self.last.name).exists():
            shutil.rmtree(self._run, ignore_errors=True)
            return False
        for file in (self.best, self.last):
            shutil.copyfile(self._copies / file.name, file)
        return True

    def finished(self) -> bool:
        """Whether the last checkpoint is that of the last epoch. Raises WeightsError for one that cannot be trusted."""
        checkpoint = read_checkpoint(self.last)
        return int(checkpoint["epoch"]) + 1 >= int(checkpoint["train_args"]["epochs"])


@dataclass
class Annealing:
    """Learning rate by the clock: up over the first batches, then down along a cosine; mosaics end at four fifths."""

    started: float
    seconds: float
    batches: int = 0
    mosaics: bool = True

    def apply(self, trainer: Any) -> None:
        """Set the rate for the next batch, and stop the training once its time is over."""
        spent = (time.monotonic() - self.started) / self.seconds
        self.batches += 1
        for group in trainer.optimizer.param_groups:
            group["lr"] = learning_rate(spent, self.batches)
        if spent >= PLAIN_FROM and self.mosaics:
            self.mosaics = False
            trainer._close_dataloader_mosaic()  # noqa: SLF001 - ultralytics closes mosaics by epoch only
        trainer.stop = trainer.stop or spent >= 1


def learning_rate(spent: float, batches: int) -> float:
    """The rate when ``spent`` (0..1) of the time is over and this is the ``batches``-th batch."""
    warmed = min(1.0, batches / WARM_UP)
    return LEARNING_RATE * warmed * (0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, spent))) / 2)


def strip(weights: Path, target: Path, *, image_size: int = 320) -> Path:
    """Write ``weights`` to ``target`` in half precision, without what only a training needs.

    Neither folders of the machine that trained nor its repository's state travel with them.
    """
    prepare()
    import torch
    from ultralytics.utils.torch_utils import strip_optimizer

    target.parent.mkdir(parents=True, exist_ok=True)
    strip_optimizer(str(weights), str(target))
    checkpoint: dict[str, Any] = torch.load(target, map_location="cpu", weights_only=False)  # our own, a line above
    kept = {"task": "detect", "imgsz": image_size}
    network = checkpoint["model"]
    network.args = kept
    network.pt_path = target.name
    network.yaml["yaml_file"] = f"{target.stem}.yaml"
    learned = {name: checkpoint[name] for name in ("version", "license", "docs")}
    torch.save({**learned, "epoch": -1, "model": network, "train_args": kept}, target)
    return target


def export(weights: Path, folder: Path, *, image_size: int = 320, calibration: Path | None = None) -> Path:
    """Export weights to OpenVINO with a free batch size, so that frames of many cameras go as one request.

    Half precision; with ``calibration`` (the data.yaml of a set like the pictures to come) eight-bit integers, whose
    ranges are taken from up to ``CALIBRATION`` of its pictures. Answers the folder ``NAME_openvino_model`` under
    ``folder``. Raises DatasetError where the calibration set cannot be read, WeightsError where the weights cannot.
    """
    prepare()
    precise: dict[str, Any] = {"half": True}
    if calibration is not None:
        _, pictures = read_set(calibration)
        precise = {"int8": True, "data": str(calibration), "fraction": min(1.0, CALIBRATION / len(pictures))}
    with tempfile.TemporaryDirectory(prefix="minewatch-export-") as scratch, talk_to_stderr():
        draft = shutil.copy(weights, Path(scratch) / weights.name)
        made = Path(open_yolo(draft, weights).export(format="openvino", dynamic=True, imgsz=image_size, **precise))
        _forget_folders(made / "metadata.yaml")
        target = folder / f"{weights.stem}_openvino_model"
        shutil.rmtree(target, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.move(made, target)
    return target


def _forget_folders(metadata: Path) -> None:
    """Weights travel; where the machine that exported them kept its pictures does not."""
    content = yaml.safe_load(metadata.read_text(encoding="utf-8"))
    content["args"].pop("data", None)
    metadata.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _use_threads(threads: int | None) -> None:
    """ultralytics keeps its own count of threads and sets torch to it when a training begins."""
    if threads is None:
        return
    import torch
    from ultralytics import utils
    from ultralytics.utils import torch_utils

    utils.NUM_THREADS = torch_utils.NUM_THREADS = threads
    torch.set_num_threads(threads)
