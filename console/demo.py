"""The demonstration: a rendered mine with its own data, code book, people and an active policy marked as the demo's."""

import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from console.cli_clauses import publish_samples
from console.installation import Installation, open_installation
from console.settings import load
from disposal.policy import activate_for_demo
from stream.errors import ConfigurationError
from stream.site import store_site

SAMPLES = Path(__file__).resolve().parent.parent / "samples"


@contextmanager
def demo_installation(data: Path, environment: Mapping[str, str]) -> Iterator[Installation]:
    """The demonstration's installation in ``data``/demo, made anew, while no other demonstration runs there.

    Raises ConfigurationError where the folder holds anything but an earlier demonstration.
    """
    folder = data / "demo"
    _refuse_site(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (data / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigurationError(
                f"Another demonstration runs in {folder}: stop it, or name another folder with --data."
            ) from error
        if folder.exists():
            shutil.rmtree(folder)
        settings = load(SAMPLES / "minewatch.toml", environment, folder)
        installation = open_installation(settings, folder, "demo")
        store_site(installation.engine, settings.site(), "demo")
        publish_samples(installation.engine, settings.mine, supplement=True)
        activate_for_demo(installation.engine, settings.mine)
        yield installation


def _refuse_site(folder: Path) -> None:
    """Only a folder that says of itself that it is a demonstration's is made anew."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    try:
        kind = json.loads((folder / "installation.json").read_text(encoding="utf-8"))["kind"]
    except (OSError, ValueError, KeyError, TypeError):
        kind = "unknown"
    if kind != "demo":
        raise ConfigurationError(
            f"{folder} holds something else than a demonstration: move it away, or name another folder with --data."
        )
