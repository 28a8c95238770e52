"""The same things over frames."""

from datetime import UTC, datetime, timedelta

from stream.messages import Detection
from vision.tracker import Tracker

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def person(x: float, label: str = "person", confidence: float = 0.8, y: float = 0.3) -> Detection:
    return Detection(label=label, confidence=confidence, box=(x, y, x + 0.1, y + 0.4))


def walk(tracker: Tracker, steps: int, x: float, speed: float, since: float = 0.0) -> list[int | None]:
    tracks = []
    for i in range(steps):
        [seen] = tracker.update([person(x + speed * i)], at(since + i * 0.2))
        tracks.append(seen.track)
    return tracks


def test_a_thing_keeps_its_track_from_its_second_frame_on() -> None:
    tracks = walk(Tracker(), 10, 0.1, 0.02)
    assert tracks[0] is None
    assert len(set(tracks[1:])) == 1
    assert tracks[1] is not None


def test_a_track_outlives_two_seconds_behind_something() -> None:
    tracker = Tracker()
    before = walk(tracker, 8, 0.1, 0.01)[-1]
    for i in range(9):
        tracker.update([], at(1.6 + i * 0.2))
    [seen] = tracker.update([person(0.1 + 0.01 * 17)], at(3.4))
    assert seen.track == before


def test_after_longer_it_is_another() -> None:
    tracker = Tracker()
    before = walk(tracker, 8, 0.1, 0.0)[-1]
    for i in range(30):
        tracker.update([], at(1.6 + i * 0.2))
    assert before not in walk(tracker, 3, 0.1, 0.0, since=7.8)


def test_boxes_come_back_in_their_order_unchanged_but_for_the_track() -> None:
    tracker = Tracker()
    low, high = person(0.1, confidence=0.3), person(0.6, confidence=0.9)
    for i in range(3):
        seen = tracker.update([low, high], at(i * 0.2))
    assert [d.box for d in seen] == [low.box, high.box]
    assert [d.confidence for d in seen] == [0.3, 0.9]
    assert seen[0].track is None
    assert seen[1].track is not None


def test_a_head_is_not_taken_for_the_body_under_it_and_stays_the_same_without_its_helmet() -> None:
    tracker = Tracker()
    body = Detection(label="person", confidence=0.8, box=(0.4, 0.3, 0.5, 0.45))
    head = Detection(label="helmet", confidence=0.8, box=(0.4, 0.3, 0.5, 0.42))
    for i in range(3):
        first = tracker.update([body, head], at(i * 0.2))
    bare = Detection(label="no_helmet", confidence=0.8, box=(0.4, 0.3, 0.5, 0.42))
    second = tracker.update([bare, body], at(0.8))
    assert first[0].track != first[1].track
    assert second[0].track == first[1].track
    assert second[1].track == first[0].track


def test_time_that_goes_back_begins_anew() -> None:
    tracker = Tracker()
    walk(tracker, 5, 0.1, 0.0, since=100.0)
    assert walk(tracker, 3, 0.1, 0.0, since=0.0)[0] is None
