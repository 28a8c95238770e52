"""What a draft says that a clause says: quotations and numbered articles, held against what it may cite."""

import re
from collections.abc import Iterable, Sequence

from disposal.quantity import han_number

_QUOTED = re.compile(r"“([^“”]+)”|「([^「」]+)」|『([^『』]+)』|\"([^\"]+)\"")
_SAYS = re.compile(
    r"(?:第\s*[\d零〇一二两三四五六七八九十百千-]+\s*条|《[^》]*》|规程|条款|条文)[^“「『\"]*$"
    r"|(?:规定|要求|明确|写明|指出)[:：,，]?\s*$"
    r"|\b(?:article|clause|section|rule|regulation|code)s?\b[^“\"]*$"
    r"|\b(?:requires?|says?|states?|reads?|provides?|prescribes?)(?: that)?[:,]?\s*$",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"第\s*([零〇一二两三四五六七八九十百千]+)\s*条")
_BETWEEN = re.compile(r"[\s,，.。;；:：、…]+")
SHORTEST = 4
"""Characters below which a quotation is a word and no provision."""


def strange_quotes(lines: Iterable[str], sources: Sequence[str]) -> list[str]:
    """The quotations of a clause, and the articles named in Chinese numerals, that stand in none of the sources.

    A quotation is of a clause where the words before it say so: what is written on a sign is quoted as well. (Numbers
    in digits are held against the sources with all other figures.)
    """
    known = _plain("\n".join(sources))
    strange = []
    for line in lines:
        strange += [f"第{number}条" for number in _ARTICLE.findall(line) if not _named(number, known)]
        for found in _QUOTED.finditer(line):
            words = next(filter(None, found.groups()))
            said = _plain(words)
            if len(said) >= SHORTEST and said not in known and _SAYS.search(line[: found.start()]):
                strange.append(words)
    return strange


def _named(number: str, known: str) -> bool:
    return f"第{number}条" in known or f"第{han_number(number):g}条" in known


def _plain(text: str) -> str:
    """The text without blanks and punctuation, in small letters: a quotation may be set otherwise."""
    return _BETWEEN.sub("", text).lower()
