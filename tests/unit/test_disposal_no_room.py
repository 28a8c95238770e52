import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import OperationalError
from sqlmodel import select

from disposal.alert import Alert
from disposal.audit import AuditLine, verify
from disposal.document import Document
from disposal.drafter import Drafter
from disposal.intake import take_all
from disposal.settings import DisposalSettings, DrafterSettings
from disposal.steps import Steps
from disposal.worker import DueLoops
from stream import outage
from stream.database import open_database, out_of_room, reading, writing
from stream.heartbeat import Heartbeat
from stream.messages import utc_now
from stream.trouble import StageTrouble
from tests.unit.disposal_world import MINE, SITE, TaggedFinder, furnish, risk

PAGE = 4096 + 24
"""What SQLite's write-ahead log grows by for each page."""
_DRAFTER = DrafterSettings(order=())
SETTINGS = DisposalSettings(drafter=_DRAFTER).model_copy(
    update={"lease_seconds": 0.0, "drafter": _DRAFTER.model_copy(update={"seconds": 0.0})}
)
"""Composed documents, and leases that are over at once: nothing here waits for a minute."""


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process went through whose files may not grow: a limit cannot be taken back in the tests' own."""
    folder = tmp_path_factory.mktemp("no-room")
    command = [sys.executable, "-m", "tests.unit.test_disposal_no_room", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_disk_full_anywhere_in_a_commit_leaves_document_and_audit_line_together(drill: dict[str, Any]) -> None:
    page_by_page = drill["page_by_page"]
    assert any("INSERT INTO audit_line" in s for s in page_by_page["failed"]), "full between document and audit line"
    assert any("UPDATE alert" in s or "INSERT INTO document" in s for s in page_by_page["failed"])
    assert page_by_page["faults"] == []
    assert page_by_page["ended"] == ["UNACK", "PENDING_APPROVAL", False]


def test_the_loops_say_so_once_and_go_on_by_themselves_when_there_is_room(drill: dict[str, Any]) -> None:
    loops = drill["loops"]
    assert loops["failures"] >= 6
    assert loops["meanwhile"] == ["UNACK", "", False]
    (said,) = [line for line in loops["log"] if line["log_level"] in ("warning", "error")]
    assert said["event"] == "no room for the database"
    for part in ("minewatch.db", "disk is full", "Free room there", "work goes on by itself"):
        assert part in said["reason"]
    assert loops["ended"] == ["UNACK", "PENDING_APPROVAL", False]
    assert loops["whole"]
    assert loops["doctor"] == [said["reason"]], "and the doctor tells of it"


def test_it_is_over_once_nothing_has_failed_for_a_while(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE filled (said TEXT)"))
        connection.execute(text("PRAGMA max_page_count=2"))
        with pytest.raises(OperationalError) as full:
            connection.execute(text("INSERT INTO filled VALUES (:said)"), {"said": "x" * 100_000})
    now = 0.0
    told = outage.Outage(engine, lambda: now)
    with structlog.testing.capture_logs() as log:
        assert told.tell(ValueError("another")) is None
        told.written()
        for _ in range(3):
            now += 1.0
            assert "database or disk is full" in (told.tell(full.value) or "")
            told.written()
        now += outage.CALM
        told.written()
        told.written()
        told.tell(full.value)
    assert [line["event"] for line in log] == [
        "no room for the database", "the database has room again", "no room for the database",
    ]  # fmt: skip


def grow_at_most(size: int) -> None:
    """No file of this process may grow beyond that many bytes (-1: any)."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size if size >= 0 else most, most))


def furnished(folder: Path) -> Engine:
    """A mine with one alert, whose write-ahead log is empty and whose pages are written as soon as they change."""
    folder.mkdir()
    engine = open_database(f"sqlite:///{folder / 'minewatch.db'}")

    @event.listens_for(engine, "connect")
    def _small_cache(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA cache_size=1")

    engine.dispose()
    furnish(engine)
    with writing(engine) as session:
        take_all(session, [risk()], SITE, SETTINGS, utc_now())
    engine.dispose()
    return engine


def held_open(engine: Engine) -> Connection:
    """A connection that keeps the index of the write-ahead log there, which would have to grow to be made again."""
    connection = engine.connect()
    connection.execute(text("SELECT 1 FROM alert"))
    connection.rollback()
    return connection


def stands(engine: Engine) -> list[object]:
    """The alert's state, its document's, and whether it was closed."""
    with reading(engine) as session:
        alert, row = session.exec(select(Alert)).one(), session.exec(select(Document)).first()
        return [str(alert.state), row.state if row else "", alert.closed]


def faults(engine: Engine) -> list[str]:
    """What does not fit together: the chain, and each document with the line that tells of it."""
    with reading(engine) as session:
        actions = [line.action for line in session.exec(select(AuditLine)).all()]
        rows = session.exec(select(Document)).all()
    found = [] if verify(engine, MINE).whole else ["the chain is broken"]
    told = (actions.count("matched"), actions.count("drafted"), actions.count("submit"))
    there = (len(rows), sum(bool(r.content) for r in rows), sum(r.state == "PENDING_APPROVAL" for r in rows))
    return found if told == there else [*found, f"{told} are told of, {there} are there"]


def page_by_page(engine: Engine) -> dict[str, Any]:
    """Every step again and again, from an empty write-ahead log, with room for one page more each time."""
    steps = Steps(engine, MINE, lambda: TaggedFinder(engine), Drafter([], SETTINGS.drafter), SETTINGS, lambda _: None)
    failed: set[str] = set()
    wrong: list[str] = []
    holding = held_open(engine)
    pages, ended = 0, stands(engine)
    while ended[1] != "PENDING_APPROVAL":
        grow_at_most(-1)
        with writing(engine) as session:
            session.connection().exec_driver_sql("COMMIT")
            session.connection().exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            session.connection().exec_driver_sql("BEGIN")
        pages += 1
        grow_at_most(32 + pages * PAGE)
        try:
            steps.do_next(("match", "draft", "decide"), "drill")
        except OperationalError as error:
            if not out_of_room(error):
                raise
            failed.add((error.statement or "COMMIT")[:40])
        wrong += faults(engine)
        pages, ended = (pages if stands(engine) == ended else 0), stands(engine)
    grow_at_most(-1)
    holding.close()
    return {"failed": sorted(failed), "faults": wrong, "ended": ended}


def in_loops(engine: Engine) -> dict[str, Any]:
    """The stage's own loops, first without any room."""
    heartbeat, stop = Heartbeat(engine, MINE, "disposal"), threading.Event()
    with structlog.testing.capture_logs() as log, held_open(engine):
        grow_at_most(32)
        loops = DueLoops(engine, MINE, SETTINGS, lambda: TaggedFinder(engine), heartbeat, stop)
        for loop in loops.loops:
            loop.start()
        beating = threading.Thread(target=beat, args=(heartbeat, stop), daemon=True)
        beating.start()
        wait_for(lambda: heartbeat.outage.failures >= 6)
        meanwhile = stands(engine)
        grow_at_most(-1)
        wait_for(lambda: stands(engine)[1] == "PENDING_APPROVAL")
        stop.set()
        for loop in loops.loops:
            loop.join(60)
        beating.join()
        heartbeat.close()
    with reading(engine) as session:
        doctor = list(session.exec(select(StageTrouble.text)).all())
    return {
        "failures": heartbeat.outage.failures,
        "log": log,
        "meanwhile": meanwhile,
        "ended": stands(engine),
        "whole": not faults(engine),
        "doctor": doctor,
    }


def beat(heartbeat: Heartbeat, stop: threading.Event) -> None:
    """As the stage's own thread does."""
    while not stop.wait(0.2):
        heartbeat.beat()


def wait_for(holds: Callable[[], bool]) -> None:
    """Wait until it holds, a minute at most."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    result = {"page_by_page": page_by_page(furnished(place / "pages")), "loops": in_loops(furnished(place / "loops"))}
    sys.stdout.write(json.dumps(result, default=str) + "\n")
