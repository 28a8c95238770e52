"""What a sweep deletes and what it never touches, on both databases."""

import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import SQLModel, select

from disposal import audit
from disposal.alert import Alert
from disposal.document import Document
from disposal.errors import AlertError, ReasonMissingError
from disposal.evidence import named_evidence
from disposal.retention import holds, lift_hold, place_hold, sweep
from disposal.settings import RetentionSettings
from disposal.worker import Sweeping
from stream.database import reading, writing
from stream.heartbeat import Heartbeat, stages_since, total
from stream.messages import Reading, utc_now
from stream.readings import series, store_readings
from stream.site import SiteRevision
from tests.acceptance.command import minewatch
from tests.integration.console_mine import MINE, Mine, open_mine

SETTINGS = RetentionSettings()
LONG_AGO = timedelta(days=11 * 366)


@pytest.fixture(params=["sqlite", "postgresql"])
def mine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mine]:
    fresh: Callable[[], str] | None = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    opened = open_mine(tmp_path, fresh() if fresh else "")
    with writing(opened.engine) as session:
        for revision in session.exec(select(SiteRevision)).all():
            revision.created_at = utc_now() - 2 * LONG_AGO
            session.add(revision)
    yield opened
    opened.close()


def raised(mine: Mine, picture: str, *, closed: timedelta | None = None, kind: str = "no-vest") -> tuple[str, Path]:
    """An alert with a picture of its own, closed so long ago, and where the picture lies, made when the alert was."""
    mine.picture = picture.encode()
    before = set(named_evidence(mine.engine))
    alert_id = mine.raise_risk(kind, source="cam-belt")
    with writing(mine.engine) as session:
        alert = session.get_one(Alert, alert_id)
        alert.closed = closed is not None
        alert.closed_at = utc_now() - closed if closed else None
        session.add(alert)
    new = set(named_evidence(mine.engine)) - before
    path = mine.evidence.path(*new.pop()) if new else mine.evidence.path(*before.pop())
    aged(path, closed or timedelta(days=400))
    return alert_id, path


def aged(path: Path, age: timedelta) -> None:
    os.utime(path, ((utc_now() - age).timestamp(),) * 2)


def swept(mine: Mine) -> int:
    return sweep(mine.engine, mine.evidence, MINE, SETTINGS, utc_now()).pieces


def test_only_what_has_outlived_its_time_goes(mine: Mine) -> None:
    _, over = raised(mine, "over", closed=LONG_AGO)
    _, recent = raised(mine, "recent", closed=timedelta(days=9 * 365))
    _, open_yet = raised(mine, "open")
    assert swept(mine) == 1
    assert not over.exists()
    assert recent.exists()
    assert open_yet.exists()
    [line] = lines(mine, "delete-evidence")
    assert '"pieces":1' in line.after
    assert audit.verify(mine.engine, MINE).whole
    assert swept(mine) == 0
    assert len(lines(mine, "delete-evidence")) == 1


def lines(mine: Mine, action: str) -> list[audit.AuditLine]:
    with reading(mine.engine) as session:
        return list(session.exec(select(audit.AuditLine).where(audit.AuditLine.action == action)).all())


def dated(mine: Mine, alert_id: str, **ago: timedelta) -> None:
    """Make the alert's documents old, but for what is given."""
    with writing(mine.engine) as session:
        for document in session.exec(select(Document).where(Document.alert_id == alert_id)).all():
            for name in ("created_at", "checked_at", "decided_at", "auto_closed_at", "closed_at"):
                setattr(document, name, utc_now() - ago.get(name, LONG_AGO))
            session.add(document)


def rows(mine: Mine) -> dict[str, list[tuple[object, ...]]]:
    """Everything that the tables hold, but the audit, which grows."""
    with mine.engine.connect() as connection:
        return {
            name: sorted((tuple(row) for row in connection.execute(table.select())), key=repr)
            for name, table in SQLModel.metadata.tables.items()
            if name not in {"audit_line", "audit_head"}
        }


def test_nothing_that_a_kept_document_cites_goes_before_its_time(mine: Mine) -> None:
    """Neither with the default of ten years nor, but for the evidence, after them."""
    weights = mine.folder / "evidence" / MINE / "weights.bin"
    pieces = {}
    for name, ago in (
        ("decided", {"decided_at": timedelta(days=9 * 365)}),
        ("sampled", {"closed_at": timedelta(days=30)}),
        ("over", {}),
    ):
        alert_id, pieces[name] = raised(mine, name, kind="belt-wear")
        mine.close_by_policy(alert_id)
        with writing(mine.engine) as session:
            document = session.exec(select(Document).where(Document.alert_id == alert_id)).one()
            content = document.read_content()
            assert content is not None
            assert content.citations, "a document that cites nothing shows nothing"
            assert document.prompt or document.backend
            alert = session.get_one(Alert, alert_id)
            alert.closed_at = utc_now() - LONG_AGO
            session.add(alert)
        dated(mine, alert_id, **ago)
        aged(pieces[name], LONG_AGO)
    weights.write_bytes(b"weights of our own")
    aged(weights, LONG_AGO)
    before = rows(mine)
    assert swept(mine) == 1
    assert {name: path.exists() for name, path in pieces.items()} == {"decided": True, "sampled": True, "over": False}
    assert rows(mine) == before
    assert weights.exists()
    assert RetentionSettings().evidence_years == 10


def test_what_a_kept_alert_names_as_well_stays(mine: Mine) -> None:
    _, shared = raised(mine, "shared", closed=LONG_AGO)
    _, same = raised(mine, "shared")
    assert shared == same
    aged(shared, LONG_AGO)
    assert swept(mine) == 0
    assert shared.exists()


