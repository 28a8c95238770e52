"""Makes an installation out of a backup, in a folder that holds nothing yet: all of it, or nothing."""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from console import schema
from console.backup import CONFIGURATION, HEADS, LOG, LOG_FORMAT
from console.installation import MARKER
from console.settings import Settings, load
from stream import archive, database_copy
from stream.archive import Manifest
from stream.database import open_database
from stream.errors import BackupError, ConfigurationError
from stream.evidence import open_evidence

_KNOWN = frozenset({MARKER, CONFIGURATION, HEADS, LOG, LOG_FORMAT, database_copy.SQLITE, database_copy.POSTGRES})
_EVIDENCE = re.compile(r"evidence/[a-z0-9][a-z0-9-]{0,62}/[0-9a-f]{2}/[0-9a-f]{64}\.[a-z0-9]{3,4}")
_HEADROOM = 1.1
"""A restored folder takes a little more than the sum of its files."""


class Restored(NamedTuple):
    """What came back, and where the configuration of the backup lies now, if it held one."""

    manifest: Manifest
    configuration: Path | None


def restore(file: Path, data: Path, config: Path | None, environment: Mapping[str, str]) -> Restored:
    """Restore ``file`` into ``data``; ``config`` says where database and evidence go, else the archived one does.

    Raises BackupError where the folder holds anything, the archive is damaged or of a newer release, or a store that
    lies elsewhere is taken; the folder is then as it was.
    """
    manifest = archive.verify(file)
    _check(file, manifest)
    target = data.resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackupError(
            f"{data} holds something already: name an empty folder with --data, or one that does not exist."
        )
    _check_space(manifest, target)
    with ExitStack() as undoing:
        staging = _staging(target, undoing)
        try:
            archive.extract(file, staging, manifest)
            chosen = config or (staging / CONFIGURATION if CONFIGURATION in manifest.files else None)
            _place(load(chosen, environment, target), manifest, staging, target, undoing)
            for entry in sorted(staging.iterdir(), key=lambda path: path.name == MARKER):
                entry.rename(target / entry.name)  # the marker last: without it the folder is no installation
        except OSError as error:
            raise BackupError(
                f"{data} cannot be restored: {error.strerror}. Free space there or make it writable."
            ) from error
        undoing.pop_all()
        staging.rmdir()
    return Restored(manifest, target / CONFIGURATION if CONFIGURATION in manifest.files else None)


def _check(file: Path, manifest: Manifest) -> None:
    found, release = manifest.about.get("schema"), manifest.about.get("release", "unknown")
    if not schema.knows(found):
        raise BackupError(
            f"The backup {file} has a database of version {found!r}, which this release does not know: restore it with release {release} or a newer one."
        )
    copies = {database_copy.SQLITE, database_copy.POSTGRES} & manifest.files.keys()
    strange = manifest.files.keys() - _KNOWN - {name for name in manifest.files if _EVIDENCE.fullmatch(name)}
    if MARKER not in manifest.files or len(copies) != 1 or strange:
        raise BackupError(f"The archive {file} holds no installation: it was not made by 'minewatch backup'.")


def _check_space(manifest: Manifest, target: Path) -> None:
    existing = next(folder for folder in (target, *target.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if manifest.total * _HEADROOM > free:
        raise BackupError(
            f"{existing} has {free / 1024**3:.1f} GiB free, and the backup takes {manifest.total / 1024**3:.1f}: free space or restore elsewhere."
        )


def _staging(target: Path, undoing: ExitStack) -> Path:
    """A folder in the one to be, which may be a mounted one; what is made here is removed again on failure."""
    try:
        if not target.exists():
            target.mkdir(mode=0o700, parents=True)
            undoing.callback(shutil.rmtree, target, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(dir=target, prefix=".minewatch-restore-"))
    except OSError as error:
        raise BackupError(f"{target} cannot be written: {error.strerror}. Restore into another folder.") from error
    undoing.callback(shutil.rmtree, staging, ignore_errors=True)
    return staging


def _place(settings: Settings, manifest: Manifest, staging: Path, target: Path, undoing: ExitStack) -> None:
    """Move what was extracted to where the settings look for it; PostgreSQL comes last, since it is all or nothing."""
    _place_evidence(open_evidence(settings.evidence.url).root, staging, target, undoing)
    heads = settings.disposal.audit.heads
    if HEADS in manifest.files and heads is not None:
        _move(staging / HEADS, heads, staging, target, undoing)
    url = _url(settings)
    wanted = database_copy.SQLITE if url.startswith("sqlite") else database_copy.POSTGRES
    if wanted not in manifest.files:
        raise BackupError(
            "The backup's database is of the other kind than database.url names: SQLite goes to SQLite, PostgreSQL to PostgreSQL. Name a configuration with --config that fits."
        )
    if wanted == database_copy.SQLITE:
        _check_database(staging / wanted)
        _move(staging / wanted, Path(make_url(url).database or ""), staging, target, undoing, must_be_free=True)
    else:
        engine = open_database(url)
        try:
            database_copy.load_into(engine, staging / wanted)
        finally:
            engine.dispose()
        (staging / wanted).unlink()


def _url(settings: Settings) -> str:
    try:
        return make_url(settings.database.url).render_as_string(hide_password=False)
    except ArgumentError as error:
        raise ConfigurationError("database.url is no database URL.") from error


def _check_database(copy: Path) -> None:
    """The manifest's word is not enough: the database itself says of which version it is, and that it is whole."""
    database_copy.check_sqlite(copy)
    engine: Engine = open_database(f"sqlite:///{copy}")
    try:
        known = schema.knows(schema.revision(engine))
    except SQLAlchemyError:
        known = False
    finally:
        engine.dispose()
    if not known:
        raise BackupError(
            "The database in the backup is of a version that this release does not know: use a newer release."
        )


def _place_evidence(root: Path, staging: Path, target: Path, undoing: ExitStack) -> None:
    source = staging / "evidence"
    if not source.exists() or root == target / "evidence":
        return
    for path in sorted(source.rglob("*")):
        if path.is_file():
            place = root / path.relative_to(source)
            if not place.exists():  # the same name is the same bytes
                _move(path, place, staging, target, undoing)
    shutil.rmtree(source)


def _move(
    source: Path, place: Path, staging: Path, target: Path, undoing: ExitStack, *, must_be_free: bool = False
) -> None:
    """Move a file to where it belongs: within the folder to be, or elsewhere on this machine."""
    inside = place.is_relative_to(target)
    real = staging / place.relative_to(target) if inside else place
    if real == source:
        return
    if real.exists():
        if must_be_free:
            raise BackupError(f"{place} exists already: move it away, or name another place in the configuration.")
        return  # heads that were exported elsewhere are worth more than those in the backup
    real.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, real)
    if not inside:
        undoing.callback(real.unlink, missing_ok=True)
        with real.open("rb") as file:
            os.fsync(file.fileno())
