"""How codes number their clauses (第N条, 第N条之一, 5.2.1, § 75.1722), and which number may follow which."""

import re
import unicodedata

_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "○": 0}
_UNITS = {"十": 10, "百": 100, "千": 1000}
NUMERAL = r"[零〇○一二三四五六七八九十百千两\d]+"
ARTICLE = re.compile(rf"第\s*({NUMERAL})\s*条(?:\s*之\s*({NUMERAL}))?")
"""第一百七十二条, 第172条, 第一百七十二条之一."""
HEADING = re.compile(rf"第\s*{NUMERAL}\s*([编篇章节])")
"""第三编, 第一章, 第二节: the levels above articles."""
LEVELS = {"编": 0, "篇": 0, "章": 1, "节": 2}
SECTION = re.compile(r"(\d{1,3}(?:\.\d{1,3}){0,6})(?![\d.]*\d)")
CFR = re.compile(r"^#{0,6}\s*(?:§+\s*)?(\d{1,3}\.\d{1,5}(?:-\d{1,3})?[a-z]?)\.?\s+(\S.*)$")
"""A heading of the US Code of Federal Regulations: ``# 56.11001 Safe access.`` or ``§ 75.1722 Mechanical …``."""


def chinese_number(text: str) -> int:
    """The value of a Chinese or Arabic numeral below 10,000: 一百七十二, 二〇一六, 172."""
    text = unicodedata.normalize("NFKC", text)
    if text.isdigit():
        return int(text)
    if not any(c in _UNITS for c in text):
        return int("".join(str(_DIGITS[c]) if c in _DIGITS else c for c in text))
    total = current = 0
    for c in text:
        if c in _UNITS:
            total += (current or 1) * _UNITS[c]
            current = 0
        else:
            current = int(c) if c.isdigit() else _DIGITS[c]
    return total + current


def article_number(match: re.Match[str]) -> str:
    """``374`` or ``374-1`` for a match of ARTICLE."""
    inserted = match.group(2)
    return f"{chinese_number(match.group(1))}" + (f"-{chinese_number(inserted)}" if inserted else "")


def canonical(value: object) -> str | None:
    """The number that a table or JSON gives, in the form that clause ids use; None where it is none.

    374, 374.0, "第374条", "第三百七十四条之一", "5.2.1", "§ 75.1722" are understood.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = unicodedata.normalize("NFKC", str(value)).strip()
    if found := ARTICLE.match(text):
        return article_number(found)
    text = text.lstrip("§# ").rstrip(".、 ")
    if re.fullmatch(r"[零〇○一二三四五六七八九十百千两]+", text):
        return str(chinese_number(text))
    return text if re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z.\-()]{0,62}", text) else None


def path(number: str) -> tuple[int, ...]:
    """5.2.1 as (5, 2, 1)."""
    return tuple(int(p) for p in number.split("."))


def follows(number: tuple[int, ...], last: tuple[int, ...], gap: int = 3) -> bool:
    """Whether a section may stand right behind ``last``: its first child, a sibling of it or of a section above it.

    Up to ``gap`` siblings may be missing in between; only a top-level number must be the very next one.
    """
    if not last:
        return number in ((1,), (1, 1), (0, 1), (1, 1, 1))
    for depth in range(len(last)):
        for step in range(1, (1 if depth == 0 and len(number) == 1 else gap) + 1):
            sibling = (*last[:depth], last[depth] + step)
            if number in (sibling, (*sibling, 1)):
                return True
    return number in ((*last, 1), (*last, 1, 1), (*last, 2))


def gaps(numbers: list[str]) -> list[str]:
    """Numbers that are missing between those at hand: articles from 1 to the last, sections between siblings."""
    plain = {int(n) for n in numbers if n.isdigit()}
    if plain and len(plain) >= len(numbers) / 2:
        return [str(n) for n in range(1, max(plain)) if n not in plain]
    known = {path(n) for n in numbers if re.fullmatch(r"\d+(\.\d+)*", n)}
    known |= {n[:depth] for n in known for depth in range(1, len(n))}
    return [
        ".".join(map(str, (*number[:-1], number[-1] - 1)))
        for number in sorted(known)
        if number[-1] > 1 and (*number[:-1], number[-1] - 1) not in known
    ]
