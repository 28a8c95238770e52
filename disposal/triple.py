"""What people made of drafts: each request, the draft as it was written, and the text as a person approved it."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Engine
from sqlmodel import col, select

from disposal.alert import Alert
from disposal.document import Document, DocumentContent, DocumentState
from disposal.request import DraftRequest
from disposal.settings import PrivacySettings
from disposal.situation import draft_request
from stream.database import reading

PERSON = "person:"
"""How the backend of a version begins that a person wrote."""
_GONE_OUT = frozenset(
    {
        DocumentState.APPROVED,
        DocumentState.ISSUED,
        DocumentState.RECTIFYING,
        DocumentState.ACCEPTANCE,
        DocumentState.OVERDUE,
    }
)


class Triple(NamedTuple):
    """A request as its drafter was given it, the draft as that wrote it, and the text that a person approved.

    ``backend``: who drafted. ``scene``: the hazard and where it was; what is alike there is approved in like words.
    """

    alert: str
    scene: str
    backend: str
    request: DraftRequest
    draft: DocumentContent
    approved: DocumentContent


def triples(engine: Engine, mine: str, language: str, privacy: PrivacySettings | None = None) -> list[Triple]:
    """One triple for each alert of which a person let a document go out, oldest first; the last such version counts.

    They are read out of the documents themselves, so that nothing is kept twice: the draft is the newest version up to
    the approved one that no person wrote. What policies closed was approved by nobody and is left out. ``language``:
    that of drafts that are in both.
    """
    with reading(engine) as session:
        rows = session.exec(
            select(Document, Alert)
            .join(Alert, col(Document.alert_id) == col(Alert.id))
            .where(Document.mine == mine, Document.content != "")
            .order_by(col(Document.created_at), col(Document.alert_id), col(Document.version))
        ).all()
    alerts = {alert.id: alert for _, alert in rows}
    versions: dict[str, list[Document]] = {}
    for document, alert in rows:
        versions.setdefault(alert.id, []).append(document)
    chosen = ((alerts[alert], *pair) for alert, of in versions.items() if (pair := drafted_and_approved(of)))
    return [_triple(engine, *one, language, privacy) for one in chosen]


def drafted_and_approved(versions: Iterable[Document]) -> tuple[Document, Document] | None:
    """Of an alert's versions the draft and the one that a person approved; None where nobody approved one."""
    ordered = sorted(versions, key=lambda document: document.version)
    approved = next((d for d in reversed(ordered) if _approved(d)), None)
    if approved is None:
        return None
    drafts = [d for d in ordered if d.version <= approved.version and not d.backend.startswith(PERSON)]
    return (drafts[-1], approved) if drafts else None


def _approved(document: Document) -> bool:
    """Whether a person let it go out: one that was closed instead, or by a policy, is not what anybody approved."""
    return document.auto_closed_at is None and (document.issued_at is not None or document.state in _GONE_OUT)


def scenes(found: Sequence[Triple]) -> list[str]:
    """The scenes there are, in order of their names."""
    return sorted({one.scene for one in found})


def _triple(
    engine: Engine, alert: Alert, drafted: Document, approved: Document, language: str, privacy: PrivacySettings | None
) -> Triple:
    spoken = drafted.language if drafted.language in ("zh", "en") else language
    draft, final = _content(drafted), _content(approved)
    request = draft_request(engine, alert, drafted, spoken, drafted.created_at, privacy)
    # The alert has gone on since: what code wrote into the draft is what the drafter was given.
    given = msgspec.structs.replace(request, facts=draft.facts, responsible=draft.responsible)
    return Triple(alert.id, f"{alert.type} {alert.place}", drafted.backend, given, draft, final)


def _content(document: Document) -> DocumentContent:
    return msgspec.json.decode(document.content, type=DocumentContent)
