"""Decisions by people: each is durable when it returns, one wins where two decide at once, and the other is told."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Engine
from sqlmodel import Session

from disposal.alert import Alert, AlertEvent
from disposal.audit import append
from disposal.document import EFFECTS, Decision, Document, DocumentState, Effect, document_identity
from disposal.errors import AlertError, AlreadyDecidedError, ReasonMissingError, StateError
from disposal.escalation import acknowledge_calls
from disposal.notify import post
from disposal.sampling import review
from disposal.shelving import LONGEST, refuse_shelving, shelve
from stream.catalogue import risk_type as catalogue_type
from stream.database import writing
from stream.errors import ConfigurationError
from stream.log import Log
from stream.messages import Evidence, Risk, encode, risk_identity, utc_now
from stream.site import load_site

LONGEST_REASON = 4000
"""Characters that a reason or a report may have."""


class Outcome(NamedTuple):
    """What a decision led to: the states of alert and document, its version, and the audit line that tells of it."""

    alert_state: str
    document_state: str | None
    document_version: int
    audit_sequence: int


def decide(
    engine: Engine,
    mine: str,
    alert_id: str,
    decision: Decision,
    actor: str,
    *,
    reason: str = "",
    document_version: int = 0,
    until: datetime | None = None,
    longest_shelving: timedelta = LONGEST,
    also: Callable[[Session, Outcome], None] | None = None,
) -> Outcome:
    """Take a decision on an alert and the document version that the actor has seen (0: there was none).

    It is durable on return, together with its audit line, with what has to go out and with what ``also`` writes in the
    same transaction. Raises AlertError where there is no such alert in this mine, AlreadyDecidedError where somebody
    else was first or the document has moved on, StateError where the decision does not fit, and ReasonMissingError
    where it needs a reason. ``until``: how long an alert is shelved, at most ``longest_shelving`` from now.
    """
    effect = EFFECTS[decision]
    reason = reason.strip()[:LONGEST_REASON]
    if effect.needs_reason and not reason:
        raise ReasonMissingError(f"To {decision} needs a reason: say in a few words why.")
    with writing(engine) as session:
        alert = session.get(Alert, alert_id, with_for_update=True)
        if alert is None or alert.mine != mine:
            raise AlertError(f"There is no alert {alert_id[:32]!r} in mine {mine}: it may have been typed wrongly.")
        document = session.get(Document, document_identity(alert.id, alert.document_version))
        if decision == "shelve" or decision == "unshelve":
            refuse_shelving(alert, decision, until, utc_now(), longest_shelving)
        else:
            _refuse(alert, document, decision, effect, actor, document_version)
        before = _seen(alert, document)
        if effect.shelves:
            shelve(alert, until, actor, reason)
        elif effect.closes or effect.shelves is False:
            shelve(alert, None, None, None)
        _apply(session, alert, document, decision, effect, actor, reason)
        if decision in ("uphold", "overturn", "reopen") and document is not None and document.policy:
            session.flush()
            review(session, mine, document.policy)
        if effect.closes or AlertEvent.ACKNOWLEDGE in effect.events:
            acknowledge_calls(session, mine, alert.id, actor, utc_now())
        line = append(
            session, mine, actor, decision, f"alert/{alert.id}", before, _seen(alert, document) | {"reason": reason}
        )
        outcome = Outcome(alert.state, document.state if document else None, alert.document_version, line.sequence)
        if also is not None:
            also(session, outcome)
        return outcome


def raise_by_hand(
    log: Log,
    engine: Engine,
    mine: str,
    place: str,
    risk_type: str,
    text: str,
    actor: str,
    photo: Evidence | None = None,
    origin: str = "",
) -> str:
    """Report a hazard that a person has seen; answers its risk id once it is durable on the log.

    The same ``origin`` of the same actor and type stands for the same report, however often it is sent.
    It takes the way of every risk, and never closes by itself. Raises ConfigurationError for a place or a risk type
    that is not known, ReasonMissingError without a text, and LogError where the log cannot be written.
    """
    kind = catalogue_type(risk_type)
    _, site = load_site(engine, mine)
    if site.place(place) is None:
        raise ConfigurationError(
            f"Mine {mine} has no place {place[:63]!r}: choose one of {', '.join(p.id for p in site.places)}."
        )
    note = text.strip()[:LONGEST_REASON]
    if not note:
        raise ReasonMissingError("A report needs a text: say in a few words what you have seen.")
    now = utc_now()
    source = f"person:{actor}"
    risk = Risk(
        mine=mine,
        risk_id=risk_identity(source, kind.id, None, f"hand/{origin or uuid.uuid4().hex}"),
        sequence=0,
        state="raised",
        type=kind.id,
        source=source,
        source_kind="person",
        place=place,
        zone=None,
        confidence=1.0,
        started_at=now,
        observed_at=now,
        read_at=now,
        published_at=now,
        evidence=(photo,) if photo else (),
        reason="reported by a person",
        note=note,
    )
    log.append("risks", f"{mine}/{source}", encode(risk))
    return risk.risk_id


def _refuse(
    alert: Alert, document: Document | None, decision: Decision, effect: Effect, actor: str, version: int
) -> None:
    if decision == "acknowledge":
        if alert.closed:
            raise AlreadyDecidedError(alert.id, "it was closed", alert.closed_by or "nobody known", alert.closed_at)
        if alert.acked:
            raise AlreadyDecidedError(alert.id, "it was acknowledged", alert.acked_by or "nobody known", alert.acked_at)
        return
    if version != alert.document_version:
        who, when = (document.backend or "the drafter", document.created_at) if document else ("the drafter", None)
        raise AlreadyDecidedError(alert.id, f"version {alert.document_version} of its document was written", who, when)
    state = DocumentState(document.state) if document else DocumentState.DRAFT
    if effect.sources is not None and state not in effect.sources:
        if document is not None and document.decided_by is not None:
            what = f"its document went to {state} ({document.decision})"
            raise AlreadyDecidedError(alert.id, what, document.decided_by, document.decided_at)
        raise StateError(
            f"A document in state {state} cannot be decided with {decision!r}: it needs one of {', '.join(sorted(effect.sources))}."
        )
    if decision == "close":
        _refuse_closing(alert, document, state, actor)


def _refuse_closing(alert: Alert, document: Document | None, state: DocumentState, actor: str) -> None:
    """Closing needs the hazard gone, a major one its acceptance, and acceptance somebody else than who put it right."""
    if alert.episode == "ongoing" and alert.source_kind != "person" and state is not DocumentState.ACCEPTANCE:
        raise StateError(
            "The hazard is still there: close the alert once it has ended, or have it put right and accepted."
        )
    if state is DocumentState.ACCEPTANCE:
        if document is not None and document.rectified_by == actor:
            raise StateError("Who put the hazard right cannot accept the work: somebody else has to close this alert.")
    elif alert.grade == "major":
        raise StateError(
            "A major hazard is closed from its acceptance only: report it as put right first, then somebody else accepts."
        )


def _apply(
    session: Session,
    alert: Alert,
    document: Document | None,
    decision: Decision,
    effect: Effect,
    actor: str,
    reason: str,
) -> None:
    now = utc_now()
    for event in effect.events:
        if event is not AlertEvent.RESET or alert.latched:
            alert.move(event)
    if AlertEvent.RAISE in effect.events:
        alert.acked, alert.acked_by, alert.acked_at = False, None, None
    elif AlertEvent.ACKNOWLEDGE in effect.events and alert.acked_by is None:
        alert.acked_by, alert.acked_at, alert.escalate_at = actor, now, None
    if effect.closes is not None:
        alert.closed, alert.closed_at, alert.closed_by = (
            effect.closes,
            now if effect.closes else None,
            actor if effect.closes else None,
        )
    if effect.closes:
        alert.step, alert.due_at, alert.lease_owner, alert.lease_until = "none", None, None, None
    elif effect.redraft:
        alert.step, alert.due_at, alert.lease_owner, alert.lease_until = "match", now, None, None
    alert.updated_at = now
    alert.revision += 1
    session.add(alert)
    if document is not None and effect.target is not None:
        _apply_to(document, decision, effect, actor, reason)
        session.add(document)
        if effect.issues:
            post(
                session,
                alert.mine,
                "document",
                f"document/{document.id}",
                document.content,
                key=f"document/{document.id}",
            )


def _apply_to(document: Document, decision: Decision, effect: Effect, actor: str, reason: str) -> None:
    now = utc_now()
    document.state = str(effect.target)
    document.decision, document.decided_by, document.decided_at, document.reason = decision, actor, now, reason
    if decision == "rectify":
        document.rectified_by, document.rectified_at = actor, now
    if effect.closes:
        document.closed_at = now


def _seen(alert: Alert, document: Document | None) -> dict[str, object]:
    seen: dict[str, object] = {"alert": str(alert.state), "closed": alert.closed}
    if alert.shelved_until is not None:
        seen |= {"shelved_until": alert.shelved_until.isoformat(), "shelved_by": alert.shelved_by}
    if document is not None:
        seen |= {"document": document.state, "version": document.version}
    return seen
