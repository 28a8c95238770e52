"""From what a sensor sent to a value and its time, or the reason why it is none. Pure: no clock, no network."""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from stream.errors import PoisonError
from stream.site import UNITS, Sensor

AHEAD = timedelta(minutes=5)
BEHIND = timedelta(days=7)
"""How far a sensor's own time may lie ahead of and behind the clock that receives it; this project's own bounds."""

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_FIELDS = frozenset({"value", "unit", "captured_at"})


class Measurement(NamedTuple):
    """A value in the sensor's unit, and when it was measured (UTC)."""

    value: float
    captured_at: datetime


def parse(sensor: Sensor, payload: bytes, received_at: datetime) -> Measurement:
    """Read ``payload``: a number, or a JSON object with ``value`` and, if wanted, ``unit`` and ``captured_at``.

    Raises PoisonError with the reason where it is neither, the unit is another one, the value is no finite number
    within the quantity's range, or the time lies too far from ``received_at``.
    """
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        raise PoisonError(f"Sensor {sensor.id} sent bytes that are no text.") from None
    if not text.startswith("{"):
        return Measurement(value_of(sensor, text), received_at)
    try:
        content: Any = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise PoisonError(f"Sensor {sensor.id} sent no JSON: {error}.") from None
    return _from_object(sensor, content, received_at)


def value_of(sensor: Sensor, text: str) -> float:
    """The number in ``text``, within the range of the sensor's quantity. Raises PoisonError where it is none."""
    if not _NUMBER.fullmatch(text.strip()):
        raise PoisonError(f"Sensor {sensor.id} sent {_short(text)}, which is no number.")
    return in_range(sensor, float(text))


def in_range(sensor: Sensor, value: float) -> float:
    """``value``, where the sensor's quantity can have it. Raises PoisonError where it cannot."""
    unit, lowest, highest = UNITS[sensor.quantity]
    if not math.isfinite(value) or not lowest <= value <= highest:
        raise PoisonError(
            f"Sensor {sensor.id} sent {value:g} {unit}: {sensor.quantity} lies between {lowest:g} and {highest:g}, so the sensor is at fault."
        )
    return value


def _from_object(sensor: Sensor, content: dict[str, Any], received_at: datetime) -> Measurement:
    if unknown := sorted(set(content) - _FIELDS):
        raise PoisonError(
            f"Sensor {sensor.id} sent {_short(', '.join(unknown))}: known are value, unit and captured_at."
        )
    value, unit = content.get("value"), content.get("unit", sensor.unit)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PoisonError(f"Sensor {sensor.id} sent the value {_short(str(value))}, which is no number.")
    if unit != sensor.unit:
        raise PoisonError(f"Sensor {sensor.id} sent the unit {_short(str(unit))}; the site lists {sensor.unit!r}.")
    captured_at = _time(sensor, content["captured_at"]) if "captured_at" in content else received_at
    if not received_at - BEHIND <= captured_at <= received_at + AHEAD:
        raise PoisonError(
            f"Sensor {sensor.id} gave the time {captured_at.isoformat()}, received at {received_at.isoformat()}: set its clock."
        )
    return Measurement(in_range(sensor, float(value)), captured_at)


def _time(sensor: Sensor, given: Any) -> datetime:
    """ISO 8601 with a zone, or seconds since 1970."""
    try:
        if isinstance(given, str):
            time = datetime.fromisoformat(given)
            if time.tzinfo is not None:
                return time.astimezone(UTC)
        elif isinstance(given, int | float) and not isinstance(given, bool):
            return datetime.fromtimestamp(given, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise PoisonError(f"Sensor {sensor.id} sent the time {_short(str(given))}: write 2026-01-01T00:00:00Z.")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
