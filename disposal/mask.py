"""What names a person or opens a door, found in a text and masked before anything leaves the site. Pure.

Looked for: names that are given (those of the roster, and whoever reported), names behind a label or before a title,
Chinese resident identity numbers (GB 11643), mobile and fixed telephone numbers, bank cards (ISO/IEC 7812), passports,
addresses of mail and chat, passwords, tokens and keys. Digits may be full-width, separated or written as Chinese
numerals. What is masked too much costs a word in a draft; what is masked too little cannot be taken back.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import date
from functools import lru_cache
from typing import NamedTuple

_FULL = {0xFF01 + n: chr(0x21 + n) for n in range(94)} | {0x3000: " ", 0xA0: " "}
_NUMERALS = {"0": "〇零", "1": "幺一壹", "2": "二贰", "3": "三叁", "4": "四肆"} | {
    "5": "五伍",
    "6": "六陆",
    "7": "七柒",
    "8": "八捌",
    "9": "九玖",
}
_SPOKEN = {ord(sign): digit for digit, signs in _NUMERALS.items() for sign in signs}
_GAP = r"[ \t\-‐-―.·•_/\u200b-\u200f\u2060\ufeff]"
"""What may stand between the groups of a number."""

_SURNAMES = "王李张刘陈杨赵黄吴徐孙胡朱郭梁宋郑谢韩唐冯董曹袁邓许傅沈彭吕苏蒋蔡贾丁魏薛阎潘杜戴姚谭廖邹熊陆郝崔邱秦侯邵孟龙段钱汤尹黎贺赖龚"
_TITLES = "师傅|队长|班长|主任|矿长|科长|区长|段长|组长|经理|书记|调度员|工程师|先生|女士|同志"
_LABELS = "姓名|联系人|报告人|上报人|举报人|当事人|伤者|伤员|遇险人员|肇事者|值班人|目击者"
_KEYWORDS = (
    r"pass(?:word|wd|phrase|code)?|pwd|passcode|secret|token|api[ _-]?key|access[ _-]?key|credential|auth[ _-]?code|pin"
    r"|密码|口令|密钥|令牌|授权码|验证码|暗号"
)

_GROUPS = ((11,), (3, 4, 4), (3, 3, 5), (4, 3, 4), (4, 4, 3), (5, 6), (3, 8), (7, 4), (3, 2, 2, 2, 2))


def _grouped(groups: tuple[int, ...]) -> str:
    parts = [rf"\d{{{size}}}" for size in groups]
    parts[0] = rf"1[3-9]\d{{{groups[0] - 2}}}"
    return rf"{_GAP}{{1,3}}".join(parts)


_MOBILE = re.compile(
    rf"(?<![\d.])(?<![\da-f]{{6}})(?:(?:\+|00)?86{_GAP}{{0,2}}|\(\+?86\){_GAP}?)?(?:{'|'.join(_grouped(g) for g in _GROUPS)}"
    rf"|1(?P<gap>{_GAP}{{1,2}})[3-9](?:(?P=gap)\d){{9}})(?![\d%])"
)
_FIXED = re.compile(
    rf"(?<!\d)(?:\(0\d{{2,3}}\){_GAP}?|0\d{{2,3}}{_GAP}{{1,2}})[2-9]\d{{2,3}}{_GAP}?\d{{4}}(?!\d)"
    r"(?: ?(?:转|分机|ext\.?|x) ?\d{1,5})?"
    rf"|(?<!\d)[48]00{_GAP}\d{{3,4}}{_GAP}\d{{3,4}}(?!\d)"
    rf"|(?:电话|手机|tel|phone|mobile|call)[^\d\n]{{0,6}}\+?\d(?:{_GAP}?\d){{5,14}}"
    rf"|(?<![\w+])\+\d{{1,3}}(?:{_GAP}{{1,2}}\(?\d{{1,5}}\)?){{2,5}}(?!\d)",
    re.IGNORECASE,
)
_IDENTITY = re.compile(rf"(?<!\d)[1-8](?:{_GAP}{{0,2}}\d){{16}}{_GAP}{{0,2}}[\dXx](?![\dA-Za-z])")
_OLD_IDENTITY = re.compile(rf"(?<!\d)[1-8]\d{{5}}{_GAP}?\d{{6}}{_GAP}?\d{{3}}(?!\d)")
_CARD = re.compile(rf"(?<!\d)[3-9]\d{{3}}(?:{_GAP}?\d{{4}}){{2}}{_GAP}?\d{{4,7}}(?!\d)|(?<!\d)62\d{{14,17}}(?!\d)")
_PASSPORT = re.compile(r"(?:护照|通行证|passport)[^A-Za-z\d]{0,8}(?:no\.? ?)?[A-Z]{1,2} ?\d{7,9}", re.IGNORECASE)
_MAIL = re.compile(
    r"[\w.+-]+ ?(?:@|\(at\)|\[at\]) ?[\w-]+(?: ?(?:\.|\(dot\)|\[dot\]) ?[\w-]+)+", re.ASCII | re.IGNORECASE
)
_CHAT = re.compile(
    r"(?:微信|wechat|weixin|QQ|钉钉|telegram)(?:号|群|ID| ?id)?[ :=为是]{1,3}[@\w][\w.-]{4,}", re.ASCII | re.IGNORECASE
)
_SECRET = re.compile(
    rf"(?<![A-Za-z])(?:{_KEYWORDS})[\"'”’]?(?: ?(?:为|是|:|=|=>|->)+ ?| is | was )[\"'“‘]?(?=[^\s\"'”’，。；、]*[A-Za-z\d])"
    r"[^\s\"'”’，。；、]{4,}",
    re.IGNORECASE,
)
_KEYS = re.compile(
    r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?|\b(?:sk|pk|rk|ghp|gho|ghs|glpat|xox[abp]|hf|dop_v1)[-_][\w-]{12,}"
    r"|\b(?:AKIA|ASIA|LTAI)[0-9A-Za-z]{12,}|\bAIza[\w-]{30,}|\b[Bb]earer +[\w.~+/=-]{8,}|\b[Bb]asic +[\w+/]{8,}={0,2}"
    r"|(?<=://)[^\s/@:]+:[^\s/@]+(?=@)|-----BEGIN[A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END[A-Z ]*-----|$)"
)
_MIXED = re.compile(r"(?<![\w/+-])(?=[\w+/-]*[a-z])(?=[\w+/-]*[A-Z])(?=(?:[\w+/-]*\d){3})[\w+/-]{20,}={0,2}", re.ASCII)
_LABELLED = re.compile(rf"(?:{_LABELS})[ :为是]{{1,2}}(?P<name>[{_SURNAMES}][\u4e00-\u9fff·]{{1,2}})")
_ENGLISH_LABEL = re.compile(
    r"\b(?i:name|contact|reported by|reporter|victim|witness|injured|Mr|Mrs|Ms|Dr)\.?[ :]{1,3}"
    r"(?P<name>[A-Z][a-z]+(?:[ -][A-Z][a-z]+){0,2})"
)
_TITLED = re.compile(rf"(?<![\u4e00-\u9fff])(?P<name>[{_SURNAMES}][\u4e00-\u9fff]{{0,2}}?)(?=(?:{_TITLES}))")

_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("secret", _SECRET),
    ("secret", _KEYS),
    ("secret", _MIXED),
    ("contact", _MAIL),
    ("contact", _CHAT),
    ("identity", _PASSPORT),
    ("phone", _FIXED),
    ("phone", _MOBILE),
    ("name", _LABELLED),
    ("name", _ENGLISH_LABEL),
    ("name", _TITLED),
)


class Masked(NamedTuple):
    """A text without what was found in it; ``found``: each placeholder with what it stands for."""

    text: str
    found: tuple[tuple[str, str], ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many were masked of each kind."""
        kinds = [placeholder.strip("[]").rpartition("-")[0] for placeholder, _ in self.found]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}

    def restore(self, text: str) -> str:
        """A text that came back, with what the placeholders in it stand for."""
        for placeholder, original in self.found:
            text = text.replace(placeholder, original)
        return text


