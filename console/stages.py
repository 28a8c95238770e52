"""What each stage's process runs: it opens its own stores and hands over to the package that does the work.

Imports stand inside the functions, so that a camera's process never loads a language model.
"""

import threading
from collections.abc import Callable

from console.settings import Settings
from stream.database import open_database
from stream.evidence import open_evidence
from stream.log import Topic, open_log
from stream.site import Site

SOURCES = ("capture", "sensing")
"""Stages that bring things in; they start last and stop first."""
READS: dict[str, Topic] = {"vision": "frames", "limits": "readings", "disposal": "risks"}
"""What the other stages read, in the order of the data; each stage's consumer group has the stage's name."""


def capture(stop: threading.Event, settings: Settings, site: Site, *, follow: bool = True) -> None:
    """Read the cameras; with ``follow`` also those that the site gains while it runs."""
    from stream.capture import run_capture_stage

    run_capture_stage(
        stop,
        cameras=site.cameras,
        mine=site.mine,
        log_settings=settings.log,
        database_url=settings.database.url,
        settings=settings.capture,
        follow=follow,
    )


def sensing(stop: threading.Event, settings: Settings, site: Site) -> None:
    """Read the sensors."""
    from stream.sensor import run_sensing

    run_sensing(stop, site=site, log_settings=settings.log, database_url=settings.database.url, access=settings.mqtt)


def vision(stop: threading.Event, settings: Settings, site: Site) -> None:
    """Find risks in frames."""
    from vision.worker import run_vision

    run_vision(
        stop,
        settings=settings.vision,
        log_settings=settings.log,
        database_url=settings.database.url,
        evidence_url=settings.evidence.url,
        mine=site.mine,
    )


def limits(stop: threading.Event, settings: Settings, site: Site) -> None:
    """Hold readings against the limits in force."""
    from rules.worker import run_limits

    run_limits(
        stop, settings=settings.rules, log_settings=settings.log, database_url=settings.database.url, mine=site.mine
    )


def disposal(stop: threading.Event, settings: Settings, site: Site) -> None:
    """Turn risks into alerts, and alerts into documents and decisions."""
    from disposal.worker import run_disposal

    run_disposal(
        stop,
        settings=settings.disposal,
        rules_settings=settings.rules,
        log_settings=settings.log,
        database_url=settings.database.url,
        evidence_url=settings.evidence.url,
        mine=site.mine,
    )


def console(stop: threading.Event, settings: Settings, site: Site) -> None:
    """Serve the console."""
    from console.app import serve

    serve(
        stop,
        engine=open_database(settings.database.url),
        mine=site.mine,
        evidence=open_evidence(settings.evidence.url),
        log=open_log(settings.log),
        settings=settings.console,
        rules_settings=settings.rules,
        detectors=tuple(sorted(settings.vision.detectors)),
    )


STAGES: dict[str, Callable[[threading.Event, Settings, Site], None]] = {
    "console": console,
    "disposal": disposal,
    "limits": limits,
    "vision": vision,
    "sensing": sensing,
    "capture": capture,
}
"""Every stage by name, in the order of starting: who consumes starts before who produces."""
