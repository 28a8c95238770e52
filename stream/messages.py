"""What travels on the log: frozen, typed, versioned messages, and the way they become bytes and back.

Boxes are relative to the picture (0..1, left, top, right, bottom). Times are aware and in UTC. ``captured_at`` is
the scene's clock (when the light fell on the sensor, or a file's own time line), ``read_at`` the wall clock of the
process that brought the message in: latencies are counted from ``read_at``.
"""

import hashlib
import time
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from stream.errors import UnknownMessageError

VERSION = 1

Time = Annotated[datetime, msgspec.Meta(tz=True)]
"""An instant; one without a time zone is no message's."""

Box = tuple[float, float, float, float]
RiskState = Literal["raised", "updated", "cleared", "lost"]
SourceKind = Literal["camera", "sensor", "person"]
SourceStatus = Literal["ok", "offline", "ended"]


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="message"):
    """What every message says: the mine that it belongs to and the version of its shape."""

    mine: str
    version: int = VERSION


class Frame(Message, frozen=True, kw_only=True, tag="frame"):
    """One camera picture: ``jpeg`` as captured, ``sequence`` counting up from 0 since the source was opened.

    ``opened_at`` names that opening: ``(camera, opened_at, sequence)`` is unique, and captured times grow with the
    sequence. A capture process that was killed reads an unpaced file on from the last frame that it is sure of, under
    the same ``opened_at``: whoever consumes frames drops one whose ``opened_at`` is that of the last frame handled
    and whose ``sequence`` is not above it. ``width`` and ``height`` in pixels; 0 where the picture cannot be read.
    """

    camera: str
    sequence: int
    captured_at: Time
    read_at: Time
    jpeg: bytes
    width: int
    height: int
    opened_at: Time | None = None


class SourceEnded(Message, frozen=True, kw_only=True, tag="source-ended"):
    """No more frames come from this source for now (end of a file, or the line is dead).

    It stands behind the last frame on the log, and its ``sequence`` is one above that frame's.
    """

    camera: str
    sequence: int
    captured_at: Time
    reason: str


class Reading(Message, frozen=True, kw_only=True, tag="reading"):
    """One sensor value in the unit that the site gives for this sensor."""

    sensor: str
    place: str
    quantity: str
    value: float
    unit: str
    sequence: int
    captured_at: Time
    read_at: Time


class Health(Message, frozen=True, kw_only=True, tag="health"):
    """What a source is doing; sent on every change and at least every 5 s while it runs."""

    source: str
    source_kind: SourceKind
    status: SourceStatus
    detail: str
    observed_at: Time


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """One box in one frame: ``label`` in the product's words, ``confidence`` 0..1, the track it belongs to if any."""

    label: str
    confidence: float
    box: Box
    track: int | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A stored piece of evidence: its sha256 (hex) is its address in the evidence store of its mine.

    ``analysis`` is no picture but the record of how the frames were analysed. ``people``: where a detector saw persons
    and heads in this very picture; None where none that sees them looked at it, or nobody knows.
    """

    sha256: str
    media_type: str
    kind: Literal["frame", "annotated", "clip", "analysis", "photo", "context"]
    captured_at: Time
    people: tuple[Detection, ...] | None = None


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A reading as it stands in the facts of a risk, with the limit that it was held against, if any."""

    sensor: str
    quantity: str
    value: float
    unit: str
    captured_at: Time
    limit: str | None = None


class Absence(msgspec.Struct, frozen=True, kw_only=True):
    """How the end of an episode was observed. Only what is known for certain counts in favour of closing.

    ``full_scans`` counts frames in which the detector looked at the whole picture since the last support, ``seconds``
    the captured time over which the absence was seen without a gap, ``persons_in_zone`` how many persons were seen in
    the zone in the last of them.
    """

    full_scans: int
    seconds: float
    zone_in_view: bool
    camera_moved: bool
    persons_in_zone: int
    reason: str


class Risk(Message, frozen=True, kw_only=True, tag="risk"):
    """One event of an episode: ``raised`` (sequence 0), ``updated``, then ``cleared`` or ``lost``.

    ``risk_id`` and ``sequence`` are unique together; a second delivery changes nothing. ``started_at`` is the capture
    time of the first support, ``observed_at`` that of what led to this event, ``published_at`` the wall clock of
    publishing. ``clauses`` names clause ids that set the limit (``rules`` fills it), ``note`` is a person's text.
    """

    risk_id: str
    sequence: int
    state: RiskState
    type: str
    source: str
    source_kind: SourceKind
    place: str
    zone: str | None
    confidence: float
    started_at: Time
    observed_at: Time
    read_at: Time
    published_at: Time
    detections: tuple[Detection, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    measured: tuple[Measured, ...] = ()
    clauses: tuple[str, ...] = ()
    absence: Absence | None = None
    detector: str | None = None
    reason: str = ""
    note: str = ""


class DeadLetter(Message, frozen=True, kw_only=True, tag="dead-letter"):
    """Input that could not be handled, as it came, with where it came from and why it was put aside."""

    stage: str
    topic: str
    partition: int
    offset: int
    key: str
    reason: str
    stack: str
    payload: bytes
    failed_at: Time


AnyMessage = Frame | SourceEnded | Reading | Health | Risk | DeadLetter

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(AnyMessage)


def encode(message: AnyMessage) -> bytes:
    """The message as MessagePack bytes."""
    return _encoder.encode(message)


def decode(data: bytes) -> AnyMessage:
    """The message in ``data``.

    Raises UnknownMessageError where the bytes are no message, or one of a version that this release does not know.
    """
    try:
        message = _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise UnknownMessageError(str(error)) from error
    if message.version != VERSION:
        raise UnknownMessageError(f"it has version {message.version}, this release reads version {VERSION}")
    return message


def risk_identity(source: str, risk_type: str, zone: str | None, position: str) -> str:
    """The id of an episode: a hash of source, type, zone and the log position of its first support (32 hex digits)."""
    text = "\x1f".join((source, risk_type, zone or "", position))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def utc_now() -> datetime:
    """The wall clock, aware, in UTC."""
    return datetime.fromtimestamp(time.time(), UTC)  # the one clock that everything here is read off
