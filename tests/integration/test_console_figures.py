"""The figures page: what it shows and exports, and that a long history does not slow it down."""

import csv
import html
import io
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event, insert, text
from sqlalchemy.dialects import sqlite
from sqlmodel import Session

from console import closed_rows
from console.app import create_app
from console.pages import LANGUAGE_COOKIE
from console.performance import Period
from console.performance_rows import performance_of, period_of, raised_in, raisings_in, stale_at
from console.queue_rows import ROWS, TABS, Closed, Term, Wanted, count_rows, find_closed, find_rows
from console.schema import prepare
from console.web_settings import WebSettings
from disposal.alert import Alert
from disposal.decision import decide
from stream.database import open_database, reading
from stream.messages import utc_now
from tests.integration.console_client import log_in
from tests.integration.console_mine import MINE, SITE, Mine, open_mine

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


DOCUMENTS = (
    "INSERT INTO document (id, alert_id, mine, version, state, backend, language, prompt, content, matches,"
    " checks, verdict, policy, repaired, fell_through, seconds, created_at, reason, escalated, closed_at)"
    " SELECT id || '-0', id, mine, 0, 'CLOSED', '', '', '', '', '[]', '[]', '', '', 0, 0, 0, raised_at, '',"
    " 0, closed_at FROM alert WHERE id LIKE 'old-%'"
)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mine]:
    """A mine with 10 000 closed alerts, of which the oldest one is like no other, and one that is open."""
    opened = open_mine(tmp_path_factory.mktemp("long"))
    fill(opened.engine, 10_000)
    opened.raise_risk("belt-hole")
    with opened.engine.begin() as connection:
        connection.execute(text(DOCUMENTS))
        connection.execute(
            text(
                "UPDATE alert SET type = 'fire', place = 'shaft', source = 'cam-shaft', priority = 'critical',"
                " latched = 1 WHERE id = 'old-0'"
            )
        )
        connection.execute(text("ANALYZE"))
    yield opened
    opened.close()


def test_no_list_of_the_queue_reads_all_alerts(long: Mine) -> None:
    by_index = {
        "closed": r"alert_closed(_place)? \(mine=\? AND closed=\?",
        "auto": r"document_listed \(mine=\? AND state=\?",
    }
    in_hand = r"alert_queue \(mine=\? AND closed=\? AND priority=\? AND acked=\?\)"
    for tab in TABS:
        for wanted in (Wanted(tab=tab), Wanted(tab=tab, state="ACKED"), Wanted(tab=tab, place="belt-3")):
            index = by_index.get(tab, in_hand)
            found = plans(long, lambda session, w=wanted: find_rows(session, MINE, w))  # type: ignore[misc]
            assert found
            assert all(re.search(index, plan[0]) for plan in found), (wanted, found)
            assert not any("SCAN" in step for plan in found for step in plan), (wanted, found)
    with reading(long.engine) as session:
        assert [row.alert.type for row in find_rows(session, MINE, Wanted())] == ["belt-hole"]


def word(text: str) -> tuple[Term, ...]:
    return (Term.of(text, SITE),)


RARE = {
    "place": (Wanted(tab="closed", place="shaft"), "place=?"),
    "priority": (Wanted(tab="closed", priority="critical"), "priority=?"),
    "type": (Wanted(tab="closed", terms=(Term("x", frozenset({"fire"}), frozenset(), frozenset()),)), "type=?"),
    "source": (
        Wanted(tab="closed", terms=(Term("x", frozenset(), frozenset(), frozenset({"cam-shaft"})),)),
        "source=?",
    ),
    "rare-among-common": (
        Wanted(tab="closed", priority="critical", terms=(Term("x", frozenset({"smoke", "fire"}), *[frozenset()] * 2),)),
        "priority=?",
    ),
}


def last_plan(engine: Engine, wanted: Wanted, explain: str) -> tuple[Closed, list[str]]:
    """What is found, and how the database went about the last statement for it."""
    seen: list[tuple[str, Any]] = []

    def note(*said: Any) -> None:
        seen.append((said[2], said[3]))

    with reading(engine) as session:
        session.connection()
        event.listen(engine, "before_cursor_execute", note)
        found = find_closed(session, MINE, wanted)
        event.remove(engine, "before_cursor_execute", note)
        statement, values = seen[-1]
        rows = session.connection().exec_driver_sql(f"{explain} {statement}", values)
        return found, [" ".join(map(str, row)) for row in rows]


@pytest.mark.parametrize("asked", RARE)
def test_a_closed_alert_like_no_other_is_read_off_an_index(asked: str, long: Mine) -> None:
    wanted, column = RARE[asked]
    (rows, since), plan = last_plan(long.engine, wanted, "EXPLAIN QUERY PLAN")
    assert [row.alert.id for row in rows] == ["old-0"]
    assert since is None, "all of it was looked at"
    assert f"alert_closed_{column.removesuffix('=?')} (mine=? AND closed=? AND {column}" in plan[0], plan
    assert not any(re.search("SCAN (alert|document)|TEMP B-TREE", step) for step in plan), plan


