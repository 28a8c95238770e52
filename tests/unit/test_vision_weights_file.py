"""Weights run only when they are the pinned ones."""

from pathlib import Path

import pytest

from vision.errors import WeightsError
from vision.settings import DetectorSettings, VisionSettings
from vision.weights_file import BUNDLED, bundled_pins, find_weights, folder_digest


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


def test_weights_named_for_watching_are_pinned_to_what_they_are_now(export: Path) -> None:
    settings = VisionSettings(staleness_seconds=5).for_watch(export)
    assert settings.staleness_seconds == 0
    assert settings.detectors["ppe"] == DetectorSettings(weights=str(export), sha256=folder_digest(export))
    with pytest.raises(WeightsError):
        VisionSettings().for_watch(export / "none")
