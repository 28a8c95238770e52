from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from disposal.alert import Alert
from disposal.document import DocumentState
from disposal.due import LeaseLostError, Move, Standing, claim, finishing, next_move, release
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


def test_the_most_urgent_alert_comes_first_and_to_one_only(engine: Engine) -> None:
    send(engine, risk("no-vest"), risk("no-helmet"), risk("methane-high"))
    now = utc_now()
    taken = [claim(engine, MINE, ("match",), f"worker-{n}", now, 60) for n in range(4)]
    assert [t.alert.type if t else None for t in taken] == ["methane-high", "no-helmet", "no-vest", None]
    assert claim(engine, "south", ("match",), "w", now, 60) is None


def test_the_lease_of_a_dead_worker_runs_out_and_its_late_result_is_dropped(engine: Engine) -> None:
    send(engine, risk())
    dead = claim(engine, MINE, ("match",), "dead", utc_now(), 1)
    assert dead is not None
    after = utc_now() + timedelta(seconds=2)
    heir = claim(engine, MINE, ("match",), "heir", after, 60)
    assert heir is not None
    with pytest.raises(LeaseLostError), finishing(engine, dead):
        pass
    with finishing(engine, heir) as (_, alert):
        alert.step = "draft"
    with pytest.raises(LeaseLostError), finishing(engine, heir):
        pass
    assert the_alert(engine).step == "draft"


def test_a_result_judged_on_what_has_changed_since_is_not_committed(engine: Engine) -> None:
    first = risk()
    send(engine, first)
    taken = claim(engine, MINE, ("match",), "w", utc_now(), 60)
    assert taken is not None
    send(engine, later(first, "cleared"))
    with pytest.raises(LeaseLostError), finishing(engine, taken, unchanged=True):
        pass
    release(engine, taken, utc_now(), failed=False)
    again = claim(engine, MINE, ("match",), "w", utc_now(), 60)
    assert again is not None
    with finishing(engine, again, unchanged=True) as (_, alert):
        assert alert.episode == "cleared"


def test_nothing_is_due_for_what_is_closed(engine: Engine) -> None:
    send(engine, risk())
    with writing(engine) as session:
        session.exec(select(Alert)).one().closed = True
    assert claim(engine, MINE, ("match", "draft", "decide"), "w", utc_now(), 60) is None
