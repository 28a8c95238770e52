"""What vision remembers of each camera between frames, and how it goes into the checkpoint and comes back."""

from datetime import UTC, datetime
from typing import Literal, Self

import msgspec

from stream.messages import Frame, SourceEnded
from vision.episode import Episode
from vision.motion import MotionState
from vision.picture import PictureState

Admission = Literal["new", "handled", "doubled", "stale"]

NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class CameraState(msgspec.Struct, frozen=True):
    """Everything known of one camera after its message at ``offset``.

    ``sequence`` and ``captured_at`` are those of its last frame, looked at or not; ``seen_at`` is the capture time of
    the last one looked at, and ``opened_at`` names the opening of the source that its frames came from. ``again`` is
    set in checkpoints alone: the offset to read on from, because a risk of that message was not on the log yet.
    """

    offset: int = -1
    sequence: int = -1
    captured_at: datetime = NEVER
    read_at: datetime = NEVER
    seen_at: datetime | None = None
    opened_at: datetime | None = None
    motion: MotionState = MotionState()
    picture: PictureState = PictureState()
    episodes: tuple[Episode, ...] = ()
    again: int | None = None

    def looks(self) -> frozenset[int]:
        """The log offsets of the frames that candidates keep as evidence."""
        looks = [look for episode in self.episodes for look in (*episode.looks, episode.best) if look is not None]
        return frozenset(look.offset for look in looks)

    def after(self, frame: Frame, offset: int) -> Self:
        """The state once ``frame`` has arrived; what it shows is not yet in it."""
        return msgspec.structs.replace(
            self,
            offset=offset,
            sequence=frame.sequence,
            captured_at=frame.captured_at,
            read_at=frame.read_at,
            opened_at=frame.opened_at,
        )


def admit(state: CameraState, message: Frame | SourceEnded, offset: int, oldest: datetime | None) -> Admission:
    """Whether a message is new.

    ``handled``: the log delivered it again. ``doubled``: capture wrote it again, after a restart. ``stale``: it was
    read before ``oldest``. A source that was opened anew is new, whatever its clock says.
    """
    if isinstance(message, SourceEnded):
        return "handled" if offset <= state.offset and message.captured_at <= state.captured_at else "new"
    if message.opened_at is None or state.opened_at is None:
        known, earlier = message.captured_at <= state.captured_at, message.captured_at <= state.captured_at
    else:
        known = message.opened_at == state.opened_at and message.sequence <= state.sequence
        earlier = message.opened_at <= state.opened_at
    # Offsets alone would refuse everything after a log was wiped beside a database that was kept.
    if offset <= state.offset and earlier:
        return "handled"
    if known:
        return "doubled"
    return "stale" if oldest is not None and message.read_at < oldest else "new"


def dump(states: dict[str, CameraState]) -> bytes:
    """The cameras of one partition as bytes."""
    return msgspec.msgpack.encode(states)


def restore(data: bytes) -> dict[str, CameraState]:
    """The cameras that ``dump`` wrote."""
    return msgspec.msgpack.decode(data, type=dict[str, CameraState])
