"""Who holds the write lock of a SQLite database, by the system's table of locks.

The file itself is not touched: a process that closes it gives up all POSIX locks that its own connections have on it.
"""

from pathlib import Path

from sqlalchemy import Engine

_LOCKS = Path("/proc/locks")
_WRITE = 120
"""The byte of the index file that a writer locks: WAL_WRITE_LOCK of SQLite's WAL-mode file format, section 2.3."""


def writer(engine: Engine, locks: Path = _LOCKS) -> int | None:
    """The id of the process that is writing to the database now; None where none is, or the system does not say."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    try:
        index = Path(f"{engine.url.database}-shm").stat().st_ino
        lines = locks.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        # 26: POSIX ADVISORY WRITE <process> <major>:<minor>:<inode> <first byte> <last byte or EOF>
        if len(fields) != 8 or fields[1] != "POSIX" or fields[3] != "WRITE":
            continue
        if fields[5].rpartition(":")[2] == str(index) and int(fields[6]) == _WRITE:
            return int(fields[4])
    return None
