"""The site that `minewatch watch` makes out of sources alone: one place, one camera each, the whole picture watched."""

import re
import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from console.settings import first_fault
from stream.errors import ConfigurationError
from stream.site import Camera, Name, Place, Site, Zone

_PLACE = Place(
    id="watched", name=Name(zh="监视区域", en="Watched place"), responsible=Name(zh="当班班长", en="Shift foreman")
)
_WHOLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


def watched_site(sources: Sequence[str], zones: Path | None = None, detectors: Sequence[str] = ("ppe",)) -> Site:
    """A site with one unpaced camera for each source, looked at by the detectors of these names.

    Without ``zones`` the whole picture is a place where a helmet is required and persons are looked for; with it, the
    file's [[zones]] are used, whose ``camera`` is the source's name as it is listed at start.
    """
    cameras = tuple(
        _camera(source, number, sources).model_copy(update={"detectors": tuple(detectors)})
        for number, source in enumerate(sources, start=1)
    )
    drawn = _read_zones(zones) if zones else [zone for camera in cameras for zone in _whole_picture(camera.id)]
    try:
        return Site(mine="watch", places=(_PLACE,), cameras=cameras, zones=tuple(drawn))
    except ValidationError as error:
        raise ConfigurationError(f"{zones or 'The sources'} cannot be used: {first_fault(error)}.") from error


def chosen(listed: str, known: Collection[str]) -> tuple[str, ...]:
    """The detectors ``listed`` with commas. Raises ConfigurationError for one that is not among the ``known``."""
    names = tuple(dict.fromkeys(name.strip() for name in listed.split(",")))
    if missing := [name for name in names if name not in known]:
        raise ConfigurationError(
            f"--detectors names {', '.join(map(repr, missing))}, which is not set up: choose among {', '.join(sorted(known))}."
        )
    return names


def _camera(source: str, number: int, sources: Sequence[str]) -> Camera:
    stem = re.sub(r"[^a-z0-9]+", "-", Path(source.partition("?")[0]).stem.lower()).strip("-")[:48] or "camera"
    same = [_stem for _stem in sources if Path(_stem).stem == Path(source).stem]
    identity = stem if len(same) == 1 else f"{stem}-{number}"
    located = source if "://" in source or source.isdigit() else str(Path(source).resolve())
    return Camera(id=identity, name=Name(en=stem), url=located, place=_PLACE.id, paced=False)


def _whole_picture(camera: str) -> list[Zone]:
    return [
        Zone(id=f"{camera[:40]}-helmets", camera=camera, purpose="helmet-required", polygon=_WHOLE),
        Zone(id=f"{camera[:40]}-persons", camera=camera, purpose="watched", polygon=_WHOLE),
    ]


def _read_zones(path: Path) -> list[Zone]:
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        if set(content) != {"zones"}:
            raise ConfigurationError(
                f"{path} cannot be used: it holds {', '.join(sorted(content)) or 'nothing'}; write [[zones]] and nothing else."
            )
        return [Zone.model_validate(zone) for zone in content["zones"]]
    except OSError as error:
        raise ConfigurationError(f"The zones file {path} cannot be read: {error.strerror}. Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The zones file {path} is no TOML: {error}. Mend that line.") from error
    except ValidationError as error:
        raise ConfigurationError(f"{path} cannot be used: {first_fault(error)}.") from error
