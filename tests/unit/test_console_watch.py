"""The site that `watch` makes out of sources alone."""

from pathlib import Path

import pytest

from console.watch import chosen, watched_site
from stream.errors import ConfigurationError


def test_the_whole_picture_is_watched_without_zones() -> None:
    site = watched_site(["clips/belt head.mp4", "rtsp://user:secret@host/stream1"])
    assert [camera.id for camera in site.cameras] == ["belt-head", "stream1"]
    assert {zone.purpose for zone in site.zones_of("belt-head")} == {"helmet-required", "watched"}
    assert all(zone.polygon == ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)) for zone in site.zones)
    assert all(not camera.paced for camera in site.cameras)


def test_sources_of_the_same_name_stay_apart() -> None:
    site = watched_site(["a/cam.mp4", "b/cam.mp4"])
    assert [camera.id for camera in site.cameras] == ["cam-1", "cam-2"]


def test_a_name_of_another_script_still_makes_a_camera() -> None:
    assert watched_site(["巷道.mp4"]).cameras[0].id == "camera"


def test_zones_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "zones.toml"
    file.write_text('[[zones]]\nid="belt"\ncamera="cam"\npurpose="conveyor"\npolygon=[[0,0],[1,0],[1,1]]\n')
    assert [zone.id for zone in watched_site(["cam.mp4"], file).zones] == ["belt"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[[zones]]\nid="b"\ncamera="other"\npurpose="conveyor"\npolygon=[[0,0],[1,0],[1,1]]\n', "camera 'other'"),
        ("[[zones]\n", "no TOML"),
        ("places = 3\n", "holds places"),
        ('[[zones]]\nid="b"\ncamera="cam"\npurpose="conveyor"\npolygon=[[0,0],[1,0]]\n', "2 points"),
    ],
)
def test_a_zones_file_that_cannot_be_used_is_named(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "zones.toml"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=said):
        watched_site(["cam.mp4"], file)


def test_detectors_are_chosen_by_name() -> None:
    assert chosen("ppe", {"ppe", "fire"}) == ("ppe",)
    assert chosen("fire, ppe,fire", {"ppe", "fire"}) == ("fire", "ppe")
    assert watched_site(["cam.mp4"], None, ("fire", "ppe")).cameras[0].detectors == ("fire", "ppe")


@pytest.mark.parametrize("listed", ["smoke", "ppe,", "", "ppe;fire"])
def test_a_detector_that_is_not_set_up_is_refused_with_those_that_are(listed: str) -> None:
    with pytest.raises(ConfigurationError, match="choose among fire, ppe"):
        chosen(listed, {"ppe", "fire"})
