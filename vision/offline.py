"""Makes ultralytics and OpenVINO work with no network: nothing is fetched, nothing installed, nothing reported.

Nor is anything run that a file of weights holds: a .pt file is a pickle, and may be anybody's.
"""

import contextlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vision.errors import WeightsError


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


def open_yolo(model: str | Path, named: Path | None = None) -> Any:
    """ultralytics' model of weights (a .pt file or an export folder) or of an architecture; nothing in them is run.

    ``named``: what refusals call it, where that is another name. Raises WeightsError for what is damaged or hostile.
    """
    prepare()
    from ultralytics import YOLO

    try:
        return YOLO(str(model), task="detect", verbose=False)
    except Exception as error:  # whatever a damaged or hostile file provokes is a refusal
        raise WeightsError(f"torch refuses the weights {named or model}: {_first_line(error)}.") from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a training wrote down, read as ``open_yolo`` reads weights. Raises WeightsError as that does."""
    prepare()
    from ultralytics.nn.tasks import torch_safe_load

    try:
        content: dict[str, Any] = torch_safe_load(str(path), safe_only=True)[0]
    except Exception as error:  # as above
        raise WeightsError(f"torch refuses the checkpoint {path}: {_first_line(error)}.") from error
    return content


@contextlib.contextmanager
def talk_to_stderr() -> Iterator[None]:
    """What ultralytics says meanwhile, its progress bars included, goes to stderr: stdout is for answers."""
    with contextlib.redirect_stdout(sys.stderr):
        for handler in logging.getLogger("ultralytics").handlers:
            if type(handler) is logging.StreamHandler:  # its own; what derives from it is somebody else's
                handler.setStream(sys.stderr)
        yield


def _first_line(error: Exception) -> str:
    said = str(error).splitlines()
    return f"{type(error).__name__}: {said[0].rstrip('.') if said else 'no reason given'}"


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
