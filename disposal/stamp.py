"""What the QR code on a printed document carries: which document of which mine it is, and its content's digest."""

import hashlib
import io
import json
import re
from typing import NamedTuple

import segno
from sqlalchemy import Engine

from disposal.audit import AuditLine, find_digest
from disposal.document import Document

_WORD = "minewatch"
_STAMP = re.compile(
    rf"{_WORD}:([a-z0-9][a-z0-9-]{{0,62}}):([0-9a-f]{{32}})-([1-9][0-9]{{0,8}}):([0-9a-f]{{64}})", re.ASCII
)


class Stamp(NamedTuple):
    """The document's identity and the SHA-256 of its content."""

    mine: str
    alert_id: str
    version: int
    digest: str


def content_digest(row: Document) -> str:
    """SHA-256 of what the document says, as it is printed on it and stands in the audit."""
    return hashlib.sha256(row.content.encode()).hexdigest()


def stamp_of(row: Document) -> str:
    """What stands in the code: ``MINEWATCH:MINE:DOCUMENT:SHA256``, the document's number ending with its version.

    In capitals, for which a code needs three quarters of the room that small letters take.
    """
    return f"{_WORD}:{row.mine}:{row.id}:{content_digest(row)}".upper()


def read_stamp(said: str) -> Stamp | None:
    """What a scanned code says; None where it is none of ours."""
    found = _STAMP.fullmatch(said.strip().lower())
    return Stamp(found[1], found[2], int(found[3]), found[4]) if found else None


def picture_of(said: str) -> bytes:
    """The code as PNG; a quarter of it may be soiled and it is read still (level Q of ISO/IEC 18004)."""
    out = io.BytesIO()
    segno.make_qr(said, error="q").save(out, kind="png", scale=8, border=4)
    return out.getvalue()


def find_printed(engine: Engine, mine: str, said: str) -> AuditLine | None:
    """The line that tells of a printed document, by its digest or by all that its code says; else None.

    Of a code every part has to be true: a digest of one document beside the number of another is refused.
    """
    stamp = read_stamp(said)
    if stamp is None:
        return find_digest(engine, mine, said)
    if stamp.mine != mine:
        return None
    line = find_digest(engine, mine, stamp.digest, f"alert/{stamp.alert_id}")
    return line if line is not None and json.loads(line.after).get("version") == stamp.version else None
