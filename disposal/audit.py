"""The audit: append-only lines, each chained to the one before by its hash, one chain for each mine."""

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Column, Engine, text
from sqlmodel import Field, Session, SQLModel, col, select

from disposal.errors import AuditError
from stream.database import UtcDateTime, reading
from stream.messages import utc_now

GENESIS = "0" * 64
"""What stands in the first line for the hash of a line before it."""


class AuditLine(SQLModel, table=True):
    """One line: who did what to which subject, with what was there before and after, as canonical JSON."""

    __tablename__ = "audit_line"

    mine: str = Field(primary_key=True, max_length=63)
    sequence: int = Field(primary_key=True)
    at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    actor: str
    action: str
    subject: str = Field(index=True)
    before: str
    after: str
    previous: str = Field(max_length=64)
    hash: str = Field(max_length=64)


class Head(NamedTuple):
    """The last line of a chain at some time: its sequence (0: no line yet) and its hash."""

    sequence: int
    hash: str


class Verification(NamedTuple):
    """What checking a chain found: how many lines hold, and the first one that does not, with what is wrong with it."""

    lines: int
    broken: int | None
    reason: str

    @property
    def whole(self) -> bool:
        """Nothing is wrong with the chain."""
        return self.broken is None


def append(
    session: Session,
    mine: str,
    actor: str,
    action: str,
    subject: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> AuditLine:
    """Add a line in the session's transaction, so that it is there exactly when what it tells of is.

    ``actor`` is a user's name, ``policy@version`` or ``model:name``; ``subject`` names what was changed
    (``alert/ID``, ``document/ID``). To be called after the rows themselves were changed: on PostgreSQL it waits for
    other writers of the same mine until they have ended.
    """
    session.flush()
    _serialise(session, mine)
    last = head_in(session, mine)
    line = AuditLine(
        mine=mine,
        sequence=last.sequence + 1,
        at=utc_now(),
        actor=actor,
        action=action,
        subject=subject,
        before=canonical(before or {}),
        after=canonical(after or {}),
        previous=last.hash,
        hash="",
    )
    line.hash = digest(line)
    session.add(line)
    session.flush()
    return line


def head_in(session: Session, mine: str) -> Head:
    """The head of the mine's chain as this session sees it."""
    last = session.exec(
        select(AuditLine).where(AuditLine.mine == mine).order_by(col(AuditLine.sequence).desc()).limit(1)
    ).first()
    return Head(0, GENESIS) if last is None else Head(last.sequence, last.hash)


def digest(line: AuditLine) -> str:
    """The hash that the line must carry: SHA-256 of the previous hash and of everything that the line says."""
    said = {
        "mine": line.mine,
        "sequence": line.sequence,
        "at": line.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": line.actor,
        "action": line.action,
        "subject": line.subject,
        "before": line.before,
        "after": line.after,
    }
    return hashlib.sha256((line.previous + canonical(said)).encode()).hexdigest()


def canonical(value: Mapping[str, Any]) -> str:
    """JSON with sorted keys and no spaces: the same value gives the same text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str, allow_nan=False)


def verify(engine: Engine, mine: str, head: Head | None = None) -> Verification:
    """Check every line of the mine's chain, and that it still holds the exported ``head``."""
    previous, expected = GENESIS, 1
    with reading(engine) as session:
        lines = session.exec(
            select(AuditLine)
            .where(AuditLine.mine == mine)
            .order_by(col(AuditLine.sequence))
            .execution_options(yield_per=500)
        )
        for line in lines:
            if reason := _fault(line, previous, expected, head):
                return Verification(expected - 1, min(line.sequence, expected), reason)
            previous, expected = line.hash, expected + 1
    if head is not None and head.sequence >= expected:
        return Verification(expected - 1, expected, f"the chain was cut off: line {head.sequence} was there once")
    return Verification(expected - 1, None, "")


def find_digest(engine: Engine, mine: str, digest: str, subject: str = "") -> AuditLine | None:
    """The line that tells of a document whose content has this SHA-256, as it is printed on each copy; else None.

    ``subject``: only lines of that alert (``alert/ID``).
    """
    wanted = digest.strip().lower()
    if len(wanted) != len(GENESIS) or not wanted.isalnum():
        return None
    query = (
        select(AuditLine)
        .where(AuditLine.mine == mine, col(AuditLine.subject).startswith("alert/"))
        .where(col(AuditLine.after).contains(wanted))
        .order_by(col(AuditLine.sequence))
    )
    if subject:
        query = query.where(AuditLine.subject == subject)
    with reading(engine) as session:
        return next((a for a in session.exec(query) if json.loads(a.after).get("digest") == wanted), None)


def _fault(line: AuditLine, previous: str, expected: int, head: Head | None) -> str:
    if line.sequence != expected:
        return f"line {expected} is missing"
    if line.previous != previous:
        return "it does not follow the line before it"
    if line.hash != digest(line):
        return "its content was changed"
    if head is not None and head.sequence == line.sequence and head.hash != line.hash:
        return "it is not the line that was there when the head was exported"
    return ""


def export_head(engine: Engine, mine: str, path: Path) -> Head:
    """Add the present head of the mine's chain to the file at ``path``, one JSON object a line, durably.

    Kept where the database's administrator cannot write, it shows a chain that was cut off or written anew.
    Raises AuditError where the file cannot be written.
    """
    with reading(engine) as session:
        head = head_in(session, mine)
    said = {"mine": mine, "sequence": head.sequence, "hash": head.hash, "at": utc_now().isoformat()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(canonical(said) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise AuditError(
            f"The head of the audit chain cannot be written to {path}: {error.strerror}. Free space or make it writable."
        ) from error
    return head


def read_head(mine: str, path: Path) -> Head | None:
    """The latest head of that mine in a file of exported heads; None where the file has none of it.

    Raises AuditError where the file cannot be read or holds something else.
    """
    found: Head | None = None
    try:
        for row in path.read_text(encoding="utf-8").splitlines():
            said = json.loads(row)
            if said["mine"] == mine and (found is None or said["sequence"] >= found.sequence):
                found = Head(int(said["sequence"]), str(said["hash"]))
    except OSError as error:
        raise AuditError(f"The exported heads at {path} cannot be read: {error.strerror}. Check the path.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise AuditError(
            f"{path} holds something else than exported heads of an audit chain: name another file."
        ) from error
    return found


def _serialise(session: Session, mine: str) -> None:
    """One writer a chain until its transaction ends. SQLite has one writer anyway: see ``stream.database.writing``."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:chain))"), {"chain": f"minewatch audit {mine}"})
