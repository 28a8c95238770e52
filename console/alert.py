"""The alert page, and the decisions that are taken on it."""

from collections.abc import Callable
from datetime import timedelta

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from sqlmodel import Session

from console.accounts import Role
from console.alert_view import (
    card,
    current_document,
    measured_of,
    next_step,
    pictures_of,
    possible,
    risk_events,
    timeline,
    told_verdict,
)
from console.auth import allowed, anybody_logged_in, text_field
from console.edited import changes_of
from console.errors import MissingError, RefusedError, StaleError, WrongInputError
from console.pages import language, render, see_other, wants_page
from console.queue_rows import Wanted, find_rows
from console.reasons import reason_in
from console.related import related_to
from console.services import services
from console.similar import similar_to
from console.translations import text
from console.trend import trends_of
from disposal.alert import Alert
from disposal.decision import LONGEST_REASON, decide
from disposal.document import EFFECTS, Decision, DocumentState
from disposal.errors import AlertError, AlreadyDecidedError, ReasonMissingError, ShelvingError, StateError
from disposal.escalation import calls_of
from disposal.roster import roster
from disposal.shelving import is_shelved
from disposal.words import figures_in
from rules.clause import figures_of
from stream.database import reading
from stream.messages import utc_now
from stream.readings import latest

_HANDLING: tuple[Role, ...] = ("dispatcher", "officer", "administrator")
_JUDGING: tuple[Role, ...] = ("officer", "administrator")
DECIDERS: dict[Decision, tuple[Role, ...]] = {
    decision: _JUDGING if decision in ("uphold", "overturn") else _HANDLING for decision in EFFECTS
}
"""Who may take which decision. Judging a sampled closure is for those who did not let the alert go by."""

STAYS: frozenset[Decision] = frozenset({"acknowledge", "start", "unshelve"})
"""Decisions after which the same alert still wants looking at; after the others the queue shows the next one."""

SHELVING_MINUTES = (5, 15, 30, 60, 120, 240, 480, 720, 1440)
"""Times for which an alert can be shelved, as far as the mine's maximum allows them."""

router = APIRouter()


@router.get("/alerts/{alert_id}", dependencies=[anybody_logged_in()], include_in_schema=False)
def alert_page(request: Request, alert_id: str) -> Response:
    """Everything about one alert, and what can be decided now."""
    return _page(request, alert_id)


def _page(request: Request, alert_id: str, status: int = 200, sentence: str = "") -> Response:
    ours = services(request)
    with reading(ours.engine) as session:
        alert = find_alert(session, ours.mine, alert_id)
        events = risk_events(session, alert.id)
        document = current_document(session, alert)
        state = document.state if document else None
        role = request.state.visitor.role
        content = document.read_content() if document else None
        return render(
            request,
            "alert.html",
            status,
            alert=alert,
            document=document,
            content=content,
            cited_figures=figures_of(session, [c.version_id for c in content.citations]) if content else {},
            matches=document.read_matches() if document else (),
            checks=document.read_checks() if document else (),
            verdict=told_verdict(document)[0],
            blind=told_verdict(document)[1],
            readings=latest(ours.engine, ours.mine, place=alert.place),
            pictures=pictures_of(events),
            measured_values=measured_of(events),
            trends=trends_of(
                ours.engine,
                alert,
                ours.names.site(),
                measured_of(events),
                zone=ours.zone,
                language=language(request),
            ),
            similar=similar_to(session, alert),
            related=related_to(session, alert),
            calls=calls_of(session, alert.id),
            events=events,
            lines=timeline(session, ours.mine, alert),
            next_step=next_step(alert, state),
            decisions=possible(alert, state, [d for d, roles in DECIDERS.items() if role in roles]),
            effects=EFFECTS,
            figures_in=figures_in,
            reason_in=reason_in,
            shelving=[m for m in SHELVING_MINUTES if m <= ours.settings.shelving_minutes],
            shelved=is_shelved(alert, utc_now()),
            may_edit=role in DECIDERS["approve"] and state == DocumentState.PENDING_APPROVAL and not alert.closed,
            may_reassign=role in DECIDERS["approve"] and not alert.closed,
            duties=roster(ours.engine, ours.mine),
            changes=changes_of(session, document),
            following=next(
                (r.alert.id for r in find_rows(session, ours.mine, Wanted(), 2) if r.alert.id != alert.id), ""
            ),
            sentence=sentence,
        )


