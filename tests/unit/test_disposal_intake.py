import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlmodel import select

from disposal.alert import Alert, AlertEvent, AlertRisk, AlertState
from disposal.audit import AuditLine, verify
from disposal.intake import take_all
from disposal.settings import DisposalSettings
from stream.database import open_database, reading, writing
from stream.errors import PoisonError
from stream.messages import Risk, utc_now
from tests.unit.disposal_world import MINE, SITE, furnish, later, risk


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    return engine


def send(engine: Engine, *risks: Risk) -> list[str]:
    with writing(engine) as session:
        return [t.effect for t in take_all(session, risks, SITE, DisposalSettings(), utc_now())]


def alerts(engine: Engine) -> list[Alert]:
    with reading(engine) as session:
        return list(session.exec(select(Alert)).all())


def test_a_risk_becomes_an_alert_with_everything_that_the_dispatcher_needs(engine: Engine) -> None:
    first = risk("methane-high")
    assert send(engine, first) == ["raised"]
    (alert,) = alerts(engine)
    assert (alert.state, alert.grade, alert.priority, alert.latching) == ("UNACK", "major", "critical", True)
    assert (alert.responsible_zh, alert.responsible_en) == ("通风区长", "Head of ventilation")
    assert (alert.step, alert.due_at is not None, alert.escalate_at is not None) == ("match", True, True)


def test_a_second_delivery_changes_nothing(engine: Engine) -> None:
    first = risk()
    send(engine, first)
    (before,) = alerts(engine)
    assert send(engine, first) == ["known"]
    assert send(engine, first, first) == ["known", "known"]
    (after,) = alerts(engine)
    assert after.model_dump() == before.model_dump()
    with reading(engine) as session:
        assert len(session.exec(select(AlertRisk)).all()) == 1
        assert len(session.exec(select(AuditLine)).all()) == 1


def test_a_repeat_of_the_same_cause_folds_in_and_is_counted(engine: Engine) -> None:
    assert send(engine, risk(), risk(), risk()) == ["raised", "folded", "folded"]
    (alert,) = alerts(engine)
    assert alert.folded == 2


def test_a_closed_alert_takes_no_repeat_in_but_keeps_the_events_of_its_own_risk(engine: Engine) -> None:
    first = risk()
    send(engine, first)
    with writing(engine) as session:
        (row,) = session.exec(select(Alert)).all()
        row.closed = True
    assert send(engine, later(first, "updated"), risk()) == ["noted", "raised"]
    assert len(alerts(engine)) == 2


def test_cleared_before_raised_is_not_lost(engine: Engine) -> None:
    first = risk()
    assert send(engine, later(first, "cleared")) == ["raised"]
    assert send(engine, first) == ["noted"]
    (alert,) = alerts(engine)
    assert (alert.state, alert.episode, alert.folded) == (AlertState.RTN_UNACK, "cleared", 0)
    assert alert.returned_at is not None


def test_what_is_lost_stays_active(engine: Engine) -> None:
    first = risk()
    assert send(engine, first, later(first, "lost")) == ["raised", "lost"]
    (alert,) = alerts(engine)
    assert (alert.state, alert.episode) == (AlertState.UNACK, "lost")


def test_a_hazard_that_comes_back_is_unacknowledged_again(engine: Engine) -> None:
    first = risk("methane-high")
    send(engine, first)
    with writing(engine) as session:
        (row,) = session.exec(select(Alert)).all()
        row.move(AlertEvent.ACKNOWLEDGE)
        row.acked_by, row.acked_at = "ann", utc_now()
    send(engine, later(first, "cleared"))
    assert alerts(engine)[0].state is AlertState.LATCHED
    assert send(engine, risk("methane-high")) == ["folded"]
    (alert,) = alerts(engine)
    assert (alert.state, alert.acked_by, alert.returned_at) == (AlertState.UNACK, None, None)


def test_an_unknown_type_is_poison_and_leaves_nothing(engine: Engine) -> None:
    with pytest.raises(PoisonError, match="no-such-type"):
        send(engine, risk(), risk("no-helmet", risk_id="x" * 32, type="no-such-type"))
    assert alerts(engine) == []


def test_alerts_of_two_mines_never_meet(engine: Engine) -> None:
    first = risk()
    assert send(engine, first) == ["raised"]
    assert send(engine, risk(mine="south", risk_id=first.risk_id)) == ["raised"]
    assert {a.mine for a in alerts(engine)} == {MINE, "south"}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_and_any_repetition_leads_to_the_same_alert(engine: Engine, data: st.DataObject) -> None:
    zone = uuid.uuid4().hex
    first = risk(zone=zone)
    events = [first, later(first, "updated", 1), later(first, "updated", 2), later(first, "cleared", 3)]
    shuffled = data.draw(st.permutations(events))
    repeats = data.draw(st.lists(st.sampled_from(events), max_size=4))
    for event in (*shuffled, *repeats):
        send(engine, event)
    found = [a for a in alerts(engine) if a.zone == zone]
    assert [(a.state, a.episode, a.folded) for a in found] == [(AlertState.RTN_UNACK, "cleared", 0)]
    assert found[0].raised_at == first.started_at
    assert found[0].returned_at is not None
    assert utc_now() - found[0].returned_at < timedelta(minutes=1)
    assert verify(engine, MINE).whole
