"""The site as vision follows it: a new revision is taken up within seconds, without a restart."""

import time
from collections.abc import Mapping

import structlog
from sqlalchemy import Engine, func
from sqlmodel import select

from stream.database import reading
from stream.errors import ConfigurationError
from stream.site import SiteRevision, load_site
from vision.detector import Detector
from vision.view import CameraView, say_what_is_unseen, view_site

REFRESH_SECONDS = 2.0
"""Seconds between two looks at the site's revision."""

_logger = structlog.get_logger()


class SiteWatch:
    """The view of every camera of a mine, as of the latest revision that could be used.

    Raises ConfigurationError where there is no site, or a camera asks for a detector that is not set up.
    """

    def __init__(self, engine: Engine, mine: str, detectors: Mapping[str, Detector]) -> None:
        self._engine = engine
        self._mine = mine
        self._detectors = detectors
        self._revision, site = load_site(engine, mine)
        self.views: dict[str, CameraView] = view_site(site, detectors)
        self._looked_at = time.monotonic()
        say_what_is_unseen(self.views)

    def refresh(self, *, now: bool = False) -> dict[str, frozenset[str]]:
        """Take up a new revision, when it is time to look or ``now``. Answers which zones changed, by camera.

        A revision that cannot be used is reported, and the one before stays in force.
        """
        if not now and time.monotonic() - self._looked_at < REFRESH_SECONDS:
            return {}
        self._looked_at = time.monotonic()
        if self._latest() == self._revision:
            return {}
        revision, site = load_site(self._engine, self._mine)
        self._revision = revision
        try:
            views = view_site(site, self._detectors)
        except ConfigurationError as error:
            _logger.error("site revision not taken up", revision=revision, reason=str(error))
            return {}
        changed = _changed(self.views, views)
        self.views = views
        _logger.info("site revision taken up", revision=revision, cameras_changed=sorted(changed))
        return changed

    def _latest(self) -> int:
        with reading(self._engine) as session:
            latest = session.exec(select(func.max(SiteRevision.revision)).where(SiteRevision.mine == self._mine)).one()
        return latest or 0


def _changed(before: Mapping[str, CameraView], after: Mapping[str, CameraView]) -> dict[str, frozenset[str]]:
    """The zones that were redrawn or taken away, by camera, also of each camera that is gone; others are left out."""
    changed = {}
    for camera, view in before.items():
        now = {zone.zone for zone in after[camera].zones} if camera in after else set()
        gone = {zone.zone for zone in view.zones} - now
        if gone or camera not in after:
            changed[camera] = frozenset(zone.id for zone in gone)
    return changed
