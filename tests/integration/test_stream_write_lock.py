"""Whose write lock it is: seen from another process, and lost by nobody who asks."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from stream.database import open_database, writing
from stream.write_lock import writer

_HOLD = """
import sys
from sqlalchemy import text
from stream.database import open_database, writing
with writing(open_database(sys.argv[1])) as session:
    session.execute(text("INSERT INTO note VALUES (1)"))
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_the_process_that_holds_the_write_lock_is_named_for_as_long_as_it_does(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    engine = open_database(url)
    with writing(engine) as session:
        session.execute(text("CREATE TABLE note (number INTEGER)"))
    assert writer(engine) is None
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert [writer(engine), writer(engine)] == [other.pid, other.pid]
        other.communicate("\n", timeout=60)
    assert writer(engine) is None
    with writing(engine) as session:
        assert session.execute(text("SELECT count(*) FROM note")).scalar() == 1
    engine.dispose()


def test_where_nothing_is_told_nobody_is_named(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/a.db")
    assert writer(engine, tmp_path / "none") is None
    (tmp_path / "odd").write_text(
        "1: FLOCK  ADVISORY  WRITE 7 fe:00:1 0 EOF\n1: -> POSIX  ADVISORY  WRITE 8 fe:00:1 0 EOF\n"
    )
    assert writer(engine, tmp_path / "odd") is None
    engine.dispose()
