"""Notices a stage that lives and does nothing any more, by the heartbeats that stages write."""

from collections.abc import Collection, Sequence
from datetime import datetime

from stream.heartbeat import StageHeartbeat

HANG_SECONDS = 180.0
"""Seconds without a heartbeat after which a stage that was at work is replaced: longer than any batch takes."""

HOLD_SECONDS = 60.0
"""Seconds for which nobody writes and one holds the write lock, after which that one hangs: twice what others wait."""


class HangWatch:
    """Counts for how long each stage's present process has written nothing, on the monotonic clock.

    A database that takes no writes silences all of them: nobody is blamed then but who holds its write lock all along.
    """

    def __init__(self, patience: float = HANG_SECONDS) -> None:
        self._patience = patience
        self._written: dict[str, tuple[str, datetime]] = {}
        self._since: dict[str, float] = {}
        self._writer: tuple[int | None, float] = (None, 0.0)

    def hung(
        self,
        beats: Sequence[StageHeartbeat],
        running: Collection[tuple[str, int | None]],
        now: float,
        writer: int | None = None,
    ) -> list[str]:
        """The stages among the ``running`` (name, process id) that hang at ``now``.

        ``writer``: the process that holds the database's write lock, where one does and the system tells.
        """
        if writer != self._writer[0]:
            self._writer = writer, now
        present = {beat.stage: beat for beat in beats if (beat.stage, process_of(beat)) in set(running)}
        for stage, beat in present.items():
            written = (beat.instance, beat.beat_at)
            if self._written.get(stage) != written:
                self._written[stage], self._since[stage] = written, now
        quiet = {stage: now - self._since[stage] for stage, beat in present.items() if beat.ready and not beat.ended}
        if writer is not None and min(quiet.values(), default=0.0) > HOLD_SECONDS < now - self._writer[1]:
            return [stage for stage, process in running if process == writer]
        lively = any(seconds < self._patience / 2 for seconds in quiet.values())
        return [stage for stage, seconds in quiet.items() if seconds > self._patience and lively]

    def forget(self) -> None:
        """Nothing could be read: every stage is given its time anew."""
        self._written.clear()


def process_of(beat: StageHeartbeat) -> int:
    """The process that wrote the heartbeat, on its host; 0 for a row that stands for many."""
    _, _, rest = beat.instance.partition(":")
    number = rest.partition(":")[0]
    return int(number) if number.isdecimal() else 0
