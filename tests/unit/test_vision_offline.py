"""ultralytics, once imported, leaves the rest of the process as it was."""

import subprocess
import sys
from pathlib import Path


def test_a_broken_picture_stays_pillows_error_after_ultralytics_came(tmp_path: Path) -> None:
    broken = tmp_path / "3.jpg"
    broken.write_bytes(b"text")
    code = f"""
from PIL import Image, UnidentifiedImageError
from vision.offline import prepare
prepare()
import ultralytics.data
try:
    Image.open({str(broken)!r})
except UnidentifiedImageError:
    print("not a picture")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split("\n")[-2:] == ["not a picture", ""], done.stderr
