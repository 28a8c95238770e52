"""The configuration: what it takes, what it refuses, and that a refusal is one line that names the place."""

from pathlib import Path

import pytest

from console.settings import load
from stream.errors import ConfigurationError

SITE = """
mine = "north"
[log]
url = "embedded:"
[[places]]
id = "belt"
name = { zh = "皮带巷", en = "Belt roadway" }
[[cameras]]
id = "cam-1"
name = { en = "Head drive" }
url = "clips/belt.mp4"
place = "belt"
[[zones]]
id = "z-1"
camera = "cam-1"
purpose = "restricted"
polygon = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "minewatch.toml"
    file.write_text(text, encoding="utf-8")
    return file


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(written(folder, text), {}, folder / "data").site()
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_sources_count_from_the_configuration_and_stores_from_the_data_folder(tmp_path: Path) -> None:
    settings = load(written(tmp_path, SITE), {}, tmp_path / "data")
    assert settings.cameras[0].url == str(tmp_path / "clips" / "belt.mp4")
    assert settings.database.url == f"sqlite:///{tmp_path / 'data' / 'minewatch.db'}"
    assert settings.log.folder == tmp_path / "data" / "log"
    assert settings.evidence.url == (tmp_path / "data" / "evidence").as_uri()
    assert settings.site().zones_of("cam-1")[0].purpose == "restricted"


def test_variables_go_over_the_file(tmp_path: Path) -> None:
    settings = load(
        written(tmp_path, SITE), {"MINEWATCH_LOG__URL": "kafka://broker:9092", "MINEWATCH_MINE": "south"}, tmp_path
    )
    assert settings.log.url == "kafka://broker:9092"
    assert settings.mine == "south"


def test_other_variables_of_the_environment_change_nothing(tmp_path: Path) -> None:
    settings = load(written(tmp_path, SITE), {"MINEWATCH_TEST_DATA": "/somewhere", "LOG__URL": "kafka://x"}, tmp_path)
    assert settings.log.url == "embedded:"


def test_settings_cannot_change_after_they_were_read(tmp_path: Path) -> None:
    settings = load(written(tmp_path, SITE), {}, tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        settings.mine = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[log]\n", "[log]\nspeed = 3\n"), "there is no setting 'log.speed'"),
        (('mine = "north"', 'mine = "north"\ncolour = "red"'), "there is no setting 'colour'"),
        (("[0.9, 0.9]", "[0.9, 1.9]"), "zone z-1 of camera cam-1 has the point (0.9, 1.9) outside the picture"),
        ((", [0.9, 0.9]]", "]"), "zone z-1 of camera cam-1 has 2 points"),
        (
            ("[[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]", "[[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]]"),
            "zone z-1 of camera cam-1 crosses itself",
        ),
        (('place = "belt"', 'place = "attic"'), "'attic', which is not listed"),
        (('camera = "cam-1"', 'camera = "cam-9"'), "zone z-1 belongs to camera 'cam-9', which is not listed"),
        (('purpose = "restricted"', 'purpose = "secret"'), "purpose"),
        (('mine = "north"', "mine = "), "no TOML"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    assert said in refusal(tmp_path, SITE.replace(*change))


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.toml cannot be read: No such file"):
        load(tmp_path / "absent.toml", {}, tmp_path)


def test_a_refusal_does_not_repeat_a_secret(tmp_path: Path) -> None:
    text = SITE.replace('url = "clips/belt.mp4"', 'url = "rtsp://root:hunter2@10.0.0.1/s"\npassword = "hunter2"')
    assert "hunter2" not in refusal(tmp_path, text)
