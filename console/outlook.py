"""What is about to happen, read off figures that are kept already: the disk, the log's readers, the cameras' light."""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec
from sqlalchemy import Engine

from console.settings import Settings
from console.stages import READS
from stream.checkpoint import all_checkpoints
from stream.errors import MinewatchError
from stream.evidence import open_evidence
from stream.heartbeat import fresh, stages_since
from stream.log import Log
from stream.messages import utc_now
from stream.remote_evidence import RemoteEvidence

WINDOW = 24 * 3600.0
"""Seconds of growth that are looked at: a whole day, so that no single shift is taken for all of them."""
LEAST = 3600.0
"""Seconds of growth below which nothing is foretold."""
SOON = 72.0
"""Hours: a disk that is full before a long weekend is over is said today."""
SAMPLES, APART = 6, 1.0
"""How often, and how many seconds apart, the lag is asked for."""
BEHIND = 500
"""Records: a lag below this comes and goes with every batch."""


class Growth(NamedTuple):
    """Bytes that were written over so many seconds."""

    bytes: int
    seconds: float


def hours_until_full(free: float, growth: Growth) -> float | None:
    """Hours until ``free`` bytes are gone at that growth; None where nothing grows or it was watched too shortly."""
    if growth.bytes <= 0 or growth.seconds < LEAST:
        return None
    return max(0.0, free) / (growth.bytes / growth.seconds) / 3600


def falls_behind(lags: Sequence[int]) -> float | None:
    """Records by which a lag grows from sample to sample, in the mean; None where it does not keep growing."""
    steady = all(later > earlier for earlier, later in pairwise(lags))
    return (lags[-1] - lags[0]) / (len(lags) - 1) if steady and lags[-1] >= BEHIND else None


def growth_of(folder: Path, now: float) -> Growth:
    """What was added to ``folder`` in the window up to ``now``, by the time and size of files that never change."""
    times_and_sizes = [(mtime, size) for mtime, size in _files(folder) if now - WINDOW <= mtime <= now]
    if not times_and_sizes:
        return Growth(0, 0.0)
    oldest = min(mtime for mtime, _ in times_and_sizes)
    return Growth(sum(size for _, size in times_and_sizes), now - oldest)


def disk(settings: Settings, data: Path) -> str:
    """When the disk with the evidence is full. Raises MinewatchError where that is soon."""
    store = open_evidence(settings.evidence.url)
    if isinstance(store, RemoteEvidence):
        return f"The evidence lies on another host, behind {store.name}: its own doctor tells of its disk."
    folder = store.root
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    growth = growth_of(folder, time.time())
    # The embedded log grows up to its bound and no further: what it has still to take is as good as taken.
    unwritten = max(0, settings.log.frames_bytes - _allocated(settings.log.folder / "fast" / "data.mdb"))
    free = shutil.disk_usage(existing).free - (unwritten if _same_disk(existing, data) else 0)
    hours = hours_until_full(free, growth)
    if hours is None:
        return "Too little was stored in the last day to tell when it is full."
    said = f"Evidence grows by {growth.bytes / growth.seconds * 3600 / 1024**2:.0f} MiB an hour (seen over {growth.seconds / 3600:.0f} h): {existing} is full in {hours:.0f} hours."
    if hours < SOON:
        raise MinewatchError(f"{said} Free space, or move evidence.url to a larger disk.")
    return said


def lag(engine: Engine, log: Log, mine: str) -> str:
    """Which stages keep up. Raises MinewatchError where one falls behind further and further."""
    now = utc_now()
    beats = stages_since(engine, mine, now.replace(year=now.year - 10))
    running = [stage for stage in READS if any(b.stage == stage and b.ready and fresh(b, now) for b in beats)]
    if not running:
        return "No stage that reads the log is at work, so nothing falls behind."
    lags: dict[str, list[int]] = {stage: [] for stage in running}
    for number in range(SAMPLES):
        if number:
            time.sleep(APART)
        for stage in running:
            lags[stage].append(log.lag(stage, READS[stage]))
    behind = {stage: rate for stage in running if (rate := falls_behind(lags[stage])) is not None}
    if behind:
        raise MinewatchError(
            "; ".join(f"{s} has {lags[s][-1]} {READS[s]} waiting, {r:.0f} more each second" for s, r in behind.items())
            + ": give it a machine of its own ('minewatch run --only'), fewer cameras or fewer pictures a second."
        )
    return f"{', '.join(running)} keep up."


def darkening(engine: Engine) -> Iterator[tuple[str, str]]:
    """Cameras that got darker, each with what was seen of it, by what vision remembers of their pictures."""
    from vision.light import dimming
    from vision.memory import restore
    from vision.picture import DARK

    try:
        states = [state for saved in all_checkpoints(engine, "vision") for state in restore(saved.state).items()]
    except msgspec.DecodeError as error:
        raise MinewatchError(f"What vision remembers of the cameras cannot be read: {error}.") from error
    for camera, state in states:
        found = dimming(state.picture.light, DARK) if state.picture.light else None
        if found:
            left = f"{found.share:.0%} of the light that it had {found.hours:.0f} hours ago"
            then = f"at that rate it sees nothing in {found.hours_left:.0f} hours"
            yield camera, f"It has {left}, and {then}: clean its lens and look at the lamps."


def _files(folder: Path) -> Iterator[tuple[float, int]]:
    """Time and size of every file in a folder and below; one that goes meanwhile is passed over."""
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    elif entry.is_file(follow_symlinks=False):
                        found = entry.stat(follow_symlinks=False)
                        yield found.st_mtime, found.st_size
        except FileNotFoundError:
            continue


def _allocated(file: Path) -> int:
    return file.stat().st_blocks * 512 if file.exists() else 0


def _same_disk(one: Path, data: Path) -> bool:
    return data.exists() and one.stat().st_dev == data.stat().st_dev
