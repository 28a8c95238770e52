"""Emergency plans and call lists: opened with one key from a major hazard, seen by all, edited by officers."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from console.alert import find_alert
from console.auth import allowed, anybody_logged_in, text_field, whole_field
from console.errors import MissingError, WrongInputError
from console.pages import language, render, see_other
from console.security import FORM_BYTES
from console.services import services
from disposal.alert import Alert
from disposal.emergency import EVERY, LONGEST, Wording, plan_for, plans, put_plan
from disposal.errors import EmergencyError
from disposal.escalation import acknowledge_call, calls_of, people
from disposal.grouping import CAUSES
from disposal.library import library
from disposal.roster import roster
from stream.database import reading, writing
from stream.messages import utc_now

_EDITING = allowed("officer", "administrator")
_ANSWERING = allowed("dispatcher", "officer", "administrator")
_FIELDS = ("steps_zh", "steps_en", "calls")

router = APIRouter()


@router.get("/emergency", dependencies=[anybody_logged_in()], include_in_schema=False)
def emergency_plans(request: Request) -> Response:
    """Every plan of the mine, and a form for officers."""
    return _plans(request)


@router.post("/emergency", dependencies=[_EDITING], include_in_schema=False)
def take_plan(request: Request) -> Response:
    """Store the plan for a cause."""
    ours = services(request)
    try:
        wording = Wording(*(whole_field(request, name, LONGEST) for name in _FIELDS))
        put_plan(ours.engine, ours.mine, text_field(request, "cause", 20), wording, request.state.visitor.name)
    except EmergencyError:
        refused = WrongInputError("error.emergency")
        return _plans(request, refused.status, refused.sentence(language(request)))
    except WrongInputError as error:
        return _plans(request, error.status, error.sentence(language(request)))
    return see_other("/emergency")


@router.get("/emergency/{alert_id}", dependencies=[anybody_logged_in()], include_in_schema=False)
def emergency(request: Request, alert_id: str) -> Response:
    """The plan and the call list for one alert, with who is on duty there now on top."""
    ours = services(request)
    with reading(ours.engine) as session:
        alert = find_alert(session, ours.mine, alert_id)
        calls = calls_of(session, alert.id)
    return render(
        request,
        "emergency.html",
        alert=alert,
        plan=plan_for(ours.engine, ours.mine, alert.type),
        usual=library()[alert.type],
        on_duty=people(roster(ours.engine, ours.mine), alert.place, utc_now()),
        calls=calls,
    )


@router.post("/emergency/{alert_id}/answered", dependencies=[_ANSWERING], include_in_schema=False)
def take_answer(request: Request, alert_id: str) -> Response:
    """Who was called has answered."""
    ours = services(request)
    with writing(ours.engine) as session:
        alert = find_alert(session, ours.mine, alert_id)
        _answered(session, alert, text_field(request, "call", 120), request.state.visitor.name)
    return see_other(f"/alerts/{alert_id}")


def _answered(session: Session, alert: Alert, identity: str, actor: str) -> None:
    if identity not in {one.id for one in calls_of(session, alert.id)}:
        raise MissingError
    acknowledge_call(session, alert.mine, identity, actor, utc_now())


def _plans(request: Request, status: int = 200, sentence: str = "") -> Response:
    ours = services(request)
    chosen = request.query_params.get("cause", EVERY)
    known = plans(ours.engine, ours.mine)
    typed = {name: text_field(request, name, FORM_BYTES) for name in _FIELDS} if sentence else {}
    return render(
        request,
        "emergency_plans.html",
        status,
        plans=known,
        causes=(EVERY, *CAUSES),
        chosen=chosen if chosen in CAUSES else EVERY,
        sentence=sentence,
        typed=typed,
    )
