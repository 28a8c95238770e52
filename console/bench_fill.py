"""A console's database as after years of work: closed alerts by the hundred thousand, and a flood of open ones."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, text
from sqlmodel import Session, SQLModel

from disposal.alert import Alert
from disposal.document import Document, DocumentState
from stream.catalogue import RISK_TYPES
from stream.database import reading, writing
from stream.messages import utc_now
from stream.site import Site

_NUMBERS = "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :count)"
_TIME = "strftime('%Y-%m-%d %H:%M:%f', 'now', '-' || (n * {seconds}) || ' seconds') || '000'"


def fill(engine: Engine, site: Site, *, closed: int, opened: int) -> None:
    """Put ``closed`` closed alerts, one each half a minute back, and ``opened`` open ones into an SQLite database.

    Each has a document, which for the closed ones says little: lists are measured, and those show its state alone.
    """
    _copy(engine, site, "c", closed, seconds=30, state=DocumentState.CLOSED)
    _copy(engine, site, "o", opened, seconds=1, state=DocumentState.PENDING_APPROVAL)
    with writing(engine) as session:
        session.connection().exec_driver_sql("ANALYZE")


def _copy(engine: Engine, site: Site, prefix: str, count: int, *, seconds: int, state: DocumentState) -> None:
    """Write rows of which each differs from the others where lists look: id, type, priority, place, source, times."""
    kinds = [kind for kind in RISK_TYPES.values() if kind.id not in ("camera-offline", "sensor-stale")]
    sources = [(camera.id, camera.place) for camera in site.cameras]
    now = utc_now()
    done = state is DocumentState.CLOSED
    alert = Alert(
        id="", mine=site.mine, fingerprint="", type="", grade="general", priority="", place="", source="",
        source_kind="camera", acked=done, active=not done, closed=done, closed_at=now if done else None,
        closed_by="bench" if done else None, raised_at=now, committed_at=now, updated_at=now, document_version=1,
        step="none", due_at=now + timedelta(days=9),
    )  # fmt: skip
    identity = f"'{prefix}' || printf('%031x', n)"
    time = _TIME.format(seconds=seconds)
    varied = {
        "id": identity,
        "fingerprint": identity,
        "type": _one_of("n", [kind.id for kind in kinds]),
        "priority": _one_of("n", [kind.priority for kind in kinds]),
        "source": _one_of("n / 7", [source for source, _ in sources]),
        "place": _one_of("n / 7", [place for _, place in sources]),
        "raised_at": time,
        "committed_at": time,
        "updated_at": time,
    } | ({"closed_at": time} if done else {})
    _insert(engine, alert, varied, count)
    document = Document(id="", alert_id="", mine=site.mine, version=1, state=state, created_at=now)
    _insert(engine, document, {"id": f"{identity} || '-1'", "alert_id": identity, "created_at": time}, count)


def _insert(engine: Engine, model: SQLModel, varied: dict[str, str], count: int) -> None:
    """Insert ``count`` rows like ``model``, in which ``varied`` columns are SQL expressions of the row's number n."""
    table = type(model).__table__  # type: ignore[attr-defined]
    fixed: dict[str, Any] = {c.name: getattr(model, c.name) for c in table.columns if c.name not in varied}
    columns = {name: f":{name}" for name in fixed} | varied
    statement = (
        f"INSERT INTO {table.name} ({', '.join(columns)}) {_NUMBERS} SELECT {', '.join(columns.values())} FROM number"  # noqa: S608
    )
    bound = {name: _plain(table.columns[name].type, value) for name, value in fixed.items()}
    with writing(engine) as session:
        session.connection().execute(text(statement), bound | {"count": count})


def _plain(kind: Any, value: Any) -> Any:
    """The value as SQLite keeps it: a bare statement knows no types."""
    return f"{value:%Y-%m-%d %H:%M:%S.%f}" if hasattr(value, "tzinfo") and kind is not None else value


def _one_of(number: str, values: list[str]) -> str:
    cases = " ".join(f"WHEN {place} THEN '{value}'" for place, value in enumerate(values))
    return f"CASE ({number}) % {len(values)} {cases} END"


def counted(engine: Engine, mine: str) -> tuple[int, int]:
    """How many closed and open alerts there are."""
    with reading(engine) as session:
        return _count(session, mine, closed=True), _count(session, mine, closed=False)


def _count(session: Session, mine: str, *, closed: bool) -> int:
    found = session.connection().execute(
        text("SELECT count(*) FROM alert WHERE mine = :mine AND closed = :closed"), {"mine": mine, "closed": closed}
    )
    return int(found.scalar_one())
