"""What is remembered of an episode while it lasts, and what happens to it. Plain data that goes into the checkpoint."""

from datetime import datetime
from typing import Literal

import msgspec

from stream.messages import Absence, Detection
from vision.support import Key

EventState = Literal["raised", "updated", "cleared", "lost"]

KEPT_FRAMES = 8
"""Frames of an episode's beginning that are kept as evidence."""


class Look(msgspec.Struct, frozen=True):
    """One frame that an episode keeps as evidence: where it stands on the log, and what supported the risk in it.

    ``nth``: which of the frames that supported the episode it was, from 0. ``people``: all persons and heads that were
    seen in it, not those alone that support the risk; None where no detector looked for them.
    """

    offset: int
    captured_at: datetime
    confidence: float = 0.0
    detections: tuple[Detection, ...] = ()
    nth: int = 0
    people: tuple[Detection, ...] | None = None


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """One risk in one zone, from its first support on: a candidate until it is raised.

    ``position`` is the log position of the first support, of which the risk's id is made. ``window`` holds (captured
    time, supported) of the frames looked at within the on-delay. ``looks`` are the frames kept as evidence, ``stride``
    which share of them, ``best`` the most confident; all end with the raising. ``absent_since`` and ``absent_scans``
    count what was seen of its absence since the last support, time in which pictures were repeated left out. ``told_…``
    is what the last event said, ``recorded`` that the seconds around the raising have been asked for, ``vanishable``
    that in the last support somebody stood so far inside the zone that going out of sight is no leaving.
    """

    type: str
    zone: str | None
    risk_id: str
    started_at: datetime
    supported_at: datetime
    confidence: float
    persons: int
    position: str = ""
    raised: bool = False
    sequence: int = 0
    supports: int = 1
    window: tuple[tuple[float, bool], ...] = ()
    looks: tuple[Look, ...] = ()
    stride: int = 1
    looked: int = 0
    best: Look | None = None
    absent_since: datetime | None = None
    absent_scans: int = 0
    told_at: datetime | None = None
    told_confidence: float = 0.0
    told_persons: int = 0
    raised_at: datetime | None = None
    recorded: bool = False
    vanishable: bool = False

    @property
    def key(self) -> Key:
        """The risk type and zone that it is about."""
        return Key(self.type, self.zone)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to an episode, to be published under its id with this sequence number.

    ``episode`` is the state with which it happened, ``detections`` those of the frame that led to it, if any did;
    ``record`` asks for a clip of the seconds around the raising.
    """

    state: EventState
    sequence: int
    episode: Episode
    observed_at: datetime
    read_at: datetime
    reason: str
    detections: tuple[Detection, ...] = ()
    absence: Absence | None = None
    record: bool = False


def with_look(episode: Episode, look: Look) -> Episode:
    """The episode with one more frame to keep: at most KEPT_FRAMES, the first, the newest, and evenly between.

    Every ``stride``-th supporting frame stays; when those are too many, every other one goes and the stride doubles.
    """
    look = msgspec.structs.replace(look, nth=episode.looked)
    stride = episode.stride
    looks = tuple(kept for kept in episode.looks if kept.nth % stride == 0)
    if len(looks) >= KEPT_FRAMES:
        stride *= 2
        looks = tuple(kept for kept in looks if kept.nth % stride == 0)
    best = look if episode.best is None or look.confidence > episode.best.confidence else episode.best
    return msgspec.structs.replace(episode, looks=(*looks, look), stride=stride, looked=episode.looked + 1, best=best)
