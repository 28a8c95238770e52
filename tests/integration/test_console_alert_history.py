"""What an alert's page tells of before: the readings around the event, and what became of earlier alerts."""

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event

from console.plot import Point
from console.similar import similar_to
from console.trend import MOST_POINTS, thinned
from disposal.decision import decide
from rules.clause import Content
from rules.limits import Limit
from rules.revision import draft, publish, review
from stream.database import reading
from stream.messages import Reading, utc_now
from stream.readings import store_readings
from tests.integration.console_client import person
from tests.integration.console_mine import MINE, Mine


@pytest.fixture
def client(mine: Mine) -> TestClient:
    return person(mine, "auditor")


def methane(mine: Mine, minutes: float, value: float) -> None:
    at = utc_now() + timedelta(minutes=minutes)
    store_readings(
        mine.engine,
        [
            Reading(
                mine=MINE, sensor="ch4-2", quantity="methane", unit="%", value=value, place="return-2", sequence=1,
                captured_at=at, read_at=at,
            )
        ],
    )  # fmt: skip


def test_the_readings_around_the_event_are_drawn_with_the_limit_and_its_clause(mine: Mine, client: TestClient) -> None:
    limit = Limit(
        quantity="methane", comparison=">=", value=1.0, unit="%", places=("return-airway",), action="withdraw"
    )
    other = Limit(quantity="methane", comparison=">=", value=0.7, unit="%", places=("heading",))
    content = Content(
        title_en="Methane", text_en="Withdraw at 1.0 %.", title_zh="甲烷", text_zh="撤人。", limits=(limit, other)
    )
    version = draft(mine.engine, "belt-code", "1", "14", content, "author")
    review(mine.engine, version, "reviewer")
    publish(mine.engine, version, "publisher")
    for minutes, value in ((-300, 99), (-20, 0.4), (-19, 0.5), (-1, 1.32)):
        methane(mine, minutes, value)
    alert_id = mine.raise_risk("methane-high", "ch4-2", "return-2")
    page = client.get(f"/alerts/{alert_id}").text
    assert 'aria-label="Methane T2: Methane (%), 0.4 to 1.32"' in page
    assert page.count('class="level" x1') == 1
    assert "&gt;= 1 %" in page
    assert 'href="/clauses/belt-code%3A14"' in page or 'href="/clauses/belt-code:14"' in page
    assert ">alarm " in page
    helmet = mine.raise_risk("no-helmet", "cam-shaft", "shaft")
    assert 'class="plot"' not in client.get(f"/alerts/{helmet}").text


def test_no_peak_is_lost_where_there_are_too_many_readings() -> None:
    points = [Point(n / 10_000, 50.0 if n == 4_321 else n % 7) for n in range(10_000)]
    kept = thinned(points)
    assert len(kept) <= MOST_POINTS
    assert max(p.value for p in kept) == 50
    assert [p.at for p in kept] == sorted(p.at for p in kept)
    assert thinned(points[:3]) == points[:3]


def test_earlier_alerts_of_the_kind_are_told_with_what_was_decided(mine: Mine, client: TestClient) -> None:
    first = mine.raise_risk("belt-hole", age=300)
    assert "There was none of this kind at this place." in client.get(f"/alerts/{first}").text
    mine.draft(first)
    decide(mine.engine, MINE, first, "reject", "dispatcher", reason="a <b>shadow</b>", document_version=1)
    mine.close_by_policy(mine.raise_risk("belt-hole", age=200))
    mine.raise_risk("no-vest", age=100)
    mine.raise_risk("belt-hole", "cam-shaft", "shaft", age=90)
    mine.raise_risk("belt-hole", age=50)
    now = mine.raise_risk("belt-hole")
    page = client.get(f"/alerts/{now}").text
    _, _, told = page.partition('<section id="similar"')
    told, _, _ = told.partition("</section>")
    assert told.count("<li>") == 3
    assert f"/alerts/{first}" in told
    assert "the last 3" in told
    assert "rejected as false alarm 1" in told
    assert "closed automatically 1" in told
    assert "a &lt;b&gt;shadow&lt;/b&gt;" in told
    assert "not decided yet" in told
    assert now not in told


def test_earlier_alerts_are_read_off_an_index(mine: Mine) -> None:
    alert = mine.alert(mine.raise_risk("belt-hole"))
    seen: list[tuple[str, tuple[object, ...]]] = []
    event.listen(mine.engine, "before_cursor_execute", lambda *said: seen.append((said[2], said[3])))
    with reading(mine.engine) as session:
        similar_to(session, alert)
        statement, values = seen[-1]
        plan = [row[3] for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert "alert_similar (mine=? AND type=? AND place=? AND committed_at<?)" in plan[0], plan
    assert not any("TEMP B-TREE" in step for step in plan), plan
