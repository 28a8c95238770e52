"""Risks over time: which episodes begin, are confirmed and end. Pure: no clock, no picture, no log.

A frame supports a risk, shows its absence, or says nothing about it. Support confirmed over the on-delay raises an
episode; absence observed over the off-delay clears it; whatever keeps the absence from being observed (the source
ended, a gap, a camera that is blind, frozen or moved, a zone nobody watches any more, a person who vanished from the
middle of a zone) ends it as lost.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from stream.catalogue import Confirmation
from stream.messages import Absence, Detection, risk_identity
from vision.episode import Episode, Event, EventState, Look, with_look
from vision.support import Key, Support

CameraConfirmation = Callable[[str], Confirmation]

LEAST_SUPPORTS = 2
"""Frames that must support a risk whatever its delay: one frame alone is no confirmation."""

ABANDONED = 0.5
"""A candidate whose supporting share falls below this part of the share that would raise it is dropped."""

GAP = 2.0
"""A silence longer than this many off-delays hides what happened in it."""

UPDATE_SECONDS = 5.0
"""Least captured time between two updates of one episode: a dispatcher reads them."""

CONFIDENCE_STEP = 0.2
"""An update is worth a dispatcher's glance when the confidence grew by this much, or more persons are in the zone."""

BLINDING = frozenset({"camera-blind", "camera-frozen"})
MOVING = frozenset({"camera-moved"})
CAMERA_TYPES = BLINDING | MOVING

UNMOVED = Key("camera-moved", None)
"""Seen in a frame where there is a reference to tell by; without one nobody knows that the zone is still in view."""


class Observation(NamedTuple):
    """What one frame says. ``seen``: the keys that it is evidence on, ``watched``: those that the camera covers at all.

    ``supports`` holds those seen that it shows; a key seen but not supported is absent in this frame, unless
    ``uncertain`` names it. ``persons`` counts persons by zone (None: the whole picture).
    ``record_after``: seconds after the raising at which a clip of the time around it is asked for; None: never.
    ``people``: every person and head that was seen in the frame; None where no detector looked for them. ``repeated``:
    it is the picture before once more, and no look at the scene.
    """

    offset: int
    position: str
    captured_at: datetime
    read_at: datetime
    watched: frozenset[Key]
    seen: frozenset[Key]
    supports: Mapping[Key, Support]
    uncertain: frozenset[Key] = frozenset()
    persons: Mapping[str | None, int] = {}
    record_after: float | None = None
    people: tuple[Detection, ...] | None = None
    repeated: bool = False


class View(NamedTuple):
    """How far the camera can be trusted: what the episodes about the camera itself say."""

    blind: bool
    moved: bool
    doubtful: bool


def observe(
    source: str,
    episodes: tuple[Episode, ...],
    seen_at: datetime | None,
    observation: Observation,
    confirmation: CameraConfirmation,
) -> tuple[tuple[Episode, ...], list[Event]]:
    """The episodes after one frame of ``source``, and what happened to them.

    ``seen_at`` is the capture time of the frame before. Doing it again from the same state gives the same.
    """
    events: list[Event] = []
    kept = _after_silence(episodes, seen_at, observation, confirmation, events)
    if observation.repeated and seen_at is not None:
        kept = [_waited(e, observation.captured_at - seen_at) for e in kept]
    camera = [e for e in kept if e.type in CAMERA_TYPES]
    others = [e for e in kept if e.type not in CAMERA_TYPES]
    clear = View(blind=False, moved=False, doubtful=False)
    cameras = _step_all(source, camera, observation, clear, confirmation, events, about_camera=True)
    view = _view(cameras)
    rest = _step_all(source, others, observation, view, confirmation, events, about_camera=False)
    return (*cameras, *rest), events


def end_all(episodes: tuple[Episode, ...], observed_at: datetime, read_at: datetime, reason: str) -> list[Event]:
    """All raised episodes end as lost; candidates are forgotten."""
    return [_ended(e, "lost", observed_at, read_at, reason) for e in episodes if e.raised]


def interrupted(episodes: tuple[Episode, ...]) -> tuple[Episode, ...]:
    """The episodes after a frame that was not looked at: an absence must be observed from its beginning again."""
    return tuple(_support_expected(e) for e in episodes)


def _after_silence(
    episodes: tuple[Episode, ...],
    seen_at: datetime | None,
    observation: Observation,
    confirmation: CameraConfirmation,
    events: list[Event],
) -> list[Episode]:
    """Episodes that outlived the time since the frame before; the others are lost, or forgotten as candidates."""
    if seen_at is None:
        return list(episodes)
    silence = (observation.captured_at - seen_at).total_seconds()
    kept = []
    for episode in episodes:
        if 0 <= silence <= GAP * confirmation(episode.type).off_delay:
            kept.append(episode)
        elif episode.raised:
            reason = f"Nothing was seen for {silence:.1f} s." if silence > 0 else "The camera's time line began anew."
            events.append(_ended(episode, "lost", observation.captured_at, observation.read_at, reason))
    return kept


