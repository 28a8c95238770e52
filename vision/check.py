"""What is wrong with a set of labelled pictures, before time is spent on learning from it or trusting its score."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from vision.dataset import NEAR, Box, difference_hash, label_file, overlap, read_set
from vision.decode import check_header, read_header
from vision.errors import DatasetError, PictureError

Kind = Literal["unreadable", "no-label-file", "odd-box", "doubled-box", "same-splits", "near-duplicate"]
Progress = Callable[[int, int], None]
"""Told how many of how many pictures are done."""

SPLITS = ("train", "val", "test")


OUTSIDE = 0.002
"""Share of the picture by which a box may reach beyond it: about a pixel, by which tools round."""

NEARLY_ALL = 0.98
"""A box over this share of the picture says that the thing is somewhere in it, not where."""

ALMOST_NOTHING = 0.003
"""Sides below this share of the picture are less than a pixel at 320 pixels: a slip of the mouse."""

DOUBLED = 0.95
"""Boxes that overlap more than this (intersection over union) are one thing boxed twice."""

MOST_BOXES = 2000
"""A file with more lines than this is not looked at further: no picture has so many things."""

MOST_BYTES = 1_000_000
"""Bytes of a label file that are read at most."""


class Finding(NamedTuple):
    """One thing that is wrong: its kind, the file that it concerns, and why, in prose."""

    kind: Kind
    path: Path
    reason: str


@dataclass(frozen=True)
class Check:
    """What was looked at, and everything that was found, split by split in the order of the names."""

    splits: dict[str, int]
    boxes: int
    findings: tuple[Finding, ...]

    def as_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        counts: dict[str, int] = {}
        for finding in self.findings:
            counts[finding.kind] = counts.get(finding.kind, 0) + 1
        listed = [{"kind": f.kind, "path": str(f.path), "reason": f.reason} for f in self.findings]
        return {"splits": self.splits, "boxes": self.boxes, "counts": counts, "findings": listed}


def check_set(data_yaml: Path, progress: Progress | None = None) -> Check:
    """Look at every picture and label of the set once. Of each picture 8 bytes are kept, so a large set fits.

    Raises DatasetError where the set itself cannot be read.
    """
    names, splits = read_splits(data_yaml)
    distinct, findings = _without_repeated(data_yaml, splits)
    total = sum(len(pictures) for pictures in distinct.values())
    done = boxes = 0
    hashes: dict[str, dict[Path, int]] = {}
    for split, pictures in distinct.items():
        known = hashes.setdefault(split, {})
        for picture in pictures:
            digest, why = _hashed(picture)
            if digest is None:
                findings.append(Finding("unreadable", picture, why))
            else:
                known[picture] = digest
            lines, wrong = _labels(picture, names)
            boxes += lines
            findings += wrong
            done += 1
            if progress is not None:
                progress(done, total)
    findings += near_duplicates(hashes)
    return Check({split: len(pictures) for split, pictures in splits.items()}, boxes, tuple(findings))


def read_splits(data_yaml: Path) -> tuple[list[str], dict[str, list[Path]]]:
    """Class names, and the pictures of each split that the file names. Raises DatasetError where it cannot be read."""
    try:
        content = yaml.safe_load(data_yaml.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise DatasetError(f"{data_yaml} is no data.yaml of a YOLO set: {error}.") from error
    if not isinstance(content, dict) or not isinstance(content.get("names"), dict | list):
        raise DatasetError(f"{data_yaml} is no data.yaml of a YOLO set: it lists no class names under 'names'.")
    named = [split for split in SPLITS if content.get(split)]
    if not named:
        raise DatasetError(f"{data_yaml} names no pictures: write under 'train' and 'val' in which folders they lie.")
    read = {split: read_set(data_yaml, split) for split in named}
    return read[named[0]][0], {split: pictures for split, (_, pictures) in read.items()}


def near_duplicates(hashes: Mapping[str, Mapping[Path, int]]) -> list[Finding]:
    """Pictures of a later split that nearly equal one of an earlier split: each with the nearest of those."""
    findings = []
    earlier: list[tuple[str, Sequence[Path], NDArray[np.uint64]]] = []
    for split, known in hashes.items():
        for picture, digest in known.items():
            nearest = min((_nearest(digest, *one) for one in earlier if one[1]), default=None)
            if nearest is not None and nearest[0] <= NEAR:
                bits, other, path = nearest
                reason = f"It is in {split}, and nearly the same as {path} in {other} ({bits} of 64 bits differ): keep both in one split."
                findings.append(Finding("near-duplicate", picture, reason))
        earlier.append((split, list(known), np.array(list(known.values()), np.uint64)))
    return findings


def odd_boxes(text: str, names: Sequence[str]) -> list[tuple[Kind, str]]:
    """What is odd in a label file's text: kind and reason, with the number of the line."""
    found: list[tuple[Kind, str]] = []
    boxes: list[tuple[int, str, Box]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        read = _read_line(line, names)
        if isinstance(read, str):
            found.append(("odd-box", f"Line {number}: {read}"))
            continue
        name, box = read
        if why := _odd(box):
            found.append(("odd-box", f"Line {number} ({name}): {why}"))
        for earlier, other, same in boxes:
            if overlap(box, same) > DOUBLED:
                classes = f"both {name}" if other == name else f"as {other} and as {name}"
                found.append(("doubled-box", f"Lines {earlier} and {number} box one thing twice, {classes}."))
        boxes.append((number, name, box))
    return found


def _without_repeated(
    data_yaml: Path, splits: Mapping[str, Sequence[Path]]
) -> tuple[dict[str, Sequence[Path]], list[Finding]]:
    """The splits, but those that list the very pictures of another; each of these is one finding, not thousands."""
    distinct: dict[str, Sequence[Path]] = {}
    findings = []
    for split, pictures in splits.items():
        same = next((name for name, others in distinct.items() if others == pictures), None)
        if same is None:
            distinct[split] = pictures
        else:
            reason = f"{split} and {same} are the same pictures: a score on them is no score. Hold some scenes back."
            findings.append(Finding("same-splits", data_yaml, reason))
    return distinct, findings


def _hashed(picture: Path) -> tuple[int | None, str]:
    """The picture's difference hash, or the reason why it cannot be read."""
    try:
        if picture.suffix.lower() in (".jpg", ".jpeg"):
            check_header(read_header(picture.read_bytes()))
        return int.from_bytes(np.packbits(difference_hash(picture)).tobytes()), ""
    except (PictureError, DatasetError) as error:
        return None, str(error)
    except (OSError, cv2.error) as error:
        return None, f"The picture cannot be read: {error}."


def _nearest(digest: int, split: str, paths: Sequence[Path], known: NDArray[np.uint64]) -> tuple[int, str, Path]:
    bits = np.bitwise_count(known ^ np.uint64(digest))
    at = int(bits.argmin())
    return int(bits[at]), split, paths[at]


def _labels(picture: Path, names: Sequence[str]) -> tuple[int, list[Finding]]:
    """How many lines the picture's label file has, and what is wrong with it."""
    file = label_file(picture)
    if not file.is_file():
        reason = f"It has no label file {file}: where it shows nothing, an empty file says so."
        return 0, [Finding("no-label-file", picture, reason)]
    try:
        with file.open("rb") as opened:
            text = opened.read(MOST_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return 0, [Finding("unreadable", file, f"The label file is no text: {error}.")]
    lines = sum(1 for line in text.splitlines() if line.strip())
    if lines > MOST_BOXES or len(text) >= MOST_BYTES:
        return 0, [Finding("odd-box", file, f"It has more than {MOST_BOXES} lines: no picture shows so many things.")]
    return lines, [Finding(kind, file, reason) for kind, reason in odd_boxes(text, names)]


def _read_line(line: str, names: Sequence[str]) -> tuple[str, Box] | str:
    """Class name and box of one line, or what is wrong with it."""
    fields = line.split()
    if len(fields) not in (5, 6):
        return f"{len(fields)} fields instead of class, centre, width and height: an outline is no box."
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        return f"{line.strip()[:60]!r} is not made of numbers."
    if not all(math.isfinite(number) for number in numbers):
        return "it has a value that is no finite number."
    index = numbers[0]
    if index != int(index) or not 0 <= index < len(names):
        return f"class {fields[0]} is none of the {len(names)} that the set names."
    return names[int(index)], (numbers[1], numbers[2], numbers[3], numbers[4])


def _odd(box: Box) -> str:
    """Why no annotator can have meant this box; empty where it is sound."""
    centre_x, centre_y, width, height = box
    if width <= 0 or height <= 0:
        return f"the box is {width:g} wide and {height:g} high: it has no area."
    corners = (centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2)
    if min(corners) < -OUTSIDE or max(corners) > 1 + OUTSIDE:
        return f"the box reaches from {corners[0]:.3f}, {corners[1]:.3f} to {corners[2]:.3f}, {corners[3]:.3f}: beyond the picture (0 to 1)."
    if width * height > NEARLY_ALL:
        return f"the box covers {width * height:.0%} of the picture."
    if min(width, height) < ALMOST_NOTHING:
        return f"the box is only {width:.2%} wide and {height:.2%} high."
    return ""