class _Span(NamedTuple):
    start: int
    end: int
    kind: str


def mask(text: str, names: Iterable[str] = ()) -> Masked:
    """The text with every secret and everything that names a person replaced by a placeholder such as ``[name-1]``.

    The same thing gets the same placeholder, so that the text stays readable.
    """
    plain = text.translate(_FULL)
    spans = sorted({*_named(plain, names), *_numbers(plain), *_numbers(plain.translate(_SPOKEN)), *_matched(plain)})
    placeholders: dict[str, str] = {}
    numbers: dict[str, int] = {}
    said: list[str] = []
    at = 0
    for span in _merged(spans):
        original = text[span.start : span.end]
        if original not in placeholders:
            numbers[span.kind] = numbers.get(span.kind, 0) + 1
            placeholders[original] = f"[{span.kind}-{numbers[span.kind]}]"
        said += [text[at : span.start], placeholders[original]]
        at = span.end
    return Masked("".join((*said, text[at:])), tuple((mark, original) for original, mark in placeholders.items()))


def _merged(spans: list[_Span]) -> list[_Span]:
    merged: list[_Span] = []
    for span in spans:
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            merged[-1] = _Span(last.start, max(last.end, span.end), last.kind)
        else:
            merged.append(span)
    return merged


def _matched(plain: str) -> Iterator[_Span]:
    for kind, pattern in _PATTERNS:
        for found in pattern.finditer(plain):
            start, end = found.span("name" if "name" in pattern.groupindex else 0)
            yield _Span(start, end, kind)


