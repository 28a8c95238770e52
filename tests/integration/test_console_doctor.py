"""What the doctor reads off what running stages leave behind: who is gone, what was dealt with, what went nowhere."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from console import doctor_stages, outlook
from console.deaths import Deaths
from console.doctor import Finding, _stores
from console.installation import Installation, open_installation
from console.settings import load
from disposal.notify import Outbox, post
from stream.database import writing
from stream.errors import DatabaseError, EvidenceError
from stream.heartbeat import Heartbeat, StageHeartbeat
from stream.messages import utc_now
from stream.trouble import ClockWatch, StageTrouble, troubles
from tests.integration.console_mine import MINE, open_mine
from tests.integration.house import until
from tests.servers.clock import SteppedClock


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    monkeypatch.setattr(outlook, "APART", 0.01)
    settings = load(None, {"MINEWATCH_MINE": "north", "MINEWATCH_LOG__FRAMES_BYTES": str(16 * 1024**2)}, tmp_path)
    made = open_installation(settings, tmp_path, "site")
    yield made
    made.engine.dispose()


def looked(installation: Installation) -> dict[str, Finding]:
    return {finding.subject: finding for finding in _stores(installation.settings, installation.data)}


def test_a_site_at_rest_has_nothing_wrong(installation: Installation) -> None:
    found = looked(installation)
    assert [found[subject].well for subject in ("database", "stages", "deliveries", "evidence")] == [True] * 4


def test_vision_says_its_pace_and_what_it_dropped(installation: Installation) -> None:
    assert looked(installation)["vision"].text == "Vision is not at work."
    heartbeat = Heartbeat(installation.engine, "north", "vision")
    for name, amount in {"frames_analysed": 50, "frames_still": 400, "frames_stale": 7}.items():
        heartbeat.count(name, amount)
    heartbeat.ready()
    with writing(installation.engine) as session:
        row = session.exec(select(StageHeartbeat).where(StageHeartbeat.stage == "vision")).one()
        row.started_at = row.beat_at - timedelta(seconds=20)
        session.add(row)
    assert looked(installation)["vision"].text == (
        "2.5 pictures analysed a second since its start; 400 left out as nothing moved, 7 dropped as too old."
    )


def test_what_a_stage_dealt_with_is_told_with_place_and_advice(installation: Installation) -> None:
    heartbeat = Heartbeat(installation.engine, "north", "sensing")
    for _ in range(3):
        heartbeat.trouble("put-aside", "north/ch4-1", "'danger' is no number.")
    heartbeat.ready()
    heartbeat.trouble("put-aside", "north/ch4-1", "'NaN' is no number.\nSecond line.")
    heartbeat.close()
    finding = looked(installation)["sensing, put-aside"]
    assert not finding.well
    assert finding.text.startswith("north/ch4-1, 4 times since ")
    assert "'NaN' is no number. What came is kept in the dead letters; mend what sends it." in finding.text


def test_old_and_hostile_trouble_is_bounded(installation: Installation) -> None:
    heartbeat = Heartbeat(installation.engine, "north", "sensing")
    for number in range(200):
        heartbeat.trouble("put-aside", f"{number}\0" + "x" * 1000, "y" * 10_000)
    heartbeat.ready()
    rows = troubles(installation.engine, "north", utc_now() - timedelta(hours=1))
    assert len(rows) == 50
    assert max(len(row.subject) for row in rows) <= 120
    with writing(installation.engine) as session:
        for row in session.exec(select(StageTrouble)).all():
            row.last_at -= timedelta(days=2)
            session.add(row)
    heartbeat.trouble("put-aside", "north/ch4-1", "now")
    heartbeat.close()
    assert [row.subject for row in troubles(installation.engine, "north", utc_now() - timedelta(days=9))] == [
        "north/ch4-1"
    ]


def test_a_stage_that_is_gone_and_one_that_was_started_again(installation: Installation) -> None:
    now = utc_now()
    with writing(installation.engine) as session:
        for stage, instance, begun, beat in (
            ("vision", "host:1:1", 300, 200),
            ("vision", "host:2:2", 190, 1),
            ("limits", "host:3:3", 300, 90),
        ):
            session.add(
                StageHeartbeat(
                    stage=stage,
                    instance=instance,
                    mine="north",
                    started_at=now - timedelta(seconds=begun),
                    beat_at=now - timedelta(seconds=beat),
                    ready=True,
                )
            )
    found = looked(installation)
    assert "limits has given no sign of life for 9" in found["stages"].text
    assert "vision" not in found["stages"].text
    assert "The stage vision (process 1 on host) ended without a word" in found["vision, restarted"].text


def test_a_stage_that_ended_is_named_before_the_next_one_is_at_work(installation: Installation) -> None:
    engine, ended, now = installation.engine, threading.Event(), utc_now()
    first = StageHeartbeat(stage="disposal", instance="host:4711:1", mine="north", started_at=now, beat_at=now)
    with writing(engine) as session:
        session.add(first)
    deaths = Deaths(engine, "north")
    writer = threading.Thread(target=deaths.run, args=(ended,))
    writer.start()
    deaths.note("disposal", 4711, "Killed")
    until(lambda: bool(troubles(engine, "north", now - timedelta(minutes=1))))
    ended.set()
    writer.join()
    text = looked(installation)["disposal, restarted"].text
    assert "The stage disposal (process 4711) ended without a word (Killed) and is started again" in text
    assert socket.gethostname() in text
    with writing(engine) as session:
        session.add(
            StageHeartbeat(
                stage="disposal", instance="host:4712:2", mine="north", started_at=utc_now(), beat_at=utc_now()
            )
        )
    assert [subject for subject, _ in doctor_stages.recent(engine, "north")] == ["disposal, restarted"]


def test_what_was_not_delivered_is_named(installation: Installation) -> None:
    with writing(installation.engine) as session:
        post(session, "north", "alert", "alert/a1", "{}", key="one")
    assert looked(installation)["deliveries"].well
    with writing(installation.engine) as session:
        row = session.exec(select(Outbox)).one()
        row.attempts, row.outcome = 2, "status 503"
        session.add(row)
    text = looked(installation)["deliveries"].text
    assert "alert/a1 after 2 tries (status 503)" in text
    assert "disposal.notify.url" in text


def test_an_evidence_folder_that_is_none_is_named(installation: Installation) -> None:
    installation.evidence.root.parent.mkdir(parents=True, exist_ok=True)
    installation.evidence.root.write_text("")
    assert "is no folder" in looked(installation)["evidence"].text


def test_altered_evidence_is_named_however_many_sensors_spoke_since(tmp_path: Path) -> None:
    mine = open_mine(tmp_path)
    settings = load(None, {"MINEWATCH_EVIDENCE__URL": mine.evidence.root.as_uri()}, tmp_path)
    mine.raise_risk("no-vest", age=60)
    for _ in range(30):
        mine.raise_risk("methane-high", "ch4-2")
    assert doctor_stages.evidence(settings, mine.engine, MINE).endswith(
        "1 pieces of the latest risks are there unaltered."
    )
    [piece] = [path for path in mine.evidence.root.rglob("*.jpg") if path.is_file()]
    piece.write_bytes(piece.read_bytes()[:-1])
    with pytest.raises(EvidenceError, match="was altered"):
        doctor_stages.evidence(settings, mine.engine, MINE)
    mine.close()


def test_a_full_disk_of_the_evidence_is_named(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    installation.evidence.root.mkdir(parents=True, exist_ok=True)
    usage = doctor_stages.shutil.disk_usage(installation.data)
    monkeypatch.setattr(doctor_stages.shutil, "disk_usage", lambda _: usage._replace(free=3 * 1024**2))
    assert "has 3 MiB left: free space there, or move evidence.url" in looked(installation)["evidence"].text


def test_a_database_that_somebody_holds_is_named(installation: Installation) -> None:
    holder = sqlite3.connect(installation.data / "minewatch.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with installation.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=100")
    with pytest.raises(DatabaseError, match="takes no writes"):
        doctor_stages.takes_writes(installation.engine)
    holder.execute("ROLLBACK")
    holder.close()
    doctor_stages.takes_writes(installation.engine)


def test_a_clock_that_is_set_is_noticed_and_one_that_slews_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = ClockWatch()
    now = time.time
    monkeypatch.setattr("stream.trouble.time.time", lambda: now() + 3600)
    assert watch.step() == pytest.approx(3600, abs=1)
    assert watch.step() is None
    for seconds in range(1, 5):
        monkeypatch.setattr("stream.trouble.time.time", lambda seconds=seconds: now() + 3600 + seconds)
        assert watch.step() is None


SCRIPT = """
import sys, time
from pathlib import Path
from stream.database import open_database
from stream.heartbeat import Heartbeat
heartbeat = Heartbeat(open_database(sys.argv[1]), "north", "limits")
heartbeat.ready()
print("ready", flush=True)
while True:
    heartbeat.beat()
    time.sleep(0.1)
"""


def test_a_clock_that_is_really_set_is_named(installation: Installation, tmp_path: Path) -> None:
    clock = SteppedClock(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, installation.settings.database.url],
        env={**os.environ, **clock.variables},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        with process.stdout:
            assert process.stdout.readline() == "ready\n"
        for offset, said in ((-3600, "set back by 3600 s"), (0, "set forward by 3600 s")):
            clock.set(offset)
            deadline = time.monotonic() + 20
            while not any(
                said in row.text for row in troubles(installation.engine, "north", utc_now() - timedelta(hours=2))
            ):
                assert time.monotonic() < deadline
                time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
