"""Evidence of a risk: the frames from first support on as they were analysed, one with boxes drawn on, a clip."""

import os
import threading
from collections import defaultdict, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import structlog

from stream.catalogue import RISK_TYPES
from stream.errors import EvidenceError
from stream.evidence import EvidenceStore
from stream.messages import Detection, Evidence, Frame
from vision.analysis import MEDIA_TYPE, Analysis, encode_analysis
from vision.annotate import annotate
from vision.clip import make_clip
from vision.episode import Episode, Event, Look
from vision.zones import ZoneMap

CLIP_FPS = 5.0
"""Frames a second that are held for clips; more would cost memory on thirty cameras and show little more."""

CLIP_AFTER = 2.0
"""Seconds after the raising that a clip shows."""

CLIP_BYTES = 8 * 1024**2
"""Bytes of frames held for a camera's clips at most."""

_logger = structlog.get_logger()

Kind = Literal["frame", "annotated", "clip", "analysis"]


class _Held(NamedTuple):
    captured_at: datetime
    jpeg: bytes


class Recorder:
    """Holds the frames that may become evidence, and stores them when a risk is raised."""

    def __init__(self, store: EvidenceStore, mine: str, clip_seconds: float) -> None:
        self._store = store
        self._mine = mine
        self._clip_seconds = clip_seconds
        self._frames: defaultdict[str, dict[int, bytes]] = defaultdict(dict)
        self._recent: defaultdict[str, deque[_Held]] = defaultdict(deque)
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="clip", initializer=_give_way)

    @property
    def clip_after(self) -> float | None:
        """Seconds after a raising at which its clip can be made; None where none is wanted."""
        return CLIP_AFTER if self._clip_seconds > 0 else None

    def hold(self, frame: Frame, offset: int) -> None:
        """Keep a frame at hand until ``release`` says that no candidate needs it."""
        self._frames[frame.camera][offset] = frame.jpeg
        if self._clip_seconds > 0:
            self._hold_for_clip(frame)

    def release(self, camera: str, needed: frozenset[int]) -> None:
        """Let go of the camera's frames but those at the offsets ``needed``."""
        frames = self._frames[camera]
        for offset in frames.keys() - needed:
            del frames[offset]

    def evidence(
        self, event: Event, camera: str, zone: ZoneMap | None, everything: Sequence[Detection] = ()
    ) -> tuple[Evidence, ...]:
        """Store what shows a raising and answer the references; the risk goes out without what cannot be stored."""
        if event.state != "raised":
            return ()
        try:
            return self._pictures(event.episode, camera, zone, everything)
        except EvidenceError as error:
            _logger.error("evidence not stored", camera=camera, risk=event.episode.risk_id, reason=str(error))
            return ()

    def clip(self, event: Event, camera: str) -> "Future[tuple[Evidence, ...]] | None":
        """The clip of the event, if it asks for one, made aside: the other cameras do not wait for the encoder."""
        raised_at = event.episode.raised_at
        if not event.record or raised_at is None:
            return None
        since, until = raised_at - timedelta(seconds=self._clip_seconds), raised_at + timedelta(seconds=CLIP_AFTER)
        frames = [held for held in self._recent[camera] if since <= held.captured_at <= until]
        return self._encoder.submit(self._stored_clip, frames, event.episode.risk_id)

    def close(self) -> None:
        """Make the clips that were asked for, and no more."""
        self._encoder.shutdown()

    def analysis(self, analysis: Analysis) -> tuple[Evidence, ...]:
        """Store how the kept frames were analysed and answer the reference; nothing where it cannot be stored."""
        if not analysis.frames:
            return ()
        try:
            raised_at = analysis.frames[-1].captured_at
            return (self._put(encode_analysis(analysis), MEDIA_TYPE, "analysis", raised_at),)
        except EvidenceError as error:
            _logger.error("analysis not stored", risk=analysis.risk_id, reason=str(error))
            return ()

    def _hold_for_clip(self, frame: Frame) -> None:
        recent = self._recent[frame.camera]
        if recent and frame.captured_at < recent[-1].captured_at:
            recent.clear()  # the source began anew
        if recent and (frame.captured_at - recent[-1].captured_at).total_seconds() < 0.9 / CLIP_FPS:
            return
        recent.append(_Held(frame.captured_at, frame.jpeg))
        oldest = frame.captured_at - timedelta(seconds=self._clip_seconds + CLIP_AFTER + 1)
        while len(recent) > 1 and (recent[0].captured_at < oldest or sum(len(h.jpeg) for h in recent) > CLIP_BYTES):
            recent.popleft()

    def _pictures(
        self, episode: Episode, camera: str, zone: ZoneMap | None, everything: Sequence[Detection]
    ) -> tuple[Evidence, ...]:
        frames = self._frames[camera]
        looks = [look for look in episode.looks if look.offset in frames]
        stored = [self._put(frames[k.offset], "image/jpeg", "frame", k.captured_at, k.people) for k in looks]
        best = episode.best
        if best is None or best.offset not in frames:
            return tuple(stored)
        others = everything if looks and best.offset == looks[-1].offset else ()
        drawn = annotate(
            frames[best.offset],
            best.detections,
            others,
            zone.zone.polygon if zone else None,
            _caption(episode, best, camera),
        )
        return (*stored, self._put(drawn, "image/jpeg", "annotated", best.captured_at))

    def _stored_clip(self, frames: Sequence[_Held], risk: str) -> tuple[Evidence, ...]:
        try:
            clip = make_clip(frames)
            return (self._put(clip, "video/webm", "clip", frames[0].captured_at),) if clip else ()
        except Exception as error:  # noqa: BLE001 - whatever the encoder says, the risk is told without its clip
            _logger.error("clip not stored", risk=risk, reason=str(error))
            return ()

    def _put(
        self,
        data: bytes,
        media_type: str,
        kind: Kind,
        captured_at: datetime,
        people: tuple[Detection, ...] | None = None,
    ) -> Evidence:
        digest = self._store.put(self._mine, data, media_type)
        return Evidence(sha256=digest, media_type=media_type, kind=kind, captured_at=captured_at, people=people)


def _give_way() -> None:
    """A tenth of the share of those who look: a clip may come a second later, a frame that waits for it is dropped."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def _caption(episode: Episode, look: Look, camera: str) -> str:
    where = f"{camera} / {episode.zone}" if episode.zone else camera
    name = RISK_TYPES[episode.type].en
    return f"{name}  |  {where}  |  {look.captured_at:%Y-%m-%d %H:%M:%S} UTC  |  confidence {look.confidence:.2f}"
