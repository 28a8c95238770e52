"""What a person has changed in a document, element by element."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from sqlmodel import Session, select

from console.difference import Difference, difference
from disposal.document import Document, DocumentContent
from disposal.editing import CITATIONS, EDITED

TONGUES = ("zh", "en")


class Change(NamedTuple):
    """An element that differs, in one language (empty: neither), and how."""

    element: str
    tongue: str
    difference: Difference


def changes_of(session: Session, document: Document | None) -> list[Change]:
    """What the person who wrote this version has changed of the one before; none where no person wrote it."""
    if document is None or not document.backend.startswith("person:"):
        return []
    before = session.exec(
        select(Document).where(Document.alert_id == document.alert_id, Document.version == document.version - 1)
    ).first()
    was, now = before.read_content() if before else None, document.read_content()
    return list(compared(was, now)) if was and now else []


def compared(was: DocumentContent, now: DocumentContent) -> Iterator[Change]:
    """Each element that differs."""
    for element in (*EDITED, CITATIONS):
        for tongue in TONGUES if element != "deadline" else ("",):
            found = difference(said(was, element, tongue), said(now, element, tongue))
            if found.any:
                yield Change(element, tongue, found)


def said(content: DocumentContent, element: str, tongue: str) -> str:
    """An element as text, the lines of a list below each other."""
    if element == CITATIONS:
        return "\n".join(c.label.text(tongue) for c in content.citations)
    value = getattr(content, element)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="minutes")
    lines = value if isinstance(value, tuple) else (value,)
    return "\n".join(str(line[tongue] if isinstance(line, dict) else getattr(line, tongue)) for line in lines)
