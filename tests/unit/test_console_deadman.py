import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import Engine
from sqlmodel import SQLModel, select

from console.deadman import DeadMan
from disposal.audit import AuditLine
from disposal.settings import DeadManSettings, NotifySettings
from disposal.webhook import SIGNATURE, sign
from stream.database import open_database, reading, writing
from stream.heartbeat import StageHeartbeat
from stream.messages import utc_now
from tests.unit.test_disposal_notify import Receiver

MINE, SECRET = "north", "a secret that both know"


@pytest.fixture
def outside() -> Iterator[Receiver]:
    found = Receiver()
    thread = threading.Thread(target=found.server.serve_forever, daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join(10)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_database(f"sqlite:///{tmp_path / 'mine.db'}")
    SQLModel.metadata.create_all(made)
    yield made
    made.dispose()


def beat(engine: Engine, stage: str, age: float, *, ended: bool = False) -> None:
    at = utc_now() - timedelta(seconds=age)
    row = StageHeartbeat(stage=stage, instance="i", mine=MINE, started_at=at, beat_at=at, ready=True, ended=ended)
    with writing(engine) as session:
        session.merge(row)


def told(outside: Receiver) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for headers, body in outside.got:
        assert headers[SIGNATURE] == sign(SECRET, body)
        said = json.loads(body)
        assert said["mine"] == MINE
        assert said["sent_at"]
        found.append((said["kind"], said["body"]))
    return found


def dead_man(engine: Engine, url: str, alive: str = "") -> DeadMan:
    stages = ("vision", "disposal", "console")
    notify = NotifySettings(url=url, secret=SECRET, seconds=2)  # type: ignore[arg-type]
    return DeadMan(engine, MINE, stages, DeadManSettings(alive_url=alive, alive_seconds=10), notify)


def test_a_stage_that_falls_silent_is_told_outside_once_and_when_it_is_heard_again(
    engine: Engine, outside: Receiver
) -> None:
    watching = dead_man(engine, outside.url)
    for stage in ("vision", "disposal", "console"):
        beat(engine, stage, 0)
    watching.look(0)
    assert told(outside) == []
    beat(engine, "console", 60)
    beat(engine, "capture", 60)  # runs elsewhere: somebody else's to watch
    for now in (2, 4):
        watching.look(now)
    assert told(outside) == [("silent", {"silent": ["console"], "before": []})]
    beat(engine, "console", 0)
    watching.look(6)
    assert told(outside)[1:] == [("heard-again", {"silent": [], "before": ["console"]})]
    with reading(engine) as session:
        assert session.exec(select(AuditLine.action)).all() == ["call-out", "call-out"]


def test_a_call_that_is_not_taken_is_made_again_with_longer_pauses(engine: Engine, outside: Receiver) -> None:
    watching = dead_man(engine, outside.url)
    beat(engine, "vision", 60)
    outside.status = 503
    for now in range(0, 20, 1):
        watching.look(float(now))
    assert len(outside.got) == 4  # at 0, 2, 6 and 14 s
    outside.status = 200
    watching.look(40)
    watching.look(42)
    assert len(outside.got) == 5


def test_a_database_that_is_gone_is_told_and_stops_no_call(engine: Engine, outside: Receiver) -> None:
    watching = dead_man(engine, outside.url)
    with writing(engine) as session:
        session.connection().exec_driver_sql("DROP TABLE stage_heartbeat")
        session.connection().exec_driver_sql("DROP TABLE audit_line")
    watching.look(0)
    assert told(outside) == [("silent", {"silent": ["database"], "before": []})]


def test_the_sign_of_life_goes_out_while_all_is_well_and_stops_when_something_is_silent(
    engine: Engine, outside: Receiver
) -> None:
    watching = dead_man(engine, "", outside.url)
    beat(engine, "vision", 0)
    for now in range(0, 26, 2):
        watching.look(float(now))
    assert [kind for kind, _ in told(outside)] == ["alive"] * 3
    beat(engine, "vision", 60)
    for now in range(26, 60, 2):
        watching.look(float(now))
    assert len(outside.got) == 3


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="alive_url is no http"):
        DeadManSettings(alive_url="ftp://elsewhere")
