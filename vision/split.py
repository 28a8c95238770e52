"""Labelled sets split into pictures to learn from and pictures to score on, so that no scene is in both."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision.dataset import Source, mix, read_examples, read_set
from vision.errors import DatasetError


@dataclass(frozen=True)
class Split:
    """What was written: pictures of each split, and boxes of each class in it."""

    data_yaml: Path
    pictures: Mapping[str, int]
    boxes: Mapping[str, Mapping[str, int]]

    def as_dict(self) -> dict[str, object]:
        """Fit for JSON."""
        return {"data": str(self.data_yaml), "pictures": dict(self.pictures), "boxes": dict(self.boxes)}


def split_sets(
    sets: Sequence[Path],
    out: Path,
    *,
    share: float = 0.15,
    seed: int = 7,
    class_map: Mapping[str, str] | None = None,
) -> Split:
    """Write the pictures of ``sets`` (their data.yaml files) into ``out`` as links, about ``share`` of them held back.

    Near-duplicates go to the same side, and chains of them; ``class_map`` renames classes, an empty name drops one.
    Raises DatasetError for a set that cannot be read, for an ``out`` that holds something, for two pictures of one
    name, and where the pictures are of too few scenes for any to be held back.
    """
    if out.exists() and any(out.iterdir()):
        raise DatasetError(f"{out} is not empty: name another folder, or an old split would mix with the new one.")
    renames = dict(class_map or {})
    labels = list(dict.fromkeys(new for file in sets for name in read_set(file)[0] if (new := renames.get(name, name))))
    _refuse_namesakes([picture for file in sets for picture in _pictures(file)])
    data_yaml = mix([Source(file, renames) for file in sets], labels, out, share=share, seed=seed)
    if missing := [name for name in ("train", "val") if not (out / "images" / name).is_dir()]:
        shutil.rmtree(out)
        raise DatasetError(
            f"No picture is left for {missing[0]}: the pictures are of too few scenes to part them. "
            "Add pictures of other cameras, days or light."
        )
    pictures, boxes = {}, {}
    for name in ("train", "val"):
        examples = read_examples(data_yaml, None, name)
        pictures[name] = len(examples)
        boxes[name] = dict(Counter(label for example in examples for label, _ in example.boxes))
    return Split(data_yaml, pictures, boxes)


def _pictures(data_yaml: Path) -> list[Path]:
    train, val = (read_set(data_yaml, name)[1] for name in ("train", "val"))
    if train != val:
        raise DatasetError(
            f"{data_yaml} is split already: let its train and val name the same folder to split it anew."
        )
    return val


def _refuse_namesakes(pictures: Sequence[Path]) -> None:
    """In the split, a picture is named after its set's folder and itself: two of one name would be one."""
    seen: dict[tuple[str, str], Path] = {}
    for picture in pictures:
        first = seen.setdefault((picture.parent.parent.name, picture.stem), picture)
        if first != picture:
            raise DatasetError(f"{first} and {picture} would have the same name in the split: rename one of them.")
