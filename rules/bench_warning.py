"""How early, and how often for nothing, a limit warns on the trend: recorded sensors played against usual limits."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from rules.episode import SensorState, evaluate
from rules.limits import CarriedLimit, Limit
from rules.settings import LimitSettings
from stream.messages import Reading, Risk

WARN_MINUTES = 15.0
SHORT_ROWS = 3_000
_SERIES = Path("sensors/dig-it-mine-air.csv")


class Played(NamedTuple):
    """A column of the series, taken as a quantity, and a limit against it."""

    name: str
    column: str
    limit: Limit


PLAYED = (
    Played("temperature-26", "field1", Limit(quantity="temperature", comparison=">", value=26, unit="°C")),
    Played("temperature-28", "field1", Limit(quantity="temperature", comparison=">", value=28, unit="°C")),
    Played("co-24", "field5", Limit(quantity="carbon-monoxide", comparison=">", value=24, unit="ppm")),
)
"""The series names neither quantities nor units: what its columns are taken for here is an assumption. The limits are
those of the 2016 regulation (26 degrees at a face, CO 24 ppm), and one between."""


def measure(material: Path, *, short: bool) -> Mapping[str, Any]:
    """For each series: how many times the limit broke, how many of those were warned of and how long before (minutes,
    median and tenth part), and which share of all warnings ended without the limit broken. None without ``material``.
    """
    path = material / _SERIES
    if not path.is_file():
        return {"warn_minutes": WARN_MINUTES, "series": None}
    series = {}
    for played in PLAYED:
        readings = list(recorded(path, played, SHORT_ROWS if short else None))
        series[played.name] = tally(replayed(readings, played.limit, WARN_MINUTES))
    return {"warn_minutes": WARN_MINUTES, "series": series}


def recorded(path: Path, played: Played, rows: int | None) -> Iterator[Reading]:
    """The column's values as readings."""
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            if rows is not None and number >= rows:
                return
            at = datetime.fromisoformat(row["created_at"])
            yield Reading(
                mine="bench", sensor=played.name, place="face", quantity=played.limit.quantity,
                value=float(row[played.column]), unit=played.limit.unit, sequence=number, captured_at=at, read_at=at,
            )  # fmt: skip


def replayed(readings: Sequence[Reading], limit: Limit, warn_minutes: float) -> list[Risk]:
    """Every event that the readings come to, as the limits stage would tell them."""
    import msgspec

    carried = [
        CarriedLimit("bench:1", "bench:1@1", "the limit", msgspec.structs.replace(limit, warn_minutes=warn_minutes))
    ]
    state: SensorState | None = None
    events: list[Risk] = []
    for reading in readings:
        state, found = evaluate(
            state, reading, f"readings/0/{reading.sequence}", carried, LimitSettings(), reading.captured_at
        )
        events += found
    return events


def tally(events: Sequence[Risk]) -> dict[str, Any]:
    """What became of the warnings: a risk that was raised by the trend and updated by the break was warned of."""
    by_risk: dict[str, list[Risk]] = {}
    for event in events:
        by_risk.setdefault(event.risk_id, []).append(event)
    warned = [r for r in by_risk.values() if r[0].reason.startswith("early warning")]
    kept = [r for r in warned if any(e.state == "updated" for e in r)]
    over = [r for r in warned if r not in kept and r[-1].state == "cleared"]
    leads = sorted(_lead(r) / timedelta(minutes=1) for r in kept)
    breaks = len(kept) + len(by_risk) - len(warned)
    judged = len(kept) + len(over)
    return {
        "breaks": breaks,
        "warned": len(kept),
        "lead_minutes_median": round(median(leads), 1) if leads else None,
        "lead_minutes_p10": round(leads[len(leads) // 10], 1) if leads else None,
        "warnings": len(warned),
        "false_warning_share": round(len(over) / judged, 3) if judged else None,
    }


def _lead(events: Sequence[Risk]) -> timedelta:
    broken = next(e for e in events if e.state == "updated")
    return broken.observed_at - events[0].observed_at
