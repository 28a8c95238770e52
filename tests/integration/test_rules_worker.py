from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import SQLModel

from rules.clause import CodeEdition, Content
from rules.limits import read_limits
from rules.revision import add_edition, draft, publish, review
from rules.settings import LimitSettings, RulesSettings
from rules.worker import run_limits
from stream.database import open_database
from stream.log import Log, open_log
from stream.messages import DeadLetter, Reading, Risk, decode, encode, utc_now
from stream.readings import latest
from stream.settings import LogSettings
from stream.site import Name, Place, Sensor, Site, store_site

START = datetime(2016, 10, 1, tzinfo=UTC)
FAST = RulesSettings(limits=LimitSettings(clear_seconds=2, clear_readings=3))


class Mine:
    """A mine of two sensors on an embedded log, whose limits stage can be started and stopped."""

    def __init__(self, folder: Path, silence: float) -> None:
        self.url = f"sqlite:///{folder}/mine.db"
        self.engine: Engine = open_database(self.url)
        SQLModel.metadata.create_all(self.engine)
        self.log_settings = LogSettings(folder=folder / "log", partitions=2)
        self.log: Log = open_log(self.log_settings)
        self.begun = utc_now()
        self.sent = 0
        store_site(self.engine, site(silence), "test")
        publish_limit(self.engine, 1.0)

    def send(self, value: float, second: float, sensor: str = "gas-1") -> None:
        moment = self.begun + timedelta(seconds=second)
        message = Reading(
            mine="demo", sensor=sensor, place="return", quantity="methane", value=value, unit="%", sequence=self.sent,
            captured_at=moment, read_at=utc_now(),
        )  # fmt: skip
        self.sent += 1
        self.log.append("readings", f"demo/{sensor}", encode(message))

    def run(self, until: Callable[[], bool], patience: float = 30) -> None:
        """Run the stage in a thread until ``until`` holds."""
        stop = threading.Event()
        worker = threading.Thread(
            target=run_limits,
            args=(stop,),
            kwargs={"settings": FAST, "log_settings": self.log_settings, "database_url": self.url, "mine": "demo"},
        )
        worker.start()
        try:
            deadline = time.monotonic() + patience
            while not until() and time.monotonic() < deadline:
                time.sleep(0.05)
            assert until()
        finally:
            stop.set()
            worker.join(timeout=30)
        assert not worker.is_alive()

    def read(self, topic: str) -> list:
        consumer = self.log.subscribe(f"look-{time.monotonic_ns()}", [topic])
        found: list = []
        try:
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                records = consumer.poll(100, 0.3)
                found += [decode(r.value) for r in records]
                if not records and consumer.assigned() and found:
                    break
        finally:
            consumer.close()
        return found

    def drained(self) -> bool:
        return self.log.lag("limits", "readings") == 0

    def close(self) -> None:
        self.log.close()
        self.engine.dispose()


def site(silence: float, stuck: float | None = None) -> Site:
    return Site(
        mine="demo",
        places=(Place(id="return", name=Name(en="Return"), kind="return-airway"),),
        sensors=tuple(
            Sensor(id=s, name=Name(en=s), url="x.csv", place="return", quantity="methane", unit="%", silence_seconds=silence, stuck_seconds=stuck)
            for s in ("gas-1", "gas-2")
        ),
    )  # fmt: skip


def publish_limit(engine: Engine, value: float) -> None:
    add_edition(engine, CodeEdition(code="cn-coal", edition="2016", kind="national", title_en="Code"))
    row = {"quantity": "methane", "comparison": ">=", "value": value, "unit": "%", "places": ["return-airway"]}
    content = Content(text_en="Methane in return airways.", limits=read_limits([row]), effective_from=START)
    version = draft(engine, "cn-coal", "2016", "172", content, "wang")
    review(engine, version, "wang")
    publish(engine, version, "li")


@pytest.fixture
def mine(tmp_path: Path):
    mine = Mine(tmp_path, silence=60)
    yield mine
    mine.close()


