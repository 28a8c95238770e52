"""One installation on disk: its data folder, what kind it is, and the stores opened behind its settings."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import Engine

from console import schema
from console.settings import Settings
from stream.database import open_database
from stream.errors import ConfigurationError
from stream.evidence import EvidenceStore, open_evidence
from stream.site import Site, adopt_site, load_site

Kind = Literal["site", "demo", "watch"]
MARKER = "installation.json"
FILE = "minewatch.toml"
"""Who is named as the author of a site that came from the configuration."""
_FORMAT = 1


@dataclass(frozen=True)
class Installation:
    """The opened stores of one installation."""

    settings: Settings
    data: Path
    engine: Engine
    evidence: EvidenceStore


def open_installation(
    settings: Settings, data: Path, kind: Kind, patient: Callable[[str], None] | None = None
) -> Installation:
    """Claim the data folder for ``kind``, open its database and bring an empty one to this release's schema.

    Raises ConfigurationError where the folder cannot be written or belongs to an installation of another kind, and
    DatabaseError where the database is not of this release. One that is older is waited for where ``patient`` is there
    to be told so.
    """
    claim(data, kind)
    engine = open_database(settings.database.url)
    if patient is None:
        schema.prepare(engine)
    else:
        schema.wait_for(engine, patient)
    return Installation(settings, data, engine, open_evidence(settings.evidence.url))


def site_in_force(installation: Installation, site: Site) -> tuple[Site, bool]:
    """The mine's site as its tables have it, and whether the file holds another that was not taken in.

    The first start takes ``site`` from the file, and a later one what has changed in it; once somebody has edited the
    site at the console, it is the tables that say what the mine has.
    """
    left_out = adopt_site(installation.engine, site, FILE)
    return load_site(installation.engine, site.mine)[1], left_out


def kind_of(data: Path) -> Kind:
    """What the folder says that it holds; one that says nothing is, or becomes, a site."""
    marker = data / MARKER
    found = _read(marker)[0] if marker.exists() else "site"
    return "demo" if found == "demo" else "watch" if found == "watch" else "site"


def is_known(data: Path) -> bool:
    """An installation has been set up in this folder before."""
    return (data / MARKER).exists()


def at_hand(settings: Settings, data: Path) -> Installation:
    """The installation in ``data`` of whatever kind it is: for commands that work beside a running one."""
    return open_installation(settings, data, kind_of(data))


def claim(data: Path, kind: Kind) -> None:
    """Make the folder and mark it, so that a demonstration and a real site never share one."""
    marker = data / MARKER
    try:
        data.mkdir(parents=True, exist_ok=True)
        if marker.exists():
            _check(marker, kind)
        else:
            _mark(marker, kind)
        if not os.access(data, os.W_OK):
            raise ConfigurationError(
                f"The data folder {data} is read-only: make it writable or name another with --data."
            )
    except OSError as error:
        raise ConfigurationError(
            f"The data folder {data} cannot be used: {error.strerror}. Make it writable or name another with --data."
        ) from error


def _read(marker: Path) -> tuple[str, int]:
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
        return str(found["kind"]), int(found["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{marker} is damaged: restore the data folder from a backup, or name another with --data."
        ) from error


def _check(marker: Path, kind: Kind) -> None:
    found_kind, found_format = _read(marker)
    if found_format != _FORMAT:
        raise ConfigurationError(
            f"The data folder {marker.parent} has format {found_format}, this release works with {_FORMAT}: use a newer release."
        )
    if found_kind != kind:
        raise ConfigurationError(
            f"The data folder {marker.parent} holds a {found_kind}, and this is a {kind}: name another folder with --data."
        )


def _mark(marker: Path, kind: Kind) -> None:
    if (marker.parent / "minewatch.db").exists():
        raise ConfigurationError(
            f"The data folder {marker.parent} holds a database but no {MARKER}: restore that file, or name another folder with --data."
        )
    marker.write_text(json.dumps({"kind": kind, "format": _FORMAT}), encoding="utf-8")
