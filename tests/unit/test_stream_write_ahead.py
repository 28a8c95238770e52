"""SQLite's write-ahead log: carried over beside the writers, bounded also where nobody does it, lost by no crash."""

import shutil
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine

from stream import write_ahead
from stream.database import OVERDUE, open_database, writing
from stream.write_ahead import carry_over, carrying_over

PAGE = 4096
DEADLINE = 60.0


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    made = open_database(f"sqlite:///{tmp_path / 'tables.db'}")
    with writing(made) as session:
        session.connection().exec_driver_sql("CREATE TABLE noted (n INTEGER PRIMARY KEY, text BLOB)")
    carry_over(made)
    return made


def note(engine: Engine, pages: int) -> None:
    """One commit of so many pages."""
    with writing(engine) as session:
        session.connection().exec_driver_sql(
            "WITH RECURSIVE k(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < ?)"
            " INSERT INTO noted (text) SELECT zeroblob(4000) FROM k",
            (pages,),
        )


def carried(tmp_path: Path) -> int:
    """Rows that stand in the database itself, looked at without its log; -1 while they are being carried over."""
    alone = tmp_path / "alone.db"
    shutil.copy(tmp_path / "tables.db", alone)
    try:
        with closing(sqlite3.connect(alone)) as connection:
            return int(connection.execute("SELECT count(*) FROM noted").fetchone()[0])
    except sqlite3.DatabaseError:
        return -1
    finally:
        alone.unlink()


def log_pages(tmp_path: Path) -> int:
    return (tmp_path / "tables.db-wal").stat().st_size // PAGE


def test_no_commit_carries_the_log_over_where_a_thread_does(engine: Engine, tmp_path: Path) -> None:
    note(engine, OVERDUE // 2)
    assert carried(tmp_path) == 0, "the commit left the log alone"
    with carrying_over(engine):
        deadline = time.monotonic() + DEADLINE
        while carried(tmp_path) < OVERDUE // 2 and time.monotonic() < deadline:
            time.sleep(0.02)
    assert carried(tmp_path) == OVERDUE // 2
    assert not [one for one in threading.enumerate() if one.name == "write-ahead"], "it ends with the house"


def test_where_no_thread_does_a_commit_does_it_before_the_log_is_long(engine: Engine, tmp_path: Path) -> None:
    for _ in range(6):
        note(engine, OVERDUE // 2)
    assert carried(tmp_path) >= 4 * (OVERDUE // 2)
    assert log_pages(tmp_path) < 2 * OVERDUE


def test_a_log_that_a_reader_kept_from_ending_is_begun_anew_once_he_is_gone(engine: Engine, tmp_path: Path) -> None:
    with closing(sqlite3.connect(str(engine.url.database), isolation_level=None)) as reader:
        note(engine, 50)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM noted").fetchall()
        note(engine, 300)
        found = carry_over(engine, longest=100)
        assert found.carried < found.logged, "he still reads what stood before, and nobody waits for him"
        reader.execute("COMMIT")
    found = carry_over(engine, longest=100)
    assert found.carried == found.logged > 300
    note(engine, 1)
    assert carry_over(engine).logged < 100
    assert carried(tmp_path) == 351


def test_what_a_crash_leaves_is_whole_while_the_log_is_carried_over(engine: Engine, tmp_path: Path) -> None:
    stop = threading.Event()
    written = 0

    def carry() -> None:
        while not stop.is_set():
            carry_over(engine)

    thread = threading.Thread(target=carry)
    thread.start()
    try:
        for round_number in range(10):
            note(engine, 20)
            written += 20
            left = tmp_path / f"left-{round_number}"
            left.mkdir()
            # The log first: what is carried over later stands in it as well.
            shutil.copy(tmp_path / "tables.db-wal", left / "tables.db-wal")
            shutil.copy(tmp_path / "tables.db", left / "tables.db")
            with closing(sqlite3.connect(left / "tables.db")) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                assert connection.execute("SELECT count(*) FROM noted").fetchone() == (written,)
    finally:
        stop.set()
        thread.join()


def test_a_disk_that_takes_nothing_ends_no_thread(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def refused(_engine: Engine) -> None:
        looks.append(1)
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(write_ahead, "carry_over", refused)
    monkeypatch.setattr(write_ahead, "_CALM", 0.01)
    with carrying_over(engine):
        deadline = time.monotonic() + DEADLINE
        while len(looks) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
    assert len(looks) >= 3
