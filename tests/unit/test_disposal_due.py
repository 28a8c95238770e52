from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from disposal.alert import Alert
from disposal.audit import verify
from disposal.document import DocumentState
from disposal.due import Claim, Line, Move, Result, Standing, claim, finish, next_move, release
from disposal.intake import take_all
from disposal.settings import DisposalSettings
from stream.database import open_database, reading, writing
from stream.messages import utc_now
from tests.unit.disposal_world import MINE, SITE, furnish, later, risk

NOW = utc_now()
LISTED = ("no-helmet",)
STABLE, ONGOING = 30.0, 600.0


def standing(
    kind: str = "no-helmet",
    episode: str = "ongoing",
    document: DocumentState = DocumentState.CHECKED,
    source_kind: str = "camera",
    age: float = 10,
    returned: float | None = None,
) -> Standing:
    gone = None if returned is None else NOW - timedelta(seconds=returned)
    return Standing(kind, source_kind, episode, NOW - timedelta(seconds=age), gone, document)


@pytest.mark.parametrize(
    ("stands", "state", "moves"),
    [
        (standing(), "ACTIVE", Move("wait", NOW + timedelta(seconds=590))),
        (standing(age=601), "ACTIVE", Move("person")),
        (standing(episode="cleared", returned=10), "ACTIVE", Move("wait", NOW + timedelta(seconds=20))),
        (standing(episode="cleared", returned=31), "ACTIVE", Move("judge")),
        (standing(episode="lost"), "ACTIVE", Move("judge")),
        (standing("methane-high"), "ACTIVE", Move("person")),
        (standing("belt-wear"), "ACTIVE", Move("person")),
        (standing(source_kind="person"), "ACTIVE", Move("person")),
        (standing(), "SHADOW", Move("person")),
        (standing(document=DocumentState.PENDING_APPROVAL), "SHADOW", Move("wait")),
        (standing(episode="cleared", returned=31, document=DocumentState.APPROVED), "SHADOW", Move("watch")),
        (standing(), None, Move("person")),
        (standing(), "SUSPENDED", Move("person")),
        (standing(document=DocumentState.APPROVED), "ACTIVE", Move("rest")),
    ],
)
def test_what_comes_next_is_read_off_states_and_times(stands: Standing, state: str | None, moves: Move) -> None:
    assert next_move(stands, LISTED, state, STABLE, ONGOING, NOW) == moves


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    return engine


def send(engine: Engine, *risks: object) -> None:
    with writing(engine) as session:
        take_all(session, risks, SITE, DisposalSettings(), utc_now())  # type: ignore[arg-type]


def the_alert(engine: Engine) -> Alert:
    with reading(engine) as session:
        return session.exec(select(Alert)).one()


def take_one(engine: Engine, owner: str, now: datetime | None = None, seconds: float = 60) -> Claim:
    (taken,) = claim(engine, MINE, ("match", "draft"), owner, now or utc_now(), seconds)
    return taken


def done(taken: Claim, *, unchanged: bool = False) -> Result:
    def apply(session: Session, alert: Alert) -> Line:
        alert.step = "draft"
        return Line("tester", "matched", {}, {})

    return Result(taken, apply, unchanged)


def test_the_most_urgent_alert_comes_first_and_to_one_only(engine: Engine) -> None:
    send(engine, risk("no-vest"), risk("no-helmet"), risk("methane-high"))
    now = utc_now()
    assert take_one(engine, "one").alert.type == "methane-high"
    both = claim(engine, MINE, ("match",), "two", now, 60, 5)
    assert [t.alert.type for t in both] == ["no-helmet", "no-vest"]
    assert claim(engine, MINE, ("match",), "three", now, 60) == []
    assert claim(engine, "south", ("match",), "w", now, 60) == []


def test_the_lease_of_a_dead_worker_runs_out_and_its_late_result_is_dropped(engine: Engine) -> None:
    send(engine, risk())
    dead = take_one(engine, "dead", seconds=1)
    heir = take_one(engine, "heir", utc_now() + timedelta(seconds=2))
    assert finish(engine, [done(dead)]) == [dead]
    assert finish(engine, [done(heir)]) == []
    assert finish(engine, [done(heir)]) == [heir]
    assert the_alert(engine).step == "draft"


def test_a_result_judged_on_what_has_changed_since_is_not_committed(engine: Engine) -> None:
    first = risk()
    send(engine, first)
    taken = take_one(engine, "w")
    send(engine, later(first, "cleared"))
    assert finish(engine, [done(taken, unchanged=True)]) == [taken]
    release(engine, taken, utc_now(), failed=False)
    assert finish(engine, [done(take_one(engine, "w"), unchanged=True)]) == []
    assert the_alert(engine).episode == "cleared"


def test_results_are_committed_together_with_their_audit_lines_or_not_at_all(engine: Engine) -> None:
    send(engine, risk(), risk("no-vest"))
    good, bad = claim(engine, MINE, ("match",), "w", utc_now(), 60, 2)

    def fail(session: Session, alert: Alert) -> None:
        raise ZeroDivisionError

    before = verify(engine, MINE).lines
    with pytest.raises(ZeroDivisionError):
        finish(engine, [done(good), Result(bad, fail)])
    assert verify(engine, MINE) == (before, None, "")
    assert finish(engine, [done(good), done(bad)]) == []
    assert verify(engine, MINE) == (before + 2, None, "")


def test_nothing_is_due_for_what_is_closed(engine: Engine) -> None:
    send(engine, risk())
    with writing(engine) as session:
        session.exec(select(Alert)).one().closed = True
    assert claim(engine, MINE, ("match", "draft", "decide"), "w", utc_now(), 60) == []


def test_a_clock_that_was_set_back_keeps_nothing_waiting(engine: Engine) -> None:
    send(engine, risk())
    ahead = utc_now() + timedelta(hours=1)
    with writing(engine) as session:
        alert = session.exec(select(Alert)).one()
        alert.due_at, alert.lease_owner, alert.lease_until = ahead, "who died", ahead + timedelta(seconds=60)
        session.add(alert)
    assert take_one(engine, "who is left", utc_now()).owner == "who is left"
    assert claim(engine, MINE, ("match",), "another", utc_now(), 60) == [], "a lease of now holds"
    with writing(engine) as session:
        alert = session.exec(select(Alert)).one()
        alert.step, alert.lease_owner, alert.lease_until = "decide", None, None
        session.add(alert)
    assert claim(engine, MINE, ("decide",), "another", utc_now(), 60) == [], "what waits on purpose waits on"
