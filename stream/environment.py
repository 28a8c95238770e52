"""The two LMDB files under the embedded log: opened once per process, checked for their format and for a power cut.

``fast`` holds frames, readings, health and who belongs to which group: written without fsync, which survives the death
of any process, not of the machine. ``durable`` holds risks and dead letters: each append is on disk before it returns.
"""

import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import lmdb
import structlog

from stream.errors import LogError
from stream.log import DURABLE, Topic

FORMAT = 1
"""The way this release lays its records out; a folder with a higher number was written by a newer one."""

ROOM = 64 * 1024**3
"""Address space beyond twice the frame ring; the file grows with what is written, not with this."""

_READERS = 2048
_BOOT = b"boot"
_SYNCED = b"synced"
_logger = structlog.get_logger()


@dataclass
class Files:
    """Both LMDB environments of one folder, shared by all logs that this process opens on it."""

    folder: Path
    fast: lmdb.Environment
    durable: lmdb.Environment
    users: int = 0
    process: int = field(default_factory=os.getpid)

    def of(self, topic: Topic) -> lmdb.Environment:
        """The environment that holds ``topic``."""
        return self.durable if topic in DURABLE else self.fast


_opened: dict[Path, Files] = {}  # LMDB forbids opening an environment twice in one process
_guard = threading.Lock()


def open_files(folder: Path, frames_bytes: int) -> Files:
    """The files under ``folder``, made where there are none. Raises LogError where they cannot be used."""
    path = folder.resolve()
    with _guard, prose(path):
        files = _opened.get(path)
        if files is not None and files.process != os.getpid():
            _close(_opened.pop(path))  # inherited over a fork: LMDB environments must not be used across one
            files = None
        if files is None:
            files = _opened[path] = _open(path, frames_bytes)
        files.users += 1
        return files


def release_files(files: Files) -> None:
    """Give the files back; the last user of this process writes them out and closes them."""
    with _guard:
        files.users -= 1
        if files.users > 0 or _opened.get(files.folder) is not files:
            return
        del _opened[files.folder]
        with prose(files.folder):
            _remember_synced(files)
            _close(files)


@contextmanager
def prose(folder: Path) -> Iterator[None]:
    """Turn what LMDB and the file system say into a LogError that tells what to do."""
    try:
        yield
    except lmdb.MapFullError as error:
        raise LogError(f"The log in {folder} is full. Shorten log.retention_hours or move the log.") from error
    except lmdb.ReadersFullError as error:
        raise LogError(f"More than {_READERS} threads read the log in {folder}. Stop some.") from error
    except lmdb.Error as error:
        raise LogError(f"The log in {folder} cannot be used: {error}. Check free space and access there.") from error
    except OSError as error:
        raise LogError(
            f"The log folder {folder} cannot be used: {error.strerror}. Make it writable or set another data folder."
        ) from error


def _open(path: Path, frames_bytes: int) -> Files:
    path.mkdir(parents=True, exist_ok=True)
    with (path / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _check_format(path / "format")
        durable = lmdb.open(str(path / "durable"), map_size=ROOM, max_readers=_READERS)
        try:
            fast = _open_fast(path, durable, frames_bytes)
        except BaseException:
            durable.close()
            raise
    fast.reader_check()
    durable.reader_check()
    return Files(path, fast, durable)


def _check_format(file: Path) -> None:
    if not file.exists():
        file.write_text(f"{FORMAT}\n")
        return
    text = file.read_text().strip()
    if not text.isdecimal():
        raise LogError(f"{file} does not hold a format number: the folder {file.parent} is no log of Minewatch.")
    if int(text) > FORMAT:
        raise LogError(
            f"The log in {file.parent} has format {text}, this release reads up to {FORMAT}: a newer release wrote it. Install that release."
        )


def _open_fast(path: Path, durable: lmdb.Environment, frames_bytes: int) -> lmdb.Environment:
    """Open the part without fsync; where the machine went down before it was written out, begin it anew.

    Pages that never reached the disk leave such a file damaged in ways that show only when they are read.
    """

    def start() -> lmdb.Environment:
        return lmdb.open(
            str(path / "fast"), map_size=2 * frames_bytes + ROOM, max_readers=_READERS, sync=False, metasync=False
        )

    boot = _boot_identity()
    with durable.begin() as txn:
        known, synced = txn.get(_BOOT), txn.get(_SYNCED)
    if known == boot:
        return start()
    fast = None if known is None else _written_out(start, synced)
    if fast is None:
        shutil.rmtree(path / "fast", ignore_errors=True)
        fast = start()
    if known is not None and synced != _transaction(fast):
        _logger.warning("the machine went down: frames and readings on the log were begun anew", folder=str(path))
    with durable.begin(write=True) as txn:
        txn.put(_BOOT, boot)
    return fast


def _written_out(start: Callable[[], lmdb.Environment], synced: bytes | None) -> lmdb.Environment | None:
    try:
        fast = start()
    except lmdb.Error:
        return None
    if _transaction(fast) == synced:
        return fast
    fast.close()
    return None


def _transaction(environment: lmdb.Environment) -> bytes:
    return str(environment.info()["last_txnid"]).encode()


def _remember_synced(files: Files) -> None:
    """Write the fast part out and note up to which transaction it is whole."""
    transaction = _transaction(files.fast)
    with files.durable.begin() as txn:
        if txn.get(_SYNCED) == transaction:
            return
    files.fast.sync(True)
    with files.durable.begin(write=True) as txn:
        txn.put(_SYNCED, transaction)


def _close(files: Files) -> None:
    files.fast.close()
    files.durable.close()


def _boot_identity() -> bytes:
    """What tells one run of the operating system from the next; the same always where it has no such thing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
    except OSError:
        return b"unknown"


def copy_durable(folder: Path, target: Path) -> None:
    """Copy the durable part to ``target`` as it is at one moment; writers go on meanwhile.

    A log whose fast part is missing begins it anew behind every offset that was given out, so that this is all it
    takes to go on. Raises LogError where it cannot be read or written.
    """
    with prose(folder):
        target.mkdir(parents=True)
        known = _opened.get(folder.resolve())
        if known is not None and known.process == os.getpid():
            known.durable.copy(str(target), compact=True)
            return
        durable = lmdb.open(str(folder / "durable"), map_size=ROOM, max_readers=_READERS, create=False)
        try:
            durable.copy(str(target), compact=True)
        finally:
            durable.close()
