"""What cannot be used is refused in one line that says what to do; exit code 2, nothing half written."""

import socket
import sqlite3
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.acceptance.command import Answer, minewatch

SITE = """
mine = "north"
[console]
port = {port}
[[places]]
id = "belt"
name = {{ en = "Belt roadway" }}
[[cameras]]
id = "cam-1"
name = {{ en = "Head drive" }}
url = "{video}"
place = "belt"
paced = false
"""


@pytest.fixture
def video(tmp_path: Path) -> Path:
    file = tmp_path / "plain.mp4"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), 10, (320, 240))
    for _ in range(10):
        writer.write(np.full((240, 320, 3), 120, np.uint8))
    writer.release()
    return file


def configuration(folder: Path, text: str) -> Path:
    file = folder / "minewatch.toml"
    file.write_text(text, encoding="utf-8")
    return file


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def site(folder: Path, video: Path | str, **changes: str) -> Path:
    text = SITE.format(port=free_port(), video=video)
    for old, new in changes.items():
        text = text.replace(old, new)
    return configuration(folder, text)


def content(database: Path) -> list[str]:
    with sqlite3.connect(database) as connection:
        return list(connection.iterdump())


def refused(answer: Answer, *said: str) -> None:
    assert answer.code == 2, (answer.code, answer.err)
    assert answer.out == ""
    for part in said:
        assert part in answer.line


def test_a_missing_video(tmp_path: Path) -> None:
    data = tmp_path / "data"
    refused(minewatch("watch", tmp_path / "absent.mp4", "--data", data), "absent.mp4")
    assert not list(data.rglob("*.db"))


def test_a_file_that_is_no_video(tmp_path: Path) -> None:
    file = tmp_path / "letter.mp4"
    file.write_text("Dear miner, this is a letter and no video.")
    refused(minewatch("watch", file, "--data", tmp_path / "data"), "letter.mp4")


def test_an_unknown_key(tmp_path: Path, video: Path) -> None:
    config = configuration(tmp_path, SITE.format(port=1, video=video) + '\n[log]\nurll = "embedded:"\n')
    refused(minewatch("run", "--config", config, "--data", tmp_path / "data"), "minewatch.toml", "log.urll")
    assert not (tmp_path / "data").exists()


def test_a_zone_outside_the_picture(tmp_path: Path, video: Path) -> None:
    zone = '\n[[zones]]\nid = "z"\ncamera = "cam-1"\npurpose = "restricted"\npolygon = [[0, 0], [2, 0], [1, 1]]\n'
    config = configuration(tmp_path, SITE.format(port=1, video=video) + zone)
    refused(
        minewatch("run", "--config", config, "--data", tmp_path / "data"),
        "zone z of camera cam-1",
        "outside the picture",
    )
    assert not (tmp_path / "data").exists()


def test_a_clause_file_of_another_kind(tmp_path: Path, video: Path) -> None:
    data = tmp_path / "data"
    arguments = ("clauses", "import", video, "--code", "X", "--edition", "1", "--data", data)
    refused(minewatch(*arguments), "plain.mp4")
    assert minewatch("clauses", "list", "--data", data, "--json").json == {"clauses": []}


def test_a_taken_port(tmp_path: Path, video: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = configuration(tmp_path, SITE.format(port=port, video=video))
        refused(minewatch("run", "--config", config, "--data", tmp_path / "data"), str(port))
    assert not (tmp_path / "data").exists()


def test_a_data_folder_that_cannot_be_written(tmp_path: Path, video: Path) -> None:
    # A file where the folder should be refuses everybody, root too; /proc stands for a read-only file system.
    (tmp_path / "file").write_text("")
    refused(minewatch("run", "--config", site(tmp_path, video), "--data", tmp_path / "file" / "data"), "data folder")
    refused(minewatch("run", "--config", site(tmp_path, video), "--data", "/proc/minewatch"), "data folder")


def test_a_database_of_an_older_version(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert minewatch("clauses", "list", "--data", data).code == 0
    with sqlite3.connect(data / "minewatch.db") as connection:
        connection.execute("DELETE FROM alembic_version")
    before = content(data / "minewatch.db")
    refused(minewatch("clauses", "list", "--data", data), "older version", "minewatch database upgrade")
    assert content(data / "minewatch.db") == before


def test_a_database_of_a_newer_version(tmp_path: Path, video: Path) -> None:
    data = tmp_path / "data"
    assert minewatch("clauses", "list", "--data", data).code == 0
    with sqlite3.connect(data / "minewatch.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'from-the-future'")
    refused(minewatch("run", "--config", site(tmp_path, video), "--data", data), "from-the-future", "newer")


def test_a_dead_model_endpoint(tmp_path: Path, video: Path) -> None:
    dead = free_port()
    models = f'\n[disposal.drafter.endpoint]\nurl = "http://127.0.0.1:{dead}/v1"\nmodel = "none"\n'
    config = configuration(tmp_path, SITE.format(port=free_port(), video=video) + models)
    refused(minewatch("run", "--config", config, "--data", tmp_path / "data"), str(dead), "model endpoint")
    assert not (tmp_path / "data").exists()
    answer = minewatch("doctor", "--config", config, "--data", tmp_path / "data", "--json")
    assert answer.code == 1
    finding = next(f for f in answer.json["findings"] if f["subject"] == "language model")
    assert not finding["well"]


def test_a_model_endpoint_that_dies_later_never_keeps_a_known_site_from_starting(tmp_path: Path, video: Path) -> None:
    data = tmp_path / "data"
    first = SITE.format(port=free_port(), video=video)
    assert (
        minewatch("run", "--config", configuration(tmp_path, first), "--seconds", "0", "--json", "--data", data).code
        == 0
    )
    models = f'\n[disposal.drafter.endpoint]\nurl = "http://127.0.0.1:{free_port()}/v1"\nmodel = "none"\n'
    answer = minewatch(
        "run", "--config", configuration(tmp_path, first + models), "--seconds", "0", "--json", "--data", data
    )
    assert answer.code == 0
    assert "does not answer" in answer.err


def test_one_bad_source_of_two_is_an_alert_and_one_line(tmp_path: Path, video: Path) -> None:
    data = tmp_path / "data"
    answer = minewatch("watch", video, tmp_path / "absent.mp4", "--json", "--data", data)
    assert answer.code == 1
    assert "absent" in answer.line
    assert answer.json["frames_read"] == 10
    assert answer.json["risks_by_type"].get("camera-offline") == 1


def test_a_wrong_option_and_a_wrong_command() -> None:
    refused(minewatch("run", "--wrong"), "--wrong")
    refused(minewatch("go"), "go")
    refused(minewatch("backup"), "file")


def test_a_wrong_stage(tmp_path: Path, video: Path) -> None:
    refused(
        minewatch("run", "--config", site(tmp_path, video), "--only", "sight", "--data", tmp_path / "d"),
        "'sight'",
        "vision",
    )


def test_no_secret_in_a_refusal(tmp_path: Path) -> None:
    answer = minewatch("watch", "rtsp://root:hunter2@127.0.0.1:9/live", "--data", tmp_path / "data")
    assert answer.code == 2
    assert "hunter2" not in answer.err + answer.out
