"""The figures page: what it shows and exports, and that a long history does not slow it down."""

import csv
import io
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event, insert, text
from sqlalchemy.dialects import sqlite
from sqlmodel import Session

from console.app import create_app
from console.performance import Period
from console.performance_rows import performance_of, period_of, raised_in, raisings_in, stale_at
from console.queue_rows import TABS, Wanted, count_rows, find_rows
from console.web_settings import WebSettings
from disposal.alert import Alert
from disposal.decision import decide
from stream.database import reading
from stream.messages import utc_now
from tests.integration.console_client import log_in
from tests.integration.console_mine import MINE, Mine, open_mine

ZONE = ZoneInfo("Asia/Shanghai")
SETTINGS = WebSettings(language="en", time_zone="Asia/Shanghai")


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mine]:
    opened = open_mine(tmp_path_factory.mktemp("mine"))
    false = opened.raise_risk("belt-hole", age=30)
    opened.draft(false)
    decide(opened.engine, MINE, false, "acknowledge", "dispatcher")
    decide(opened.engine, MINE, false, "reject", "dispatcher", reason="a shadow", document_version=1)
    opened.close_by_policy(opened.raise_risk("no-helmet", "cam-shaft", "shaft", age=20))
    for age in (14, 13, 12):
        opened.raise_risk("methane-high", "ch4-2", "return-2", age=age)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def client(mine: Mine) -> TestClient:
    made = TestClient(create_app(mine.engine, MINE, mine.evidence, mine.log, SETTINGS))
    log_in(made, "auditor")
    return made


def test_the_page_shows_each_figure_beside_its_target_and_draws_plots(client: TestClient) -> None:
    page = client.get("/figures?span=month").text
    for shown in (
        "Alarms per operator per 10 minutes, average", "Time in alarm flood", "Spread of priorities", "≤ 10",
        "ISA-18.2", "From alarm to acknowledgement", "Clopper-Pearson", "Methane T2", "Chattering alarms",
        "1 of 1 decided", "Belt head camera · Hole in belt", "33.3 %", "95 % interval",
    ):  # fmt: skip
        assert shown in page, shown
    assert page.count('<svg class="plot"') == 1
    assert ' style="' not in page


def test_a_span_that_is_none_is_this_shift(client: TestClient) -> None:
    assert client.get("/figures?span=%00'--").status_code == 200
    assert 'href="/figures?span=shift" aria-current="page"' in client.get("/figures?span=decade").text
    assert client.get("/figures?span=last-shift").status_code == 200


