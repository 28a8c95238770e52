"""Labelled pictures in YOLO's layout: read, renamed, mixed and split by scene."""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from vision.errors import DatasetError

Box = tuple[float, float, float, float]
"""Centre x, centre y, width, height, relative to the picture."""
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
NEAR = 6
"""Bits of 64 in which the difference hashes of two pictures of one scene differ at most."""


@dataclass(frozen=True)
class Example:
    """One picture and its boxes by class name."""

    picture: Path
    boxes: tuple[tuple[str, Box], ...]


@dataclass(frozen=True)
class Seen:
    """Boxes that another detector saw, as a help where a set boxes a class only here and there.

    A box counts from ``sure`` on; a picture with ``too_many`` boxes between ``doubtful`` and ``sure`` is left out of
    training, because what is not boxed there would be learned as background.
    """

    file: Path
    label: str
    sure: float
    doubtful: float = 0.15
    too_many: int = 4


@dataclass(frozen=True)
class Source:
    """A set in YOLO's layout, how its classes are renamed (an empty name drops one), and how often it is shown.

    ``taller`` stretches the boxes of a class (by its new name) downwards by a factor, where a set boxes the hat or the
    hair alone and the others the whole head.
    """

    data_yaml: Path
    class_map: Mapping[str, str]
    seen: Seen | None = None
    times: int = 1
    taller: Mapping[str, float] = field(default_factory=dict)


