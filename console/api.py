"""The JSON API for machines: alerts, decisions on them, and hazards that somebody reports."""

import hashlib
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime
from sqlalchemy import and_, or_
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from console import idempotency
from console.alert import DECIDERS, find_alert
from console.alert_view import current_document, pictures_of, possible, risk_events, timeline
from console.api_access import API, IdempotencyKey, machines
from console.api_shapes import (
    AlertPage,
    AlertShape,
    AlertWhole,
    Conflict,
    Cursor,
    Decided,
    DecisionWanted,
    DocumentShape,
    EvidenceShape,
    HazardTaken,
    HazardWanted,
    LineShape,
    Refusal,
)
from console.errors import ForbiddenError, MissingError, StaleError, WrongInputError
from console.idempotency import Answer
from console.pages import language
from console.services import Services, services
from console.sessions import Visitor
from console.translations import text
from disposal.alert import Alert, alert_identity
from disposal.audit import canonical
from disposal.decision import Outcome, decide, raise_by_hand
from disposal.document import EFFECTS, Document
from disposal.errors import AlertError, AlreadyDecidedError, ReasonMissingError, ShelvingError, StateError
from stream.catalogue import RISK_TYPES
from stream.database import reading
from stream.errors import LogError

MOST = 200
_HANDLING = machines("dispatcher", "officer", "administrator")
_REFUSALS: dict[int | str, dict[str, Any]] = {code: {"model": Refusal} for code in (401, 403, 404, 422)}

router = APIRouter(prefix=API, responses=_REFUSALS)
AlertId = Annotated[str, Path(max_length=64)]
Known = Annotated[str | None, Query(max_length=63)]
Moment = Annotated[AwareDatetime | None, Query()]


