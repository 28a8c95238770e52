"""What is done to the code book, in the audit chain of the mine whose people did it; a national code has no chain."""

import hashlib
from collections.abc import Sequence

from sqlmodel import Session

from disposal.audit import append
from rules.clause import ClauseVersion
from rules.revision import Record

_LISTED = 20
"""Versions that a line names each; of more it holds the number and the digest over all of them."""


def recorded(mine: str) -> Record:
    """The record that ``rules.revision``, the importer and the code books are to be given."""

    def record(session: Session, who: str, what: str, subject: str, versions: Sequence[ClauseVersion]) -> None:
        append(session, mine, who, f"{what}-clause", f"clause/{subject}", None, told(versions))

    return record


def _signed(row: ClauseVersion) -> str:
    """Why its reviewer signed it, in the line of the review."""
    return f" {row.review_reason}" if row.state == "REVIEWED" and row.review_reason else ""


def told(versions: Sequence[ClauseVersion]) -> dict[str, object]:
    """The versions by id with the sha256 of what each says and its state, or how many and the sha256 of such lines."""
    lines = [
        f"{row.id} {row.content_hash} {row.state}{f' {row.ended}' if row.ended else ''}{_signed(row)}"
        for row in versions
    ]
    if len(lines) <= _LISTED:
        return {"versions": lines}
    return {"count": len(lines), "sha256": hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()}
