"""What two texts differ in, for showing them side by side with the changes marked."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import NamedTuple

MOST_TOKENS = 6000
"""Longer texts are compared by their lines: the time to compare grows with the square."""
_TOKEN = re.compile(r"[A-Za-z]+|\d+(?:\.\d+)?|\s+|.", re.DOTALL)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


class Piece(NamedTuple):
    """A run of text, and whether the other side lacks it."""

    text: str
    changed: bool


class Difference(NamedTuple):
    """Both texts in pieces."""

    before: tuple[Piece, ...]
    after: tuple[Piece, ...]

    @property
    def any(self) -> bool:
        """Whether the texts differ."""
        return any(piece.changed for piece in (*self.before, *self.after))


def difference(before: str, after: str) -> Difference:
    """The two texts in pieces: Chinese by characters, other writing by words, very long texts by lines."""
    short = len(before) + len(after) <= MOST_TOKENS
    one, other = ((_TOKEN if short else _LINE).findall(text) for text in (before, after))
    matcher = SequenceMatcher(None, one, other, autojunk=not short)
    codes = matcher.get_opcodes()
    return Difference(
        tuple(_pieces((("".join(one[a:b]), tag != "equal") for tag, a, b, _, _ in codes))),
        tuple(_pieces((("".join(other[a:b]), tag != "equal") for tag, _, _, a, b in codes))),
    )


def _pieces(runs: Iterator[tuple[str, bool]]) -> Iterator[Piece]:
    for text, changed in runs:
        if text:
            yield Piece(text, changed)
