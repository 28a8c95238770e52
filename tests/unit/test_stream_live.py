import os
import time
from pathlib import Path

import pytest

from stream.live import LOOKED_FOR, LivePicture, LivePictures
from stream.messages import utc_now


def test_the_latest_picture_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    pictures = LivePictures(tmp_path, "north")
    assert pictures.get("cam-1") is None
    pictures.look()
    first, second = LivePicture(utc_now(), b"one\ntwo"), LivePicture(utc_now(), b"three")
    pictures.put("cam-1", first)
    assert LivePictures(tmp_path, "north").get("cam-1") == first
    pictures.put("cam-1", second)
    assert pictures.get("cam-1") == second
    assert pictures.get("cam-2") is None
    assert LivePictures(tmp_path, "south").get("cam-1") is None
    assert sorted(path.name for path in (tmp_path / "north" / "live").iterdir()) == [".looked", "cam-1"]


def test_nobody_looks_until_somebody_says_so_and_then_for_half_a_minute(tmp_path: Path) -> None:
    assert not LivePictures(tmp_path, "north").looked()
    LivePictures(tmp_path, "north").look()
    assert LivePictures(tmp_path, "north").looked()
    gone = time.time() - LOOKED_FOR - 1
    os.utime(tmp_path / "north" / "live" / ".looked", (gone, gone))
    assert not LivePictures(tmp_path, "north").looked()


@pytest.mark.parametrize(
    "content", [b"", b"no time\nx", b"2026-01-01T00:00:00\nx", b"2026-01-01T00:00:00+00:00\n", b"\xff\nx"]
)
def test_what_is_no_picture_counts_as_none(tmp_path: Path, content: bytes) -> None:
    pictures = LivePictures(tmp_path, "north")
    pictures.look()
    (tmp_path / "north" / "live" / "cam-1").write_bytes(content)
    assert pictures.get("cam-1") is None


@pytest.mark.parametrize("camera", ["../x", "", ".looked", "a/b", "A"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, camera: str) -> None:
    with pytest.raises(ValueError, match="is no camera's id"):
        LivePictures(tmp_path, "north").get(camera)
