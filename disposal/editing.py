"""A document that a person writes on, and an alert that another answers for: new versions, never changed ones."""

from collections.abc import Mapping
from datetime import datetime

import msgspec
from sqlalchemy import Engine
from sqlmodel import Session

from disposal.alert import Alert
from disposal.audit import append, canonical
from disposal.checks import check
from disposal.document import (
    Bilingual,
    Citation,
    Document,
    DocumentContent,
    DocumentState,
    StoredMatch,
    document_identity,
    to_json,
)
from disposal.errors import AlertError, AlreadyDecidedError, EditError, ReasonMissingError, StateError
from disposal.missed import added
from disposal.notify import post
from disposal.request import MOST_CITED, DraftRequest, citation
from disposal.situation import draft_request
from disposal.stamp import content_digest
from stream.database import reading, writing
from stream.messages import utc_now

LONGEST_LINE = 500
"""Characters of one measure, one resource, or any other element that a person writes."""
MOST_LINES = 30
LONGEST_PERSON = 160
EDITED: tuple[str, ...] = ("responsible", "measures", "resources", "deadline", "contingency", "acceptance")
"""What a person may write: facts come from the risk and stay as they are."""
CITATIONS = "citations"
"""What a person may choose: which of the clauses that were found, by the ids of their versions, are cited."""


def edit_document(
    engine: Engine, mine: str, alert_id: str, version: int, actor: str, changes: Mapping[str, object], language: str
) -> int:
    """Write a new version of a document that waits for approval, with ``changes`` of its elements; answers its number.

    ``citations`` among them are version ids of clauses that were found for the alert, or that were in force when the
    hazard was there: no other can be cited. What the search had missed is named in the audit line. It is checked as a
    draft is, and says who wrote it. Raises AlertError where there is no such alert, AlreadyDecidedError where the
    document has moved on since ``version``, StateError where it does not wait for approval, and EditError for an
    element that is empty, too long, or the same as before.
    """
    with reading(engine) as session:
        alert, document = _current(session, mine, alert_id, version)
    by_hand = added(engine, mine, document, changes.get(CITATIONS), alert.raised_at, actor)
    content = _changed(document, changes, by_hand)
    request = draft_request(engine, alert, document, language, utc_now())
    request = msgspec.structs.replace(request, matches=(*request.matches, *by_hand))
    checks = to_json(check(content, _as_chosen(request, content)))
    with writing(engine) as session:
        alert, document = _current(session, mine, alert_id, version, lock=True)
        return _next(session, alert, document, content, checks, actor, "edit", "", by_hand)


def reassign(
    engine: Engine, mine: str, alert_id: str, version: int, actor: str, person: Bilingual, reason: str, language: str
) -> None:
    """Make somebody else responsible for an alert that is not closed, and tell it outward.

    A document that waits for approval becomes a new version that names them; one that has gone out stays as it is.
    Raises AlertError, AlreadyDecidedError, ReasonMissingError without a reason, and EditError where nobody is named.
    """
    if not reason.strip():
        raise ReasonMissingError("To reassign needs a reason: say in a few words why.")
    if not person.text("zh") or max(len(person.zh), len(person.en)) > LONGEST_PERSON:
        raise EditError("Nobody is named: choose who is responsible from here on.")
    with reading(engine) as session:
        alert, document = _current(session, mine, alert_id, version, waiting=False)
    waits = document is not None and document.state == DocumentState.PENDING_APPROVAL
    content, checks = None, "[]"
    if waits and document is not None and (was := document.read_content()) is not None:
        content = msgspec.structs.replace(was, responsible=person)
        request = draft_request(engine, alert, document, language, utc_now())
        checks = to_json(check(content, msgspec.structs.replace(request, responsible=person)))
    with writing(engine) as session:
        alert, document = _current(session, mine, alert_id, version, lock=True, waiting=False)
        before = {"responsible": alert.responsible_zh or alert.responsible_en}
        if content is not None and document is not None and document.state == DocumentState.PENDING_APPROVAL:
            _next(session, alert, document, content, checks, actor, "reassign", reason.strip())
        else:
            alert.responsible_zh, alert.responsible_en = person.zh, person.en
            alert.updated_at, alert.revision = utc_now(), alert.revision + 1
            session.add(alert)
            said = {"responsible": person.text("zh"), "reason": reason.strip()}
            append(session, mine, actor, "reassign", f"alert/{alert.id}", before, said)
        told = {"alert": alert.id, "responsible": person.text("zh"), "by": actor, "reason": reason.strip()}
        key = f"reassigned/{alert.id}/{alert.revision}"
        post(session, mine, "reassigned", f"alert/{alert.id}", canonical(told), key=key)


