"""Puts everything that cannot be made again into one archive, while the system runs.

The order makes it consistent: first the exported heads of the audit chain, which must not be ahead of the chain; then
the durable part of an embedded log, so that a risk that is handled meanwhile is delivered again and never lost; then
the database; and last the evidence that the database names, which was stored before it was named.
"""

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from console import schema
from console.installation import MARKER, Installation, kind_of
from disposal.evidence import named_evidence
from stream import archive, database_copy
from stream.archive import Manifest, Writer
from stream.environment import copy_durable
from stream.messages import utc_now

CONFIGURATION = "minewatch.toml"
HEADS = "audit-heads.jsonl"
LOG_FORMAT = "log/format"
LOG = "log/durable/data.mdb"


class Backup(NamedTuple):
    """What was taken along, and how many pieces of evidence the database names that the store no longer has."""

    manifest: Manifest
    evidence: int
    missing: int


def back_up(installation: Installation, config: Path | None, file: Path) -> Backup:
    """Write a new archive at ``file``. Raises BackupError, and leaves nothing behind, where that does not succeed."""
    with (
        archive.writing(file) as writer,
        tempfile.TemporaryDirectory(dir=file.resolve().parent, prefix=".minewatch-backup-") as folder,
    ):
        _add_files(installation, config, writer)
        _add_log(installation, writer, Path(folder))
        _add_database(installation, writer, Path(folder))
        taken, missing = _add_evidence(installation, writer)
        manifest = writer.seal(_about(installation))
    return Backup(manifest, taken, missing)


def _about(installation: Installation) -> dict[str, str]:
    return {
        "mine": installation.settings.mine,
        "kind": kind_of(installation.data),
        "made_at": utc_now().isoformat(),
        "release": version("minewatch"),
        "schema": schema.revision(installation.engine) or "",
    }


def _add_files(installation: Installation, config: Path | None, writer: Writer) -> None:
    writer.add(MARKER, installation.data / MARKER)
    if config is not None:
        writer.add_bytes(CONFIGURATION, config.read_bytes())
    heads = installation.settings.disposal.audit.heads
    if heads is not None and heads.exists():
        writer.add_bytes(HEADS, heads.read_bytes())


def _add_log(installation: Installation, writer: Writer, folder: Path) -> None:
    """A log on Kafka is kept by Kafka; of an embedded one the frames and readings are not kept."""
    log = installation.settings.log.folder
    if not installation.settings.log.url.startswith("embedded:") or not (log / "durable").exists():
        return
    copy_durable(log, folder / "durable")
    writer.add(LOG_FORMAT, log / "format")
    writer.add(LOG, folder / "durable" / "data.mdb")


def _add_database(installation: Installation, writer: Writer, folder: Path) -> None:
    name = database_copy.copy_name(installation.engine)
    database_copy.copy_to(installation.engine, folder / name)
    writer.add(name, folder / name)


def _add_evidence(installation: Installation, writer: Writer) -> tuple[int, int]:
    taken = missing = 0
    for piece in named_evidence(installation.engine):
        path = installation.evidence.path(piece.mine, piece.sha256, piece.media_type)
        if not path.exists():
            missing += 1
            continue
        writer.add(f"evidence/{path.relative_to(installation.evidence.root).as_posix()}", path)
        taken += 1
    return taken, missing
