"""What vision can be told, and what it refuses to be told."""

import inspect

import pytest
from pydantic import ValidationError

from stream.catalogue import RISK_TYPES, Confirmation
from vision.evaluate import evaluate
from vision.settings import VisionSettings


def test_weights_are_scored_at_the_threshold_at_which_they_watch() -> None:
    scored = inspect.signature(evaluate).parameters["threshold"].default
    assert {one.threshold for one in VisionSettings().detectors.values()} == {scored}
    assert all(not one.thresholds for one in VisionSettings().detectors.values())


def test_the_catalogues_delays_stand_where_nothing_else_is_said() -> None:
    assert VisionSettings().confirmation("smoke") == RISK_TYPES["smoke"].confirmation


def test_single_delays_can_be_set_by_risk_type() -> None:
    settings = VisionSettings.model_validate({"confirmations": {"no-helmet": {"on_delay": 0.2, "full_scans": 5}}})
    assert settings.confirmation("no-helmet") == Confirmation(on_delay=0.2, share=0.6, off_delay=3.0, full_scans=5)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"confirmations": {"no-hat": {}}}, "no-hat"),
        ({"confirmations": {"fire": {"off_delay": 0}}}, "off_delay"),
        ({"detectors": {"ppe": {"weights": "ppe", "thresholds": {"helmet": 1.2}}}}, "between 0 and 1"),
        ({"detectors": {"ppe": {"weights": "ppe", "image_size": 300}}}, "image_size"),
        ({"detectors": {"ppe": {"weights": "ppe", "sha256": "abc"}}}, "sha256"),
        ({"detectors": {"ppe": {"weights": "ppe", "backend": "tpu"}}}, "backend"),
        ({"speed": 3}, "speed"),
    ],
)
def test_what_cannot_be_is_refused(content: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        VisionSettings.model_validate(content)
