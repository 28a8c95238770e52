"""The disposal stage on a real log and database: risks in, alerts, documents and decisions out."""

import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from disposal import audit
from disposal.alert import Alert, AlertRisk
from disposal.audit import AuditLine
from disposal.decision import decide
from disposal.document import Document
from disposal.notify import Outbox
from disposal.policy import activate_for_demo
from disposal.settings import DisposalSettings, DrafterSettings, EndpointSettings
from disposal.summary import summary
from disposal.worker import run_disposal
from rules.settings import MatcherSettings, RulesSettings
from stream.database import open_database, reading
from stream.log import Log, open_log
from stream.messages import Measured, Reading, Risk, encode, utc_now
from stream.readings import store_readings
from stream.settings import LogSettings
from tests.unit.disposal_endpoint import endpoint
from tests.unit.disposal_world import MINE, furnish, later, risk, well

WORDS_ALONE = RulesSettings(matcher=MatcherSettings(model="none"))
"""The matcher without its language model, which takes seconds to load and has no part in what is tested here."""


@contextmanager
def stage(database_url: str, log: LogSettings, settings: DisposalSettings | None = None) -> Iterator[None]:
    """The stage running in a thread, drained at the end."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            run_disposal(
                stop,
                settings=settings or DisposalSettings(drafter=DrafterSettings(order=("composer",))),
                rules_settings=WORDS_ALONE,
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


def check_nothing_lost_nothing_doubled(engine: Engine, published: list[Risk]) -> None:
    """Every published event is linked once, every cause has one alert, every alert one document, the audit is whole."""
    with reading(engine) as session:
        linked = session.exec(select(AlertRisk)).all()
        posted = session.exec(select(Outbox)).all()
        lines = session.exec(select(AuditLine)).all()
    assert {(e.risk_id, e.sequence) for e in linked} == {(r.risk_id, r.sequence) for r in published}
    found = alerts(engine)
    assert sorted(d.alert_id for d in documents(engine)) == sorted(a.id for a in found)
    assert len(found) == len({r.zone for r in published})
    assert all(a.folded == 0 for a in found)
    done = Counter((line.subject, line.action) for line in lines)
    assert {n for (_, action), n in done.items() if action in ("raised", "matched", "drafted", "returned")} == {1}
    assert len(posted) == len({row.subject for row in posted})
    assert audit.verify(engine, MINE).whole


def test_an_alert_is_there_at_once_while_the_model_hangs(database: str, log_settings: LogSettings) -> None:
    engine, log = open_database(database), open_log(log_settings)
    with endpoint() as model:
        model.mood = "hangs"
        served = EndpointSettings(url=model.url, model="m")
        settings = DisposalSettings(drafter=DrafterSettings(order=("openai", "composer"), seconds=300, endpoint=served))
        try:
            with stage(database, log_settings, settings):
                publish(log, risk("no-helmet", zone="first"))
                until(lambda: model.asked)
                begin = time.monotonic()
                publish(log, risk("methane-high"))
                until(lambda: len(alerts(engine)) == 2)
                assert time.monotonic() - begin < 5
                urgent = next(a for a in alerts(engine) if a.type == "methane-high")
                assert decide(engine, MINE, urgent.id, "acknowledge", "ann").alert_state == "ACKED"
                until(lambda: len(documents(engine, "DRAFT")) == 2)
                model.released.set()
                until(lambda: len(documents(engine, "PENDING_APPROVAL")) == 2)
        finally:
            log.close()
    assert {d.backend for d in documents(engine)} == {"composer"}
    assert [d.fell_through for d in documents(engine)] == [1, 1]


PATIENT = DisposalSettings(lease_seconds=600, drafter=DrafterSettings(seconds=1))
"""Nobody waits that long for a lease to run out: what a dead worker had in hand has to be given back."""


def _stage_process(database_url: str, log: LogSettings) -> None:
    run_disposal(
        threading.Event(),
        settings=PATIENT,
        rules_settings=WORDS_ALONE,
        log_settings=log,
        database_url=database_url,
        evidence_url="file:///nowhere",
        mine=MINE,
    )


@pytest.mark.slow
def test_killed_again_and_again_it_loses_nothing_and_doubles_nothing(database: str, log_settings: LogSettings) -> None:
    engine, log = open_database(database), open_log(log_settings)
    activate_for_demo(engine, MINE)
    context = multiprocessing.get_context("spawn")
    published: list[Risk] = []
    try:
        for wave, goal in enumerate(("raised", "matched", "drafted")):
            first = [risk("no-helmet", zone=f"zone-{wave}-{n}") for n in range(6)]
            before = _count(engine, goal)
            process = context.Process(target=_stage_process, args=(database, log_settings))
            process.start()
            publish(log, *first, *(later(r, "cleared") for r in first[:3]))
            published += [*first, *(later(r, "cleared") for r in first[:3])]
            until(lambda goal=goal, before=before: _count(engine, goal) > before, 120)  # type: ignore[misc]
            process.kill()
            process.join()
        publish(log, *published[::4])
        with stage(database, log_settings, PATIENT):
            until(lambda: sum(d.auto_closed_at is not None for d in documents(engine)) == 9, 120)
            until(lambda: len(documents(engine, "CHECKED")) == 9, 120)
            until(lambda: log.lag("disposal", "risks") == 0, 120)
    finally:
        log.close()
    check_nothing_lost_nothing_doubled(engine, published)


def _count(engine: Engine, action: str) -> int:
    with reading(engine) as session:
        return len(session.exec(select(AuditLine).where(AuditLine.action == action)).all())


def test_two_stages_share_the_work_on_postgresql(postgres: Callable[[], str], log_settings: LogSettings) -> None:
    url = postgres()
    engine, log = open_database(url), open_log(log_settings)
    furnish(engine)
    activate_for_demo(engine, MINE)
    first = [risk("no-helmet", zone=f"zone-{n}", source=f"cam-{n % 2 + 1}") for n in range(12)]
    published = [*first, *(later(r, "cleared") for r in first)]
    try:
        with stage(url, log_settings), stage(url, log_settings):
            publish(log, *published)
            until(lambda: all(a.closed for a in alerts(engine)) and len(alerts(engine)) == 12, 120)
    finally:
        log.close()
    check_nothing_lost_nothing_doubled(engine, published)
    engine.dispose()


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


def test_smoke_seen_and_carbon_monoxide_rising_are_one_graver_alert_once_the_stage_has_taken_them(
    database: str, log_settings: LogSettings
) -> None:
    engine, log, now = open_database(database), open_log(log_settings), utc_now()
    over = Measured(
        sensor="co-1", quantity="carbon-monoxide", value=31.0, unit="ppm", captured_at=now, limit="> 24 ppm"
    )
    smoke = risk("smoke")
    gas = risk("carbon-monoxide-high", source="co-1", place="roadway", measured=(over,))
    rise = [
        Reading(
            mine=MINE, sensor="co-1", place="roadway", quantity="carbon-monoxide", value=value, unit="ppm", sequence=n,
            captured_at=now - timedelta(seconds=60 - n), read_at=now,
        )
        for n, value in enumerate((4.0, 9.0, 15.0))
    ]  # fmt: skip
    try:
        with stage(database, log_settings):
            publish(log, smoke)
            until(lambda: documents(engine, "PENDING_APPROVAL"))
            (before,) = alerts(engine)
            store_readings(engine, rise)
            until(lambda: alerts(engine)[0].severity_raised)
            assert "4 → 15 ppm (co-1)" in alerts(engine)[0].severity_en
            publish(log, gas)
            until(lambda: {d.version: d.state for d in documents(engine)} == {1: "RETURNED", 2: "PENDING_APPROVAL"})
    finally:
        log.close()
    (alert,) = alerts(engine)
    assert (alert.id, alert.priority, alert.grade, alert.severity_raised) == (before.id, "critical", "major", True)
    assert "camera and sensor agree" in alert.severity_en
    with reading(engine) as session:
        done = [line.action for line in session.exec(select(AuditLine)).all()]
        assert {e.risk_id for e in session.exec(select(AlertRisk)).all()} == {smoke.risk_id, gas.risk_id}
    assert (done.count("raised"), done.count("severity-raised"), done.count("joined")) == (1, 1, 1)
    assert audit.verify(engine, MINE).whole
    engine.dispose()