@pytest.fixture
def grouped(postgres: Callable[[], str]) -> Iterator[Engine]:
    """10 000 closed alerts of 4 types, places, sources and priorities, in tables that the migration made."""
    engine = open_database(postgres())
    prepare(engine)
    fill(engine, 10_000)
    group = "'g' || (substr(id, 5)::int % 4)"
    with engine.begin() as connection:
        connection.execute(text(DOCUMENTS.replace("0, 0, 0, raised_at", "false, 0, 0, raised_at")))
        connection.execute(text(f"UPDATE alert SET type={group}, place={group}, source={group}, priority={group}"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE alert"))
        connection.execute(text("ANALYZE document"))
    yield engine
    engine.dispose()


def test_closed_alerts_are_read_off_the_same_indexes_on_postgresql(grouped: Engine) -> None:
    none: frozenset[str] = frozenset()
    for by, wanted in (
        ("place", Wanted(tab="closed", place="g3")),
        ("priority", Wanted(tab="closed", priority="g3")),
        ("type", Wanted(tab="closed", terms=(Term("x", frozenset({"g3"}), none, none),))),
        ("source", Wanted(tab="closed", terms=(Term("x", none, none, frozenset({"g3"})),))),
    ):
        (rows, since), plan = last_plan(grouped, wanted, "EXPLAIN")
        assert len(rows) == ROWS
        assert since is None
        assert any(f"Index Scan Backward using alert_closed_{by} on alert" in step for step in plan), "\n".join(plan)
        assert not any("Sort" in step for step in plan), "\n".join(plan)


def test_a_search_looks_through_so_many_closed_alerts_says_so_and_goes_on(
    long: Mine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closed_rows, "WALKED", 4_000)
    client = TestClient(create_app(long.engine, MINE, long.evidence, long.log, SETTINGS))
    log_in(client, "auditor")
    page, seen = "/?tab=closed&state=LATCHED&words=cam", []
    for reached in (False, False, True):
        answer = html.unescape(client.get(page).text)
        searched = answer.partition('<p id="searched"')[2].partition("</p>")[0]
        seen.append(re.search(r"Looked through what was closed: (.+?) – (.+?)[.]", searched))
        assert ("Look further back" in searched) != reached
        assert ("old-0" in answer) == reached
        if not reached:
            client.cookies.set(LANGUAGE_COOKIE, "zh")
            assert "继续向前查找" in client.get(page).text
            assert "已查找的关闭时间：" in client.get(page).text
            client.cookies.delete(LANGUAGE_COOKIE)
            [page] = re.findall(r'href="([^"]+)"', searched)
            assert "state=LATCHED" in page
            assert "words=cam" in page
    spans = [match.groups() for match in seen if match is not None]
    assert [since for since, _ in spans[:2]] == [until for _, until in spans[1:]], "each begins where the last ended"
    assert spans[0][1] == spans[2][0] == "…"
    for strange in ("yesterday", "2026-01-01", "0001-01-01T00:00:00+23:00", "%00"):
        assert client.get(f"/?tab=closed&before={strange}").status_code == 200


def test_no_search_of_closed_alerts_finds_less_or_twice_than_one_by_one(
    long: Mine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closed_rows, "WALKED", 1_000)
    for asked in (Wanted(tab="closed", terms=word("fire")), Wanted(tab="closed", terms=word("shaft"))):
        with reading(long.engine) as session:
            assert [row.alert.id for row in find_rows(session, MINE, asked)] == ["old-0"]
            assert count_rows(session, MINE, asked) == 1
    with reading(long.engine) as session:
        found = find_closed(session, MINE, Wanted(tab="closed", terms=word("belt")), 2_000)
        assert found.since is not None
        ids = [row.alert.id for row in found.rows]
        assert len(ids) == len(set(ids)) == count_rows(session, MINE, Wanted(tab="closed", terms=word("belt")))
        assert ids == sorted(ids, key=lambda i: -int(i.removeprefix("old-")))
        assert all((row.alert.closed_at or found.since) >= found.since for row in found.rows)
        assert find_rows(session, MINE, Wanted(tab="closed", terms=word("no such thing"))) == []


def test_the_closed_alerts_of_the_queue_are_read_off_their_index(mine: Mine) -> None:
    seen: list[tuple[str, tuple[object, ...]]] = []
    with reading(mine.engine) as session:
        event.listen(mine.engine, "before_cursor_execute", lambda *said: seen.append((said[2], said[3])))
        find_rows(session, MINE, Wanted(tab="closed"))
        statement, values = seen[-1]
        plan = [row[3] for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
        assert count_rows(session, MINE, Wanted(tab="closed"), 1) == 2
        assert count_rows(session, MINE, Wanted(tab="closed"), 100_000) > 1
    assert "alert_closed (mine=? AND closed=? AND closed_at>?)" in plan[0], plan
    assert not any("TEMP B-TREE" in step for step in plan), "\n".join(plan)
