"""The document as DOCX or PDF in Chinese or English: facts, picture, clauses in full, five elements, verdict."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Literal, NamedTuple

import structlog
from sqlalchemy import Engine

from disposal.alert import Alert
from disposal.document import Document
from disposal.drawings import drawings_of
from disposal.errors import AlertError, ExportError, FormError
from disposal.own_form import current_form, fill
from disposal.own_form_fields import values_of
from disposal.paper import Block, blocks
from disposal.paper_docx import write_docx
from disposal.paper_pdf import write_pdf
from disposal.situation import events_of
from stream.database import reading
from stream.errors import EvidenceError
from stream.evidence import EvidenceStore
from stream.messages import Evidence

Format = Literal["docx", "pdf"]
_logger = structlog.get_logger()
_KINDS = ("annotated", "photo", "frame")


class _Writer(NamedTuple):
    media_type: str
    write: Callable[[Sequence[Block], str], bytes]


_WRITERS: Mapping[Format, _Writer] = {
    "docx": _Writer("application/vnd.openxmlformats-officedocument.wordprocessingml.document", write_docx),
    "pdf": _Writer("application/pdf", write_pdf),
}
MEDIA_TYPES: Mapping[Format, str] = {name: writer.media_type for name, writer in _WRITERS.items()}


def export(
    engine: Engine,
    evidence: EvidenceStore,
    mine: str,
    document_id: str,
    language: str,
    wanted: Format = "docx",
    zone: tzinfo = UTC,
) -> bytes:
    """The document as a file in ``language`` (zh or en); what was written in one language only stays in it.

    A DOCX is the mine's own form where one is published for that language; a PDF is always in our own layout. Times on
    both are those of ``zone``, the mine's.

    Raises AlertError where the mine has no such document, ExportError where nothing is drafted yet, and, for a PDF,
    FontMissingError where this machine has no font with Chinese characters.
    """
    with reading(engine) as session:
        row = session.get(Document, document_id)
        if row is None or row.mine != mine:
            raise AlertError(f"There is no document {document_id[:48]!r} in mine {mine}.")
        alert = session.get_one(Alert, row.alert_id)
        pictures = [e for event in events_of(session, alert.id) for e in event.evidence]
    content = row.read_content()
    if content is None:
        raise ExportError(f"Document {document_id} is not drafted yet: export it once it is.")
    shown = _pictures(evidence, mine, pictures)
    drawings = drawings_of(engine, content)
    form = current_form(engine, mine, language) if wanted == "docx" else None
    if form is not None:
        try:
            return fill(form, values_of(row, content, shown, language, zone, drawings))
        except FormError as error:
            _logger.error("the mine's own form cannot be filled in, ours is used", document=row.id, reason=str(error))
    return _WRITERS[wanted].write(blocks(row, content, shown, language, zone, drawings), language)


def _pictures(store: EvidenceStore, mine: str, evidence: list[Evidence]) -> list[bytes | str]:
    """The picture that tells most, as bytes, or why it cannot be shown; empty where there is none."""
    pictures = [e for e in evidence if e.kind in _KINDS and e.media_type.startswith("image/")]
    if not pictures:
        return []
    best = min(pictures, key=lambda e: _KINDS.index(e.kind))
    try:
        return [store.get(mine, best.sha256, best.media_type)]
    except EvidenceError as error:
        return [str(error)]
