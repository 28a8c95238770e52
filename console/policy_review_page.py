"""What a safety officer looks at before a policy closes: history replayed, the trial in shadow, closures to judge."""

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import func
from sqlmodel import col, select

from console.auth import allowed, text_field
from console.errors import MissingError, WrongInputError
from console.pages import language, render, see_other
from console.policy_rows import SHOWN, samples, shadow_judgements, undecided
from console.services import Services, services
from disposal.alert import Alert
from disposal.backtest import find_policy, mark_backtested, replay, report
from disposal.errors import PolicyError
from disposal.policy import PolicyVersion
from disposal.sampling import tally
from disposal.words import figures_in
from stream.database import reading
from stream.messages import utc_now

DAYS = (1, 7, 30)
MOST = 1000
"""Alerts that a page replays at most: some ten questions to the database each. The command takes any number."""
_LOOKING = allowed("officer", "auditor", "administrator")
_JUDGING = allowed("officer", "administrator")
_LONGEST_ID = 80

router = APIRouter()


@router.get("/policy/backtest", dependencies=[_LOOKING], include_in_schema=False)
def backtest_page(request: Request) -> Response:
    """The policy ``?policy=`` over the last ``?days=``: what it would close, why not the rest, what people decided."""
    ours = services(request)
    row, days = _policy(ours, request.query_params.get("policy", "")), _days(request.query_params.get("days", ""))
    try:
        found = _replayed(ours, row, days)
    except WrongInputError as error:
        sentence = error.sentence(language(request))
        return render(request, "policy_backtest.html", error.status, row=row, days=days, spans=DAYS, sentence=sentence)
    with reading(ours.engine) as session:
        blind = undecided(session, ours.mine, [one["alert"] for one in (*found["closing"], *found["staying"])])
    told = {part: [one for one in found[part] if one["alert"] not in blind] for part in ("closing", "staying")}
    return render(
        request,
        "policy_backtest.html",
        row=row,
        days=days,
        spans=DAYS,
        found=found,
        told=told,
        blind=len(blind),
        most=SHOWN,
        figures_in=figures_in,
        sentence="",
    )


@router.post("/policy/backtest", dependencies=[_JUDGING], include_in_schema=False)
def take_backtest(request: Request) -> Response:
    """Replay, write down that a draft was replayed, and show the answer."""
    ours = services(request)
    row, days = _policy(ours, text_field(request, "policy", _LONGEST_ID)), _days(text_field(request, "days", 3))
    mark_backtested(ours.engine, row, request.state.visitor.name, _replayed(ours, row, days))
    return see_other(f"/policy/backtest?policy={row.id}&days={days}")


@router.get("/policy/shadow", dependencies=[_LOOKING], include_in_schema=False)
def shadow_page(request: Request) -> Response:
    """What people decided of the alerts that the policy ``?policy=`` would have closed."""
    ours = services(request)
    row = _policy(ours, request.query_params.get("policy", ""))
    with reading(ours.engine) as session:
        judged, waiting = shadow_judgements(session, ours.mine, row.id)
        found = tally(session, ours.mine, row.id)
    return render(
        request, "policy_shadow.html", row=row, content=row.read(), judged=judged, waiting=waiting, tally=found
    )


@router.get("/policy/samples", dependencies=[_LOOKING], include_in_schema=False)
def samples_page(request: Request) -> Response:
    """The closures that wait for a person to judge them again."""
    ours = services(request)
    with reading(ours.engine) as session:
        found = samples(session, ours.mine)
    return render(request, "policy_samples.html", found=found)


def _policy(ours: Services, name: str) -> PolicyVersion:
    try:
        return find_policy(ours.engine, ours.mine, name)
    except PolicyError as error:
        raise MissingError from error


def _days(typed: str) -> int:
    return next((days for days in DAYS if str(days) == typed), 7)


def _replayed(ours: Services, row: PolicyVersion, days: int) -> dict[str, Any]:
    """The report of the replay. Raises WrongInputError where it is too much for a page."""
    now = utc_now()
    since = now - timedelta(days=days)
    with reading(ours.engine) as session:
        these = (Alert.mine == ours.mine, col(Alert.committed_at) >= since)
        alerts = session.exec(select(func.count()).select_from(Alert).where(*these)).one()
    if alerts > MOST:
        raise WrongInputError("error.backtest-many", alerts=alerts, most=MOST)
    return report(replay(ours.engine, ours.mine, row.read(), since, now))
