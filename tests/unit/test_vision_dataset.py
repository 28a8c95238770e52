import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vision.dataset import (
    Box,
    Example,
    Seen,
    Source,
    difference_hash,
    held_back,
    label_file,
    mix,
    overlap,
    read_examples,
    read_set,
    scenes,
    stretched,
    with_seen,
    write_example,
)
from vision.errors import DatasetError

NAMES = ["Hardhat", "NO-Hardhat", "dump truck"]


def scene(seed: int) -> np.ndarray:
    """Coarse random patches: two seeds look nothing alike."""
    patches = np.random.default_rng(seed).integers(0, 256, (9, 9), np.uint8)
    return cv2.resize(patches, (160, 120), interpolation=cv2.INTER_CUBIC)


def write_set(folder: Path, pictures: dict[str, np.ndarray], labels: dict[str, str]) -> Path:
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for name, picture in pictures.items():
        cv2.imwrite(str(folder / "images" / f"{name}.jpg"), picture)
    for name, text in labels.items():
        (folder / "labels" / f"{name}.txt").write_text(text)
    file = folder / "data.yaml"
    file.write_text(yaml.safe_dump({"train": "images", "val": "images", "names": dict(enumerate(NAMES))}))
    return file


def test_classes_are_renamed_dropped_or_kept(tmp_path: Path) -> None:
    data = write_set(
        tmp_path, {"a": scene(1)}, {"a": "0 .5 .5 .2 .2\n1 .1 .2 .1 .1\n2 .9 .9 .1 .1\n\n0 .3 .3 .1 .1 .99\n"}
    )
    renamed = read_examples(data, {"NO-Hardhat": "no_helmet", "dump truck": ""})
    assert [name for name, _ in renamed[0].boxes] == ["Hardhat", "no_helmet", "Hardhat"]
    assert renamed[0].boxes[1] == ("no_helmet", (0.1, 0.2, 0.1, 0.1))
    assert [name for name, _ in read_examples(data, None)[0].boxes] == [*NAMES, "Hardhat"]


def test_a_picture_without_labels_is_background(tmp_path: Path) -> None:
    assert read_examples(write_set(tmp_path, {"a": scene(1)}, {}), None) == [Example(tmp_path / "images" / "a.jpg", ())]


def test_a_split_that_is_not_listed_falls_back_to_the_training_pictures(tmp_path: Path) -> None:
    data = write_set(tmp_path, {"a": scene(1)}, {})
    names, pictures = read_set(data, "test")
    assert names == NAMES
    assert [picture.name for picture in pictures] == ["a.jpg"]


@pytest.mark.parametrize("line", ["7 .5 .5 .1 .1", "x .5 .5 .1 .1", "0 .5 .5 wide .1"])
def test_a_line_that_is_no_box_is_named(tmp_path: Path, line: str) -> None:
    data = write_set(tmp_path, {"a": scene(1)}, {"a": line})
    with pytest.raises(DatasetError, match=r"a\.txt has a line that is no box"):
        read_examples(data, None)


@pytest.mark.parametrize("text", ["names: [a]", "just words", "names: {0: a}\nval: nowhere", "{"])
def test_a_data_yaml_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(DatasetError, match=r"data\.yaml"):
        read_set(tmp_path / "data.yaml")


def test_labels_lie_beside_the_last_folder_of_images() -> None:
    assert label_file(Path("/images/mine/images/val/a.b.jpg")) == Path("/images/mine/labels/val/a.b.txt")
    assert label_file(Path("/mine/a.png")) == Path("/mine/a.txt")


def test_what_another_detector_saw_fills_in_what_is_not_boxed(tmp_path: Path) -> None:
    boxed = Example(tmp_path / "boxed.jpg", (("person", (0.5, 0.5, 0.4, 0.8)), ("helmet", (0.5, 0.2, 0.1, 0.1))))
    doubtful = Example(tmp_path / "doubtful.jpg", ())
    unseen = Example(tmp_path / "unseen.jpg", ())
    rows = [
        {
            "picture": "boxed.jpg",
            "boxes": [
                ["person", 0.51, 0.5, 0.4, 0.8, 0.9],  # the one that is boxed already
                ["person", 0.1, 0.5, 0.1, 0.4, 0.35],
                ["person", 0.11, 0.5, 0.1, 0.4, 0.34],  # the same person once more
                ["vehicle", 0.8, 0.8, 0.1, 0.1, 0.9],
                ["person", 0.9, 0.5, 0.1, 0.4, 0.2],
                ["person", 0.7, 0.1, 0.02, 0.04, 0.1],
            ],
        },
        {"picture": "doubtful.jpg", "boxes": [["person", x / 10, 0.5, 0.05, 0.4, 0.2] for x in (1, 3, 5, 7)]},
    ]
    file = tmp_path / "seen.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    judged = with_seen([boxed, doubtful, unseen], Seen(file, "person", sure=0.3))
    assert judged[0] == (Example(boxed.picture, (*boxed.boxes, ("person", (0.1, 0.5, 0.1, 0.4)))), True)
    assert judged[1] == (doubtful, False)
    assert judged[2] == (unseen, True)


def test_near_duplicates_share_a_scene(tmp_path: Path) -> None:
    first = scene(1)
    pictures = {
        "a": first,
        "brighter": cv2.convertScaleAbs(first, alpha=0.8, beta=30),
        "other": scene(2),
        "smaller": cv2.resize(first, (80, 60), interpolation=cv2.INTER_AREA),
        "third": scene(3),
    }
    write_set(tmp_path, pictures, {})
    a, brighter, other, smaller, third = scenes(sorted((tmp_path / "images").iterdir()))
    assert a == brighter == smaller
    assert len({a, other, third}) == 3


