"""What every page of the console works with."""

from dataclasses import dataclass, replace
from datetime import tzinfo
from zoneinfo import ZoneInfo

from fastapi import Request
from sqlalchemy import Engine

from console.camera_test import Trials
from console.clause_search import ClauseSearch
from console.events import Announcer
from console.names import SiteNames
from console.painter import Painter
from console.scope import narrowed
from console.sessions import Visitor
from console.web_settings import WebSettings
from stream.evidence import EvidenceStore
from stream.live import LivePictures
from stream.log import Log
from stream.messages import utc_now


@dataclass(frozen=True)
class Services:
    """The opened stores of one mine, its settings and the announcer of changes."""

    engine: Engine
    mine: str
    evidence: EvidenceStore
    log: Log
    settings: WebSettings
    announcer: Announcer
    names: SiteNames
    searcher: ClauseSearch
    live: LivePictures
    painter: Painter
    trials: Trials
    detectors: tuple[str, ...]

    @property
    def zone(self) -> tzinfo:
        """The time zone of the screen."""
        return screen_zone(self.settings)


def screen_zone(settings: WebSettings) -> tzinfo:
    """The time zone that is set, else this machine's."""
    if settings.time_zone:
        return ZoneInfo(settings.time_zone)
    local = utc_now().astimezone().tzinfo
    assert local is not None
    return local


def services(request: Request) -> Services:
    """The services of the application that handles ``request``, narrowed to what its visitor may see."""
    found = request.app.state.services
    assert isinstance(found, Services)
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    if visitor is None or visitor.sources is None:
        return found
    return replace(found, engine=narrowed(found.engine, visitor.sources), names=found.names.only(visitor.sources))
