"""What the mine has: places, cameras, sensors and zones, as one immutable revision after another.

A revision is stored whole, so that a worker never sees half of an edit and an auditor can read the site as it was.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field as Setting
from pydantic import field_validator, model_validator
from sqlalchemy import Column, Engine
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel, col, select

from stream.catalogue import Purpose
from stream.database import UtcDateTime, reading, writing
from stream.errors import ConfigurationError
from stream.messages import utc_now
from stream.settings import Section

Quantity = Literal[
    "methane", "carbon-monoxide", "oxygen", "wind-speed", "dust", "temperature", "humidity", "water-level"
]
UNITS: dict[str, tuple[str, float, float]] = {
    "methane": ("%", 0.0, 100.0),
    "carbon-monoxide": ("ppm", 0.0, 10_000.0),
    "oxygen": ("%", 0.0, 30.0),
    "wind-speed": ("m/s", 0.0, 40.0),
    "dust": ("mg/m3", 0.0, 10_000.0),
    "temperature": ("°C", -40.0, 120.0),
    "humidity": ("%", 0.0, 100.0),
    "water-level": ("m", -50.0, 500.0),
}
"""The unit of each quantity, and the range outside which a value is no measurement but a fault of the sensor."""

_ATTEMPTS = 20
Stored = TypeVar("Stored")

Identity = Setting(
    pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", title="Id", description="Lower-case letters, digits and hyphens."
)


class Name(Section):
    """A name in both languages; either may stand for both."""

    zh: str = ""
    en: str = ""

    def text(self, language: str) -> str:
        """The name in ``language`` (zh or en), else in the other one."""
        return (self.zh or self.en) if language == "zh" else (self.en or self.zh)


class Place(Section):
    """A part of the mine.

    ``kind`` is what clauses speak of (return-airway, belt-roadway, working-face ...), ``responsible`` a duty, no
    person. ``key_area``: alerts from here sort and are passed on before others of their priority.
    """

    id: str = Identity
    name: Name
    kind: str = "roadway"
    responsible: Name = Name()
    key_area: bool = False


class Camera(Section):
    """A camera. ``url`` is rtsp://, http(s)://, a device number, a video file or a folder of pictures.

    ``paced``: play a file at its own speed; otherwise as fast as it is handled. ``loop``: start a file again at its
    end. ``start``: capture time of a file's first frame (its end is now where unset and unpaced).
    """

    id: str = Identity
    name: Name
    url: str
    place: str
    detectors: tuple[str, ...] = ("ppe",)
    paced: bool = True
    loop: bool = False
    fps: float | None = Setting(None, gt=0, le=60)
    start: datetime | None = None

    @field_validator("start")
    @classmethod
    def _aware(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("start needs a time zone, for instance 2026-01-01T00:00:00Z")
        return value


class Sensor(Section):
    """A sensor. ``url`` is mqtt(s)://host:port/topic or a CSV file to replay at ``speed`` times real time."""

    id: str = Identity
    name: Name
    url: str
    place: str
    quantity: Quantity
    unit: str
    speed: float = Setting(1.0, gt=0)
    loop: bool = False
    silence_seconds: float = Setting(30.0, gt=0)
    stuck_seconds: float | None = Setting(None, gt=0)

    @model_validator(mode="after")
    def _unit_fits(self) -> Self:
        expected = UNITS[self.quantity][0]
        if self.unit != expected:
            raise ValueError(f"sensor {self.id} measures {self.quantity} in {self.unit!r}: write {expected!r}")
        return self


class Zone(Section):
    """A polygon on one camera's picture, in relative coordinates (0..1), with its purpose.

    ``most_persons`` says how many may be in it at once where the purpose is ``occupancy-limit``.
    """

    id: str = Identity
    camera: str
    purpose: Purpose
    polygon: tuple[tuple[float, float], ...]
    most_persons: int | None = Setting(None, ge=1, le=1000)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        where = f"zone {self.id} of camera {self.camera}"
        match polygon_fault(self.polygon):
            case "points":
                raise ValueError(f"{where} has {len(self.polygon)} points: a zone needs three or more")
            case "outside":
                x, y = next(point for point in self.polygon if not _inside(point))
                raise ValueError(f"{where} has the point ({x}, {y}) outside the picture: coordinates run from 0 to 1")
            case "crosses":
                raise ValueError(f"{where} crosses itself: list its points in order around it")
            case None:
                pass
        if (self.purpose == "occupancy-limit") != (self.most_persons is not None):
            raise ValueError(f"{where}: most_persons belongs to the purpose occupancy-limit, and only to it")
        return self


