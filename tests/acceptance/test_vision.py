"""What a site engineer does with the detector at the command line."""

from pathlib import Path

import cv2
import yaml

from tests.acceptance.command import minewatch
from vision.dataset import read_examples, write_data_yaml, write_example
from vision.evaluate import own_size
from vision.weights_file import bundled_pins

LABELS = ["helmet", "no_helmet", "person"]


def test_evaluate_answers_one_object_and_runs_an_export_at_its_own_size(tmp_path: Path, test_data: Path) -> None:
    """ultralytics takes an export for one of 640 pixels and talks on stdout; neither may reach the answer."""
    source = test_data / "hard-hat-workers" / "data.yaml"
    for example in read_examples(source, {"head": "no_helmet"})[:400:10]:
        write_example(example, LABELS, tmp_path / "set", "val")
    data = write_data_yaml(tmp_path / "set", LABELS)
    weights, _ = bundled_pins()["ppe"]
    sheet = tmp_path / "mistakes.jpg"
    answer = minewatch("vision", "evaluate", "--weights", weights, "--data", data, "--mistakes", sheet, "--json")
    assert answer.code == 0, answer.err
    found = answer.json
    made_for = yaml.safe_load((weights / "metadata.yaml").read_text())["imgsz"]
    assert own_size(weights) == {"imgsz": made_for[0]}
    assert found["pictures"] == 40
    assert found["classes"]["helmet"]["ap50"] > 0.5
    assert "100%" in answer.err, "a bar shows how far it is"
    assert sheet.read_bytes()[:2] == b"\xff\xd8"


def test_what_is_seen_in_a_video_is_drawn_on_it(tmp_path: Path, test_data: Path) -> None:
    clip, target = test_data / "video" / "worker-zone-detection.mp4", tmp_path / "seen" / "worker.webm"
    answer = minewatch("vision", "annotate", clip, "--out", target, "--every", "8", "--detector", "ppe", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["frames"] == 9
    assert answer.json["seen"]["person"]["frames"] >= 8
    shown, plain = cv2.VideoCapture(str(target)), cv2.VideoCapture(str(clip))
    pictures = []
    while (read := shown.read())[0]:
        pictures.append(read[1])
    assert len(pictures) == 9
    first = cv2.resize(plain.read()[1], pictures[0].shape[1::-1])
    changed = (cv2.absdiff(first, pictures[0]).max(axis=2) > 90).mean()
    assert 0.001 < changed < 0.2, "boxes and labels are drawn, and the rest is the picture"
