"""When a stage counts as hung: its own silence, while others speak."""

from datetime import UTC, datetime, timedelta

from console.hang import HANG_SECONDS, HOLD_SECONDS, HangWatch
from stream.heartbeat import StageHeartbeat

START = datetime(2026, 1, 1, tzinfo=UTC)
RUNNING = [("vision", 1), ("limits", 2)]


def beat(stage: str, pid: int, seconds: float, *, ready: bool = True, ended: bool = False) -> StageHeartbeat:
    return StageHeartbeat(
        stage=stage,
        instance=f"host:{pid}:7",
        mine="north",
        started_at=START,
        beat_at=START + timedelta(seconds=seconds),
        ready=ready,
        ended=ended,
    )


def test_a_silent_stage_hangs_while_another_speaks() -> None:
    watch = HangWatch()
    assert watch.hung([beat("vision", 1, 0), beat("limits", 2, 0)], RUNNING, 0) == []
    almost = HANG_SECONDS - 1
    assert watch.hung([beat("vision", 1, 0), beat("limits", 2, almost)], RUNNING, almost) == []
    late = HANG_SECONDS + 1
    assert watch.hung([beat("vision", 1, 0), beat("limits", 2, late)], RUNNING, late) == ["vision"]


def test_where_nobody_can_write_nobody_is_to_blame() -> None:
    watch = HangWatch()
    beats = [beat("vision", 1, 0), beat("limits", 2, 0)]
    assert watch.hung(beats, RUNNING, 0) == []
    assert watch.hung(beats, RUNNING, 10 * HANG_SECONDS) == []


def test_where_nobody_can_write_the_one_that_holds_the_lock_all_along_hangs() -> None:
    beats = [beat("vision", 1, 0), beat("limits", 2, 0)]
    watch = HangWatch()
    assert watch.hung(beats, RUNNING, 0, writer=1) == []
    assert watch.hung(beats, RUNNING, HOLD_SECONDS, writer=1) == []
    assert watch.hung(beats, RUNNING, HOLD_SECONDS + 1, writer=1) == ["vision"]
    watch = HangWatch()
    for now, other in ((0.0, 2), (HOLD_SECONDS, 1), (HOLD_SECONDS + 5, 2), (2 * HOLD_SECONDS, 1)):
        assert watch.hung(beats, RUNNING, now, writer=other) == [], "whoever got the lock gave it back"
    watch = HangWatch()
    for now in (0.0, 2 * HOLD_SECONDS):
        assert watch.hung([beat("vision", 1, 0), beat("limits", 2, now)], RUNNING, now, writer=1) == []
    watch = HangWatch()
    for now in (0.0, 2 * HOLD_SECONDS):
        assert watch.hung(beats, RUNNING, now, writer=77) == [], "it is none of ours"


def test_after_a_database_that_was_away_everybody_has_its_time_anew() -> None:
    watch = HangWatch()
    watch.hung([beat("vision", 1, 0), beat("limits", 2, 0)], RUNNING, 0)
    watch.forget()
    later = 2 * HANG_SECONDS
    assert watch.hung([beat("vision", 1, 0), beat("limits", 2, later)], RUNNING, later) == []


def test_a_stage_that_starts_or_has_ended_does_not_hang() -> None:
    watch = HangWatch()
    for now in (0.0, 2 * HANG_SECONDS):
        assert watch.hung([beat("vision", 1, 0, ready=False), beat("limits", 2, now)], RUNNING, now) == []
    watch = HangWatch()
    for now in (0.0, 2 * HANG_SECONDS):
        assert watch.hung([beat("vision", 1, 0, ended=True), beat("limits", 2, now)], RUNNING, now) == []


def test_the_silence_of_an_earlier_process_is_none_of_the_present_one() -> None:
    watch = HangWatch()
    watch.hung([beat("vision", 1, 0), beat("limits", 2, 0)], RUNNING, 0)
    later = 2 * HANG_SECONDS
    present = [("vision", 9), ("limits", 2)]
    assert watch.hung([beat("vision", 1, 0), beat("limits", 2, later)], present, later) == []
