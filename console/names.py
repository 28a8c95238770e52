"""What things are called on the screen: risk types, places and sources, in the language of the page."""

import threading
import time
from collections.abc import Set

from sqlalchemy import Engine

from stream.catalogue import RISK_TYPES
from stream.errors import ConfigurationError
from stream.site import Site, load_site

_FRESH = 2.0
"""Seconds for which a site is not read again; a page asks for names hundreds of times."""


class SiteNames:
    """The mine's site as of a moment ago. Safe to use from several threads."""

    def __init__(self, engine: Engine, mine: str) -> None:
        self._engine = engine
        self._mine = mine
        self._lock = threading.Lock()
        self._site = Site(mine=mine)
        self._read_at = -_FRESH

    def site(self) -> Site:
        """The site's latest revision; an empty one where nothing is stored."""
        with self._lock:
            if time.monotonic() - self._read_at >= _FRESH:
                try:
                    self._site = load_site(self._engine, self._mine)[1]
                except ConfigurationError:
                    self._site = Site(mine=self._mine)
                self._read_at = time.monotonic()
            return self._site

    def only(self, sources: Set[str]) -> "SiteNames":
        """The same site with these cameras and sensors alone."""
        return _SomeNames(self, sources)


class _SomeNames(SiteNames):
    def __init__(self, whole: SiteNames, sources: Set[str]) -> None:
        self._whole = whole
        self._sources = sources

    def site(self) -> Site:
        """The whole site without the others' cameras, their zones and sensors."""
        site, mine = self._whole.site(), self._sources
        return site.model_copy(
            update={
                "cameras": tuple(camera for camera in site.cameras if camera.id in mine),
                "sensors": tuple(sensor for sensor in site.sensors if sensor.id in mine),
                "zones": tuple(zone for zone in site.zones if zone.camera in mine),
            }
        )


class Names:
    """Names for one page."""

    def __init__(self, site: Site, language: str) -> None:
        self._language = language
        self._places = {p.id: p.name.text(language) or p.id for p in site.places}
        cameras = {c.id: c.name.text(language) or c.id for c in site.cameras}
        self._sources = cameras | {s.id: s.name.text(language) or s.id for s in site.sensors}

    def type(self, identity: str) -> str:
        """The name of a risk type."""
        kind = RISK_TYPES.get(identity)
        if kind is None:
            return identity
        return kind.zh if self._language == "zh" else kind.en

    def place(self, identity: str) -> str:
        """The name of a place."""
        return self._places.get(identity, identity)

    def source(self, identity: str) -> str:
        """The name of a camera or sensor; of a person, for what persons report; else the id."""
        return self._sources.get(identity, identity.removeprefix("person:"))

    def places(self) -> list[tuple[str, str]]:
        """Ids and names of all places, by name."""
        return sorted(self._places.items(), key=lambda item: item[1])