def test_the_same_figures_come_as_csv(client: TestClient) -> None:
    answer = client.get("/figures.csv?span=month")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    rows = {(r["section"], r["name"]): r for r in csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff")))}
    assert rows["alarms", "alarms"]["value"] == "3"
    assert rows["metric", "chattering"]["kept"] == "no"
    assert rows["source", "Methane T2"]["value"] == "1"
    assert rows["false alarms", "Belt head camera / Hole in belt"]["value"] == "1"
    assert rows["automatic closure", "rate"]["value"] == "0.333333"


@pytest.mark.parametrize(
    ("span", "now", "since", "until"),
    [
        ("shift", "2026-03-02T09:30", "2026-03-02T08:00", "2026-03-02T09:30"),
        ("shift", "2026-03-02T08:00", "2026-03-02T08:00", "2026-03-02T08:00"),
        ("shift", "2026-03-02T03:00", "2026-03-01T20:00", "2026-03-02T03:00"),
        ("last-shift", "2026-03-02T09:30", "2026-03-01T20:00", "2026-03-02T08:00"),
        ("last-shift", "2026-03-02T20:00", "2026-03-02T08:00", "2026-03-02T20:00"),
        ("month", "2026-03-31T09:00", "2026-03-01T08:00", "2026-03-31T09:00"),
    ],
)
def test_periods_follow_the_shifts_of_the_mine(span: str, now: str, since: str, until: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=ZONE)
    found = period_of(span, at, ZONE, shift_hours=12, first_shift=8)  # type: ignore[arg-type]
    local = tuple(f"{moment.astimezone(ZONE):%Y-%m-%dT%H:%M}" for moment in (found.since, found.until))
    assert local == (since, until)


def fill(engine: Engine, alerts: int) -> None:
    """Closed alerts of two years, none of them of the last 30 days."""
    begin, step = utc_now() - timedelta(days=730), timedelta(days=690) / alerts
    common = {
        "mine": MINE, "fingerprint": "x", "type": "smoke", "grade": "general", "priority": "low", "place": "belt-3",
        "source": "cam-belt", "source_kind": "camera", "latching": False, "confidence": 0.9, "active": False,
        "acked": True, "latched": False, "episode": "cleared", "folded": 0, "closed": True, "responsible_zh": "",
        "responsible_en": "", "escalated": 0, "document_version": 0, "step": "none", "revision": 0, "attempts": 0,
    }  # fmt: skip
    with engine.begin() as connection:
        for first in range(0, alerts, 10_000):
            moments = [begin + n * step for n in range(first, first + 10_000)]
            rows = [
                common
                | {"id": f"old-{first + n}", "raised_at": at, "committed_at": at, "updated_at": at, "closed_at": at}
                for n, at in enumerate(moments)
            ]
            connection.execute(insert(Alert), rows)


def test_a_long_history_is_not_read_for_a_month(mine: Mine) -> None:
    fill(mine.engine, 20_000)
    now = utc_now()
    month = Period(now - timedelta(days=30), now)
    with mine.engine.connect() as connection:
        for statement, index in (
            (raised_in(MINE, month), "alert_committed (mine=? AND committed_at>? AND committed_at<?)"),
            (raisings_in(MINE, month), "alert_risk_published (mine=? AND published_at>? AND published_at<?)"),
            (stale_at(MINE, now), "alert_open (mine=? AND closed=? AND committed_at<?)"),
        ):
            sql = str(statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
            plan = [row[3] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {sql}"))]
            assert index in plan[0].replace(" IS ", "="), plan
            assert not any(step.startswith("SCAN") for step in plan), plan
    found, cut = performance_of(mine.engine, MINE, month, now, 1)
    assert found.alerts == 3
    assert not cut


def plans(mine: Mine, ask: Callable[[Session], object]) -> list[list[str]]:
    """How SQLite goes about each statement that is asked."""
    seen: list[tuple[str, tuple[object, ...]]] = []
    with reading(mine.engine) as session:
        session.connection()
        event.listen(mine.engine, "before_cursor_execute", lambda *said: seen.append((said[2], said[3])))
        ask(session)
        asked = [one for one in seen if one[0].startswith("SELECT")]
        return [
            [str(row[3]) for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
            for statement, values in asked
        ]


def test_no_list_of_the_queue_reads_all_alerts(tmp_path: Path) -> None:
    mine = open_mine(tmp_path)
    fill(mine.engine, 10_000)
    raised = mine.raise_risk("belt-hole")
    with mine.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO document (id, alert_id, mine, version, state, backend, language, prompt, content, matches,"
                " checks, verdict, policy, repaired, fell_through, seconds, created_at, reason, escalated, closed_at)"
                " SELECT id || '-0', id, mine, 0, 'CLOSED', '', '', '', '', '[]', '[]', '', '', 0, 0, 0, raised_at, '',"
                " 0, closed_at FROM alert WHERE id LIKE 'old-%'"
            )
        )
        connection.execute(text("ANALYZE"))
    by_index = {"closed": "alert_closed (mine=? AND closed=?)", "auto": "document_listed (mine=? AND state=?)"}
    for tab in TABS:
        for wanted in (Wanted(tab=tab), Wanted(tab=tab, state="ACKED"), Wanted(tab=tab, place="belt-3")):
            index = by_index.get(tab, "alert_queue (mine=? AND closed=? AND priority=? AND acked=?)")
            found = plans(mine, lambda session, w=wanted: find_rows(session, MINE, w))  # type: ignore[misc]
            assert found
            assert all(index in plan[0] for plan in found), (wanted, found)
            assert not any("SCAN" in step for plan in found for step in plan), (wanted, found)
    with reading(mine.engine) as session:
        assert raised in [row.alert.id for row in find_rows(session, MINE, Wanted())]


def test_the_closed_alerts_of_the_queue_are_read_off_their_index(mine: Mine) -> None:
    seen: list[tuple[str, tuple[object, ...]]] = []
    with reading(mine.engine) as session:
        event.listen(mine.engine, "before_cursor_execute", lambda *said: seen.append((said[2], said[3])))
        find_rows(session, MINE, Wanted(tab="closed"))
        statement, values = seen[-1]
        plan = [row[3] for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
        assert count_rows(session, MINE, Wanted(tab="closed"), 1) == 2
        assert count_rows(session, MINE, Wanted(tab="closed"), 100_000) > 1
    assert "alert_closed (mine=? AND closed=?)" in plan[0], plan
    assert not any("TEMP B-TREE" in step for step in plan), plan