def _numbers(plain: str) -> Iterator[_Span]:
    for found in _MOBILE.finditer(plain):
        yield _Span(*found.span(), "phone")
    for pattern, well in ((_IDENTITY, _is_identity), (_OLD_IDENTITY, _is_old_identity), (_CARD, _is_card)):
        for found in pattern.finditer(plain):
            if well(re.sub(r"[^\dXx]", "", found[0])):
                yield _Span(*found.span(), "identity")


def _is_identity(number: str) -> bool:
    """Region and date of birth make sense; a slip of the pen in the check digit makes it no other person's."""
    return 11 <= int(number[:2]) <= 82 and _is_date(number[6:14])


def _is_old_identity(number: str) -> bool:
    return 11 <= int(number[:2]) <= 82 and _is_date("19" + number[6:12])


def _is_date(digits: str) -> bool:
    try:
        return 1900 <= date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])).year <= 2100
    except ValueError:
        return False


def _is_card(number: str) -> bool:
    """The check digit of ISO/IEC 7812 (Luhn) fits."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _named(plain: str, names: Iterable[str]) -> Iterator[_Span]:
    for name in names:
        pattern = _name_pattern(name.translate(_FULL).strip())
        for found in pattern.finditer(plain) if pattern else ():
            yield _Span(*found.span(), "name")


@lru_cache(maxsize=4096)
def _name_pattern(name: str) -> re.Pattern[str] | None:
    """How a name may be written: apart, with a dot, in either order, in any case; None for a single sign."""
    if len(name) < 2:
        return None
    if re.search(r"[\u3400-\u9fff]", name):
        signs = [re.escape(sign) for sign in name if not re.match(_GAP, sign)]
        return re.compile(rf"{_GAP}{{0,3}}".join(signs))
    words = [re.escape(word) for word in re.split(r"[\s_.-]+", name) if word]
    orders = {tuple(words), tuple(reversed(words)), (*words[1:], *words[:1])}
    said = "|".join(r"[\s_,.-]{0,2}".join(order) for order in sorted(orders))
    # A single word may be part of another one; two that follow each other are a name wherever they stand.
    edges = ("(?<![A-Za-z])", "(?![A-Za-z])") if len(words) == 1 else ("", "")
    return re.compile(f"{edges[0]}(?:{said}){edges[1]}", re.IGNORECASE) if words else None
