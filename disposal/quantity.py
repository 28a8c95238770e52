"""Numbers with units in running text, Chinese and English, so that a draft's can be held against its sources."""

import re
from collections.abc import Iterable

_UNITS: dict[str, str] = {
    "%": "%", "％": "%", "percent": "%", "per cent": "%",
    "ppm": "ppm", "mg/m3": "mg/m3", "mg/m³": "mg/m3", "毫克/立方米": "mg/m3",
    "m/s": "m/s", "米/秒": "m/s", "m³/min": "m3/min", "m3/min": "m3/min", "立方米/分": "m3/min", "立方米/分钟": "m3/min",
    "°c": "°C", "℃": "°C", "度": "°C", "摄氏度": "°C",
    "kpa": "kPa", "千帕": "kPa", "mpa": "MPa", "兆帕": "MPa", "kv": "kV", "千伏": "kV", "v": "V", "伏": "V",
    "mm": "mm", "毫米": "mm", "cm": "cm", "厘米": "cm", "km": "km", "千米": "km", "公里": "km",
    "m": "m", "米": "m", "metre": "m", "metres": "m", "meter": "m", "meters": "m", "feet": "ft", "ft": "ft",
    "s": "s", "秒": "s", "second": "s", "seconds": "s",
    "min": "min", "分钟": "min", "minute": "min", "minutes": "min",
    "h": "h", "小时": "h", "hour": "h", "hours": "h",
    "天": "d", "日": "d", "day": "d", "days": "d", "个月": "mo", "month": "mo", "months": "mo", "年": "y",
    "人": "n", "名": "n", "persons": "n", "people": "n",
}  # fmt: skip
_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_SCALES = {"十": 10, "百": 100, "千": 1000, "万": 10_000}
_UNIT = "|".join(sorted((re.escape(u) for u in _UNITS), key=len, reverse=True))
_ARABIC = re.compile(rf"(?<![A-Za-z0-9_.@:-])(\d+(?:[.,]\d+)*)\s*({_UNIT})?(?![a-z])", re.IGNORECASE)
_HAN_NUMBER = re.compile(rf"([零〇一二两三四五六七八九十百千万]+)\s*个?({_UNIT})")
_HAN_SHARE = re.compile(r"百分之([零〇一二两三四五六七八九十百]+)(?:点([零〇一二三四五六七八九]+))?")
SMALL = 10
"""Whole numbers below this without a unit (and counts of persons) are ordinary counting and need no source."""

Quantity = tuple[float, str]
"""A value and its unit in one spelling; the unit is empty where none stands behind the number."""


def quantities(text: str) -> set[Quantity]:
    """The numbers in the text that state a quantity: with a unit, with a decimal point, or not small."""
    found = {(_number(n), _unit(u)) for n, u in _ARABIC.findall(text)}
    found |= {(han_number(n), _unit(u)) for n, u in _HAN_NUMBER.findall(text)}
    found |= {(han_number(n) + _fraction(f), "%") for n, f in _HAN_SHARE.findall(text)}
    return {(n, u) for n, u in found if not (u in ("", "n") and n < SMALL and n == int(n))}


def unsupported(text: str, sources: Iterable[str]) -> set[Quantity]:
    """The quantities in the text that stand, with the same unit, in none of the sources."""
    known: set[Quantity] = set()
    for source in sources:
        known |= quantities(source)
    values = {n for n, _ in known}
    return {(n, u) for n, u in quantities(text) if (n, u) not in known and not (u == "" and n in values)}


def _number(text: str) -> float:
    whole = text.replace(",", "") if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", text) else text.replace(",", ".")
    head, *rest = whole.split(".")
    return float(f"{head}.{''.join(rest)}") if rest else float(head)


def _unit(text: str) -> str:
    return _UNITS.get(text.lower(), "")


def han_number(text: str) -> float:
    """The number that these Chinese numerals write."""
    total, digit = 0, 0
    for character in text:
        if character in _SCALES:
            total, digit = total + (digit or 1) * _SCALES[character], 0
        else:
            digit = digit * 10 + _DIGITS[character]
    return float(total + digit)


def _fraction(text: str) -> float:
    return float("0." + "".join(str(_DIGITS[c]) for c in text)) if text else 0.0
