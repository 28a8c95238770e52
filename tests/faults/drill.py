"""A drill: faults into a running house, all of a wave at once; when each was named, and when all was well again."""

import os
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from stream.errors import MinewatchError
from tests.faults.house import RunningHouse
from tests.faults.kinds import Fault

NAMED_SECONDS = 60.0
"""Later is too late: it is not counted as named."""
PATIENCE = float(os.environ.get("FAULT_PATIENCE", "90"))
"""Seconds for which it is looked for all the same, to tell what came late from what never came."""
WELL_SECONDS = 300.0


@dataclass
class Outcome:
    """What became of one fault. ``seconds`` to its being named (None: it was not), by whom, and in which words;
    ``well_after``: seconds from its end until every stage and source was at work again, with nobody's help."""

    kind: str
    area: str
    seconds: float | None = None
    by: str = ""
    words: str = ""
    well_after: float | None = None


def drill(house: RunningHouse, faults: Sequence[Fault], *, at_least: float = 0.0) -> list[Outcome]:
    """Bring all of ``faults`` about for ``at_least`` seconds, and take them back once they were named or in time."""
    before = _alerts(house)
    said = house.doctor(stepped=any(f.stepped for f in faults)) if any(f.doctor for f in faults) else []
    known = frozenset(_timeless(line) for line in said)
    outcomes = {fault.name: Outcome(fault.name, fault.area) for fault in faults}
    injected: dict[str, float] = {}
    for fault in faults:
        fault.inject(house)
        injected[fault.name] = time.monotonic()
    waiting = list(faults)
    began = time.monotonic()
    while waiting and time.monotonic() - began < PATIENCE:
        alerts = {name: said for name, said in _alerts(house).items() if name not in before}
        unwell = [line for line in _findings(house, waiting, alerts) if _timeless(line) not in known]
        for fault in list(waiting):
            named = _by_alert(fault, alerts) or _by_doctor(fault, unwell)
            if named is not None:
                outcome = outcomes[fault.name]
                outcome.seconds = round(time.monotonic() - injected[fault.name], 1)
                outcome.by, outcome.words = named
                waiting.remove(fault)
        time.sleep(0.5)
    time.sleep(max(0.0, at_least - (time.monotonic() - began)))
    for fault in faults:
        fault.heal(house)
    healed = time.monotonic()
    analysed = _analysed(house)
    house.until(lambda: not house.amiss() and _analysed(house) > analysed, WELL_SECONDS, "the house was not well again")
    for outcome in outcomes.values():
        outcome.well_after = round(time.monotonic() - healed, 1)
    return list(outcomes.values())


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The figures over all kinds, and the table."""
    named = sorted(o.seconds for o in outcomes if o.seconds is not None and o.seconds <= NAMED_SECONDS)
    return {
        "fault_coverage": round(len(named) / len(outcomes), 3) if outcomes else None,
        "locate_s": named[len(named) // 2] if named else None,
        "locate_s_longest": named[-1] if named else None,
        "faults": len(outcomes),
        "mended_by_themselves": sum(o.well_after is not None for o in outcomes),
        "table": [asdict(outcome) for outcome in outcomes],
    }


def _findings(house: RunningHouse, waiting: Sequence[Fault], alerts: dict[str, Any]) -> list[str]:
    """Ask the doctor only where an alert has not said it all: each visit costs the house something."""
    open_ones = [f for f in waiting if f.doctor and not _by_alert(f, alerts)]
    return house.doctor(stepped=any(f.stepped for f in open_ones)) if open_ones else []


def _by_alert(fault: Fault, alerts: dict[str, tuple[str, str, str]]) -> tuple[str, str] | None:
    return next(
        (
            ("alert", f"{kind} at {source}: {reason}")
            for kind, source, reason in alerts.values()
            if (kind, source) == fault.alert
        ),
        None,
    )


def _by_doctor(fault: Fault, unwell: Sequence[str]) -> tuple[str, str] | None:
    found = _told(unwell, fault.doctor) if fault.doctor else None
    return ("doctor", found) if found else None


def _timeless(line: str) -> str:
    """A finding without how long ago it was: said again it names nothing new, until it has come once more."""
    return re.sub(r"\d+ s ago|for \d+ s", "", line)


def _told(unwell: Sequence[str], words: Sequence[str]) -> str | None:
    return next((line for line in unwell if all(word in line for word in words)), None)


def _alerts(house: RunningHouse) -> dict[str, tuple[str, str, str]]:
    try:
        return {
            f"{r.risk_id}/{r.sequence}": (r.type, r.source, r.reason) for r in house.risks() if r.state != "cleared"
        }
    except (MinewatchError, SQLAlchemyError):
        return {}


def _analysed(house: RunningHouse) -> int:
    try:
        return house.counted("frames_analysed")
    except (MinewatchError, SQLAlchemyError):
        return 0
