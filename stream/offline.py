"""The risk `camera-offline`: raised when a camera gives nothing, cleared when its pictures come again."""

from datetime import datetime
from typing import Literal

import msgspec
import structlog

from stream.log import Log
from stream.messages import Absence, Risk, encode, risk_identity, utc_now
from stream.site import Camera

_logger = structlog.get_logger()

RISK_TYPE = "camera-offline"
RETIRED = "The camera was taken off the site."

CLEAR_SECONDS = 3.0
"""Pictures must come for this long before a camera counts as back."""


class Watch:
    """Judges from a camera's signs of life (monotonic clock) whether it is silent, and whether it is back."""

    def __init__(self, patience: float, now: float) -> None:
        self.seen_at = now
        self._patience = patience
        self._back_since: float | None = None

    def see(self, lived_at: float) -> None:
        """Take note of the latest sign of life."""
        if lived_at > self.seen_at:
            self._back_since = lived_at if self._back_since is None else self._back_since
            self.seen_at = lived_at

    def silent(self, now: float) -> bool:
        """Nothing came for as long as one may be patient."""
        if now - self.seen_at > self._patience:
            self._back_since = None
        return now - self.seen_at > self._patience

    def back(self, now: float) -> float:
        """For how many seconds pictures have come without a silence; 0 where they do not."""
        return 0.0 if self.silent(now) or self._back_since is None else self.seen_at - self._back_since

    def forget(self) -> None:
        """From here on the camera is offline: only what comes now counts as its being back."""
        self._back_since = None


class Episode(msgspec.Struct, frozen=True):
    """One time of silence: what has to be remembered of it to end it as the same risk after a restart."""

    risk_id: str
    since: datetime
    reason: str


def begin(mine: str, camera: Camera, reason: str) -> Episode:
    """A new time of silence; its risk's id comes from the camera and the moment."""
    since = utc_now()
    position = f"silent since {since.isoformat()}"
    return Episode(risk_identity(f"{mine}/{camera.id}", RISK_TYPE, None, position), since, reason)


def publish_raised(log: Log, mine: str, camera: Camera, episode: Episode) -> None:
    """Say that the camera is offline. Saying it twice changes nothing."""
    _publish(log, mine, camera, episode, "raised", episode.since, None)


def publish_cleared(log: Log, mine: str, camera: Camera, episode: Episode, seconds: float) -> None:
    """Say that pictures have come for ``seconds`` again. Nobody has looked at them yet, and the absence says so."""
    absence = Absence(
        full_scans=0,
        seconds=seconds,
        zone_in_view=False,
        camera_moved=False,
        persons_in_zone=0,
        reason=f"Pictures have come again for {seconds:.0f} s.",
    )
    _publish(log, mine, camera, episode, "cleared", utc_now(), absence)


def publish_lost(log: Log, mine: str, camera: Camera, episode: Episode) -> None:
    """Say that nobody can tell any more whether the camera is offline, because it is none of the site's now."""
    _publish(log, mine, camera, episode, "lost", utc_now(), None)


def _publish(
    log: Log,
    mine: str,
    camera: Camera,
    episode: Episode,
    state: Literal["raised", "cleared", "lost"],
    observed_at: datetime,
    absence: Absence | None,
) -> None:
    risk = Risk(
        mine=mine,
        risk_id=episode.risk_id,
        sequence=0 if state == "raised" else 1,
        state=state,
        type=RISK_TYPE,
        source=camera.id,
        source_kind="camera",
        place=camera.place,
        zone=None,
        confidence=1.0,
        started_at=episode.since,
        observed_at=observed_at,
        read_at=observed_at,
        published_at=utc_now(),
        absence=absence,
        reason=RETIRED if state == "lost" else episode.reason if absence is None else absence.reason,
    )
    log.append("risks", f"{mine}/{camera.id}", encode(risk))
    _logger.info("risk", risk=risk.risk_id, type=risk.type, state=risk.state, source=risk.source)
