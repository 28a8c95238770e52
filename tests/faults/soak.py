"""A soak: the whole house with eight cameras for some minutes, and how memory, handles, lag and files grow."""

import os
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from console.stages import READS
from stream.log import open_log
from tests.faults.house import RunningHouse
from tests.faults.processes import family

EVERY = 5.0
WARM_SHARE = 0.25
"""The share of the samples at the beginning that no slope is taken from: caches, pools and the ring are filling."""


def soak(folder: Path, minutes: float, cameras: int = 8) -> dict[str, Any]:
    """Run for ``minutes`` behind the start; answers each figure's first and last value and its slope per hour."""
    with RunningHouse(folder, cameras=cameras) as house:
        samples: list[dict[str, float]] = []
        began = time.monotonic()
        log = open_log(house.settings.log)
        try:
            while (passed := time.monotonic() - began) < minutes * 60:
                _stir(house, passed)
                samples.append({"seconds": passed, **_sample(house, log)})
                time.sleep(max(0.0, EVERY - (time.monotonic() - began - passed)))
        finally:
            log.close()
        amiss = house.amiss()
        counted = {
            name: house.counted(name) for name in ("frames_read", "frames_analysed", "frames_skipped", "readings")
        }
    return {
        "minutes": minutes,
        "cameras": cameras,
        "samples": len(samples),
        "amiss": amiss,
        **counted,
        "figures": {name: figure(samples, name) for name in samples[0] if name != "seconds"},
    }


def figure(samples: list[dict[str, float]], name: str) -> dict[str, float]:
    """First and last value, the largest, and the slope per hour (least squares) once it was warm."""
    warm = samples[int(len(samples) * WARM_SHARE) :] if len(samples) > 8 else samples
    times = np.array([sample["seconds"] for sample in warm])
    values = np.array([sample[name] for sample in warm])
    slope = float(np.polyfit(times, values, 1)[0]) * 3600 if len(warm) > 1 else 0.0
    every = [sample[name] for sample in samples]
    return {"first": every[0], "last": every[-1], "largest": max(every), "per_hour": round(slope, 1)}


def _stir(house: RunningHouse, passed: float) -> None:
    """Each minute the methane rises for a while and one camera is covered, so that there is something to dispose of."""
    second = passed % 60
    if second < 15:
        house.feed.instead["ch4"] = f"{1.8 + second / 1000:.4f}"
    else:
        house.feed.instead.pop("ch4", None)
    covered = int(passed // 60) % len(house.services) if 20 <= second < 45 else -1
    for number, service in enumerate(house.services):
        service.mode = "covered" if number == covered else "well"


def _sample(house: RunningHouse, log: Any) -> dict[str, float]:
    processes = family(house.process.pid)
    memory = {stage: _resident(house.pid(stage)) for stage in ("capture", "vision", "limits", "disposal", "console")}
    return {
        "memory_mb": round(sum(_resident(pid) for pid in processes), 1),
        **{f"memory_{stage}_mb": round(size, 1) for stage, size in memory.items()},
        "handles": sum(_handles(pid) for pid in processes),
        "processes": len(processes),
        **{f"lag_{stage}": log.lag(stage, topic) for stage, topic in READS.items()},
        "database_mb": round(sum(f.stat().st_size for f in house.data.glob("minewatch.db*")) / 1e6, 2),
        "database_rows": _rows(house.data / "minewatch.db"),
        "log_mb": round(sum(f.stat().st_blocks * 512 for f in (house.data / "log").rglob("*.mdb")) / 1e6, 1),
        "evidence_mb": round(
            sum(f.stat().st_size for f in (house.data / "evidence").rglob("*") if f.is_file()) / 1e6, 1
        ),
    }


def _resident(pid: int) -> float:
    """MB that are its own: pages that it shares with others count for one of them alone.

    Pages of files are left out: the log is mapped, and the system takes its pages back when it needs them.
    """
    try:
        fields: Mapping[str, str] = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        )
        return sum(int(fields[name].split()[0]) for name in ("Pss_Anon", "Pss_Shmem")) / 1000
    except (OSError, KeyError, ValueError):
        return 0.0


def _handles(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - a count, of links that may go meanwhile
    except OSError:
        return 0


def _rows(database: Path) -> int:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    try:
        return int(connection.execute("SELECT count(*) FROM alert_risk").fetchone()[0])
    finally:
        connection.close()
