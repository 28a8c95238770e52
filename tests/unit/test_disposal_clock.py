"""A clock that is set an hour forward and back: nothing closes by that, nobody is called twice, nobody waits for it."""

from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from disposal.alert import Alert
from disposal.audit import AuditLine, verify
from disposal.document import Document
from disposal.drafter import Drafter
from disposal.escalation import Call
from disposal.intake import take_all
from disposal.policy import activate_for_demo, in_force
from disposal.settings import DisposalSettings, DrafterSettings
from disposal.steps import Steps
from disposal.sweep import sweep
from stream import trouble
from stream.database import open_database, reading, writing
from stream.messages import Risk, utc_now
from tests.unit.disposal_world import MINE, SITE, TaggedFinder, furnish, later, risk

HOUR = 3600.0
SETTINGS = DisposalSettings()


class Clock:
    """The time of the wall, which can be set, over one that only goes on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begin, self.gone, self.set = utc_now(), 0.0, 0.0
        shown = SimpleNamespace(time=lambda: self.now().timestamp(), monotonic=lambda: self.gone)
        monkeypatch.setattr(trouble, "time", shown)

    def now(self) -> datetime:
        return self.begin + timedelta(seconds=self.gone + self.set)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    return engine


def send(engine: Engine, one: Risk, now: datetime) -> None:
    with writing(engine) as session:
        take_all(session, [one], SITE, SETTINGS, now)


def stands(engine: Engine) -> tuple[str, bool]:
    with reading(engine) as session:
        return session.exec(select(Document.state)).one(), session.exec(select(Alert.closed)).one()


def actions(engine: Engine) -> list[str]:
    with reading(engine) as session:
        return [line.action for line in session.exec(select(AuditLine)).all()]


def opened(engine: Engine, clock: Clock) -> Steps:
    drafter = Drafter([], DrafterSettings())
    return Steps(engine, MINE, lambda: TaggedFinder(engine), drafter, SETTINGS, lambda _: None, clock.now)


def work(steps: Steps) -> None:
    for _ in range(20):
        if not steps.do_next(("match", "draft", "decide"), "tester"):
            return
    raise AssertionError("it never comes to rest")


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_clock_that_jumps_closes_nothing_before_it_was_seen_to_stay_away(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    activate_for_demo(engine, MINE)
    with reading(engine) as session:
        policy = in_force(session, MINE)
    assert policy is not None
    stable = policy.read().stable_seconds
    first = risk()
    send(engine, first, utc_now())
    send(engine, later(first, "cleared"), utc_now())
    clock = Clock(monkeypatch)
    steps = opened(engine, clock)
    if jump > 0:
        work(steps)
        assert stands(engine) == ("CHECKED", False)
    clock.set = jump
    clock.gone += stable / 4
    work(steps)
    assert stands(engine) == ("CHECKED", False), "an hour that nobody saw is none"
    clock.gone += stable / 2
    work(steps)
    assert stands(engine) == ("CHECKED", False)
    clock.gone += stable
    work(steps)
    assert stands(engine)[1], "and it closes as it would have, for the true time has passed"
    assert actions(engine).count("auto-close") == 1
    assert verify(engine, MINE).whole


def test_a_clock_that_jumps_calls_nobody_twice_and_lets_nobody_wait_an_hour(engine: Engine) -> None:
    now = utc_now()
    send(engine, risk(), now)
    with reading(engine) as session:
        wait = timedelta(seconds=SETTINGS.escalation.seconds(session.exec(select(Alert.priority)).one()))
    ahead = now + timedelta(seconds=HOUR)
    for at in (ahead, ahead, ahead + wait / 2, now, now, now + wait / 2):
        sweep(engine, MINE, SETTINGS, at)
        assert actions(engine).count("escalated") == 1, at
    sweep(engine, MINE, SETTINGS, now + wait)
    assert actions(engine).count("escalated") == 2, "the next one is called as if the clock had gone on"
    with reading(engine) as session:
        assert len({call.link for call in session.exec(select(Call)).all()}) == 2
    assert verify(engine, MINE).whole


def test_a_clock_that_jumps_lets_no_step_be_done_twice(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    send(engine, risk(), utc_now())
    clock = Clock(monkeypatch)
    one, other = opened(engine, clock), opened(engine, clock)

    def overtaken(risk_: Risk, at: datetime) -> list[object]:
        clock.set = HOUR  # the lease of the one is over in the other's eyes
        work(other)
        clock.set = 0.0
        return []

    monkeypatch.setattr(one, "_finder", lambda: SimpleNamespace(match=overtaken))
    one.do_next(("match",), "one")
    work(one)
    found = actions(engine)
    assert (found.count("matched"), found.count("drafted"), found.count("submit")) == (1, 1, 1)
    assert verify(engine, MINE).whole
