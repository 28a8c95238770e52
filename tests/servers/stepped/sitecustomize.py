"""Loaded by every Python process that has this folder on PYTHONPATH: its wall clock can be set from outside.

The file that STEPPED_CLOCK names holds the seconds by which the clock is off; the monotonic clock is left alone, as it
is when a person or a time server sets the real one.
"""

import os
import time

_file = os.environ.get("STEPPED_CLOCK")
_real = time.time


def _stepped() -> float:
    try:
        with open(_file or "", encoding="ascii") as file:  # noqa: PTH123 - every process would load pathlib for it
            return _real() + float(file.read() or 0)
    except (OSError, ValueError):
        return _real()


if _file:
    time.time = _stepped
