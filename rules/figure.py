"""Figures that stand in a clause: small pictures checked at the door, kept by digest, named by clause versions."""

import hashlib
import io
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from PIL import Image
from sqlalchemy import Column, Engine, LargeBinary
from sqlmodel import Field, Session, SQLModel

from rules.errors import ImportRefusedError
from stream.database import reading

LARGEST_FIGURE = 8 * 1024**2
"""Bytes of a picture that is kept; a scanned plan of a roadway has one or two million."""
MOST_PIXELS = 40_000_000
"""Pixels of a picture that is decoded: a few kilobytes may claim to be gigabytes."""
LEAST_SIDE = 12
"""Pixels of width and height below which a picture is a bullet, a rule or a spacer, and no figure."""
MOST_FIGURES, MOST_BYTES, MOST_DECODED = 1000, 64 * 1024**2, 1_000_000_000
"""Figures of one file, bytes of them and pixels of them all that are looked at: more is no code but an attack."""
LONGEST_CAPTION = 200
_KEPT = {"PNG": "image/png", "JPEG": "image/jpeg"}
_TURNED = ("GIF", "BMP", "TIFF", "WEBP")
"""Kinds that a browser need not show, or that move: kept as PNG."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of a clause: the digest of its picture, the picture's kind and size, and what it is called, if said."""

    sha256: str
    media_type: str
    width: int
    height: int
    caption: str = ""


class ClauseFigure(SQLModel, table=True):
    """A picture that some clause version shows. It never changes: its id is its digest."""

    __tablename__ = "clause_figure"

    sha256: str = Field(primary_key=True, max_length=64)
    media_type: str
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class NoFigureError(ImportRefusedError):
    """A picture is not kept; the message says why."""


def picture_of(data: bytes, caption: str = "") -> tuple[Figure, bytes]:
    """The picture as a figure, and its bytes as they are kept: PNG and JPEG as they came, other kinds turned into PNG.

    Raises NoFigureError for what is no picture of these kinds, too large, or damaged.
    """
    if len(data) > LARGEST_FIGURE:
        raise NoFigureError(f"it has {len(data) // 1024**2} MiB, more than {LARGEST_FIGURE // 1024**2}")
    try:
        with Image.open(io.BytesIO(data), formats=(*_KEPT, *_TURNED)) as picture:
            width, height = picture.size
            if width * height > MOST_PIXELS:
                raise NoFigureError(f"it has {width} x {height} pixels, too many")
            picture.load()
            media_type = _KEPT.get(picture.format or "")
            if media_type is None:
                media_type, data = "image/png", _as_png(picture)
    except NoFigureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise NoFigureError("it claims to have more pixels than any figure") from error
    except Exception as error:
        raise NoFigureError(_kind(data)) from error
    figure = Figure(
        sha256=hashlib.sha256(data).hexdigest(),
        media_type=media_type,
        width=width,
        height=height,
        caption=" ".join(caption.split())[:LONGEST_CAPTION],
    )
    return figure, data


def read_figures(rows: Iterable[Mapping[str, Any]]) -> tuple[Figure, ...]:
    """Figures as a version's row keeps them."""
    return tuple(msgspec.convert(row, Figure) for row in rows)


def put_figures(session: Session, pictures: Mapping[str, tuple[str, bytes]]) -> None:
    """Within a transaction: keep these pictures, (media type, bytes) by digest; those that are there stay."""
    for digest, (media_type, content) in pictures.items():
        if session.get(ClauseFigure, digest) is None:
            session.add(ClauseFigure(sha256=digest, media_type=media_type, content=content))
    session.flush()


def figure_bytes(engine: Engine, digest: str) -> bytes | None:
    """The picture of that digest; None where there is none."""
    with reading(engine) as session:
        row = session.get(ClauseFigure, digest)
        return None if row is None else row.content


def _as_png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.convert("RGBA" if "A" in picture.getbands() or "transparency" in picture.info else "RGB").save(out, "PNG")
    return out.getvalue()


def _kind(data: bytes) -> str:
    """Why the bytes are no picture that is kept, in words of what they look like."""
    head = data[:400].lstrip().lower()
    if b"<svg" in head or head.startswith(b"<?xml"):
        return "an SVG drawing can hold programs: save it as PNG"
    if data[:4] in (b"\xd7\xcd\xc6\x9a", b"\x01\x00\x09\x00") or data[40:44] == b" EMF":
        return "a Windows metafile cannot be shown: save it as PNG"
    return "it is no PNG, JPEG, GIF, BMP, TIFF or WebP, or it is damaged"