class Site(Section):
    """One revision of a mine's places, cameras, sensors and zones, checked as a whole."""

    mine: str = Setting("mine", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    places: tuple[Place, ...] = ()
    cameras: tuple[Camera, ...] = ()
    sensors: tuple[Sensor, ...] = ()
    zones: tuple[Zone, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        listed: list[Place | Camera | Sensor | Zone] = [*self.places, *self.cameras, *self.sensors, *self.zones]
        for (kind, identity), times in Counter((type(item).__name__.lower(), item.id) for item in listed).items():
            if times > 1:
                raise ValueError(f"{kind} {identity} stands {times} times: each needs an id of its own")
        places = {p.id for p in self.places}
        cameras = {c.id for c in self.cameras}
        sources: list[Camera | Sensor] = [*self.cameras, *self.sensors]
        for source in sources:
            if source.place not in places:
                raise ValueError(
                    f"{type(source).__name__.lower()} {source.id} stands in place {source.place!r}, which is not listed"
                )
        if both := cameras & {s.id for s in self.sensors}:
            raise ValueError(
                f"{', '.join(sorted(both))} names a camera and a sensor: each source needs an id of its own"
            )
        for zone in self.zones:
            if zone.camera not in cameras:
                raise ValueError(f"zone {zone.id} belongs to camera {zone.camera!r}, which is not listed")
        return self

    def place(self, identity: str) -> Place | None:
        """The place of that id."""
        return next((p for p in self.places if p.id == identity), None)

    def camera(self, identity: str) -> Camera | None:
        """The camera of that id."""
        return next((c for c in self.cameras if c.id == identity), None)

    def sensor(self, identity: str) -> Sensor | None:
        """The sensor of that id."""
        return next((s for s in self.sensors if s.id == identity), None)

    def zones_of(self, camera: str) -> tuple[Zone, ...]:
        """The zones drawn on that camera."""
        return tuple(z for z in self.zones if z.camera == camera)


class SiteRevision(SQLModel, table=True):
    """One stored revision of a site; rows are added, never changed."""

    __tablename__ = "site_revision"

    mine: str = Field(primary_key=True, max_length=63)
    revision: int = Field(primary_key=True)
    content: str
    author: str
    created_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))


def store_site(engine: Engine, site: Site, author: str) -> int:
    """Store ``site`` as a new revision where it differs from the latest one; answers the revision in force."""
    return insisting(engine, lambda session: add_revision(session, site, author))


def adopt_site(engine: Engine, site: Site, origin: str) -> bool:
    """Take the site that a file describes for the first revision, and a changed file for a new one.

    The tables own the site: where somebody has edited it since ``origin`` was last taken in, they stay as they are.
    Answers whether the file holds something that was not taken in for that reason.
    """
    return insisting(engine, lambda session: _adopt(session, site, origin))


def insisting(engine: Engine, write: Callable[[Session], Stored]) -> Stored:
    """``write`` in a transaction, and again where somebody else has taken the revision's number meanwhile."""
    for _ in range(_ATTEMPTS):
        with suppress(IntegrityError), writing(engine) as session:
            return write(session)
    with writing(engine) as session:
        return write(session)


def add_revision(session: Session, site: Site, author: str) -> int:
    """Store ``site`` in the session's transaction as a new revision where it differs; answers the one in force."""
    content = site.model_dump_json()
    latest = latest_revision(session, site.mine)
    if latest is not None and latest.content == content:
        return latest.revision
    number = 1 if latest is None else latest.revision + 1
    session.add(SiteRevision(mine=site.mine, revision=number, content=content, author=author, created_at=utc_now()))
    session.flush()
    return number


def latest_revision(session: Session, mine: str) -> SiteRevision | None:
    """The revision in force."""
    return session.exec(
        select(SiteRevision).where(SiteRevision.mine == mine).order_by(col(SiteRevision.revision).desc()).limit(1)
    ).first()


def _adopt(session: Session, site: Site, origin: str) -> bool:
    latest = latest_revision(session, site.mine)
    imported = session.exec(
        select(SiteRevision)
        .where(SiteRevision.mine == site.mine, SiteRevision.author == origin)
        .order_by(col(SiteRevision.revision).desc())
        .limit(1)
    ).first()
    # Read back before comparing: a release that knows more fields writes the same site in other words.
    if imported is not None and Site.model_validate_json(imported.content) == site:
        return False
    if latest is not None and latest.author != origin and Site.model_validate_json(latest.content) != site:
        return True
    add_revision(session, site, origin)
    return False


def load_site(engine: Engine, mine: str) -> tuple[int, Site]:
    """The latest revision of the mine's site and its number. Raises ConfigurationError where there is none."""
    with reading(engine) as session:
        latest = latest_revision(session, mine)
    if latest is None:
        raise ConfigurationError(
            f"The database knows no site for mine {mine!r}: start once with a configuration that lists its cameras."
        )
    return latest.revision, Site.model_validate_json(latest.content)


def safe_url(url: str) -> str:
    """``url`` without user name, password and query, fit for logs and screens; of a file its name alone."""
    if "://" not in url:
        return Path(url).name or url
    # A password may hold any sign, also unescaped ones that end an authority: nothing up to the last @ is shown.
    scheme, _, rest = url.partition("://")
    try:
        parts = urlsplit(f"{scheme}://{rest.rpartition('@')[2]}")
        port = f":{parts.port}" if parts.port else ""
        host = parts.hostname or ""
    except ValueError:
        return "(an address that cannot be read)"
    if not parts.netloc:
        return Path(parts.path).name
    return urlunsplit((parts.scheme, f"[{host}]{port}" if ":" in host else host + port, parts.path, "", ""))


PolygonFault = Literal["points", "outside", "crosses"]


def polygon_fault(polygon: Sequence[tuple[float, float]]) -> PolygonFault | None:
    """What keeps a polygon from being a zone: fewer than three points, one outside the picture, or lines that cross."""
    if len(polygon) < 3:
        return "points"
    if not all(_inside(point) for point in polygon):
        return "outside"
    return "crosses" if _crosses_itself(tuple(polygon)) else None


def _inside(point: tuple[float, float]) -> bool:
    return all(math.isfinite(value) and 0.0 <= value <= 1.0 for value in point)


def _crosses_itself(polygon: tuple[tuple[float, float], ...]) -> bool:
    edges = list(pairwise((*polygon, polygon[0])))
    for i, (a, b) in enumerate(edges):
        for j in range(i + 2, len(edges)):
            if i == 0 and j == len(edges) - 1:
                continue
            c, d = edges[j]
            if _side(a, b, c) * _side(a, b, d) < 0 and _side(c, d, a) * _side(c, d, b) < 0:
                return True
    return False


def _side(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