def read_set(data_yaml: Path, split: str = "val") -> tuple[list[str], list[Path]]:
    """Class names and pictures of one split. Raises DatasetError where the file or the folder is not there."""
    try:
        content = yaml.safe_load(data_yaml.read_text(encoding="utf-8"))
        names = content["names"]
        listed = content.get(split) or content["train"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{data_yaml} is no data.yaml of a YOLO set: {error}.") from error
    root = data_yaml.parent / str(content.get("path") or "")
    folders = [root / folder for folder in ([listed] if isinstance(listed, str) else listed)]
    pictures = [p for folder in folders for p in sorted(folder.rglob("*")) if p.suffix.lower() in PICTURES]
    if not pictures:
        raise DatasetError(f"{data_yaml} names no folder with pictures for {split!r}: looked in {folders[0]}.")
    if not isinstance(names, dict | list):
        raise DatasetError(
            f"{data_yaml} is no data.yaml of a YOLO set: its names are {names!r}, not a list of classes."
        )
    return list(names.values() if isinstance(names, dict) else names), pictures


def read_examples(data_yaml: Path, class_map: Mapping[str, str] | None, split: str = "val") -> list[Example]:
    """The examples of one split, their classes renamed; without a map they keep their names."""
    names, pictures = read_set(data_yaml, split)
    return [Example(picture, tuple(_read_labels(picture, names, class_map))) for picture in pictures]


def label_file(picture: Path) -> Path:
    """Where YOLO looks for a picture's labels: labels/ in the place of the last images/."""
    parts = list(picture.parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts).with_suffix(".txt")


def with_seen(examples: Iterable[Example], seen: Seen) -> list[tuple[Example, bool]]:
    """The examples with what another detector saw added, and whether each is fit for training."""
    rows = (json.loads(line) for line in seen.file.read_text(encoding="utf-8").splitlines() if line.strip())
    found = {row["picture"]: row["boxes"] for row in rows}
    return [_completed(example, found.get(example.picture.name, []), seen) for example in examples]


def stretched(example: Example, taller: Mapping[str, float]) -> Example:
    """The example with the boxes of some classes grown downwards, no further than the picture's lower edge."""
    boxes = []
    for name, (centre_x, centre_y, width, height) in example.boxes:
        top = centre_y - height / 2
        tall = min(height * taller.get(name, 1.0), max(height, 1.0 - top))
        boxes.append((name, (centre_x, top + tall / 2, width, tall)))
    return Example(example.picture, tuple(boxes))


def scenes(pictures: Sequence[Path]) -> list[int]:
    """A scene number for each picture; near-duplicates by difference hash, and chains of them, share one."""
    hashes = np.array([difference_hash(picture) for picture in pictures])
    parent = np.arange(len(pictures))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = int(parent[index])
        return index

    for index in range(len(pictures) - 1):
        near = np.flatnonzero((hashes[index + 1 :] != hashes[index]).sum(axis=1) <= NEAR)
        for other in near:
            parent[root(index + 1 + int(other))] = root(index)
    return [root(index) for index in range(len(pictures))]


def difference_hash(picture: Path) -> NDArray[np.bool_]:
    """64 bits of a picture's coarse shape: whether each of 8 x 8 points is brighter than its left neighbour."""
    grey = cv2.imread(str(picture), cv2.IMREAD_REDUCED_GRAYSCALE_2)
    if grey is None:
        raise DatasetError(f"{picture} is no picture that can be read: remove it from the set.")
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    bits: NDArray[np.bool_] = (small[:, 1:] > small[:, :-1]).ravel()
    return bits


def held_back(scene_of: Sequence[int], share: float, seed: int) -> set[int]:
    """The scenes that make up about ``share`` of the pictures, chosen by ``seed``; a huge scene is never taken."""
    sizes: dict[int, int] = {}
    for scene in scene_of:
        sizes[scene] = sizes.get(scene, 0) + 1
    order = sorted(sizes)
    random.Random(seed).shuffle(order)  # noqa: S311 - a split, no secret
    wanted, taken, chosen = share * len(scene_of), 0, set()
    for scene in order:
        if sizes[scene] <= wanted / 6 and taken + sizes[scene] <= wanted:
            chosen.add(scene)
            taken += sizes[scene]
    return chosen


def mix(sources: Sequence[Source], labels: Sequence[str], folder: Path, *, share: float = 0.1, seed: int = 7) -> Path:
    """Write one set out of several under ``folder`` (pictures as links), split by scene; answers its data.yaml."""
    fit: list[tuple[Example, bool, int]] = []
    for source in sources:
        examples = [stretched(one, source.taller) for one in read_examples(source.data_yaml, source.class_map)]
        judged = with_seen(examples, source.seen) if source.seen else [(example, True) for example in examples]
        fit += [(example, usable, source.times) for example, usable in judged]
    scene_of = scenes([example.picture for example, _, _ in fit])
    validation = held_back(scene_of, share, seed)
    for (example, usable, times), scene in zip(fit, scene_of, strict=True):
        split = "val" if scene in validation else "train"
        if split == "val" or usable:
            write_example(example, labels, folder, split, times if split == "train" else 1)
    return write_data_yaml(folder, labels)


def write_example(example: Example, labels: Sequence[str], folder: Path, split: str, times: int = 1) -> None:
    """Write a picture's link and its label file ``times`` times; boxes of other classes are left out."""
    rows = [
        f"{labels.index(name)} " + " ".join(f"{value:.6f}" for value in box)
        for name, box in example.boxes
        if name in labels
    ]
    for number in range(times):
        name = f"{example.picture.parent.parent.name}-{example.picture.stem}-{number}"
        picture = folder / "images" / split / (name + example.picture.suffix)
        label = folder / "labels" / split / f"{name}.txt"
        picture.parent.mkdir(parents=True, exist_ok=True)
        label.parent.mkdir(parents=True, exist_ok=True)
        picture.unlink(missing_ok=True)
        picture.symlink_to(example.picture.resolve())
        label.write_text("\n".join(rows))


def write_data_yaml(folder: Path, labels: Sequence[str]) -> Path:
    """The data.yaml of a set written by ``write_example``."""
    file = folder / "data.yaml"
    train = "images/train" if (folder / "images" / "train").is_dir() else "images/val"
    content = {"path": str(folder.resolve()), "train": train, "val": "images/val", "names": dict(enumerate(labels))}
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return file


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(one[0] + one[2] / 2, other[0] + other[2] / 2) - max(one[0] - one[2] / 2, other[0] - other[2] / 2)
    height = min(one[1] + one[3] / 2, other[1] + other[3] / 2) - max(one[1] - one[3] / 2, other[1] - other[3] / 2)
    shared = max(0.0, width) * max(0.0, height)
    whole = one[2] * one[3] + other[2] * other[3] - shared
    return shared / whole if whole > 0 else 0.0


def _read_labels(picture: Path, names: Sequence[str], class_map: Mapping[str, str] | None) -> Iterable[tuple[str, Box]]:
    file = label_file(picture)
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        fields = line.split()
        if len(fields) < 5:
            continue
        try:
            name = names[int(float(fields[0]))]
            centre_x, centre_y, width, height = (float(value) for value in fields[1:5])
        except (ValueError, IndexError) as error:
            raise DatasetError(f"{file} has a line that is no box: {line!r}.") from error
        renamed = name if class_map is None else class_map.get(name, name)
        if renamed:
            yield renamed, (centre_x, centre_y, width, height)


def _completed(example: Example, found: Sequence[Sequence[object]], seen: Seen) -> tuple[Example, bool]:
    known = [box for name, box in example.boxes if name == seen.label]
    added: list[tuple[str, Box]] = []
    doubtful = 0
    for name, centre_x, centre_y, width, height, confidence in found:
        box: Box = (float(str(centre_x)), float(str(centre_y)), float(str(width)), float(str(height)))
        if name != seen.label or any(overlap(box, other) > 0.45 for other in known):
            continue
        if float(str(confidence)) >= seen.sure:
            added.append((seen.label, box))
            known.append(box)
        elif float(str(confidence)) >= seen.doubtful:
            doubtful += 1
    return Example(example.picture, (*example.boxes, *added)), doubtful < seen.too_many
