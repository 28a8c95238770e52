"""Where detector weights lie, and whether they are the ones that were pinned."""

import hashlib
import tomllib
from pathlib import Path
from typing import NamedTuple

from vision.errors import WeightsError

BUNDLED = Path(__file__).parent / "weights"


class Weights(NamedTuple):
    """Weights whose digest was found equal to their pin."""

    path: Path
    digest: str


def folder_digest(path: Path) -> str:
    """sha256 of a file, or of a folder: of its files' relative names and digests, in the order of the names.

    Raises WeightsError where there is nothing at that path.
    """
    if not path.exists():
        raise WeightsError(f"There are no weights at {path}: check the path.")
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    whole = hashlib.sha256()
    for file_path in sorted((p for p in path.rglob("*") if p.is_file()), key=lambda p: p.relative_to(path).as_posix()):
        whole.update(f"{file_path.relative_to(path).as_posix()}\0{folder_digest(file_path)}\n".encode())
    return whole.hexdigest()


def find_weights(weights: str, sha256: str) -> Weights:
    """The weights by bundled name or by path. Raises WeightsError where they are missing, unpinned or altered."""
    pins = bundled_pins()
    if weights in pins:
        path, pin = pins[weights]
        pin = sha256 or pin
    else:
        path, pin = Path(weights), sha256
        if not path.exists():
            raise WeightsError(
                f"There are no weights at {path}: give a path that exists, or one of the bundled names ({', '.join(sorted(pins)) or 'none'})."
            )
    digest = folder_digest(path)
    if not pin:
        raise WeightsError(
            f'The weights {path} are not pinned: check where they come from, then write sha256 = "{digest}".'
        )
    if digest != pin:
        raise WeightsError(
            f"The weights {path} have the sha256 {digest}, not the pinned {pin}: they were altered or replaced. Restore them, or pin the new ones."
        )
    return Weights(path, digest)


def bundled_pins() -> dict[str, tuple[Path, str]]:
    """The weights that come with this release: where each lies, and the digest that it must have."""
    listed = BUNDLED / "weights.toml"
    if not listed.is_file():
        return {}
    table = tomllib.loads(listed.read_text())
    return {
        name: (BUNDLED / entry["path"], entry["sha256"]) for name, entry in table.items() if isinstance(entry, dict)
    }
