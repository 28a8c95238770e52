"""The evidence store: pictures and clips under their sha256, one folder a mine, written once and never changed."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from stream.errors import ConfigurationError, EvidenceError
from stream.live import LivePictures

_ENDINGS = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "video/webm": ".webm",
    "video/mp4": ".mp4",
    "application/json": ".json",
}
_MEDIA = {ending: media_type for media_type, ending in _ENDINGS.items()}
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MINE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Stored(NamedTuple):
    """One piece in the store; ``stored_at`` is when somebody last stored it, in seconds since the epoch."""

    sha256: str
    media_type: str
    size: int
    stored_at: float


class EvidenceStore:
    """Evidence in a folder: ``ROOT/MINE/ab/abcdef….jpg``. Several processes and hosts may share the folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def root(self) -> Path:
        """The folder. Raises ConfigurationError for a store that is none of this host's."""
        return self._root

    def put(self, mine: str, data: bytes, media_type: str) -> str:
        """Store ``data`` durably and answer its sha256 in hex; storing the same bytes again changes nothing.

        Raises EvidenceError where the folder cannot be written or the media type is none that is kept.
        """
        digest = hashlib.sha256(data).hexdigest()
        path = self.path(mine, digest, media_type)
        try:
            if _wanted_again(path):
                return digest
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

    def stored(self, mine: str) -> Iterator[Stored]:
        """Every piece of a mine; files that are no evidence are passed over. Raises OSError where it cannot be read."""
        for path in (self.root / mine).glob("[0-9a-f][0-9a-f]/*"):
            media_type = _MEDIA.get(path.suffix)
            if media_type is None or not _DIGEST.fullmatch(path.stem):
                continue
            try:
                found = path.stat()
            except FileNotFoundError:
                continue
            yield Stored(path.stem, media_type, found.st_size, found.st_mtime)

    def discard(self, mine: str, piece: Stored, before: float) -> bool:
        """Delete a piece that nobody has stored again since ``before``; whether it was deleted. Raises OSError."""
        path = self.path(mine, piece.sha256, piece.media_type)
        try:
            if path.stat().st_mtime >= before:
                return False
            path.unlink()
        except FileNotFoundError:
            return False
        return True

    def live(self, mine: str) -> LivePictures:
        """The mine's live pictures, beside its evidence."""
        return LivePictures(self.root, mine)

    def path(self, mine: str, digest: str, media_type: str) -> Path:
        """Where the evidence lies; the parts are checked, so that no path from outside leads out of the store."""
        return self.root / address(mine, digest, media_type)


def address(mine: str, digest: str, media_type: str) -> str:
    """Where a piece lies below the store's root. Raises EvidenceError for parts that can be none of evidence."""
    if not _MINE.fullmatch(mine) or not _DIGEST.fullmatch(digest) or media_type not in _ENDINGS:
        raise EvidenceError(f"There is no evidence under mine {mine!r}, digest {digest!r}, type {media_type!r}.")
    return f"{mine}/{digest[:2]}/{digest}{_ENDINGS[media_type]}"


def addressed(path: str) -> tuple[str, str, str] | None:
    """Mine, digest and media type of what ``address`` made; None for any other path."""
    mine, _, name = path.partition("/")
    digest, dot, ending = name.partition("/")[2].partition(".")
    media_type = _MEDIA.get(dot + ending, "")
    try:
        return (mine, digest, media_type) if address(mine, digest, media_type) == path else None
    except EvidenceError:
        return None


def _wanted_again(path: Path) -> bool:
    """Whether it is stored already; its time is set to now, so that nothing deletes what somebody has just stored."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    except OSError:  # where nothing can be written, nothing can be deleted either
        return path.exists()
    return True


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
    """The store behind a ``file:///folder`` URL, or behind another host's console (https://).

    Raises ConfigurationError for any other.
    """
    parts = urlsplit(url)
    if parts.scheme in {"http", "https"}:
        from stream.remote_evidence import open_remote

        return open_remote(url)
    if parts.scheme != "file" or parts.netloc or not parts.path:
        raise ConfigurationError(
            f"evidence.url is {url!r}: write file:///folder with the folder that all hosts share, or https://host:port of the console that keeps the evidence."
        )
    return EvidenceStore(Path(unquote(parts.path)))
