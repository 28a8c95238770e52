"""The tables that stream owns, the same on SQLite and on a real PostgreSQL."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import StatementError
from sqlmodel import Session, SQLModel, select

from stream.checkpoint import Checkpoints, all_checkpoints, load_checkpoint
from stream.database import open_database, reading, writing
from stream.errors import ConfigurationError, DatabaseError
from stream.health import health_of, store_health
from stream.heartbeat import Heartbeat, StageHeartbeat, stages_since, total
from stream.log import Position
from stream.messages import Health, Reading, SourceStatus, utc_now
from stream.readings import StoredReading, latest, series, store_readings
from stream.site import Name, Place, Site, load_site, store_site

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/database.db"
    else:
        fresh: Callable[[], str] = request.getfixturevalue("postgres")
        url = fresh()
    engine = open_database(url)
    SQLModel.metadata.create_all(engine)
    yield engine
    engine.dispose()


def value(sensor: str, minute: int, number: float, mine: str = "mine", place: str = "heading") -> Reading:
    return Reading(
        mine=mine,
        sensor=sensor,
        place=place,
        quantity="methane",
        value=number,
        unit="%",
        sequence=minute,
        captured_at=NOON + timedelta(minutes=minute),
        read_at=NOON,
    )


def told(source: str, status: SourceStatus, second: int, detail: str = "") -> Health:
    return Health(
        mine="mine",
        source=source,
        source_kind="camera",
        status=status,
        detail=detail,
        observed_at=NOON + timedelta(seconds=second),
    )


def test_times_come_back_aware_and_in_utc(engine: Engine) -> None:
    shanghai = timezone(timedelta(hours=8))
    with writing(engine) as session:
        beat = datetime(2026, 6, 1, 20, 0, 0, 123456, tzinfo=shanghai)
        session.add(StageHeartbeat(stage="s", instance="i", mine="m", started_at=beat, beat_at=beat))
    with reading(engine) as session:
        row = session.exec(select(StageHeartbeat)).one()
    assert row.beat_at == NOON.replace(microsecond=123456)
    assert row.beat_at.tzinfo is not None
    assert row.beat_at.utcoffset() == timedelta(0)


def test_a_naive_time_does_not_reach_the_database(engine: Engine) -> None:
    naive = datetime(2026, 6, 1)  # noqa: DTZ001
    with pytest.raises(StatementError, match="without a zone"), writing(engine) as session:
        session.add(StageHeartbeat(stage="s", instance="i", mine="m", started_at=naive, beat_at=naive))


def test_writing_is_all_or_nothing(engine: Engine) -> None:
    def fail_half_way(session: Session) -> None:
        session.add(StageHeartbeat(stage="s", instance="i", mine="m", started_at=NOON, beat_at=NOON))
        session.flush()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), writing(engine) as session:
        fail_half_way(session)
    assert stages_since(engine, "m", NOON) == []


def test_writers_queue_and_lose_no_update(engine: Engine) -> None:
    with writing(engine) as session:
        session.connection().execute(text("CREATE TABLE counter (number INTEGER)"))
        session.connection().execute(text("INSERT INTO counter VALUES (0)"))

    def count() -> None:
        for _ in range(20):
            with writing(engine) as session:
                session.connection().execute(text("UPDATE counter SET number = number + 1"))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(engine) as session:
        assert session.connection().execute(text("SELECT number FROM counter")).scalar_one() == 80


def test_a_checkpoint_is_replaced_by_the_next(engine: Engine) -> None:
    assert load_checkpoint(engine, "vision", "frames", 0) is None
    checkpoints = Checkpoints(engine, "vision")
    assert [checkpoints.take("frames", partition) for partition in (0, 1, 2)] == [None, None, None]
    assert load_checkpoint(engine, "vision", "frames", 0) is None, "it was taken, and nothing was saved"
    checkpoints.save([(Position("frames", 0, 5), b"five"), (Position("frames", 1, 9), b"nine")])
    checkpoints.save([(Position("frames", 0, 6), b"\x00six")])
    assert load_checkpoint(engine, "vision", "frames", 0) == (Position("frames", 0, 6), b"\x00six")
    assert load_checkpoint(engine, "vision", "frames", 1) == (Position("frames", 1, 9), b"nine")
    assert load_checkpoint(engine, "limits", "frames", 0) is None
    assert [saved.position.partition for saved in all_checkpoints(engine, "vision")] == [0, 1]


def test_the_late_checkpoint_of_a_worker_that_was_paused_is_refused(engine: Engine) -> None:
    paused, heir = Checkpoints(engine, "vision"), Checkpoints(engine, "vision")
    for partition in (0, 1):
        paused.take("frames", partition)
    paused.save([(Position("frames", 0, 5), b"five"), (Position("frames", 1, 1), b"one")])
    assert heir.take("frames", 0) == (Position("frames", 0, 5), b"five")
    paused.save([(Position("frames", 0, 8), b"late"), (Position("frames", 1, 2), b"its own")])
    assert load_checkpoint(engine, "vision", "frames", 0) == (Position("frames", 0, 5), b"five"), (
        "before the heir wrote"
    )
    heir.save([(Position("frames", 0, 6), b"six")])
    paused.save([(Position("frames", 0, 9), b"later")])
    assert load_checkpoint(engine, "vision", "frames", 0) == (Position("frames", 0, 6), b"six")
    assert load_checkpoint(engine, "vision", "frames", 1) == (Position("frames", 1, 2), b"its own")
    assert paused.take("frames", 0) == (Position("frames", 0, 6), b"six")
    heir.save([(Position("frames", 0, 7), b"not any more")])
    assert load_checkpoint(engine, "vision", "frames", 0) == (Position("frames", 0, 6), b"six")


def test_readings_are_stored_once(engine: Engine) -> None:
    store_readings(engine, [])
    store_readings(engine, [value("ch4", 0, 0.5), value("ch4", 1, 0.6), value("ch4", 0, 0.5)])
    store_readings(engine, [value("ch4", 1, 0.6), value("ch4", 2, 0.7)])
    assert [r.value for r in series(engine, "mine", "ch4", NOON)] == [0.5, 0.6, 0.7]
    with reading(engine) as session:
        assert len(session.exec(select(StoredReading)).all()) == 3


def test_a_series_is_bounded(engine: Engine) -> None:
    store_readings(engine, [value("ch4", minute, minute / 10) for minute in range(10)])
    since, until = NOON + timedelta(minutes=3), NOON + timedelta(minutes=6)
    assert [r.value for r in series(engine, "mine", "ch4", since, until)] == [0.3, 0.4, 0.5]


def test_the_latest_of_each_sensor(engine: Engine) -> None:
    store_readings(engine, [value("ch4", 1, 0.6), value("ch4", 0, 0.5), value("co", 0, 3, place="return")])
    store_readings(engine, [value("ch4", 9, 9.9, mine="other")])
    assert [(r.sensor, r.value) for r in latest(engine, "mine")] == [("ch4", 0.6), ("co", 3)]
    assert [(r.sensor, r.value) for r in latest(engine, "mine", place="return")] == [("co", 3)]
    assert [(r.sensor, r.value) for r in latest(engine, "mine", sensor="ch4")] == [("ch4", 0.6)]
    assert latest(engine, "mine", place="nowhere") == []


def test_health_is_the_latest_that_was_said(engine: Engine) -> None:
    store_health(engine, [])
    store_health(engine, [told("belt", "ok", 0), told("belt", "ok", 5), told("gate", "ok", 1)])
    store_health(engine, [told("belt", "offline", 9, "cable"), told("belt", "ok", 7)])
    store_health(engine, [told("belt", "ok", 3)])
    (belt, gate) = health_of(engine, "mine")
    assert (belt.status, belt.detail, belt.observed_at) == ("offline", "cable", NOON + timedelta(seconds=9))
    assert belt.since == NOON + timedelta(seconds=9)
    assert (gate.status, gate.since) == ("ok", NOON + timedelta(seconds=1))
    store_health(engine, [told("belt", "offline", 14, "cable")])
    assert health_of(engine, "mine", "belt")[0].since == NOON + timedelta(seconds=9)


def test_health_of_a_clock_that_was_set_back_does_not_hide_what_comes_now(engine: Engine) -> None:
    ahead = utc_now() + timedelta(hours=1)
    message = told("belt", "ok", 0)
    store_health(engine, [msgspec.structs.replace(message, observed_at=ahead)])
    now = utc_now()
    store_health(engine, [msgspec.structs.replace(message, status="offline", observed_at=now)])
    assert health_of(engine, "mine", "belt")[0].status == "offline"


def test_heartbeats_of_incarnations_add_up(engine: Engine) -> None:
    first, second = Heartbeat(engine, "mine", "vision"), Heartbeat(engine, "mine", "vision")
    first.count("frames", 3)
    first.ready()
    second.count("frames")
    second.count("dead_letters", 2)
    second.count("nothing", 0)
    second.close()
    rows = stages_since(engine, "mine", NOON - timedelta(days=10_000))
    assert total(rows) == {"frames": 4, "dead_letters": 2}
    assert sorted((row.ready, row.ended) for row in rows) == [(False, True), (True, False)]


def test_a_heartbeat_outlives_its_database(engine: Engine) -> None:
    heartbeat = Heartbeat(engine, "mine", "vision")
    StageHeartbeat.__table__.drop(engine)  # type: ignore[attr-defined]
    heartbeat.ready()
    SQLModel.metadata.create_all(engine)
    heartbeat.count("frames")
    heartbeat.close()
    assert total(stages_since(engine, "mine", NOON - timedelta(days=10_000)))["frames"] == 1


def test_two_engineers_store_a_site_at_once(engine: Engine) -> None:
    sites = [Site(places=(Place(id=f"place-{n}", name=Name(en="Place")),)) for n in range(6)]
    failures: list[Exception] = []

    def store(site: Site) -> None:
        try:
            store_site(engine, site, "engineer")
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=store, args=(site,)) for site in sites]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    revision, site = load_site(engine, "mine")
    assert failures == []
    assert revision == 6
    assert site in sites


def test_a_new_database_that_another_process_is_opening_is_waited_for(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "new.db", isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE anything (id)")
    other.execute("BEGIN IMMEDIATE")
    done = threading.Timer(0.5, other.execute, ("ROLLBACK",))
    done.start()
    open_database(f"sqlite:///{tmp_path / 'new.db'}").dispose()
    done.join()
    other.close()


@pytest.mark.parametrize("url", ["", "nonsense", "redis://host/1", "sqlite+nothing:///x"])
def test_what_is_no_database_url(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"database\.url"):
        open_database(url)


def test_a_database_that_does_not_open_is_told_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="does not open"):
        open_database(f"sqlite:///{tmp_path}/absent/database.db")
    with pytest.raises(DatabaseError, match="does not open") as caught:
        open_database("postgresql+psycopg://user:hunter2@127.0.0.1:9/mine")
    assert "hunter2" not in str(caught.value)


def test_a_writer_waits_for_the_one_before_it_and_readers_keep_their_patience(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/database.db")
    SQLModel.metadata.create_all(engine)
    asked, order = threading.Event(), []

    def second() -> None:
        asked.set()
        with writing(engine) as session:
            patience = session.connection().execute(text("PRAGMA busy_timeout")).scalar_one()
            order.append("second")
            assert patience == 30_000

    waiting = threading.Thread(target=second)
    with writing(engine) as session:
        session.connection()  # the lock is taken when the connection is first used
        waiting.start()
        assert asked.wait(60)
        order.append("first")
    waiting.join(60)
    assert not waiting.is_alive()
    assert order == ["first", "second"]
    engine.dispose()
