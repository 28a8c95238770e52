"""What the running stages say of themselves: who is at work, what went wrong of late, what was not delivered."""

import json
import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice, pairwise
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlmodel import col, func, select

from console.deaths import SUBJECT_PREFIX
from console.readiness import EVER, amiss
from console.settings import Settings
from console.stages import STAGES
from disposal.alert import AlertRisk
from disposal.notify import Outbox
from stream.database import reading, writing
from stream.errors import DatabaseError, EvidenceError, MinewatchError
from stream.evidence import EvidenceStore, open_evidence
from stream.heartbeat import StageHeartbeat, fresh, stages_since
from stream.messages import utc_now
from stream.remote_evidence import RemoteEvidence
from stream.trouble import StageTrouble, troubles

RECENT = timedelta(minutes=15)
"""What is longer ago is history: the figures and the logs tell of it."""
_RISKS = 20
"""How many of the latest risks that show something are looked at piece by piece."""
_LEAST_FREE = 64 * 1024**2
"""Bytes on the disk of the evidence: some minutes, where every risk has a clip."""
_DO = {
    "put-aside": "What came is kept in the dead letters; mend what sends it.",
    "retrying": "It is tried again until it goes through; nothing is lost meanwhile.",
    "restarted": "If it goes on, look at the source and at the stage's log.",
    "drafting": "The documents are written by the composer meanwhile.",
    "delivery": "",
    "clock": "",
}


def stages(engine: Engine, mine: str) -> str:
    """Who is at work. Raises MinewatchError for a stage that was at work and is so no more without having ended."""
    beats = stages_since(engine, mine, EVER)
    latest = {
        stage: max((b for b in beats if b.stage == stage), key=lambda b: b.beat_at, default=None) for stage in STAGES
    }
    running = [stage for stage, beat in latest.items() if beat is not None and not beat.ended]
    if not running:
        return "No stage is at work."
    if wrong := amiss(beats, running, utc_now()):
        raise MinewatchError(" ".join(wrong))
    return f"{', '.join(running)} at work."


def pace(engine: Engine, mine: str) -> str:
    """How many pictures a second vision has analysed since its processes were started, and what it passed over."""
    now = utc_now()
    beats = [b for b in stages_since(engine, mine, EVER) if b.stage == "vision" and not b.ended and fresh(b, now)]
    if not beats:
        return "Vision is not at work."
    each = [(json.loads(beat.counters), (beat.beat_at - beat.started_at).total_seconds()) for beat in beats]
    rate = sum(counts.get("frames_analysed", 0) / max(seconds, 1.0) for counts, seconds in each)
    still, stale = (sum(counts.get(name, 0) for counts, _ in each) for name in ("frames_still", "frames_stale"))
    return f"{rate:.1f} pictures analysed a second since its start; {still} left out as nothing moved, {stale} dropped as too old."


def recent(engine: Engine, mine: str) -> Iterator[tuple[str, str]]:
    """The place and the words of everything that went wrong within RECENT and was dealt with, and what to do."""
    now = utc_now()
    rows = troubles(engine, mine, now - RECENT)
    for row in rows:
        yield f"{row.stage}, {row.kind}", _said(row, max(0, int((now - row.last_at).total_seconds())))
    told = {row.stage for row in rows if row.kind == "restarted" and row.subject.startswith(SUBJECT_PREFIX)}
    yield from _died([beat for beat in stages_since(engine, mine, EVER) if beat.stage not in told])


def _said(row: StageTrouble, ago: int) -> str:
    often = "once" if row.count == 1 else f"{row.count} times since {row.first_at:%Y-%m-%d %H:%M} UTC"
    return f"{row.subject}, {often}, {ago} s ago: {row.text} {_DO.get(row.kind, '')}".rstrip()


def _died(beats: list[StageHeartbeat]) -> Iterator[tuple[str, str]]:
    """Stages that ended without a word and were started again: an incarnation that did not end, and a later one."""
    now = utc_now()
    for stage in STAGES:
        own = sorted((b for b in beats if b.stage == stage), key=lambda b: b.started_at)
        dead = [
            before
            for before, after in pairwise(own)
            if not before.ended and after.started_at >= now - RECENT and before.beat_at <= after.started_at
        ]
        if dead:
            host, pid = dead[-1].instance.split(":")[:2]
            often = "once" if len(dead) == 1 else f"{len(dead)} times"
            said = (
                f"The stage {stage} (process {pid} on {host}) ended without a word and was started again, {often} "
                f"in {RECENT.total_seconds() / 60:.0f} minutes. Nothing is lost; look at its log and at the memory of {host}."
            )
            yield f"{stage}, restarted", said


def deliveries(engine: Engine, mine: str) -> str:
    """What has left the house. Raises MinewatchError where a delivery fails."""
    failing = (Outbox.mine == mine, col(Outbox.done_at).is_(None), Outbox.attempts > 0)
    with reading(engine) as session:
        count = session.exec(select(func.count()).select_from(Outbox).where(*failing)).one()
        row = session.exec(select(Outbox).where(*failing).order_by(col(Outbox.created_at)).limit(1)).first()
        waiting = session.exec(
            select(func.count()).select_from(Outbox).where(Outbox.mine == mine, col(Outbox.done_at).is_(None))
        ).one()
    if row is not None:
        raise MinewatchError(
            f"{count} messages could not be delivered yet, the oldest about {row.subject} after {row.attempts} tries "
            f"({row.outcome}): see that disposal.notify.url answers; they are sent again by themselves."
        )
    return f"{waiting} messages wait to be delivered, none has failed."


def evidence(settings: Settings, engine: Engine, mine: str) -> str:
    """Whether evidence can be written, and all that the latest risks show is there unaltered. Raises MinewatchError."""
    store = open_evidence(settings.evidence.url)
    said = store.check() if isinstance(store, RemoteEvidence) else _folder(store)
    with reading(engine) as session:
        newest = select(AlertRisk).where(AlertRisk.mine == mine).order_by(col(AlertRisk.published_at).desc())
        recent = (row.risk.evidence for row in session.exec(newest.limit(10 * _RISKS)).all())
        shown = islice((evidence for evidence in recent if evidence), _RISKS)  # a sensor's risk shows nothing
        pieces = {piece.sha256: piece for evidence in shown for piece in evidence}
    for piece in pieces.values():
        store.get(mine, piece.sha256, piece.media_type)
    return f"{said}; {len(pieces)} pieces of the latest risks are there unaltered."


def _folder(store: EvidenceStore) -> str:
    if store.root.exists() and not store.root.is_dir():
        raise EvidenceError(f"{store.root} is no folder: evidence can neither be kept nor read. Move that file away.")
    if store.root.exists() and not _writable(store.root):
        raise EvidenceError(f"{store.root} cannot be written: make it writable, or mount it again.")
    if store.root.exists() and (free := shutil.disk_usage(store.root).free) < _LEAST_FREE:
        raise EvidenceError(f"{store.root} has {free / 1024**2:.0f} MiB left: free space there, or move evidence.url.")
    return f"{store.root} can be written"


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and not os.statvfs(folder).f_flag & os.ST_RDONLY


def takes_writes(engine: Engine) -> None:
    """Take the lock that every writer needs and give it back. Raises DatabaseError where nobody gets it."""
    where = engine.url.render_as_string(hide_password=True)
    try:
        with writing(engine) as session:
            session.connection().execute(text("UPDATE alembic_version SET version_num = version_num WHERE 1 = 0"))
    except OperationalError as error:
        raise DatabaseError(
            f"The database {where} takes no writes: {error.orig}. See which program holds it, and that its disk has room."
        ) from error
