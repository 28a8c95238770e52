"""Models on disk: what tells one from another."""

import hashlib
from pathlib import Path


def folder_digest(folder: Path) -> str:
    """sha256 over the relative names and the contents of a folder's files, in the order of the names.

    Raises OSError where a file cannot be read.
    """
    whole = hashlib.sha256()
    for path in sorted((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.relative_to(folder).as_posix()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{path.relative_to(folder).as_posix()}\0{digest}\n".encode())
    return whole.hexdigest()
