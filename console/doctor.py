"""What is missing or wrong with an installation, said by subject with what to do about it."""

import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx2
from sqlalchemy.exc import SQLAlchemyError

from console import doctor_stages, outlook, schema
from console.installation import is_known
from console.settings import Settings
from console.sources import faults
from stream.database import open_database
from stream.errors import ConfigurationError, MinewatchError
from stream.log import open_log
from stream.site import safe_url

_LEAST_FREE = 5 * 1024**3
"""Bytes: an hour of evidence and frames of a small site, with room to act."""


class Finding(NamedTuple):
    """One subject: whether all is well with it, and what was seen or is to be done."""

    subject: str
    well: bool
    text: str


def examine(settings: Settings, data: Path) -> list[Finding]:
    """Look at everything that a run would need; nothing is changed."""
    return [
        *_look("disk", lambda: _disk(data)),
        *_stores(settings, data),
        *_look("weights", lambda: _weights(settings)),
        *_look("language model", lambda: _models(settings)),
        *_sources(settings),
    ]


def _stores(settings: Settings, data: Path) -> list[Finding]:
    """Log, database and what is in it; a site that was never started has none of them yet, and gets none by looking."""
    if not is_known(data):
        return [Finding("site", True, f"Nothing was started in {data} yet: the first 'minewatch run' sets it up.")]
    return [
        *_look("database", lambda: _database(settings)),
        *_look("stages", lambda: doctor_stages.stages(open_database(settings.database.url), settings.mine)),
        *_look("vision", lambda: doctor_stages.pace(open_database(settings.database.url), settings.mine)),
        *_recent(settings),
        *_look("deliveries", lambda: doctor_stages.deliveries(open_database(settings.database.url), settings.mine)),
        *_look("evidence", lambda: _evidence(settings)),
        *_look("log", lambda: _log(settings)),
        *_look("code book", lambda: _code_book(settings)),
        *_look("disk, ahead", lambda: outlook.disk(settings, data)),
        *_look("log, ahead", lambda: _lag(settings)),
        *_look("cameras, ahead", lambda: _light(settings)),
    ]


def _look(subject: str, check: Callable[[], str]) -> Iterator[Finding]:
    try:
        yield Finding(subject, True, check())
    except (MinewatchError, OSError, SQLAlchemyError) as error:
        yield Finding(subject, False, str(error))


def _disk(data: Path) -> str:
    existing = next(folder for folder in (data.resolve(), *data.resolve().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free < _LEAST_FREE:
        raise MinewatchError(
            f"{existing} has {free / 1024**3:.1f} GiB free, less than {_LEAST_FREE / 1024**3:.0f}: free space or move the data folder."
        )
    return f"{existing} has {free / 1024**3:.0f} GiB free."


def _database(settings: Settings) -> str:
    engine = open_database(settings.database.url)
    schema.prepare(engine)
    doctor_stages.takes_writes(engine)
    return f"{engine.url.render_as_string(hide_password=True)} answers and has this release's schema."


def _recent(settings: Settings) -> Iterator[Finding]:
    try:
        for subject, text in doctor_stages.recent(open_database(settings.database.url), settings.mine):
            yield Finding(subject, False, text)
    except (MinewatchError, SQLAlchemyError):
        return  # the database has a finding of its own


def _evidence(settings: Settings) -> str:
    return doctor_stages.evidence(settings, open_database(settings.database.url), settings.mine)


def _log(settings: Settings) -> str:
    log = open_log(settings.log)
    try:
        waiting = {"vision": log.lag("vision", "frames"), "disposal": log.lag("disposal", "risks")}
    finally:
        log.close()
    return "It answers; waiting: " + ", ".join(f"{group} {count}" for group, count in waiting.items()) + "."


def _lag(settings: Settings) -> str:
    log = open_log(settings.log)
    try:
        return outlook.lag(open_database(settings.database.url), log, settings.mine)
    finally:
        log.close()


def _light(settings: Settings) -> str:
    darker = [f"{camera}: {text}" for camera, text in outlook.darkening(open_database(settings.database.url))]
    if darker:
        raise MinewatchError(" ".join(darker))
    return "No camera is known to get darker."


def _weights(settings: Settings) -> str:
    from vision.detector import open_detectors
    from vision.support import unseen_types

    detectors = open_detectors(settings.vision.detectors)
    blind = unseen_types(frozenset(label for detector in detectors.values() for label in detector.labels))
    return f"{', '.join(detectors)} load with their pinned digests; no detector sees: {', '.join(t.id for t in blind) or 'nothing'}."


def _code_book(settings: Settings) -> str:
    from rules.clause import in_force
    from stream.messages import utc_now

    count = len(in_force(open_database(settings.database.url), settings.mine, utc_now()))
    if count == 0:
        raise MinewatchError(
            "No clause is in force: import a code with 'minewatch clauses import', review and publish it; until then each document goes to a person without a citation."
        )
    return f"{count} clauses are in force."


def _models(settings: Settings) -> str:
    endpoint = settings.disposal.drafter.endpoint
    if not endpoint.url:
        return "None is configured; the composer writes the documents."
    check_endpoint(endpoint.url)
    return f"{safe_url(endpoint.url)} answers."


def check_endpoint(url: str) -> None:
    """Ask a model endpoint what it serves. Raises ConfigurationError, in one line, where it does not answer in 5 s."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    try:
        socket.create_connection(address, timeout=5).close()
        with httpx2.Client(timeout=5, follow_redirects=False, trust_env=False) as client:
            status = client.get(f"{url.rstrip('/')}/models").status_code
    except (OSError, httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ConfigurationError(
            f"The model endpoint {safe_url(url)} does not answer ({error}): start it, mend disposal.drafter.endpoint.url, or empty it to let the composer write."
        ) from error
    if status >= 500:
        raise ConfigurationError(
            f"The model endpoint {safe_url(url)} answers with status {status}: look at its log; the composer writes meanwhile."
        )


def _sources(settings: Settings) -> list[Finding]:
    bad = {
        line.partition(":")[0]: line.partition(": ")[2]
        for line in faults(settings.cameras, settings.sensors, settings.mqtt)
    }
    named = [camera.id for camera in settings.cameras] + [sensor.id for sensor in settings.sensors]
    return [Finding(name, name not in bad, bad.get(name, "It opens.")) for name in named]
