"""Pictures labelled by the detectors for people to correct: label files and a data.yaml that any YOLO tool opens."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from stream.errors import ConfigurationError
from stream.messages import Detection
from vision.check import Progress
from vision.dataset import Box, label_file, overlap
from vision.detect import Seen, detect_files, find_pictures
from vision.detector import Detector
from vision.errors import DatasetError

SAME = 0.6
"""Boxes of one label by two detectors that overlap more than this (intersection over union) are one thing."""

_AT_ONCE = 8


@dataclass
class Labelled:
    """What was written: pictures with their boxes, label files kept as they are, pictures left out and why."""

    data_yaml: Path
    written: int = 0
    boxes: int = 0
    kept: int = 0
    left_out: tuple[tuple[Path, str], ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Fit for JSON."""
        left_out = [{"path": str(path), "reason": reason} for path, reason in self.left_out]
        counts = {"written": self.written, "boxes": self.boxes, "kept": self.kept}
        return {"data": str(self.data_yaml), **counts, "left_out": left_out}


def label_pictures(
    detectors: Sequence[Detector],
    source: Path,
    out: Path | None = None,
    *,
    replace: bool = False,
    progress: Progress | None = None,
) -> Labelled:
    """Write a label file for each picture in ``source`` and below, and the set's data.yaml.

    Label files lie where YOLO looks for them: in labels/ in the place of images/, else beside the pictures. With
    ``out`` the set is made there, of links to the pictures. A label file that exists may hold a person's corrections:
    it is kept, unless ``replace``, so a run that was broken off goes on where it ended.

    Raises SourceError where there are no pictures, ConfigurationError where there is no detector, and DatasetError
    where a data.yaml is there whose classes lack one that the detectors answer.
    """
    if not detectors:
        raise ConfigurationError("There is no detector to label with: set one up under vision.detectors.")
    pictures = [picture for picture in find_pictures(source) if out is None or not picture.is_relative_to(out)]
    data_yaml = (out or _set_folder(source)) / "data.yaml"
    names = class_names(data_yaml, sorted({label for detector in detectors for label in detector.labels}))
    write_names(data_yaml, names, "images" if out else _pictures_folder(source))
    result = Labelled(data_yaml)
    targets, left_out = _targets(pictures, source, out)
    due = [target for target in targets if replace or not label_file(target[1]).exists()]
    result.kept = len(targets) - len(due)
    done = len(pictures) - len(due)
    for start in range(0, len(due), _AT_ONCE):
        chosen = due[start : start + _AT_ONCE]
        for (picture, target), seen in zip(chosen, _seen_by_all(detectors, [p for p, _ in chosen]), strict=True):
            if seen.error:
                left_out.append((picture, seen.error))
                continue
            boxes = merged(seen.detections)
            write_labels(picture, target, boxes, names)
            result.written += 1
            result.boxes += len(boxes)
        done += len(chosen)
        if progress is not None:
            progress(done, len(pictures))
    result.left_out = tuple(left_out)
    return result


def class_names(data_yaml: Path, labels: Sequence[str]) -> list[str]:
    """The set's class names in the order of their ids: those of the data.yaml where there is one, else ``labels``.

    Raises DatasetError where that file cannot be read or lacks one of the labels: adding it is its owner's to do.
    """
    if not data_yaml.exists():
        return list(labels)
    try:
        named = yaml.safe_load(data_yaml.read_text(encoding="utf-8"))["names"]
        names = [str(named[i]) for i in range(len(named))]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{data_yaml} is no data.yaml of a YOLO set: {error}. Give another folder with --out."
        ) from error
    if missing := [label for label in labels if label not in names]:
        raise DatasetError(
            f"{data_yaml} does not name {', '.join(missing)}, which the detectors see: "
            "add it behind the other names there, or give another folder with --out."
        )
    return names


def merged(detections: Iterable[Detection]) -> list[Detection]:
    """The detections of several detectors, the surer of two boxes where both see one thing."""
    kept: list[Detection] = []
    for one in sorted(detections, key=lambda d: -d.confidence):
        if not any(one.label == other.label and overlap(centred(one), centred(other)) > SAME for other in kept):
            kept.append(one)
    return kept


def centred(detection: Detection) -> Box:
    """The box as YOLO writes it: centre, width and height, relative to the picture."""
    left, top, right, bottom = detection.box
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


def _seen_by_all(detectors: Sequence[Detector], pictures: Sequence[Path]) -> list[Seen]:
    each = [list(detect_files(detector, pictures)) for detector in detectors]
    return [
        Seen(by[0].picture, tuple(d for seen in by for d in seen.detections), by[0].error)
        for by in zip(*each, strict=True)
    ]


def _targets(
    pictures: Sequence[Path], source: Path, out: Path | None
) -> tuple[list[tuple[Path, Path]], list[tuple[Path, str]]]:
    """Each picture with its place in the set; of two whose label file would be the same, the second is left out."""
    targets: dict[Path, tuple[Path, Path]] = {}
    left_out = []
    root = source if source.is_dir() else source.parent
    for picture in pictures:
        target = picture if out is None else out / "images" / picture.relative_to(root)
        first = targets.setdefault(label_file(target), (picture, target))
        if first[0] != picture:
            left_out.append((picture, f"Its label file would be that of {first[0].name}: rename one of the two."))
    return list(targets.values()), left_out


def write_labels(picture: Path, target: Path, boxes: Sequence[Detection], names: Sequence[str]) -> None:
    """Put the boxes where YOLO looks for those of ``target``, which becomes a link to the picture where it is none."""
    rows = [f"{names.index(d.label)} " + " ".join(f"{value:.6f}" for value in centred(d)) for d in boxes]
    if target != picture and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(picture.resolve())
    write_whole(label_file(target), "".join(row + "\n" for row in rows))


def _set_folder(source: Path) -> Path:
    """Where the data.yaml belongs: beside the images/ that the pictures lie in, else with the pictures."""
    folder = source if source.is_dir() else source.parent
    parts = folder.parts
    if "images" not in parts:
        return folder
    return Path(*parts[: len(parts) - 1 - parts[::-1].index("images")])


def _pictures_folder(source: Path) -> str:
    folder = source if source.is_dir() else source.parent
    return folder.relative_to(_set_folder(source)).as_posix()


def write_names(file: Path, names: Sequence[str], pictures: str) -> None:
    """Write the set's data.yaml where there is none; ``pictures`` is its folder of them."""
    if file.exists():
        return
    content: Mapping[str, object] = {"train": pictures, "val": pictures, "names": dict(enumerate(names))}
    write_whole(file, yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True))


def write_whole(file: Path, text: str) -> None:
    """Write a file whole or not at all: half of one, left by a run that was killed, would be taken for a person's."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(file.name + ".part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(file)
