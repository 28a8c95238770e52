"""Makes ultralytics and OpenVINO work with no network: nothing is fetched, nothing installed, nothing reported."""

import contextlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


def prepare() -> None:
    """Set up this process and import ultralytics: to be called before any use of it or of openvino's converter."""
    folder = _config_folder()
    font = folder / "Ultralytics" / "Arial.ttf"
    if not font.exists():
        _place_font(font)
    os.environ.update(
        YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_CONFIG_DIR=str(folder), ULTRALYTICS_SAFE_LOAD="true"
    )
    # OpenVINO's converter asks for this module and tries the network with it; without it, it goes on.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    _give_pillow_back()


@contextlib.contextmanager
def talk_to_stderr() -> Iterator[None]:
    """What ultralytics says meanwhile, its progress bars included, goes to stderr: stdout is for answers."""
    with contextlib.redirect_stdout(sys.stderr):
        for handler in logging.getLogger("ultralytics").handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setStream(sys.stderr)
        yield


def _give_pillow_back() -> None:
    """ultralytics puts its own in place of Pillow's ``open``: at a broken picture it installs a codec from the net.

    Where it cannot, a missing module is raised instead of Pillow's own error, wherever the process reads next.
    """
    from PIL import Image
    from ultralytics.utils import patches

    Image.open = patches._image_open  # noqa: SLF001 - the original is kept nowhere else


def _config_folder() -> Path:
    folder = Path.home() / ".cache" / "minewatch"
    try:
        (folder / "Ultralytics").mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="minewatch-ultralytics-"))
        (folder / "Ultralytics").mkdir()
    return folder


def _place_font(font: Path) -> None:
    """Put a font that a dependency ships where ultralytics would download one to draw labels."""
    import matplotlib as mpl

    source = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    with tempfile.NamedTemporaryFile(dir=font.parent, delete=False) as draft:
        draft.write(source.read_bytes())
    shutil.move(draft.name, font)
