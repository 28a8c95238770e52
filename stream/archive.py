"""One file that holds many, with a manifest of their sha256 at its end: written whole or not at all, checked in full.

A plain tar, so that it can be opened with nothing but tar in ten years; pictures and clips are compressed already.
"""

import hashlib
import io
import os
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from stream.errors import BackupError

FORMAT = 1
"""How this release lays an archive out; one with a higher number was written by a newer release."""

_MANIFEST = "manifest.json"
_MANIFEST_BYTES = 1024**3
_PART = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_NAME = re.compile(rf"{_PART}(/{_PART})*")
_CHUNK = 1024**2


class Entry(msgspec.Struct, frozen=True):
    """One file in an archive: its length and the sha256 of its bytes, in hex."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What an archive holds; ``about`` is what its writer says of it."""

    format: int
    about: dict[str, str]
    files: dict[str, Entry]

    @property
    def total(self) -> int:
        """Bytes of all files together."""
        return sum(entry.bytes for entry in self.files.values())


class _Format(msgspec.Struct):
    format: int


class Writer:
    """Adds files to an archive that is being written."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._files: dict[str, Entry] = {}

    def add(self, name: str, path: Path) -> None:
        """Add the file at ``path``, which nobody changes meanwhile. Raises OSError where it cannot be read."""
        with path.open("rb") as file:
            self._take(name, file, os.fstat(file.fileno()).st_size)

    def add_bytes(self, name: str, data: bytes) -> None:
        """Add ``data`` under ``name``."""
        self._take(name, io.BytesIO(data), len(data))

    def seal(self, about: dict[str, str]) -> Manifest:
        """Write the manifest: the archive is whole now."""
        manifest = Manifest(FORMAT, about, self._files)
        data = msgspec.json.encode(manifest)
        self._tar.addfile(_header(_MANIFEST, len(data)), io.BytesIO(data))
        return manifest

    def _take(self, name: str, file: IO[bytes], size: int) -> None:
        assert _NAME.fullmatch(name), name
        assert name not in self._files, name
        hashing = _Hashing(file)
        self._tar.addfile(_header(name, size), hashing)
        self._files[name] = Entry(size, hashing.digest.hexdigest())


class _Hashing(io.RawIOBase):
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


@contextmanager
def writing(file: Path) -> Iterator[Writer]:
    """A new archive that stands at ``file`` once the block has ended well, readable by this user alone.

    Raises BackupError where there is such a file already, or it cannot be written; nothing is left behind then.
    """
    if file.exists():
        raise BackupError(f"{file} exists already: name another file; a backup never replaces an older one.")
    partial = file.with_name(file.name + ".partial")
    try:
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BackupError(
            f"The backup cannot be written to {partial}: {error.strerror}. Name a file in a folder that exists and is writable, and remove what an earlier attempt left."
        ) from error
    try:
        with os.fdopen(handle, "wb") as stream:
            with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
                yield Writer(tar)
            stream.flush()
            os.fsync(stream.fileno())
        partial.rename(file)
    except OSError as error:
        raise BackupError(
            f"The backup {file} could not be finished: {error.strerror}. Free space there, then make it again."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def verify(file: Path) -> Manifest:
    """Read the archive to its end and hold every file against the manifest.

    Raises BackupError for a file that is no archive, that was cut short or altered, that holds a path which could lead
    out of a folder, or that a newer release wrote.
    """
    seen: dict[str, Entry] = {}
    manifest: Manifest | None = None
    try:
        with _opened(file) as tar:
            for name, size, content in _members(file, tar):
                if manifest is not None:
                    raise BackupError(
                        f"The archive {file} goes on behind its manifest: it was altered. Use another backup."
                    )
                if name == _MANIFEST:
                    manifest = _read_manifest(file, content.read(_MANIFEST_BYTES))
                else:
                    seen[name] = Entry(size, _digest(content))
    except OSError as error:
        raise BackupError(f"The archive {file} cannot be read: {error.strerror}. Check the path.") from error
    if manifest is None:
        raise BackupError(f"The archive {file} was cut short: its manifest is missing. Use another backup.")
    for name in sorted({*seen, *manifest.files}):
        if seen.get(name) != manifest.files.get(name):
            raise BackupError(
                f"The archive {file} is damaged at {name}: it is not what was put in. Use another backup."
            )
    return manifest


def extract(file: Path, folder: Path, manifest: Manifest) -> None:
    """Write every file of a verified archive under ``folder``.

    Raises BackupError where it changed since, and OSError.
    """
    with _opened(file) as tar:
        for name, size, content in _members(file, tar):
            if name == _MANIFEST:
                continue
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if Entry(size, _digest(content, target)) != manifest.files.get(name):
                raise BackupError(
                    f"The archive {file} changed while it was read, at {name}. Use a copy that nobody writes."
                )


def _members(file: Path, tar: tarfile.TarFile) -> Iterator[tuple[str, int, IO[bytes]]]:
    names: set[str] = set()
    for member in tar:
        plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()
        content = tar.extractfile(member) if plain else None
        if content is None or not _NAME.fullmatch(member.name) or member.name in names:
            raise BackupError(
                f"The archive {file} holds {member.name[:80]!r}, which no backup holds: it was not made by 'minewatch backup'. Nothing was taken from it."
            )
        names.add(member.name)
        yield member.name, member.size, content


@contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(file, mode="r:") as tar:
            yield tar
    except tarfile.ReadError as error:
        raise BackupError(
            f"The archive {file} was cut short, or is none that 'minewatch backup' made: {error}. Use another backup."
        ) from error


def _read_manifest(file: Path, data: bytes) -> Manifest:
    try:
        found = msgspec.json.decode(data, type=_Format).format
        if found > FORMAT:
            raise BackupError(
                f"The archive {file} has format {found}, this release reads up to {FORMAT}: a newer release wrote it. Restore it with that release."
            )
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise BackupError(f"The manifest of {file} is damaged: {error}. Use another backup.") from error


def _digest(content: IO[bytes], target: Path | None = None) -> str:
    digest = hashlib.sha256()
    if target is None:
        while data := content.read(_CHUNK):
            digest.update(data)
        return digest.hexdigest()
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        while data := content.read(_CHUNK):
            digest.update(data)
            out.write(data)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def _header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size = size
    header.mode = 0o600
    return header
