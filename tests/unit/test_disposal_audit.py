import json
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlmodel import SQLModel

from disposal.audit import AuditLine, append, export_head, read_head, verify
from disposal.errors import AuditError
from stream.database import open_database, writing

MINE = "north"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'audit.db'}")
    SQLModel.metadata.create_all(engine, [SQLModel.metadata.tables[AuditLine.__tablename__]])  # type: ignore[index]
    return engine


def write(engine: Engine, count: int, mine: str = MINE) -> None:
    for number in range(count):
        with writing(engine) as session:
            append(session, mine, "ann", "approve", f"alert/{number}", {"state": "甲"}, {"state": "乙", "n": number})


def tamper(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def test_an_untouched_chain_holds_and_each_mine_has_its_own(engine: Engine) -> None:
    write(engine, 3)
    write(engine, 2, "south")
    assert verify(engine, MINE) == (3, None, "")
    assert verify(engine, "south").lines == 2
    assert verify(engine, "nowhere") == (0, None, "")


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE audit_line SET after = '{}' WHERE sequence = 3", 3),
        ("UPDATE audit_line SET actor = 'bob' WHERE sequence = 1", 1),
        ("UPDATE audit_line SET at = '2020-01-01 00:00:00.000000' WHERE sequence = 5", 5),
        ("DELETE FROM audit_line WHERE sequence = 2", 2),
        ("DELETE FROM audit_line WHERE sequence = 1", 1),
        ("UPDATE audit_line SET hash = previous WHERE sequence = 4", 4),
    ],
)
def test_a_changed_or_removed_line_is_named(engine: Engine, statement: str, broken: int) -> None:
    write(engine, 5)
    tamper(engine, statement)
    found = verify(engine, MINE)
    assert (found.whole, found.broken) == (False, broken)
    assert found.reason


def test_two_lines_that_changed_places_are_found(engine: Engine) -> None:
    write(engine, 4)
    tamper(engine, "UPDATE audit_line SET sequence = 99 WHERE sequence = 2")
    tamper(engine, "UPDATE audit_line SET sequence = 2 WHERE sequence = 3")
    tamper(engine, "UPDATE audit_line SET sequence = 3 WHERE sequence = 99")
    assert verify(engine, MINE).broken == 2


def test_a_cut_off_tail_shows_against_the_exported_head(engine: Engine, tmp_path: Path) -> None:
    write(engine, 4)
    path = tmp_path / "deep" / "heads.jsonl"
    head = export_head(engine, MINE, path)
    tamper(engine, "DELETE FROM audit_line WHERE sequence >= 3")
    assert verify(engine, MINE).whole, "the chain alone cannot tell"
    assert read_head(MINE, path) == head
    assert verify(engine, MINE, head).broken == 3


def test_a_chain_written_anew_shows_against_the_exported_head(engine: Engine, tmp_path: Path) -> None:
    write(engine, 2)
    head = export_head(engine, MINE, tmp_path / "heads")
    tamper(engine, "DELETE FROM audit_line")
    write(engine, 5)
    assert verify(engine, MINE).whole
    assert verify(engine, MINE, head).broken == 2


def test_the_newest_head_of_the_mine_is_read(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "heads"
    for _ in range(3):
        write(engine, 1)
        export_head(engine, MINE, path)
        export_head(engine, "south", path)
    found = read_head(MINE, path)
    assert found is not None
    assert found.sequence == 3
    assert read_head("west", path) is None
    assert [json.loads(row)["mine"] for row in path.read_text().splitlines()] == [MINE, "south"] * 3


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "heads").write_text("nothing of the kind\n")
    with pytest.raises(AuditError, match="something else"):
        read_head(MINE, tmp_path / "heads")
    with pytest.raises(AuditError, match="cannot be read"):
        read_head(MINE, tmp_path / "missing")


def test_a_line_is_there_exactly_when_its_transaction_is(engine: Engine) -> None:
    write(engine, 1)

    def fail_half_way() -> None:
        with writing(engine) as session:
            append(session, MINE, "ann", "approve", "alert/1", None, None)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert verify(engine, MINE).lines == 1


def test_many_writers_make_one_chain(engine: Engine) -> None:
    threads = [threading.Thread(target=write, args=(engine, 10)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verify(engine, MINE) == (40, None, "")
