"""The evidence store: pictures and clips under their sha256, one folder a mine, written once and never changed."""

import hashlib
import os
import re
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stream.errors import ConfigurationError, EvidenceError

_ENDINGS = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "video/webm": ".webm",
    "video/mp4": ".mp4",
    "application/json": ".json",
}
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MINE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class EvidenceStore:
    """Evidence in a folder: ``ROOT/MINE/ab/abcdef….jpg``. Several processes and hosts may share the folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, mine: str, data: bytes, media_type: str) -> str:
        """Store ``data`` durably and answer its sha256 in hex; storing the same bytes again changes nothing.

        Raises EvidenceError where the folder cannot be written or the media type is none that is kept.
        """
        digest = hashlib.sha256(data).hexdigest()
        path = self.path(mine, digest, media_type)
        if path.exists():
            return digest
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(path, data)
        except OSError as error:
            raise EvidenceError(
                f"Evidence cannot be written to {path.parent}: {error.strerror}. Free space there or make it writable."
            ) from error
        return digest

    def get(self, mine: str, digest: str, media_type: str) -> bytes:
        """The bytes stored under ``digest``, checked against it.

        Raises EvidenceError where they are missing or altered.
        """
        path = self.path(mine, digest, media_type)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise EvidenceError(
                f"Evidence {digest[:12]} of {mine} cannot be read at {path}: {error.strerror}."
            ) from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise EvidenceError(
                f"Evidence {digest[:12]} of {mine} at {path} was altered: its bytes no longer have its digest."
            )
        return data

    def path(self, mine: str, digest: str, media_type: str) -> Path:
        """Where the evidence lies; the parts are checked, so that no path from outside leads out of the store."""
        if not _MINE.fullmatch(mine) or not _DIGEST.fullmatch(digest) or media_type not in _ENDINGS:
            raise EvidenceError(f"There is no evidence under mine {mine!r}, digest {digest!r}, type {media_type!r}.")
        return self.root / mine / digest[:2] / (digest + _ENDINGS[media_type])


def _write_whole(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def open_evidence(url: str) -> EvidenceStore:
    """The store behind a ``file:///folder`` URL. Raises ConfigurationError for any other."""
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc or not parts.path:
        raise ConfigurationError(f"evidence.url is {url!r}: write file:///folder with the folder that all hosts share.")
    return EvidenceStore(Path(unquote(parts.path)))
