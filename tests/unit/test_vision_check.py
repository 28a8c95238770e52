"""What is wrong with a labelled set is found, named and explained; what is right is left in peace."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vision.check import check_set, near_duplicates, odd_boxes
from vision.dataset import NEAR, difference_hash, scenes
from vision.errors import DatasetError

NAMES = ["helmet", "person"]
WELL = "0 .5 .5 .2 .2\n1 .3 .4 .1 .2\n"


def scene(seed: int) -> np.ndarray:
    """Coarse random patches: two seeds look nothing alike."""
    patches = np.random.default_rng(seed).integers(0, 256, (9, 9), np.uint8)
    return np.asarray(cv2.resize(patches, (160, 120), interpolation=cv2.INTER_CUBIC))


def write(folder: Path, split: str, name: str, picture: np.ndarray, labels: str | None = WELL) -> Path:
    file = folder / "images" / split / f"{name}.jpg"
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), picture)
    if labels is not None:
        label = folder / "labels" / split / f"{name}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(labels)
    return file


def data_yaml(folder: Path, **splits: str) -> Path:
    file = folder / "data.yaml"
    file.write_text(yaml.safe_dump({**splits, "names": NAMES}))
    return file


def test_a_sound_set_has_no_finding(tmp_path: Path) -> None:
    write(tmp_path, "train", "a", scene(1))
    write(tmp_path, "train", "b", scene(2), "")
    write(tmp_path, "val", "c", scene(3))
    steps: list[tuple[int, int]] = []
    found = check_set(
        data_yaml(tmp_path, train="images/train", val="images/val"), lambda *step: steps.append(tuple(step))
    )
    assert found.findings == ()
    assert found.splits == {"train": 2, "val": 1}
    assert found.boxes == 4
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_a_picture_seen_again_in_another_split_is_named_with_its_double(tmp_path: Path) -> None:
    double = write(tmp_path, "train", "a", scene(1))
    write(tmp_path, "train", "alike", cv2.convertScaleAbs(scene(1), alpha=0.9))
    write(tmp_path, "train", "b", scene(2))
    again = write(tmp_path, "val", "c", cv2.GaussianBlur(scene(1), (3, 3), 0))
    write(tmp_path, "val", "d", scene(4))
    found = check_set(data_yaml(tmp_path, train="images/train", val="images/val")).findings
    assert [(f.kind, f.path) for f in found] == [("near-duplicate", again)]
    assert str(double.parent) in found[0].reason


def test_near_means_what_it_means_where_a_set_is_split(tmp_path: Path) -> None:
    shown, judged = scene(1), set()
    one = write(tmp_path, "train", "one", shown)
    for step in range(0, 40, 2):
        blended = cv2.addWeighted(shown, 1 - step / 40, scene(2), step / 40, 0)
        other = write(tmp_path, "val", "other", blended)
        hashes = [int.from_bytes(np.packbits(difference_hash(p)).tobytes()) for p in (one, other)]
        together = len(set(scenes([one, other]))) == 1
        assert bool(near_duplicates({"train": {one: hashes[0]}, "val": {other: hashes[1]}})) == together
        judged.add(together)
    assert judged == {True, False}


@given(st.integers(0, 2**64 - 1), st.sets(st.integers(0, 63), max_size=12))
def test_a_double_is_found_up_to_a_few_bits(digest: int, flipped: set[int]) -> None:
    other = digest
    for bit in flipped:
        other ^= 1 << bit
    found = near_duplicates({"train": {Path("a"): digest}, "val": {Path("b"): other}})
    assert bool(found) == (len(flipped) <= NEAR)


def test_splits_that_are_one_and_the_same_are_one_finding(tmp_path: Path) -> None:
    write(tmp_path, "train", "a", scene(1))
    write(tmp_path, "train", "b", scene(2))
    found = check_set(data_yaml(tmp_path, train="images/train", val="images/train")).findings
    assert [f.kind for f in found] == ["same-splits"]


def test_files_that_cannot_be_read_are_named_and_the_rest_is_checked(tmp_path: Path) -> None:
    cut = write(tmp_path, "train", "cut", scene(1))
    cut.write_bytes(cut.read_bytes()[:-400])
    write(tmp_path, "train", "empty", scene(2)).write_bytes(b"")
    write(tmp_path, "train", "text", scene(3)).write_text("no picture")
    cv2.imwrite(str(tmp_path / "a.png"), scene(4))
    (tmp_path / "a.png").rename(write(tmp_path, "train", "png", scene(4)))
    (tmp_path / "images/train/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    (tmp_path / "labels/train/broken.txt").write_bytes(b"\xff\xfe\x00binary")
    alone = write(tmp_path, "train", "alone", scene(5), None)
    found = check_set(data_yaml(tmp_path, train="images/train")).findings
    named = Counter((f.kind, f.path.name) for f in found)
    unreadable = ("broken.png", "broken.txt", "cut.jpg", "empty.jpg", "png.jpg", "text.jpg")
    assert named == Counter({("no-label-file", alone.name): 1, **{("unreadable", name): 1 for name in unreadable}})
    assert all(f.reason for f in found)


@pytest.mark.parametrize(
    ("line", "kind", "said"),
    [
        ("0 .95 .5 .2 .2", "odd-box", "beyond the picture"),
        ("0 .5 .5 0 .2", "odd-box", "no area"),
        ("0 .5 .5 -.1 .2", "odd-box", "no area"),
        ("2 .5 .5 .1 .2", "odd-box", "class 2"),
        ("-1 .5 .5 .1 .2", "odd-box", "class -1"),
        ("0.5 .5 .5 .1 .2", "odd-box", "class 0.5"),
        ("0 nan .5 .1 .2", "odd-box", "finite"),
        ("0 .5 .5 1 1", "odd-box", "100%"),
        ("0 .5 .5 .001 .2", "odd-box", "0.10%"),
        ("0 .1 .1 .2 .1 .2 .2", "odd-box", "outline"),
        ("0 .5 .5", "odd-box", "3 fields"),
        ("helmet .5 .5 .1 .2", "odd-box", "numbers"),
        ("0 .301 .4 .1 .2", "", ""),
        ("1 .301 .4 .1 .2", "doubled-box", "both person"),
        ("0 .3 .4 .1 .2", "doubled-box", "as person and as helmet"),
        ("0 .1005 .5 .2 .2", "", ""),
        ("0 .5 .5 .9 .9 .87", "", ""),
    ],
)
def test_a_box_that_nobody_can_have_meant(line: str, kind: str, said: str) -> None:
    known = "" if line == "0 .301 .4 .1 .2" else "1 .3 .4 .1 .2\n"
    found = odd_boxes(known + line, NAMES)
    assert [k for k, _ in found] == ([kind] if kind else [])
    assert all(said in reason for _, reason in found)


def test_a_label_file_without_end_is_not_gone_through(tmp_path: Path) -> None:
    write(tmp_path, "train", "a", scene(1), "0 .5 .5 .2 .2\n" * 200_000)
    found = check_set(data_yaml(tmp_path, train="images/train")).findings
    assert [f.kind for f in found] == ["odd-box"]


@pytest.mark.parametrize(
    "text",
    ["", "names: 5\ntrain: images", "names: [a]", "names: [a]\ntrain: nowhere", "{", "- a\n- b", "names: [\x00]"],
)
def test_what_is_no_set_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "data.yaml"
    file.write_text(text)
    with pytest.raises(DatasetError, match=r"data\.yaml"):
        check_set(file)
    with pytest.raises(DatasetError):
        check_set(tmp_path / "none.yaml")


def test_real_sets_are_checked(test_data: Path) -> None:
    found = check_set(test_data / "construction-site-safety" / "data.yaml").as_dict()
    assert found["splits"] == {"train": 513, "val": 513}
    assert found["counts"]["same-splits"] == 1
    assert found["counts"]["odd-box"] < 40  # cones far off, a pixel wide