def _view(cameras: list[Episode]) -> View:
    raised = {e.type for e in cameras if e.raised}
    return View(blind=bool(raised & BLINDING), moved=bool(raised & MOVING), doubtful=any(not e.raised for e in cameras))


def _step_all(
    source: str,
    episodes: list[Episode],
    observation: Observation,
    view: View,
    confirmation: CameraConfirmation,
    events: list[Event],
    *,
    about_camera: bool,
) -> list[Episode]:
    kept = []
    for episode in episodes:
        after = _step(episode, observation, view, confirmation(episode.type), events)
        if after is not None:
            kept.append(after)
    going = {e.key for e in episodes}
    for key, support in observation.supports.items():
        if (key.type in CAMERA_TYPES) != about_camera or key in going or not _counts(key, observation, view):
            continue
        begun = _advance(
            _begin(source, key, observation, support), observation, support, confirmation(key.type), events
        )
        if begun is not None:
            kept.append(begun)
    return kept


def _counts(key: Key, observation: Observation, view: View) -> bool:
    """Whether support for the key may be believed: not by a blind camera, and no zone of a camera that has moved."""
    return key in observation.watched and key in observation.seen and not view.blind and not (view.moved and key.zone)


def _step(
    episode: Episode, observation: Observation, view: View, confirmation: Confirmation, events: list[Event]
) -> Episode | None:
    """One episode after one frame; None where it ended."""
    if hidden := _hidden(episode, observation, view):
        if episode.raised:
            events.append(_ended(episode, "lost", observation.captured_at, observation.read_at, hidden))
        return None
    episode = _recorded(episode, observation, events)
    if episode.key not in observation.seen:
        return _support_expected(episode) if view.doubtful else episode
    support = observation.supports.get(episode.key)
    if support is not None:
        return _advance(_supported(episode, observation, support), observation, support, confirmation, events)
    if episode.raised:
        return _absent(episode, observation, view, confirmation, events)
    return _waiting(episode, observation, confirmation)


def _recorded(episode: Episode, observation: Observation, events: list[Event]) -> Episode:
    """Asks for the clip once the seconds after the raising have passed too."""
    if episode.raised_at is None or episode.recorded or observation.record_after is None:
        return episode
    if _seconds(observation.captured_at - episode.raised_at) < observation.record_after:
        return episode
    after = msgspec.structs.replace(episode, recorded=True)
    told, event = _told(after, "updated", observation, (), "The seconds around it were recorded.")
    events.append(msgspec.structs.replace(event, record=True))
    return msgspec.structs.replace(told, told_at=episode.told_at)


def _hidden(episode: Episode, observation: Observation, view: View) -> str:
    """Why nobody can say any more whether the risk goes on; empty where it can be said."""
    if view.blind:
        return "The camera gives no usable picture."
    if view.moved and episode.zone:
        return "The camera has moved, so the zone is no longer in view."
    if episode.key not in observation.watched:
        return "The zone changed, or no detector of the camera looks for this any more."
    return ""


def _begin(source: str, key: Key, observation: Observation, support: Support) -> Episode:
    return _supported(
        Episode(
            type=key.type,
            zone=key.zone,
            risk_id=risk_identity(source, key.type, key.zone, observation.position),
            started_at=observation.captured_at,
            supported_at=observation.captured_at,
            confidence=0.0,
            persons=0,
            position=observation.position,
            supports=0,
        ),
        observation,
        support,
    )


def _supported(episode: Episode, observation: Observation, support: Support) -> Episode:
    after = msgspec.structs.replace(
        episode,
        supported_at=observation.captured_at,
        supports=episode.supports + 1,
        confidence=max(episode.confidence, support.confidence),
        persons=observation.persons.get(episode.zone, 0),
        absent_since=None,
        absent_scans=0,
        vanishable=support.vanishable,
    )
    if episode.raised:
        return after
    at, people = observation.captured_at, observation.people
    look = Look(observation.offset, at, support.confidence, support.detections, people=people)
    return with_look(after, look)


def _advance(
    episode: Episode, observation: Observation, support: Support, confirmation: Confirmation, events: list[Event]
) -> Episode | None:
    """A supported episode: raised when it is confirmed, updated when there is news."""
    if episode.raised:
        return _updated(episode, observation, support, events)
    episode = _in_window(episode, observation, confirmation, supported=True)
    if not _confirmed(episode, observation, confirmation):
        return episode
    elapsed = _seconds(observation.captured_at - episode.started_at)
    shown = sum(1 for _, yes in episode.window if yes)
    reason = f"Seen in {shown} of {len(episode.window)} frames, for {elapsed:.1f} s."
    raised = msgspec.structs.replace(episode, raised=True, raised_at=observation.captured_at, window=())
    told, event = _told(raised, "raised", observation, support.detections, reason)
    events.append(event)
    return msgspec.structs.replace(told, looks=(), best=None)


