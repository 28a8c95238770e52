"""The figures of the clauses that a document cites, ready for its copies: a clause in full has them, too."""

from typing import NamedTuple

from sqlalchemy import Engine

from disposal.document import DocumentContent
from rules.clause import figures_of
from rules.figure import figure_bytes
from stream.database import reading

_WIDEST, _HIGHEST = 150.0, 110.0
"""Millimetres: what fits between the margins of an A4 page and leaves room for words."""
_PIXEL = 25.4 / 96
"""Millimetres of a pixel on a screen: what is small stays small."""


class Drawing(NamedTuple):
    """A figure of a cited clause version; ``data`` is None where it is no longer there. ``width`` in millimetres."""

    caption: str
    data: bytes | None
    width: float


def drawings_of(engine: Engine, content: DocumentContent) -> dict[str, list[Drawing]]:
    """The figures of every clause version that the document cites, by the version's id."""
    with reading(engine) as session:
        found = figures_of(session, [cited.version_id for cited in content.citations])
    return {
        version: [
            Drawing(f.caption, figure_bytes(engine, f.sha256), _width(max(f.width, 1), max(f.height, 1)))
            for f in figures
        ]
        for version, figures in found.items()
    }


def _width(width: int, height: int) -> float:
    return min(_WIDEST, _HIGHEST * width / height, _PIXEL * width)
