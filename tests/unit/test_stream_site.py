"""What a site may be: whole, with zones that are polygons, and with addresses that never show a password."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlmodel import SQLModel

from stream.database import open_database
from stream.errors import ConfigurationError
from stream.site import Camera, Name, Place, Sensor, Site, Zone, adopt_site, load_site, safe_url, store_site

shares = st.floats(0, 1)
PLACE = Place(id="heading", name=Name(zh="掘进面", en="Heading"))
CAMERA = Camera(id="belt", name=Name(en="Belt"), url="clip.mp4", place="heading")
SENSOR = Sensor(id="ch4", name=Name(en="CH4"), url="ch4.csv", place="heading", quantity="methane", unit="%")
SQUARE = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9))


def zone(polygon: Any, **given: Any) -> Zone:
    return Zone.model_validate({"id": "z", "camera": "belt", "purpose": "conveyor", "polygon": polygon, **given})


@given(shares, shares, shares, shares)
def test_every_rectangle_is_a_zone(x1: float, y1: float, x2: float, y2: float) -> None:
    assert zone(((x1, y1), (x2, y1), (x2, y2), (x1, y2))).polygon[2] == (x2, y2)


@given(st.lists(st.tuples(shares, shares), max_size=2))
def test_fewer_than_three_points_are_no_zone(points: list[tuple[float, float]]) -> None:
    with pytest.raises(ValidationError, match="three or more"):
        zone(tuple(points))


@given(st.floats().filter(lambda x: not 0 <= x <= 1))
def test_a_point_outside_the_picture_is_refused(outside: float) -> None:
    with pytest.raises(ValidationError, match="outside the picture"):
        zone((*SQUARE, (0.05, outside)))


def test_a_polygon_that_crosses_itself_is_refused() -> None:
    with pytest.raises(ValidationError, match="crosses itself"):
        zone(((0.1, 0.1), (0.9, 0.9), (0.9, 0.1), (0.1, 0.9)))


@given(st.integers(0, 3))
def test_where_a_polygon_begins_does_not_matter(start: int) -> None:
    turned = SQUARE[start:] + SQUARE[:start]
    assert zone(turned).polygon == turned
    assert zone(turned[::-1]).polygon == turned[::-1]


@given(
    st.sampled_from(["rtsp", "rtsps", "http", "https", "mqtt", "mqtts", "kafka"]),
    st.text(min_size=1, max_size=20),
    st.text(min_size=4, max_size=20),
    st.sampled_from(["camera-7.pit.example", "10.0.0.7", "[fe80::1]"]),
    st.sampled_from(["", ":554", ":8883"]),
    st.sampled_from(["", "/", "/live/1", "/a/b?x=1"]),
)
def test_no_address_shows_its_password(scheme: str, user: str, password: str, host: str, port: str, path: str) -> None:
    assume(password not in f"{scheme}://{host}{port}{path}(an address that cannot be read)")
    assert password not in safe_url(f"{scheme}://{user}:{password}@{host}{port}{path}")


@given(st.text(max_size=60))
def test_any_text_can_be_shown(text: str) -> None:
    assert isinstance(safe_url(text), str)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://root:secret@10.0.0.7:554/live?token=1", "rtsp://10.0.0.7:554/live"),
        ("http://host/video?password=secret", "http://host/video"),
        ("rtsp://a:b@[fe80::1]:554/x", "rtsp://[fe80::1]:554/x"),
        ("/srv/clips/belt.mp4", "belt.mp4"),
        ("file:///srv/clips/belt.mp4", "belt.mp4"),
        ("0", "0"),
        ("http://a:b@host:port/", "(an address that cannot be read)"),
    ],
)
def test_what_an_address_is_shown_as(url: str, shown: str) -> None:
    assert safe_url(url) == shown


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"places": ()}, "not listed"),
        ({"cameras": (CAMERA, CAMERA)}, "stands 2 times"),
        ({"cameras": (CAMERA.model_copy(update={"id": "ch4"}),)}, "names a camera and a sensor"),
        ({"zones": (zone(SQUARE, camera="other"),)}, "not listed"),
        ({"mine": "Mine 7"}, "pattern"),
    ],
)
def test_a_site_that_contradicts_itself_is_refused(change: dict[str, Any], said: str) -> None:
    whole: dict[str, Any] = {"places": (PLACE,), "cameras": (CAMERA,), "sensors": (SENSOR,), "zones": (zone(SQUARE),)}
    Site(**whole)
    with pytest.raises(ValidationError, match=said):
        Site(**{**whole, **change})


def test_a_unit_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValidationError, match="write '%'"):
        Sensor.model_validate({**SENSOR.model_dump(), "unit": "ppm"})


def test_a_start_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="time zone"):
        Camera.model_validate({**CAMERA.model_dump(), "start": datetime(2026, 1, 1)})  # noqa: DTZ001


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="colour"):
        Camera.model_validate({**CAMERA.model_dump(), "colour": "red"})


def test_a_name_stands_for_both_languages() -> None:
    assert Name(zh="皮带").text("en") == "皮带"
    assert Name(en="Belt").text("zh") == "Belt"


def test_revisions_are_added_and_never_changed(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/database.db")
    SQLModel.metadata.create_all(engine)
    with pytest.raises(ConfigurationError, match="no site for mine 'mine'"):
        load_site(engine, "mine")
    first = Site(places=(PLACE,), cameras=(CAMERA,))
    second = Site(places=(PLACE,), cameras=(CAMERA,), sensors=(SENSOR,), zones=(zone(SQUARE),))
    assert store_site(engine, first, "engineer") == 1
    assert store_site(engine, first, "engineer") == 1, "nothing changed"
    assert store_site(engine, second, "engineer") == 2
    assert store_site(engine, first, "engineer") == 3
    assert load_site(engine, "mine") == (3, first)
    assert second.zones_of("belt") == (zone(SQUARE),)
    assert (second.sensor("ch4"), second.camera("belt"), second.place("heading")) == (SENSOR, CAMERA, PLACE)
    engine.dispose()


def test_the_file_is_the_first_revision_and_the_tables_own_the_site_from_the_first_edit_on(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'site.db'}")
    SQLModel.metadata.create_all(engine)
    file = Site(mine="mine", places=(PLACE,), cameras=(CAMERA,))
    assert not adopt_site(engine, file, "file")
    assert load_site(engine, "mine") == (1, file)
    grown = file.model_copy(update={"sensors": (SENSOR,)})
    assert not adopt_site(engine, grown, "file"), "while nobody has edited the site, a changed file is taken in"
    assert load_site(engine, "mine") == (2, grown)
    edited = grown.model_copy(update={"zones": (zone(SQUARE),)})
    store_site(engine, edited, "officer")
    assert not adopt_site(engine, grown, "file")
    assert load_site(engine, "mine") == (3, edited), "the same file again changes nothing"
    assert adopt_site(engine, file, "file"), "what the file holds besides is said"
    assert load_site(engine, "mine") == (3, edited)
    assert store_site(engine, file, "file") == 4
    assert not adopt_site(engine, file, "file")
    engine.dispose()