def _updated(episode: Episode, observation: Observation, support: Support, events: list[Event]) -> Episode:
    due = episode.told_at is None or _seconds(observation.captured_at - episode.told_at) >= UPDATE_SECONDS
    surer = episode.confidence >= episode.told_confidence + CONFIDENCE_STEP
    more = episode.persons > episode.told_persons
    if not (due and (surer or more)):
        return episode
    reason = f"Now {episode.persons} persons in the zone." if more else f"Confidence rose to {episode.confidence:.2f}."
    told, event = _told(episode, "updated", observation, support.detections, reason)
    events.append(event)
    return told


def _waiting(episode: Episode, observation: Observation, confirmation: Confirmation) -> Episode | None:
    """A candidate in a frame that does not show it; None where too little supports it by now."""
    if episode.key in observation.uncertain:
        return episode
    episode = _in_window(episode, observation, confirmation, supported=False)
    elapsed = _seconds(observation.captured_at - episode.started_at)
    if elapsed >= confirmation.on_delay and _share(episode) < confirmation.share * ABANDONED:
        return None
    return episode


def _absent(
    episode: Episode, observation: Observation, view: View, confirmation: Confirmation, events: list[Event]
) -> Episode | None:
    """A raised episode in a frame that does not show it; None where its absence has been observed for long enough."""
    if episode.key in observation.uncertain or view.doubtful:
        return _support_expected(episode)
    since = episode.absent_since or observation.captured_at
    after = msgspec.structs.replace(episode, absent_since=since, absent_scans=episode.absent_scans + 1)
    seconds = _seconds(observation.captured_at - since)
    if seconds < confirmation.off_delay or after.absent_scans < confirmation.full_scans:
        return after
    if reason := _unexplained(after, view):
        events.append(_ended(after, "lost", observation.captured_at, observation.read_at, reason))
        return None
    known = episode.type in CAMERA_TYPES or UNMOVED in observation.seen
    absence = Absence(
        full_scans=after.absent_scans,
        seconds=seconds,
        zone_in_view=known,
        camera_moved=False,
        persons_in_zone=observation.persons.get(episode.zone, 0),
        reason=_absence_seen(after, seconds, known=known),
    )
    cleared = _ended(after, "cleared", observation.captured_at, observation.read_at, absence.reason)
    events.append(msgspec.structs.replace(cleared, absence=absence))
    return None


def _absence_seen(episode: Episode, seconds: float, *, known: bool) -> str:
    if known:
        return f"Not seen in {episode.absent_scans} full scans over {seconds:.1f} s, with the camera unmoved."
    return f"Not seen in {episode.absent_scans} full scans over {seconds:.1f} s, but nothing steady shows whether the camera moved."


def _unexplained(episode: Episode, view: View) -> str:
    """Why an absence that was observed does not mean that the risk is over; empty where it does."""
    if view.moved:
        return "No longer seen, but the camera has moved."
    if episode.vanishable:
        return "No longer seen, but the person was well inside the zone and was not seen to leave it."
    return ""


def _waited(episode: Episode, duration: timedelta) -> Episode:
    """The episode after a time in which nobody looked at the scene: it is no part of an absence."""
    if episode.absent_since is None:
        return episode
    return msgspec.structs.replace(episode, absent_since=episode.absent_since + duration)


def _support_expected(episode: Episode) -> Episode:
    if episode.absent_since is None:
        return episode
    return msgspec.structs.replace(episode, absent_since=None, absent_scans=0)


def _in_window(episode: Episode, observation: Observation, confirmation: Confirmation, *, supported: bool) -> Episode:
    now = observation.captured_at.timestamp()
    window = tuple(entry for entry in episode.window if now - entry[0] <= confirmation.on_delay)
    return msgspec.structs.replace(episode, window=(*window, (now, supported)))


def _confirmed(episode: Episode, observation: Observation, confirmation: Confirmation) -> bool:
    elapsed = _seconds(observation.captured_at - episode.started_at)
    long_enough = elapsed >= confirmation.on_delay and episode.supports >= LEAST_SUPPORTS
    return long_enough and _share(episode) >= confirmation.share


def _share(episode: Episode) -> float:
    return sum(1 for _, yes in episode.window if yes) / max(1, len(episode.window))


def _told(
    episode: Episode, state: EventState, observation: Observation, detections: tuple[Detection, ...], reason: str
) -> tuple[Episode, Event]:
    event = Event(
        state=state,
        sequence=episode.sequence,
        episode=episode,
        observed_at=observation.captured_at,
        read_at=observation.read_at,
        reason=reason,
        detections=detections,
    )
    after = msgspec.structs.replace(
        episode,
        sequence=episode.sequence + 1,
        told_at=observation.captured_at,
        told_confidence=episode.confidence,
        told_persons=episode.persons,
    )
    return after, event


def _ended(episode: Episode, state: EventState, observed_at: datetime, read_at: datetime, reason: str) -> Event:
    return Event(
        state=state,
        sequence=episode.sequence,
        episode=episode,
        observed_at=observed_at,
        read_at=read_at,
        reason=reason,
        record=episode.raised_at is not None and not episode.recorded,
    )


def _seconds(duration: timedelta) -> float:
    return duration.total_seconds()
