"""The disposal stage on a real log and database: risks in, alerts, documents and decisions out."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from disposal import audit
from disposal.alert import Alert
from disposal.document import Document
from disposal.policy import activate_for_demo
from disposal.settings import DisposalSettings
from disposal.summary import summary
from disposal.worker import run_disposal
from rules.settings import RulesSettings
from stream.database import open_database, reading
from stream.log import Log, open_log
from stream.messages import Risk, encode, utc_now
from stream.settings import LogSettings
from tests.unit.disposal_world import MINE, furnish, later, risk, well


@contextmanager
def stage(database_url: str, log: LogSettings, settings: DisposalSettings | None = None) -> Iterator[None]:
    """The stage running in a thread, drained at the end."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            run_disposal(
                stop,
                settings=settings or DisposalSettings(),
                rules_settings=RulesSettings(),
                log_settings=log,
                database_url=database_url,
                evidence_url="file:///nowhere",
                mine=MINE,
            )
        except BaseException as error:  # noqa: BLE001  # told to the main thread
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()
    assert not failed, failed


def until(found: Callable[[], object], seconds: float = 60) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def publish(log: Log, *risks: Risk) -> None:
    for one in risks:
        log.append("risks", f"{one.mine}/{one.source}", encode(one))


def alerts(engine: Engine) -> list[Alert]:
    with reading(engine) as session:
        return list(session.exec(select(Alert).order_by(Alert.committed_at)).all())  # type: ignore[arg-type]


def documents(engine: Engine, state: str | None = None) -> list[Document]:
    with reading(engine) as session:
        found = session.exec(select(Document)).all()
    return [d for d in found if state is None or d.state == state]


@pytest.fixture
def database(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'minewatch.db'}"
    furnish(open_database(url))
    return url


@pytest.fixture
def log_settings(tmp_path: Path) -> LogSettings:
    return LogSettings(folder=tmp_path / "log")


def test_routine_risks_close_by_policy_and_the_rest_waits(database: str, log_settings: LogSettings) -> None:
    engine, log, since = open_database(database), open_log(log_settings), utc_now()
    activate_for_demo(engine, MINE)
    helmet, methane = risk("no-helmet"), risk("methane-high")
    try:
        with stage(database, log_settings):
            publish(log, helmet, methane)
            until(lambda: len(documents(engine, "CHECKED")) == 1 and len(documents(engine, "PENDING_APPROVAL")) == 1)
            well(engine)
            publish(log, later(helmet, "cleared"))
            until(lambda: any(d.auto_closed_at for d in documents(engine)))
    finally:
        log.close()
    found = summary(engine, MINE, since)
    assert (found.risks, found.alerts, found.documents, found.auto_closed, found.pending, found.undrafted) == (
        2,
        2,
        2,
        1,
        1,
        0,
    )
    assert found.latency_ms["risk_to_document"]["p95"] is not None
    closed = next(d for d in documents(engine) if d.auto_closed_at)
    verdict, content = closed.read_verdict(), closed.read_content()
    assert verdict is not None
    assert verdict.close
    assert all(r.ok for r in verdict.reasons)
    assert content is not None
    assert [c.clause_id for c in content.citations] == ["cn-coal:18"]
    assert audit.verify(engine, MINE).whole
