"""Times, ages and numbers as people read them, in their language and time zone."""

from datetime import datetime, tzinfo

from console.translations import text
from stream.messages import utc_now


class Figures:
    """Formats for one page."""

    def __init__(self, language: str, zone: tzinfo) -> None:
        self._language = language
        self._zone = zone

    def offset(self) -> int:
        """Minutes that the screen's time zone is ahead of UTC now."""
        shift = utc_now().astimezone(self._zone).utcoffset()
        return round(shift.total_seconds() / 60) if shift else 0

    def clock(self, value: datetime) -> str:
        """The time of day, with the date where it is another day."""
        local = value.astimezone(self._zone)
        today = utc_now().astimezone(self._zone).date()
        return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%Y-%m-%d %H:%M:%S}"

    def full(self, value: datetime) -> str:
        """Date and time of day."""
        return f"{value.astimezone(self._zone):%Y-%m-%d %H:%M:%S}"

    def iso(self, value: datetime) -> str:
        """The time as machines read it."""
        return value.isoformat(timespec="seconds")

    def age(self, value: datetime) -> str:
        """How long ago, in two units at most."""
        return age(self._language, (utc_now() - value).total_seconds())

    def lasting(self, seconds: float) -> str:
        """A duration, in two units at most."""
        return age(self._language, seconds)

    def share(self, value: float) -> str:
        """A share in per cent, with the digits that tell small ones apart."""
        return f"{value * 100:.3g} %" if value < 1 else f"{value:.0%}".replace("%", " %")

    def number(self, value: float) -> str:
        """A measured value without needless zeros."""
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def age(language: str, seconds: float) -> str:
    """Seconds as ``12 s``, ``4 min 12 s``, ``3 h 4 min`` or ``2 d 3 h``."""
    whole = max(0, int(seconds))
    for unit, size, below, divisor in (
        ("day", 86400, "hour", 3600),
        ("hour", 3600, "minute", 60),
        ("minute", 60, "second", 1),
    ):
        if whole >= size:
            first, rest = divmod(whole, size)
            return f"{first} {text(language, 'unit.' + unit)} {rest // divisor} {text(language, 'unit.' + below)}"
    return f"{whole} {text(language, 'unit.second')}"