def find_alert(session: Session, mine: str, alert_id: str) -> Alert:
    """The alert of this mine. Raises MissingError where there is none."""
    alert = session.get(Alert, alert_id) if alert_id.isascii() and len(alert_id) <= 32 else None
    if alert is None or alert.mine != mine:
        raise MissingError
    return alert


def _decide(request: Request, alert_id: str, decision: Decision) -> Response:
    ours = services(request)
    version = text_field(request, "document_version", 9)
    longest = timedelta(minutes=ours.settings.shelving_minutes)
    minutes = text_field(request, "minutes", 5)
    reason = text_field(request, "reason", LONGEST_REASON + 1)
    if len(reason) > LONGEST_REASON:
        raise WrongInputError("error.reason-long", most=LONGEST_REASON)
    try:
        decide(
            ours.engine,
            ours.mine,
            alert_id,
            decision,
            request.state.visitor.name,
            reason=reason,
            document_version=int(version) if version.isdecimal() else 0,
            until=utc_now() + timedelta(minutes=int(minutes)) if minutes.isdecimal() else None,
            longest_shelving=longest,
        )
    except AlertError as error:
        raise MissingError from error
    except ReasonMissingError:
        return again(request, alert_id, WrongInputError("error.reason"))
    except ShelvingError:
        return again(request, alert_id, WrongInputError("error.shelving", minutes=ours.settings.shelving_minutes))
    except StateError:
        return again(request, alert_id, StaleError(decision=text(language(request), f"decision.{decision}")))
    except AlreadyDecidedError:
        return decided(request, alert_id, decision)
    if not wants_page(request):
        return JSONResponse({"sentence": text(language(request), f"done.{decision}")})
    if decision in STAYS:
        return see_other(f"/alerts/{alert_id}")
    return see_other(f"/?done={decision}")


def again(request: Request, alert_id: str, error: RefusedError) -> Response:
    """The alert page with what was wrong; nothing was decided."""
    if not wants_page(request):
        raise error
    return _page(request, alert_id, error.status, error.sentence(language(request)))


def decided(request: Request, alert_id: str, decision: str) -> Response:
    """Somebody else was first: who, when and what, and the alert as it is now."""
    ours = services(request)
    tongue = language(request)
    with reading(ours.engine) as session:
        alert = find_alert(session, ours.mine, alert_id)
        lines = timeline(session, ours.mine, alert)
        others = [line for line in lines if line.action in EFFECTS or line.actor != "disposal"]
        if not wants_page(request):
            return JSONResponse({"sentence": text(tongue, "error.decided")}, status_code=StaleError.status)
        return render(
            request,
            "decided.html",
            StaleError.status,
            alert=alert,
            card=card(session, alert),
            tried=decision,
            other=others[-1] if others else None,
            lines=lines,
        )


def _route(decision: Decision) -> Callable[[Request, str], Response]:
    def take(request: Request, alert_id: str) -> Response:
        return _decide(request, alert_id, decision)

    take.__doc__ = f"Take the decision {decision!r} on an alert and the document version that the form names."
    take.__name__ = f"take_{decision}"
    return take


for _decision, _roles in DECIDERS.items():
    router.add_api_route(
        f"/alerts/{{alert_id}}/{_decision}",
        _route(_decision),
        methods=["POST"],
        dependencies=[allowed(*_roles)],
        include_in_schema=False,
    )