def test_a_hold_keeps_it_until_it_is_lifted(mine: Mine) -> None:
    alert_id, held = raised(mine, "held", closed=LONG_AGO)
    place_hold(mine.engine, MINE, alert_id, "inspector", "inquiry 7", utc_now())
    place_hold(mine.engine, MINE, alert_id, "inspector", "inquiry 7, extended", utc_now())
    assert [hold.reason for hold in holds(mine.engine, MINE)] == ["inquiry 7, extended"]
    assert swept(mine) == 0
    assert held.exists()
    lift_hold(mine.engine, MINE, alert_id, "inspector")
    assert holds(mine.engine, MINE) == []
    assert swept(mine) == 1
    assert [len(lines(mine, action)) for action in ("hold-evidence", "release-evidence")] == [2, 1]
    assert audit.verify(mine.engine, MINE).whole


def test_a_hold_names_an_alert_of_this_mine_and_a_reason(mine: Mine) -> None:
    alert_id, _ = raised(mine, "x")
    with pytest.raises(ReasonMissingError, match="needs a reason"):
        place_hold(mine.engine, MINE, alert_id, "inspector", " ", utc_now())
    for other_mine, other in ((MINE, "0" * 32), ("south", alert_id)):
        with pytest.raises(AlertError, match="no alert"):
            place_hold(mine.engine, other_mine, other, "inspector", "inquiry", utc_now())
    with pytest.raises(AlertError, match="not on hold"):
        lift_hold(mine.engine, MINE, alert_id, "inspector")
    assert lines(mine, "hold-evidence") == []


def unnamed(mine: Mine, data: bytes, age: timedelta) -> Path:
    path = mine.evidence.path(MINE, mine.evidence.put(MINE, data, "image/jpeg"), "image/jpeg")
    aged(path, age)
    return path


def test_what_no_alert_names_goes_once_no_risk_can_be_on_its_way(mine: Mine) -> None:
    young = unnamed(mine, b"young", timedelta(days=29))
    old = unnamed(mine, b"old", timedelta(days=31))
    before_us = unnamed(mine, b"before us", 3 * LONG_AGO)
    other = mine.evidence.path("south", mine.evidence.put("south", b"theirs", "image/jpeg"), "image/jpeg")
    aged(other, timedelta(days=100))
    strange = old.parent / "notes.txt"
    strange.write_text("somebody's")
    aged(strange, timedelta(days=100))
    assert swept(mine) == 1
    assert [path.exists() for path in (young, old, before_us, other, strange)] == [True, False, True, True, True]


def test_evidence_of_a_risk_that_may_wait_on_the_log_stays(mine: Mine) -> None:
    path = unnamed(mine, b"waiting", timedelta(days=60))
    longer = SETTINGS.outlasting(24 * 90)
    assert sweep(mine.engine, mine.evidence, MINE, longer, utc_now()).pieces == 0
    assert path.exists()
    assert SETTINGS.outlasting(24 * 7) == SETTINGS


def test_what_is_stored_again_stays(mine: Mine) -> None:
    path = unnamed(mine, b"again", timedelta(days=100))
    mine.evidence.put(MINE, b"again", "image/jpeg")
    assert swept(mine) == 0
    assert path.exists()


def test_stored_again_between_the_look_and_the_deletion_stays(mine: Mine) -> None:
    path = unnamed(mine, b"again", timedelta(days=100))
    [piece] = mine.evidence.stored(MINE)
    mine.evidence.put(MINE, b"again", "image/jpeg")
    assert not mine.evidence.discard(MINE, piece, (utc_now() - timedelta(days=30)).timestamp())
    assert path.exists()


def test_a_database_that_knows_no_site_deletes_nothing(mine: Mine) -> None:
    path = unnamed(mine, b"whose", timedelta(days=100))
    with writing(mine.engine) as session:
        for revision in session.exec(select(SiteRevision)).all():
            session.delete(revision)
    assert swept(mine) == 0
    assert path.exists()


def test_old_readings_go_and_the_rest_stays(mine: Mine) -> None:
    now = utc_now()
    ages = [*(timedelta(days=500, seconds=n) for n in range(1200)), timedelta(days=399), timedelta(0)]
    store_readings(mine.engine, [reading_at(now - age) for age in ages])
    assert sweep(mine.engine, mine.evidence, MINE, SETTINGS, now).readings == 1200
    assert len(series(mine.engine, MINE, "ch4-2", datetime(2000, 1, 1, tzinfo=UTC))) == 2


def reading_at(at: datetime) -> Reading:
    return Reading(
        mine=MINE, sensor="ch4-2", place="return-2", quantity="methane", value=0.4, unit="%", sequence=1, captured_at=at, read_at=at
    )  # fmt: skip


def test_the_stage_sweeps_by_itself_and_counts_it(mine: Mine) -> None:
    unnamed(mine, b"old", timedelta(days=100))
    heartbeat = Heartbeat(mine.engine, MINE, "disposal")
    sweeping = Sweeping(mine.engine, mine.evidence, MINE, SETTINGS, heartbeat, threading.Event())
    assert not sweeping()
    unnamed(mine, b"old too", timedelta(days=100))
    assert not sweeping()
    heartbeat.close()
    assert total(stages_since(mine.engine, MINE, datetime(2000, 1, 1, tzinfo=UTC)))["evidence_deleted"] == 1


def test_a_hold_from_the_command_line(tmp_path: Path) -> None:
    answer = minewatch("evidence", "hold", "0" * 32, "--by", "inspector", "--reason", "x", "--data", tmp_path / "data")
    assert answer.code == 2
    assert "There is no alert" in answer.line
    assert minewatch("evidence", "held", "--data", tmp_path / "data", "--json").json == {"holds": []}
