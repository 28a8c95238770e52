"""What each camera is to look for, and what is said of what nobody can see."""

from typing import NamedTuple

import pytest
from structlog.testing import capture_logs

from stream.errors import ConfigurationError
from stream.site import Camera, Name, Place, Site, Zone
from vision.detector import Detector
from vision.support import Key
from vision.view import MEASURED_SIDE, PICTURE_KEYS, say_what_is_unseen, view_site

TRIANGLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))


class Described(NamedTuple):
    """A detector as far as views ask for it."""

    name: str
    labels: frozenset[str]
    image_size: int
    digest: str = "0" * 64

    def detect(self, pictures: object) -> list[list[object]]:
        raise AssertionError("nothing is looked at here")


PPE = Described("ppe", frozenset({"person", "helmet", "no_helmet"}), 320)
FIRE = Described("fire", frozenset({"fire", "smoke"}), 640)
DETECTORS: dict[str, Detector] = {"ppe": PPE, "fire": FIRE}  # type: ignore[dict-item]


def site(**detectors: tuple[str, ...]) -> Site:
    return Site(
        places=(Place(id="p", name=Name(en="p")),),
        cameras=tuple(
            Camera(id=c, name=Name(en=c), url=c, place="p", detectors=chosen) for c, chosen in detectors.items()
        ),
        zones=tuple(
            Zone(id=f"{c}-{purpose}", camera=c, purpose=purpose, polygon=TRIANGLE)
            for c in detectors
            for purpose in ("helmet-required", "vest-required", "belt-edge")
        ),
    )


def test_a_camera_sees_what_its_own_detectors_and_its_picture_show() -> None:
    views = view_site(site(a=("ppe",), b=("ppe", "fire"), c=()), DETECTORS)
    always = lambda c: PICTURE_KEYS | {Key("belt-deviation", f"{c}-belt-edge")}  # noqa: E731
    helmets = lambda c: {Key("no-helmet", f"{c}-helmet-required")}  # noqa: E731
    assert views["a"].keys == always("a") | helmets("a")
    assert views["b"].keys == always("b") | helmets("b") | {Key("fire", None), Key("smoke", None)}
    assert views["c"].keys == always("c")


def test_pictures_are_decoded_for_the_hungriest_detector() -> None:
    views = view_site(site(a=("ppe",), b=("ppe", "fire"), c=()), DETECTORS)
    assert [views[c].side for c in "abc"] == [320, 640, MEASURED_SIDE]


def test_a_detector_that_is_not_set_up_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="Camera a asks for the detector belt"):
        view_site(site(a=("ppe", "belt")), DETECTORS)


def test_what_nobody_can_see_is_said() -> None:
    with capture_logs() as logs:
        say_what_is_unseen(view_site(site(a=("ppe",)), DETECTORS))
    unseen = next(line["types"] for line in logs if "types" in line)
    assert {"no-vest", "belt-tear", "standing-water"} <= set(unseen)
    assert {"fire", "smoke"} <= set(unseen), "a detector that no camera asks for sees nothing"
    assert not {"no-helmet", "camera-blind"} & set(unseen)
    assert [line["zones"] for line in logs if line.get("camera") == "a"] == [["a-vest-required"]]
