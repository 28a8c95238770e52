"""What is remembered of the cameras in each partition that this member holds, kept in the database as checkpoints."""

import time
from collections.abc import Container

import msgspec
import structlog
from sqlalchemy import Engine

from stream.checkpoint import Checkpoints
from stream.log import Consumer, Position, Topic
from vision.memory import CameraState, dump, restore

CHECKPOINT_SECONDS = 1.0
"""Seconds between checkpoints while no risk is published; after a crash this much is analysed once more."""

Partition = tuple[Topic, int]
_logger = structlog.get_logger()


class Partitions:
    """The camera states of the partitions held, each valid up to the partition's offset."""

    def __init__(self, engine: Engine, stage: str) -> None:
        self._checkpoints = Checkpoints(engine, stage)
        self._states: dict[Partition, dict[str, CameraState]] = {}
        self._before: dict[Partition, dict[str, CameraState]] = {}
        self._offsets: dict[Partition, int] = {}
        self._changed: set[Partition] = set()
        self._saved: set[Partition] = set()
        self._saved_at = time.monotonic()

    def hold(self, consumer: Consumer, partitions: frozenset[Partition]) -> None:
        """Load what is remembered of partitions that are new, forget those that are gone, and read on behind it.

        Reading begins a little earlier where candidates need pictures from before as evidence.
        """
        for gone in self._states.keys() - partitions:
            del self._states[gone]
            self._before.pop(gone, None)
            self._offsets.pop(gone, None)
            self._changed.discard(gone)
            self._saved.discard(gone)
        for partition in partitions - self._states.keys():
            self._states[partition] = {}
            loaded = self._checkpoints.take(*partition)
            if loaded is not None:
                self._saved.add(partition)
                consumer.seek(self._restored(partition, *loaded))

    def state(self, position: Position, camera: str) -> CameraState:
        """What is remembered of a camera whose message stands at ``position``."""
        return self._states.get(_partition(position), {}).get(camera) or CameraState()

    def remember(self, position: Position, camera: str, state: CameraState) -> None:
        """What is to be remembered of the camera from now on."""
        self._states.setdefault(_partition(position), {})[camera] = state
        self._changed.add(_partition(position))

    def hold_back(self, position: Position, camera: str) -> None:
        """A risk of the camera is to be published: until then, checkpoints keep what is remembered of it now."""
        before = msgspec.structs.replace(self.state(position, camera), again=max(0, position.offset))
        self._before.setdefault(_partition(position), {}).setdefault(camera, before)

    def all(self) -> list[tuple[Position, str, CameraState]]:
        """Every camera held: where its partition stands, its id and state."""
        return [
            (Position(*partition, self._offsets.get(partition, -1)), camera, state)
            for partition, states in self._states.items()
            for camera, state in states.items()
        ]

    def reached(self, position: Position) -> None:
        """Everything up to ``position`` in its partition is in the states."""
        partition = _partition(position)
        if position.offset > self._offsets.get(partition, -1):
            self._offsets[partition] = position.offset
            self._changed.add(partition)

    def save(self, waiting: Container[str] = (), *, now: bool) -> None:
        """Write a checkpoint of what changed, when the last one is old enough or ``now``.

        Of the cameras in ``waiting`` it keeps what was remembered before the risk that is not yet published.

        A partition's first checkpoint is written at once: without one a new start would go on from the committed offset
        and know nothing of what came before it.
        """
        due = now or time.monotonic() - self._saved_at >= CHECKPOINT_SECONDS or not self._changed <= self._saved
        if not self._changed or not due:
            return
        for before in self._before.values():
            for camera in [camera for camera in before if camera not in waiting]:
                del before[camera]
        entries = [
            (
                Position(*partition, self._offsets[partition]),
                dump({**self._states[partition], **self._before.get(partition, {})}),
            )
            for partition in sorted(self._changed)
            if partition in self._states and partition in self._offsets
        ]
        self._checkpoints.save(entries)
        self._saved |= self._changed
        self._changed.clear()
        self._saved_at = time.monotonic()

    def _restored(self, partition: Partition, position: Position, content: bytes) -> Position:
        """Take a checkpoint's states over; answers where to read on."""
        try:
            states = restore(content)
        except msgspec.DecodeError as error:
            _logger.warning("checkpoint not understood, episodes begin anew", partition=partition, reason=str(error))
            states = {}
        self._offsets[partition] = position.offset
        needed = [offset for state in states.values() for offset in state.looks()]
        needed += [state.again for state in states.values() if state.again is not None]
        self._states[partition] = {
            camera: msgspec.structs.replace(state, again=None) for camera, state in states.items()
        }
        return position._replace(offset=min([position.offset + 1, *needed]))


def _partition(position: Position) -> Partition:
    return position.topic, position.partition