def _current(
    session: Session, mine: str, alert_id: str, version: int, *, lock: bool = False, waiting: bool = True
) -> tuple[Alert, Document]:
    alert = session.get(Alert, alert_id, with_for_update=lock)
    if alert is None or alert.mine != mine:
        raise AlertError(f"There is no alert {alert_id[:32]!r} in mine {mine}: it may have been typed wrongly.")
    if alert.closed:
        raise AlreadyDecidedError(alert.id, "it was closed", alert.closed_by or "nobody known", alert.closed_at)
    document = session.get(Document, document_identity(alert.id, alert.document_version))
    if version != alert.document_version:
        who, when = (document.backend, document.created_at) if document else ("the drafter", None)
        raise AlreadyDecidedError(alert.id, f"version {alert.document_version} of its document was written", who, when)
    if waiting and (document is None or document.state != DocumentState.PENDING_APPROVAL):
        if document is not None and document.decided_by is not None:
            what = f"its document went to {document.state} ({document.decision})"
            raise AlreadyDecidedError(alert.id, what, document.decided_by, document.decided_at)
        raise StateError("Only a document that waits for approval can be written on.")
    return alert, document  # type: ignore[return-value]  # None only where the caller does not insist on one


def _changed(
    document: Document, changes: Mapping[str, object], by_hand: tuple[StoredMatch, ...] = ()
) -> DocumentContent:
    was = document.read_content()
    if was is None or not changes or not set(changes) <= {*EDITED, CITATIONS}:
        raise EditError("Nothing of this document can be changed like that.")
    written = {name: value for name, value in changes.items() if name != CITATIONS}
    for name, value in written.items():
        _sound(name, value)
    content = msgspec.structs.replace(was, **written)
    if CITATIONS in changes:
        chosen = chosen_citations(was, document, changes[CITATIONS], by_hand)
        content = msgspec.structs.replace(content, citations=chosen)
    if content == was:
        raise EditError("Nothing was changed: the document says the same as before.")
    return content


def chosen_citations(
    was: DocumentContent, document: Document, chosen: object, by_hand: tuple[StoredMatch, ...] = ()
) -> tuple[Citation, ...]:
    """The clauses of which the version ids were chosen, those cited before in their order first, ``by_hand`` last.

    Raises EditError where one of them is none of these nor was found for the alert, none is chosen, or too many are.
    """
    wanted = set(chosen) if isinstance(chosen, tuple) else set()
    known = {c.version_id: c for c in was.citations}
    found = (*document.read_matches(), *by_hand)
    known |= {m.version_id: citation(m) for m in found if m.version_id not in known}
    if not wanted or not wanted <= set(known) or len(wanted) > MOST_CITED:
        raise EditError(f"Cite one to {MOST_CITED} of the clauses that were found for the alert.")
    return tuple(c for version, c in known.items() if version in wanted)


def _as_chosen(request: DraftRequest, content: DocumentContent) -> DraftRequest:
    """The request that a person's version is checked against: whom they named and what they chose to cite may stand."""
    cited = {c.version_id for c in content.citations}
    matches = tuple(msgspec.structs.replace(m, bound=m.bound or m.version_id in cited) for m in request.matches)
    chosen = sorted(matches, key=lambda m: m.version_id not in cited)
    return msgspec.structs.replace(request, responsible=content.responsible, matches=tuple(chosen))


def _sound(name: str, value: object) -> None:
    if isinstance(value, datetime):
        if name != "deadline" or value.tzinfo is None:
            raise EditError("The deadline is no time.")
        return
    lines = value if isinstance(value, tuple) else (value,)
    if not lines or len(lines) > MOST_LINES or (name in ("measures", "resources")) is not isinstance(value, tuple):
        raise EditError(f"The element {name} is empty, or has more than {MOST_LINES} lines.")
    for line in lines:
        if not isinstance(line, Bilingual) or not line.text("zh").strip():
            raise EditError(f"The element {name} is empty: write what it is to say.")
        if max(len(line.zh), len(line.en)) > LONGEST_LINE:
            raise EditError(f"A line of {name} has more than {LONGEST_LINE} characters: say it in fewer.")


def _next(
    session: Session,
    alert: Alert,
    document: Document,
    content: DocumentContent,
    checks: str,
    actor: str,
    action: str,
    reason: str,
    by_hand: tuple[StoredMatch, ...] = (),
) -> int:
    """Store the next version in the place of the one that waited."""
    now = utc_now()
    before = {"document": document.state, "version": document.version}
    document.state = DocumentState.RETURNED.value
    document.decision, document.decided_by, document.decided_at, document.reason = action, actor, now, reason
    alert.document_version += 1
    row = Document(
        id=document_identity(alert.id, alert.document_version),
        alert_id=alert.id,
        mine=alert.mine,
        version=alert.document_version,
        state=DocumentState.PENDING_APPROVAL.value,
        backend=f"person:{actor}",
        language=document.language,
        content=to_json(content),
        matches=to_json((*document.read_matches(), *by_hand)) if by_hand else document.matches,
        checks=checks,
        verdict=document.verdict,
        policy=document.policy,
        would_close=document.would_close,
        deadline=content.deadline,
        created_at=now,
        checked_at=now,
    )
    alert.responsible_zh, alert.responsible_en = content.responsible.zh, content.responsible.en
    alert.updated_at, alert.revision = now, alert.revision + 1
    # The policy's judgement goes over to the version that a person will decide on, and is counted once.
    document.policy, document.would_close = "", None
    session.add_all((alert, document, row))
    after: dict[str, object] = {"document": row.state, "version": row.version, "reason": reason}
    after["digest"] = content_digest(row)
    if by_hand:
        after["cited_by_hand"] = [m.version_id for m in by_hand]
    append(session, alert.mine, actor, action, f"alert/{alert.id}", before, after)
    return alert.document_version
