"""Real pictures are labelled by the detectors, and what a person wrote is never touched."""

import shutil
from pathlib import Path

import pytest
import yaml

from stream.errors import ConfigurationError, SourceError
from stream.messages import Detection
from vision.check import check_set
from vision.dataset import overlap, read_examples
from vision.detector import Detector, open_detector
from vision.errors import DatasetError
from vision.label import centred, label_pictures, merged
from vision.settings import DetectorSettings
from vision.weights_file import folder_digest


@pytest.fixture(scope="module")
def ppe() -> Detector:
    return open_detector("ppe", DetectorSettings(weights="ppe"))


@pytest.fixture(scope="module")
def coco(test_data: Path) -> Detector:
    weights = test_data / "weights/yolo11n_coco_int8_openvino_model"
    return open_detector("coco", DetectorSettings(weights=str(weights), sha256=folder_digest(weights)))


@pytest.fixture
def pictures(test_data: Path, tmp_path: Path) -> Path:
    """Six real pictures, one of them in a folder of its own, and a file that is none."""
    folder = tmp_path / "new"
    (folder / "shift").mkdir(parents=True)
    chosen = sorted((test_data / "hard-hat-workers" / "images").rglob("*.jpg"))[:600:100]
    for number, picture in enumerate(chosen):
        shutil.copy(picture, folder / ("shift" if number == 0 else ".") / picture.name)
    (folder / "broken.jpg").write_text("no picture")
    return folder


def test_labels_are_what_the_detector_sees(ppe: Detector, test_data: Path, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    steps: list[int] = []
    done = label_pictures([ppe], pictures, out, progress=lambda at, _: steps.append(at))
    assert (done.written, done.kept) == (6, 0)
    assert [path.name for path, _ in done.left_out] == ["broken.jpg"]
    assert steps[-1] == 7
    read = read_examples(out / "data.yaml", None)
    assert sum(len(example.boxes) for example in read) == done.boxes > 0
    # people boxed the same pictures: what the detector wrote is mostly where they saw heads and helmets
    theirs = {e.picture.name: e.boxes for e in read_examples(test_data / "hard-hat-workers" / "data.yaml", None)}
    heads = [(e.picture.name, box) for e in read for name, box in e.boxes if name in ("helmet", "no_helmet")]
    right = [box for name, box in heads if any(overlap(box, other) > 0.5 for _, other in theirs[name])]
    assert len(right) >= 0.8 * len(heads) > 0
    assert {f.kind for f in check_set(out / "data.yaml").findings} == {"same-splits"}


def test_a_person_s_correction_is_kept_and_a_broken_run_goes_on(ppe: Detector, pictures: Path) -> None:
    corrected = next(pictures.glob("hhw*.jpg")).with_suffix(".txt")
    corrected.write_text("0 .5 .5 .25 .25\n")
    first = label_pictures([ppe], pictures)
    assert (first.written, first.kept) == (5, 1)
    assert first.data_yaml == pictures / "data.yaml"
    assert corrected.read_text() == "0 .5 .5 .25 .25\n"
    assert not list(pictures.rglob("*.part"))
    next((pictures / "shift").glob("*.txt")).unlink()
    again = label_pictures([ppe], pictures)
    assert (again.written, again.kept) == (1, 5)
    replaced = label_pictures([ppe], pictures, replace=True)
    assert (replaced.written, replaced.kept) == (6, 0)
    assert corrected.read_text() != "0 .5 .5 .25 .25\n"


def test_labels_go_where_yolo_looks_beside_images(ppe: Detector, pictures: Path, tmp_path: Path) -> None:
    images = tmp_path / "mine" / "images" / "march"
    images.parent.mkdir(parents=True)
    pictures.rename(images)
    done = label_pictures([ppe], images)
    assert done.data_yaml == tmp_path / "mine" / "data.yaml"
    assert yaml.safe_load(done.data_yaml.read_text())["train"] == "images/march"
    assert len(list((tmp_path / "mine" / "labels" / "march").rglob("*.txt"))) == 6
    assert len(read_examples(done.data_yaml, None)) == 7


def test_classes_follow_the_data_yaml_that_is_there(ppe: Detector, pictures: Path) -> None:
    file = pictures / "data.yaml"
    names = ["lamp", *sorted(ppe.labels, reverse=True)]
    file.write_text(yaml.safe_dump({"train": ".", "names": names}))
    before = file.read_text()
    label_pictures([ppe], pictures)
    assert file.read_text() == before
    written = {name for example in read_examples(file, None, "train") for name, _ in example.boxes}
    assert written
    assert "lamp" not in written
    file.write_text(yaml.safe_dump({"train": ".", "names": ["lamp"]}))
    with pytest.raises(DatasetError, match="helmet"):
        label_pictures([ppe], pictures, replace=True)


def test_two_detectors_label_together(ppe: Detector, coco: Detector, pictures: Path, tmp_path: Path) -> None:
    both = label_pictures([ppe, coco], pictures, tmp_path / "both")
    one = label_pictures([ppe], pictures, tmp_path / "one")
    assert both.boxes > one.boxes
    names = {name for example in read_examples(both.data_yaml, None) for name, _ in example.boxes}
    assert "person" in names


def test_of_two_boxes_of_one_thing_the_surer_stays() -> None:
    sure = Detection(label="person", confidence=0.9, box=(0.1, 0.1, 0.3, 0.9))
    unsure = Detection(label="person", confidence=0.5, box=(0.11, 0.1, 0.3, 0.9))
    other = Detection(label="helmet", confidence=0.6, box=(0.1, 0.1, 0.3, 0.9))
    apart = Detection(label="person", confidence=0.4, box=(0.5, 0.1, 0.7, 0.9))
    assert merged([unsure, other, apart, sure]) == [sure, other, apart]
    assert centred(sure) == pytest.approx((0.2, 0.5, 0.2, 0.8))


def test_what_cannot_be_labelled_is_said(ppe: Detector, pictures: Path, tmp_path: Path) -> None:
    double = next(pictures.glob("hhw*.jpg"))
    shutil.copy(double, double.with_suffix(".png"))
    done = label_pictures([ppe], pictures, tmp_path / "set")
    assert {path.suffix for path, reason in done.left_out if "rename" in reason} == {".png"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError):
        label_pictures([ppe], tmp_path / "empty")
    with pytest.raises(ConfigurationError):
        label_pictures([], pictures)
