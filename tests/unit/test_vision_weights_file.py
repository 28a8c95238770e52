"""Weights run only when they are the pinned ones."""

import re
from pathlib import Path

import pytest
import yaml

from vision.errors import WeightsError
from vision.settings import DetectorSettings, VisionSettings
from vision.weights_file import BUNDLED, bundled_pins, find_weights, folder_digest

FAMILIES = {
    "ppe": ["helmet", "no_helmet", "person"],
    "fire": ["fire", "smoke"],
    "belt": ["hole", "impact", "puncture", "tear", "wear"],
}


@pytest.fixture
def export(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.xml").write_text("model")
    (folder / "sub" / "b.bin").write_bytes(b"\0\1")
    return folder


def test_pinned_weights_are_found(export: Path) -> None:
    digest = folder_digest(export)
    assert find_weights(str(export), digest) == (export, digest)


@pytest.mark.parametrize("change", ["content", "name", "more", "less"])
def test_a_folders_digest_tells_every_change(export: Path, change: str) -> None:
    before = folder_digest(export)
    if change == "content":
        (export / "a.xml").write_text("modem")
    elif change == "name":
        (export / "a.xml").rename(export / "c.xml")
    elif change == "more":
        (export / "d").write_text("")
    else:
        (export / "sub" / "b.bin").unlink()
    assert folder_digest(export) != before
    with pytest.raises(WeightsError, match="altered or replaced"):
        find_weights(str(export), before)


def test_weights_without_a_pin_are_refused_and_the_digest_is_said(export: Path) -> None:
    with pytest.raises(WeightsError, match=folder_digest(export)):
        find_weights(str(export), "")


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights at"):
        find_weights(str(tmp_path / "none.pt"), "")


def test_every_bundled_pin_is_that_of_what_is_bundled() -> None:
    pins = bundled_pins()
    assert "ppe" in pins
    for path, pin in pins.values():
        assert path.is_relative_to(BUNDLED)
        assert folder_digest(path) == pin


@pytest.mark.parametrize(("family", "classes"), FAMILIES.items())
def test_each_family_is_shipped_small_in_both_forms_with_a_model_card(family: str, classes: list[str]) -> None:
    pins = bundled_pins()
    export, torch = pins[family][0], pins[f"{family}-torch"][0]
    metadata = yaml.safe_load((export / "metadata.yaml").read_text(encoding="utf-8"))
    assert list(metadata["names"].values()) == classes
    assert torch.suffix == ".pt"
    for form in (export, torch):
        files = [form] if form.is_file() else list(form.iterdir())
        assert sum(file.stat().st_size for file in files) < 4_000_000
    card = (BUNDLED / f"{family}.md").read_text(encoding="utf-8")
    for section in ("## Data", "## Training", "## Figures", "## What it gets wrong"):
        assert f"\n{section}\n" in card, f"{family}.md lacks {section}"
    for told in (*(f"`{name}`" for name in classes), "seed=7", "minewatch vision train", "AP50", "licence"):
        assert told in card, f"{family}.md does not tell {told}"
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+\.jpg)\)", card)
    assert shown, f"{family}.md shows no picture of its errors"
    for picture in shown:
        assert (BUNDLED / picture).read_bytes()[:2] == b"\xff\xd8"
    assert "CC BY 4.0" in card.split("![", 1)[1], "the pictures shown are credited"


def test_weights_named_for_watching_are_pinned_to_what_they_are_now(export: Path) -> None:
    settings = VisionSettings(staleness_seconds=5).for_watch(export)
    assert settings.staleness_seconds == 0
    assert settings.detectors["ppe"] == DetectorSettings(weights=str(export), sha256=folder_digest(export))
    with pytest.raises(WeightsError):
        VisionSettings().for_watch(export / "none")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_card_says_in_which_precision_its_export_calculates_and_adds_its_figures_up(family: str) -> None:
    export, _ = bundled_pins()[family]
    card = (BUNDLED / f"{family}.md").read_text(encoding="utf-8")
    eight_bits = any("FakeQuantize" in file.read_text(encoding="utf-8") for file in export.glob("*.xml"))
    [said] = re.findall(r"^\| files \|.*_openvino_model/` \(([^,]+),", card, re.MULTILINE)
    assert said == ("eight-bit integers" if eight_bits else "fp16")
    # The first table that has a mean under it; the one of ppe goes on with another set.
    figures, mean = card.partition("## Figures")[2], re.findall(r"mAP50 is (0\.\d\d) ", card)[0]
    scores = [float(score) for score in re.findall(r"\| \w+ \| (0\.\d\d) \|", figures)][
        : 2 if family == "ppe" else None
    ]
    assert len(scores) >= 2
    assert sum(scores) / len(scores) == pytest.approx(float(mean), abs=0.011)
