"""The keepers of a mine's cameras, one each: those that the site lists, also while it is edited."""

import time
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from stream.database import reading
from stream.site import Camera, Site, latest_revision

LOOK_SECONDS = 2.0
"""Seconds between two looks at the site's tables."""
_LEAVE_SECONDS = 2.0
_logger = structlog.get_logger()


class Keeper(Protocol):
    """Keeps one camera's process going: ``stream.capture.CameraKeeper``."""

    @property
    def ended(self) -> bool:
        """Nothing more will come."""
        ...

    def tick(self) -> None:
        """Look after the camera."""
        ...

    def ask_to_stop(self) -> None:
        """Let the process finish what is in hand."""
        ...

    def stop(self, deadline: float) -> None:
        """End the process, by force after ``deadline`` (monotonic)."""
        ...

    def retire(self) -> None:
        """Say that this camera is none of the site's any more."""
        ...


class Crew:
    """A keeper for each camera."""

    def __init__(self, make: Callable[[Camera], Keeper], cameras: Iterable[Camera]) -> None:
        self._make = make
        self._keepers = {camera.id: (camera, make(camera)) for camera in cameras}

    @property
    def ended(self) -> bool:
        """Every camera has given all that it had."""
        return all(keeper.ended for _, keeper in self._keepers.values())

    def tick(self) -> None:
        """Look after each camera."""
        for _, keeper in self._keepers.values():
            keeper.tick()

    def follow(self, cameras: Iterable[Camera]) -> None:
        """Take up new cameras, let go of those that are gone, and read anew what is described in another way."""
        listed = {camera.id: camera for camera in cameras}
        leaving = {name for name, (camera, _) in self._keepers.items() if listed.get(name) != camera}
        for name in leaving:
            self._keepers[name][1].ask_to_stop()
        deadline = time.monotonic() + _LEAVE_SECONDS
        for name in leaving:
            _, keeper = self._keepers.pop(name)
            keeper.stop(deadline)
            if name not in listed:
                keeper.retire()
        for name, camera in listed.items():
            if name not in self._keepers:
                self._keepers[name] = (camera, self._make(camera))
                _logger.info("camera taken up", camera=name)

    def stop(self, deadline: float) -> None:
        """Stop all of them, by force after ``deadline`` (monotonic)."""
        for _, keeper in self._keepers.values():
            keeper.ask_to_stop()
        for _, keeper in self._keepers.values():
            keeper.stop(deadline)


class SiteFollower:
    """Tells of a new revision of the mine's site, within seconds."""

    def __init__(self, engine: Engine, mine: str) -> None:
        self._engine = engine
        self._mine = mine
        self._revision = 0
        self._looked_at = -LOOK_SECONDS

    def fresh(self) -> Site | None:
        """The site where its revision is another than at the last look; while the database is away, nothing is new."""
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return None
        self._looked_at = time.monotonic()
        try:
            with reading(self._engine) as session:
                latest = latest_revision(session, self._mine)
        except SQLAlchemyError as error:
            _logger.warning("the site cannot be read", reason=str(error))
            return None
        if latest is None or latest.revision == self._revision:
            return None
        self._revision = latest.revision
        return Site.model_validate_json(latest.content)