def test_readings_become_risks_and_history(mine: Mine):
    for second, value in enumerate([0.4, 1.2, 1.3, 0.5, 0.5, 0.5, 0.5]):
        mine.send(value, second)
    mine.run(mine.drained)
    risks = [r for r in mine.read("risks") if isinstance(r, Risk)]
    assert [(r.type, r.state, r.sequence) for r in risks] == [
        ("methane-high", "raised", 0),
        ("methane-high", "cleared", 1),
    ]
    assert risks[0].clauses == ("cn-coal:172",)
    assert risks[0].place == "return"
    assert risks[1].absence is not None
    assert latest(mine.engine, "demo")[0].value == 0.5


def test_a_restart_in_the_middle_of_an_episode_adopts_it(mine: Mine):
    mine.send(1.2, 0)
    mine.run(mine.drained)
    for second, value in ((1, 1.3), (2, 0.5), (3, 0.5), (5, 0.5)):
        mine.send(value, second)
    mine.run(mine.drained)
    risks = [r for r in mine.read("risks") if isinstance(r, Risk)]
    assert [(r.state, r.sequence) for r in risks] == [("raised", 0), ("cleared", 1)]
    assert len({r.risk_id for r in risks}) == 1


def test_an_absurd_value_is_put_aside_and_the_sensor_becomes_a_risk(mine: Mine):
    mine.send(1.2, 0)
    mine.send(float("nan"), 1)
    mine.send(400, 2)
    mine.send(0.3, 3)
    mine.run(mine.drained)
    risks = [r for r in mine.read("risks") if isinstance(r, Risk)]
    assert [(r.type, r.state) for r in risks] == [
        ("methane-high", "raised"),
        ("methane-high", "lost"),
        ("sensor-stale", "raised"),
        ("sensor-stale", "cleared"),
    ]
    letters = [m for m in mine.read("dead-letters") if isinstance(m, DeadLetter)]
    assert len(letters) == 2
    assert "outside what methane can be" in letters[1].reason


def test_a_stuck_sensor_is_a_risk_and_what_it_was_saying_is_lost(mine: Mine):
    store_site(mine.engine, site(600, stuck=60), "test")
    for second in (0, 30, 60, 90):
        mine.send(1.2, second)
    mine.send(0.3, 91)
    mine.run(mine.drained)
    risks = [r for r in mine.read("risks") if isinstance(r, Risk)]
    assert [(r.type, r.state) for r in risks] == [
        ("methane-high", "raised"),
        ("methane-high", "lost"),
        ("sensor-stale", "raised"),
        ("sensor-stale", "cleared"),
    ]
    assert "stuck: it has given exactly 1.2 % since" in risks[2].reason


def test_a_limit_edited_while_the_stage_runs_holds_for_the_next_readings(mine: Mine):
    mine.send(0.9, 0)

    def edited() -> bool:
        if mine.drained() and not hasattr(mine, "tightened"):
            mine.tightened = True
            publish_limit(mine.engine, 0.8)
            time.sleep(1.1)  # the stage looks at the code book once a second
            mine.send(0.9, 1)
            return False
        return mine.drained()

    mine.run(edited)
    risks = [r for r in mine.read("risks") if isinstance(r, Risk)]
    assert [r.state for r in risks] == ["raised"]
    assert ">= 0.8 %" in (risks[0].measured[0].limit or "")


def test_silent_sensors_are_risks_those_never_heard_too(tmp_path: Path):
    mine = Mine(tmp_path, silence=1.5)
    try:
        mine.send(1.2, 0)
        mine.run(lambda: len({r.source for r in mine.read("risks") if r.type == "sensor-stale"}) == 2)
        risks = [r for r in mine.read("risks") if isinstance(r, Risk)]
        assert [r.state for r in risks if r.type == "methane-high"] == ["raised", "lost"]
        assert sorted(r.source for r in risks if r.type == "sensor-stale") == ["gas-1", "gas-2"]
    finally:
        mine.close()
