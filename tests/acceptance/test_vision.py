"""What a site engineer does with the detector at the command line."""

from pathlib import Path

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
    assert sheet.read_bytes()[:2] == b"\xff\xd8"
