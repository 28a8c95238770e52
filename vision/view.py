"""What each camera is to look for: its zones, its detectors, and the risks that these can see together."""

from collections.abc import Mapping
from typing import NamedTuple

import structlog

from stream.errors import ConfigurationError
from stream.site import Camera, Site
from vision.detector import Detector
from vision.labels import PERSON
from vision.support import Key, unseen_types, watched_keys
from vision.zones import ZoneMap

_logger = structlog.get_logger()

PICTURE_KEYS = frozenset({Key("camera-blind", None), Key("camera-frozen", None), Key("camera-moved", None)})
"""What is measured on every camera's picture itself."""


class CameraView(NamedTuple):
    """One camera as vision sees it. ``keys`` are the risks that its detectors and measurements cover."""

    camera: Camera
    zones: tuple[ZoneMap, ...]
    belt_edges: tuple[ZoneMap, ...]
    detectors: tuple[Detector, ...]
    keys: frozenset[Key]

    @property
    def side(self) -> int:
        """Long side in pixels that its pictures must have for the hungriest of its detectors."""
        return max((d.image_size for d in self.detectors), default=MEASURED_SIDE)


MEASURED_SIDE = 320
"""Long side in pixels for cameras without a detector, on whose pictures blindness and belts are measured alone."""


def view_site(site: Site, detectors: Mapping[str, Detector]) -> dict[str, CameraView]:
    """The view of each camera by its id. Raises ConfigurationError where one names a detector that is not set up."""
    return {camera.id: view_camera(site, camera, detectors) for camera in site.cameras}


def view_camera(site: Site, camera: Camera, detectors: Mapping[str, Detector]) -> CameraView:
    """The view of one camera. Raises ConfigurationError where it names a detector that is not set up."""
    if missing := [name for name in camera.detectors if name not in detectors]:
        raise ConfigurationError(
            f"Camera {camera.id} asks for the detector {', '.join(missing)}, which is not set up: add it to vision.detectors "
            f"({', '.join(sorted(detectors)) or 'none'} so far) or take it off the camera."
        )
    chosen = tuple(detectors[name] for name in camera.detectors)
    zones = tuple(ZoneMap(zone) for zone in site.zones_of(camera.id))
    belt_edges = tuple(zone for zone in zones if zone.zone.purpose == "belt-edge")
    labels = frozenset(label for detector in chosen for label in detector.labels)
    edges = frozenset(Key("belt-deviation", zone.zone.id) for zone in belt_edges)
    return CameraView(camera, zones, belt_edges, chosen, watched_keys(zones, labels) | PICTURE_KEYS | edges)


def say_what_is_unseen(views: Mapping[str, CameraView]) -> None:
    """Log the risk types that no camera's detectors can see, and the zones in which nothing is looked for."""
    labels = frozenset(label for view in views.values() for detector in view.detectors for label in detector.labels)
    if blind := unseen_types(labels):
        _logger.warning("no camera's detectors see these risk types", types=[t.id for t in blind])
    if labels and PERSON not in labels:
        _logger.warning("no detector sees persons, so none is counted in any zone")
    for view in views.values():
        watched = {key.zone for key in view.keys}
        if idle := [zone.zone.id for zone in view.zones if zone.zone.id not in watched]:
            _logger.warning("nothing can be seen in these zones", camera=view.camera.id, zones=idle)