@router.get("/alerts", dependencies=[machines()], summary="Alerts, newest first")
def list_alerts(
    request: Request,
    closed: bool | None = None,
    priority: Literal["critical", "high", "medium", "low"] | None = None,
    type: Known = None,  # noqa: A002  # the name in the address
    place: Known = None,
    source: Known = None,
    since: Moment = None,
    until: Moment = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> AlertPage:
    """Alerts of this mine that fit every filter. Give ``next`` of an answer as ``cursor`` to get the page behind it.

    What is raised meanwhile comes before the first page, so that no page skips or repeats an alert. ``since`` and
    ``until`` (excluded) are compared with ``committed_at`` and need a time zone.
    """
    ours = services(request)
    asked = {"priority": priority, "type": type, "place": place, "source": source}
    conditions = [col(Alert.mine) == ours.mine]
    conditions += [col(getattr(Alert, name)) == value for name, value in asked.items() if value is not None]
    if closed is not None:
        conditions.append(col(Alert.closed).is_(closed))
    if since is not None:
        conditions.append(col(Alert.committed_at) >= _bounded(since))
    if until is not None:
        conditions.append(col(Alert.committed_at) < _bounded(until))
    if cursor is not None:
        last = Cursor.read(cursor)
        conditions.append(col(Alert.committed_at) <= last.at)
        conditions.append(or_(col(Alert.committed_at) < last.at, col(Alert.id) < last.id))
    statement = (
        select(Alert, Document.state)
        .outerjoin(
            Document,
            and_(col(Document.alert_id) == col(Alert.id), col(Document.version) == col(Alert.document_version)),
        )
        .where(*conditions)
        .order_by(col(Alert.committed_at).desc(), col(Alert.id).desc())
        .limit(limit + 1)
    )
    with reading(ours.engine) as session:
        rows = session.exec(statement).all()
    shown = [AlertShape.of(alert, state) for alert, state in rows[:limit]]
    more = Cursor(shown[-1].committed_at, shown[-1].id).text() if len(rows) > limit else None
    return AlertPage(alerts=shown, next=more)


@router.get("/alerts/{alert_id}", dependencies=[machines()], summary="One alert with everything about it")
def show_alert(request: Request, alert_id: AlertId) -> AlertWhole:
    """The alert, its document with the clauses and the policy's reasons, its evidence, and what happened so far."""
    ours, visitor = services(request), _visitor(request)
    with reading(ours.engine) as session:
        alert = find_alert(session, ours.mine, alert_id)
        document = current_document(session, alert)
        state = document.state if document else None
        return AlertWhole(
            alert=AlertShape.of(alert, state),
            document=DocumentShape.of(document) if document else None,
            evidence=[EvidenceShape.of(p.evidence) for p in pictures_of(risk_events(session, alert.id))],
            history=[LineShape.of(line) for line in timeline(session, ours.mine, alert)],
            possible=possible(alert, state, [d for d, roles in DECIDERS.items() if visitor.role in roles]),
        )


@router.post(
    "/alerts/{alert_id}/decisions",
    dependencies=[_HANDLING],
    summary="Decide on an alert",
    response_model=Decided,
    responses={409: {"model": Conflict}},
)
def take_decision(
    request: Request, alert_id: AlertId, wanted: DecisionWanted, idempotency_key: IdempotencyKey
) -> Response:
    """Take a decision, once however often the same key is sent. 409 where somebody else was first: it shows by whom.

    The decision is durable before the answer says so.
    """
    ours, visitor = services(request), _visitor(request)
    if visitor.role not in DECIDERS[wanted.decision]:
        raise ForbiddenError(role=visitor.role)
    asked = idempotency.Request(
        ours.mine, visitor.account_id, idempotency_key, {"alert": alert_id} | wanted.model_dump(mode="json")
    )
    return _json(
        idempotency.find(ours.engine, asked) or _decided(ours, visitor, alert_id, wanted, asked, language(request))
    )


@router.post(
    "/hazards",
    dependencies=[_HANDLING],
    summary="Report a hazard",
    status_code=202,
    response_model=HazardTaken,
    responses={503: {"model": Refusal}},
)
def take_hazard(request: Request, wanted: HazardWanted, idempotency_key: IdempotencyKey) -> Response:
    """Put a hazard that somebody has seen on the log, once however often the same key is sent.

    Like every report by a person, it never closes by itself.
    """
    ours, visitor = services(request), _visitor(request)
    asked = idempotency.Request(
        ours.mine, visitor.account_id, idempotency_key, {"hazard": wanted.model_dump(mode="json")}
    )
    if (known := idempotency.find(ours.engine, asked)) is not None:
        return _json(known)
    if wanted.type not in RISK_TYPES:
        raise WrongInputError("error.hazard-type")
    if ours.names.site().place(wanted.place) is None:
        raise WrongInputError("error.hazard-place")
    if not wanted.text.strip():
        raise WrongInputError("error.hazard-text")
    origin = hashlib.sha256("\x1f".join(asked[:3]).encode()).hexdigest()
    try:
        risk_id = raise_by_hand(
            ours.log, ours.engine, ours.mine, wanted.place, wanted.type, wanted.text, visitor.name, origin=origin
        )
    except LogError:
        return _json(Answer(503, {"sentence": text(language(request), "error.hazard-log")}))
    taken = HazardTaken(risk_id=risk_id, alert_id=alert_identity(ours.mine, risk_id))
    return _json(idempotency.keep_first(ours.engine, asked, Answer(202, taken.model_dump(mode="json"))))


def _decided(
    ours: Services, visitor: Visitor, alert_id: str, wanted: DecisionWanted, asked: idempotency.Request, tongue: str
) -> Answer:
    """Decide, and keep the answer together with the decision; what was refused as too late is kept as well."""
    answers: list[Answer] = []

    def keep(session: Session, outcome: Outcome) -> None:
        said = Decided(alert_id=alert_id, decision=wanted.decision, **outcome._asdict())
        answers.append(Answer(200, said.model_dump(mode="json")))
        idempotency.keep(session, asked, answers[0])

    try:
        decide(
            ours.engine,
            ours.mine,
            alert_id,
            wanted.decision,
            visitor.name,
            reason=wanted.reason,
            document_version=wanted.document_version,
            until=wanted.until,
            longest_shelving=timedelta(minutes=ours.settings.shelving_minutes),
            also=keep,
        )
    except AlertError as error:
        raise MissingError from error
    except ReasonMissingError as error:
        raise WrongInputError("error.reason") from error
    except ShelvingError as error:
        raise WrongInputError("error.shelving", minutes=ours.settings.shelving_minutes) from error
    except IntegrityError:
        # The same key came twice at once, and the other one has decided; anything else goes on as it is.
        if (first := idempotency.find(ours.engine, asked)) is None:
            raise
        return first
    except (AlreadyDecidedError, StateError) as error:
        if (first := idempotency.find(ours.engine, asked)) is not None:
            return first
        return idempotency.keep_first(ours.engine, asked, _conflict(ours, alert_id, wanted, tongue, error))
    return answers[0]


def _conflict(ours: Services, alert_id: str, wanted: DecisionWanted, tongue: str, error: Exception) -> Answer:
    late = isinstance(error, AlreadyDecidedError)
    sentence = text(tongue, "error.decided") if late else ""
    if not late:
        sentence = text(tongue, StaleError.key, decision=text(tongue, f"decision.{wanted.decision}"))
    with reading(ours.engine) as session:
        alert = find_alert(session, ours.mine, alert_id)
        document = current_document(session, alert)
        others = [line for line in timeline(session, ours.mine, alert) if line.action in EFFECTS]
        said = Conflict(
            sentence=sentence,
            other=LineShape.of(others[-1]) if others else None,
            alert=AlertShape.of(alert, document.state if document else None),
        )
    return Answer(StaleError.status, said.model_dump(mode="json"))


def _visitor(request: Request) -> Visitor:
    found = request.state.visitor
    assert isinstance(found, Visitor)
    return found


def _bounded(moment: AwareDatetime) -> AwareDatetime:
    if not 1900 <= moment.year < 9000:
        raise WrongInputError("error.input")
    return moment


def _json(answer: Answer) -> Response:
    """In one form always: an answer that is told again is the same to the byte."""
    return Response(canonical(answer.content), status_code=answer.status, media_type="application/json")
