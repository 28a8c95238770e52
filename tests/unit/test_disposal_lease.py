"""What a worker that died had in hand is gone on with at once by the next one of its host."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from disposal.alert import Alert
from disposal.due import BACK_OFF, claim
from disposal.lease import give_back_of_the_dead, is_dead, owner_name
from disposal.notify import Outbox, post
from stream.database import reading, writing
from stream.messages import utc_now
from tests.unit.disposal_world import MINE, risk
from tests.unit.test_disposal_due import engine, send, the_alert

__all__ = ["engine"]


@pytest.fixture(scope="module")
def gone() -> str:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return str(process.pid)


@pytest.fixture
def living() -> Iterator[str]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield str(process.pid)
        process.kill()


def test_only_a_process_of_this_host_that_is_gone_is_dead(gone: str, living: str) -> None:
    me = owner_name()
    host, number, mark = me.split(":")
    assert number == str(os.getpid())
    assert is_dead(f"{host}:{gone}:0badcafe:steps", me)
    assert is_dead(f"{host}:{number}:0badcafe:steps", me), "a host that was started anew gives the same number again"
    assert not is_dead(f"{host}:{number}:{mark}:drafting", me)
    assert not is_dead(f"{host}:{living}:0badcafe", me)
    assert not is_dead(f"other-{host}:{gone}:0badcafe", me)
    for odd in ("", "w", f"{host}:{gone}", f"{host}:-1:x", f"{host}::x"):
        assert not is_dead(odd, me)


def test_what_a_dead_worker_had_in_hand_is_due_at_once_and_later_where_workers_die_over_it(
    engine: Engine, gone: str
) -> None:
    me, now = owner_name(), utc_now()
    dead = me.replace(f":{os.getpid()}:", f":{gone}:")
    send(engine, risk())
    with writing(engine) as session:
        post(session, MINE, "alert", "alert/a1", "{}", key="k1")
        message = session.exec(select(Outbox).where(Outbox.id == "k1")).one()
        message.lease_owner, message.lease_until = dead, now + timedelta(seconds=600)
        session.add(message)
    for death, wait in enumerate((0.0, *BACK_OFF, BACK_OFF[-1])):
        now += timedelta(seconds=BACK_OFF[-1])
        assert len(claim(engine, MINE, ("match",), f"{dead}:steps", now, 600)) == 1
        assert give_back_of_the_dead(engine, "south", me, now) == 0
        assert give_back_of_the_dead(engine, MINE, me, now) == (1 if death else 2)
        alert = the_alert(engine)
        assert (alert.attempts, alert.lease_owner, alert.lease_until) == (death + 1, None, None)
        if wait:
            assert claim(engine, MINE, ("match",), me, now + timedelta(seconds=wait - 0.1), 600) == []
    with reading(engine) as session:
        assert session.exec(select(Outbox.lease_owner).where(Outbox.id == "k1")).one() is None


def test_what_a_living_worker_has_in_hand_stays_there(engine: Engine, living: str) -> None:
    send(engine, risk())
    me, now = owner_name(), utc_now()
    assert claim(engine, MINE, ("match",), me.replace(f":{os.getpid()}:", f":{living}:"), now, 600) != []
    assert give_back_of_the_dead(engine, MINE, me, now) == 0
    with reading(engine) as session:
        assert session.exec(select(Alert.lease_until)).one() == now + timedelta(seconds=600)