def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"broken\.jpg"):
        difference_hash(broken)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=200), st.floats(0.0, 1.0), st.integers(0, 9))
def test_what_is_held_back_is_whole_scenes_and_not_more_than_asked(sizes: list[int], share: float, seed: int) -> None:
    chosen = held_back(sizes, share, seed)
    assert chosen <= set(sizes)
    assert sum(scene in chosen for scene in sizes) <= share * len(sizes)
    assert all(sizes.count(scene) <= share * len(sizes) / 6 for scene in chosen)
    assert held_back(sizes, share, seed) == chosen


def test_another_seed_holds_back_other_scenes() -> None:
    one, other = (held_back(range(1000), 0.1, seed) for seed in (1, 2))
    assert len(one) == len(other) == 100
    assert one != other


def test_a_mix_keeps_scenes_together_and_learns_only_from_fit_pictures(tmp_path: Path) -> None:
    pictures = {f"p{n:02}": scene(n) for n in range(40)} | {f"q{n:02}": scene(n) // 2 + 40 for n in range(40)}
    source = write_set(tmp_path / "site", pictures, dict.fromkeys(pictures, "0 .5 .5 .2 .2\n2 .5 .5 .9 .9"))
    seen = tmp_path / "seen.jsonl"
    sure, doubtful = ["person", 0.5, 0.6, 0.2, 0.5, 0.9], ["person", 0.2, 0.6, 0.2, 0.5, 0.2]
    unfit = {"p03", "q03"}
    seen.write_text(
        "\n".join(
            json.dumps({"picture": f"{name}.jpg", "boxes": [doubtful if name in unfit else sure]}) for name in pictures
        )
    )
    mixed = mix(
        [Source(source, {"Hardhat": "helmet"}, Seen(seen, "person", 0.4, too_many=1), times=2)],
        ["helmet", "person"],
        tmp_path / "mixed",
        share=0.3,
        seed=7,
    )
    split = {name: {p.name for p in (mixed.parent / "images" / name).iterdir()} for name in ("train", "val")}
    scene_numbers = {name: {p.split("-")[1][1:] for p in files} for name, files in split.items()}
    assert not scene_numbers["train"] & scene_numbers["val"]
    assert len(split["val"]) == 24
    assert len(split["train"]) == 2 * (80 - 24 - (0 if "03" in scene_numbers["val"] else 2))
    assert "03" not in scene_numbers["train"]
    example = next((mixed.parent / "labels" / "train").iterdir())
    assert example.read_text().splitlines() == [
        "0 0.500000 0.500000 0.200000 0.200000",
        "1 0.500000 0.600000 0.200000 0.500000",
    ]
    names, listed = read_set(mixed, "train")
    assert names == ["helmet", "person"]
    assert len(listed) == len(split["train"])


def test_pictures_of_a_mix_are_links(tmp_path: Path) -> None:
    source = write_set(tmp_path / "site", {"a": scene(1)}, {})
    picture = read_examples(source, None)[0].picture
    write_example(Example(picture, ()), ["helmet"], tmp_path / "mixed", "val")
    link = tmp_path / "mixed" / "images" / "val" / "site-a-0.jpg"
    assert link.is_symlink()
    assert link.resolve() == picture.resolve()


fractions = st.floats(0.01, 1.0)
boxes = st.tuples(fractions, fractions, fractions, fractions)


@given(boxes, boxes)
def test_overlap_is_a_share_and_the_same_both_ways(one: tuple[float, ...], other: tuple[float, ...]) -> None:
    assert 0.0 <= overlap(one, other) <= 1.0 + 1e-9
    assert overlap(one, other) == pytest.approx(overlap(other, one))
    assert overlap(one, one) == pytest.approx(1.0)


def test_overlap_of_known_boxes() -> None:
    assert overlap((0.5, 0.5, 0.2, 0.2), (0.6, 0.5, 0.2, 0.2)) == pytest.approx(1 / 3)
    assert overlap((0.2, 0.2, 0.1, 0.1), (0.8, 0.8, 0.1, 0.1)) == 0.0


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0.5, 0.3, 0.2, 0.2), (0.5, 0.35, 0.2, 0.3)),
        ((0.5, 0.9, 0.2, 0.2), (0.5, 0.9, 0.2, 0.2)),
        ((0.5, 0.85, 0.2, 0.2), (0.5, 0.875, 0.2, 0.25)),
    ],
)
def test_a_hat_grows_down_to_a_head_and_no_further_than_the_picture(box: Box, expected: Box) -> None:
    grown = stretched(Example(Path("p.jpg"), (("helmet", box), ("person", box))), {"helmet": 1.5})
    assert dict(grown.boxes)["helmet"] == pytest.approx(expected)
    assert dict(grown.boxes)["person"] == pytest.approx(box)


@pytest.mark.parametrize(
    "content", [b"names: 5\ntrain: images\n", b"\xff\xfe\x00n", b"names: [a\n", b"train: images\n"]
)
def test_a_data_yaml_that_is_none_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"")
    (tmp_path / "data.yaml").write_bytes(content)
    with pytest.raises(DatasetError, match=r"data\.yaml is no data\.yaml"):
        read_set(tmp_path / "data.yaml")
