"""Risks over time: tables of what a camera showed, second by second, and what must come of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.catalogue import Confirmation
from stream.messages import Detection, risk_identity
from vision.episode import KEPT_FRAMES, Episode, Event
from vision.risk import GAP, Observation, end_all, interrupted, observe
from vision.support import Key, Support

START = datetime(2026, 1, 1, tzinfo=UTC)
HELMET = Key("no-helmet", "z")
FIRE = Key("fire", None)
BLIND, MOVED, FROZEN = Key("camera-blind", None), Key("camera-moved", None), Key("camera-frozen", None)
PICTURE = frozenset({BLIND, MOVED, FROZEN})
KEYS = PICTURE | {HELMET, FIRE}
CONFIRMATION = Confirmation(on_delay=1.0, share=0.6, off_delay=3.0, full_scans=3)
STEP = 0.5


def confirmation(_: str) -> Confirmation:
    return CONFIRMATION


class Camera:
    """A camera at two frames a second, as a line of letters.

    h: no helmet seen; H: more surely; p: a second person with it; f: fire; .: nothing; ?: nothing sure about helmets;
    v: as h, but so far inside that it cannot have left; b, m, z: blind, moved, frozen; s: still, not looked at;
    r: the picture before once more; x: skipped as stale; _: no frame came;
    u: nothing, and nothing to tell a moved camera by.
    """

    def __init__(self, confirm: Confirmation = CONFIRMATION) -> None:
        self.episodes: tuple[Episode, ...] = ()
        self.seen_at: datetime | None = None
        self.frame = 0
        self.events: list[Event] = []
        self.watched = KEYS
        self.confirm = confirm

    def show(self, line: str) -> "Camera":
        for letter in line:
            self._letter(letter)
            self.frame += 1
        return self

    def _letter(self, letter: str) -> None:
        if letter == "_":
            return
        if letter == "x":
            self.episodes = interrupted(self.episodes)
            return
        observation = self.observation(letter)
        self.episodes, events = observe("cam", self.episodes, self.seen_at, observation, lambda _: self.confirm)
        self.seen_at = observation.captured_at
        self.events += events

    def observation(self, letter: str) -> Observation:
        at = START + timedelta(seconds=STEP * self.frame)
        confidence = 0.9 if letter == "H" else 0.6
        box = Detection(label="no_helmet", confidence=confidence, box=(0.1, 0.1, 0.2, 0.2))
        supports = {
            "h": {HELMET: Support(0.6, (box,))},
            "H": {HELMET: Support(0.9, (box,))},
            "p": {HELMET: Support(0.6, (box, box))},
            "v": {HELMET: Support(0.6, (box,), vanishable=True)},
            "f": {FIRE: Support(0.7)},
            "b": {BLIND: Support(1.0)},
            "m": {MOVED: Support(1.0)},
            "z": {FROZEN: Support(1.0)},
        }.get(letter, {})
        return Observation(
            offset=self.frame,
            position=f"frames/0/{self.frame}",
            captured_at=at,
            read_at=at + timedelta(seconds=0.1),
            watched=self.watched,
            seen={"s": PICTURE, "r": frozenset[Key](), "z": frozenset({FROZEN}), "u": self.watched - {MOVED}}.get(
                letter, self.watched
            ),
            supports=supports,
            uncertain=frozenset({HELMET}) if letter == "?" else frozenset(),
            repeated=letter in "rz",
            persons={"z": 2 if letter == "p" else 1 if letter in "hH?" else 0},
        )

    def told(self) -> list[str]:
        return [f"{event.state} {event.episode.type} {event.sequence}" for event in self.events]


TABLE = {
    # confirmed over the on-delay
    "hhh": ["raised no-helmet 0"],
    "hh": [],
    "h.h": ["raised no-helmet 0"],
    "h..h..h..h": [],
    "h.......": [],
    "hsssh": ["raised no-helmet 0"],
    "h__h": ["raised no-helmet 0"],
    # absence observed over the off-delay
    "hhh......": ["raised no-helmet 0"],
    "hhh.......": ["raised no-helmet 0", "cleared no-helmet 1"],
    "hhh.....h......": ["raised no-helmet 0"],
    "hhh.....h.......": ["raised no-helmet 0", "cleared no-helmet 1"],
    "hhh.sssss": ["raised no-helmet 0"],
    "hhh.sssss.s.": ["raised no-helmet 0", "cleared no-helmet 1"],
    # what hides the absence
    "hhh...x......": ["raised no-helmet 0"],
    "hhh...x.......": ["raised no-helmet 0", "cleared no-helmet 1"],
    "hhh...?......": ["raised no-helmet 0"],
    "hhh...?.......": ["raised no-helmet 0", "cleared no-helmet 1"],
    "hhh??????????????????": ["raised no-helmet 0"],
    "hhh___________.": ["raised no-helmet 0"],
    "hhh____________.": ["raised no-helmet 0", "lost no-helmet 1"],
    "hhhbbb": ["raised no-helmet 0", "raised camera-blind 0", "lost no-helmet 1"],
    "hhhzzz": ["raised no-helmet 0", "raised camera-frozen 0", "lost no-helmet 1"],
    "hhhmmm": ["raised no-helmet 0", "raised camera-moved 0", "lost no-helmet 1"],
    "hhhbb......": ["raised no-helmet 0"],
    "hhhb..........": ["raised no-helmet 0", "cleared no-helmet 1"],
    # a repeated picture is no look: it neither begins an absence nor makes it longer, and confirms nothing
    "hhhrrrrrrrrrrrr": ["raised no-helmet 0"],
    "hhh.rrrrrrrrrrrr": ["raised no-helmet 0"],
    "hhh..r....": ["raised no-helmet 0"],
    "hhh..r.....": ["raised no-helmet 0", "cleared no-helmet 1"],
    "hhh...rrrrrrrr...": ["raised no-helmet 0"],
    "hhh...rrrrrrrr....": ["raised no-helmet 0", "cleared no-helmet 1"],
    "hhh.r.r.r.r.r.": ["raised no-helmet 0"],
    "hhhrrrrrrzzz": ["raised no-helmet 0", "raised camera-frozen 0", "lost no-helmet 1"],
    "hrrrrrrrrr": [],
    "zzz.rrrrrrrr": ["raised camera-frozen 0"],
    # somebody who vanished, and somebody who was seen leaving after all
    "vvv.......": ["raised no-helmet 0", "lost no-helmet 1"],
    "vvvh.......": ["raised no-helmet 0", "cleared no-helmet 1"],
    # a camera that cannot be trusted sees nothing new
    "bbbhhhhh": ["raised camera-blind 0"],
    "bbb.......": ["raised camera-blind 0", "cleared camera-blind 1"],
    "mmmhhhhh": ["raised camera-moved 0"],
    # an update only when it is news
    "hhhhhhhhhhhhhhhh": ["raised no-helmet 0"],
    "hhhHHHHHHHHH": ["raised no-helmet 0"],
    "hhhHHHHHHHHHH": ["raised no-helmet 0", "updated no-helmet 1"],
    "hhhpppppppppppppp": ["raised no-helmet 0", "updated no-helmet 1"],
    # two at once, and the same again
    "hhhf.f.f": ["raised no-helmet 0", "raised fire 0"],
    "hhh.......hhh": ["raised no-helmet 0", "cleared no-helmet 1", "raised no-helmet 0"],
}


@pytest.mark.parametrize("line", TABLE)
def test_what_comes_of_what_a_camera_showed(line: str) -> None:
    assert Camera().show(line).told() == TABLE[line]


def test_the_identity_is_that_of_the_first_support_and_the_facts_are_of_the_episode() -> None:
    [event] = Camera().show("..hhH").events
    assert event.episode.risk_id == risk_identity("cam", "no-helmet", "z", "frames/0/2")
    assert event.episode.started_at == START + timedelta(seconds=1.0)
    assert event.observed_at == START + timedelta(seconds=2.0)
    assert event.read_at == event.observed_at + timedelta(seconds=0.1)
    assert event.episode.confidence == 0.9
    assert event.episode.best is not None
    assert event.episode.best.offset == 4
    assert [look.offset for look in event.episode.looks] == [2, 3, 4]
    assert [d.label for d in event.detections] == ["no_helmet"]


def test_two_episodes_of_one_kind_have_two_identities() -> None:
    first, _, second = Camera().show("hhh.......hhh").events
    assert first.episode.risk_id != second.episode.risk_id


def test_what_was_observed_of_the_absence_is_said() -> None:
    absence = Camera().show("hhh.......").events[-1].absence
    assert absence is not None
    assert (absence.full_scans, absence.seconds, absence.persons_in_zone) == (7, 3.0, 0)
    assert absence.zone_in_view
    assert not absence.camera_moved


def test_where_nothing_tells_a_moved_camera_nobody_says_that_the_zone_was_in_view() -> None:
    """It ends, since nothing was seen; that it may close without a person takes more than that."""
    absence = Camera().show("hhhuuuuuuu").events[-1].absence
    assert absence is not None
    assert (absence.full_scans, absence.zone_in_view) == (7, False)
    assert "nothing steady shows" in absence.reason
    about_itself = Camera().show("bbbuuuuuuu").events[-1].absence
    assert about_itself is not None
    assert about_itself.zone_in_view, "whether it sees, a camera shows itself"


def test_an_unusable_camera_hides_nothing_it_had_seen_end() -> None:
    events = Camera().show("hhhbbb").events
    assert events[-1].absence is None
    assert events[-1].reason == "The camera gives no usable picture."


def test_fire_that_is_seen_after_the_camera_moved_is_raised_but_never_cleared() -> None:
    camera = Camera().show("mmm")
    for _ in range(4):
        both = camera.observation("f")
        both = both._replace(supports={**both.supports, MOVED: Support(1.0)})
        camera.episodes, events = observe("cam", camera.episodes, camera.seen_at, both, confirmation)
        camera.seen_at = both.captured_at
        camera.events += events
        camera.frame += 1
    camera.show("mmmmmmmm")
    assert camera.told() == ["raised camera-moved 0", "raised fire 0", "lost fire 1"]


def test_an_episode_nobody_looks_for_any_more_is_lost() -> None:
    camera = Camera().show("hhh")
    camera.watched = KEYS - {HELMET}
    assert camera.show(".").told() == ["raised no-helmet 0", "lost no-helmet 1"]


def test_time_that_goes_back_loses_what_was_going_on() -> None:
    camera = Camera().show("..........hhh")
    camera.frame = 0
    assert camera.show(".").told() == ["raised no-helmet 0", "lost no-helmet 1"]


def test_the_end_of_the_source_loses_what_was_raised_and_forgets_candidates() -> None:
    camera = Camera().show("hhhf")
    [event] = end_all(camera.episodes, START, START, "end of file")
    assert (event.state, event.episode.type, event.sequence) == ("lost", "no-helmet", 1)


def test_a_clip_is_asked_for_once_the_time_after_the_raising_has_passed() -> None:
    camera = Camera()
    for letter in "hhhhhhhhh":
        seen = camera.observation(letter)._replace(record_after=2.0)
        camera.episodes, events = observe("cam", camera.episodes, camera.seen_at, seen, confirmation)
        camera.seen_at = seen.captured_at
        camera.events += events
        camera.frame += 1
    assert camera.told() == ["raised no-helmet 0", "updated no-helmet 1"]
    assert [event.record for event in camera.events] == [False, True]
    assert camera.events[1].observed_at - camera.events[0].observed_at == timedelta(seconds=2)


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 16, 17, 63, 200])
def test_evidence_is_the_first_frame_the_last_and_some_evenly_between(count: int) -> None:
    slow = Confirmation(on_delay=1000.0, share=0.6, off_delay=1000.0)
    [episode] = Camera(slow).show("h" * count).episodes
    offsets = [look.offset for look in episode.looks]
    assert offsets[0] == 0
    assert offsets[-1] == count - 1
    assert len(offsets) == len(set(offsets)) <= KEPT_FRAMES
    assert len(offsets) >= min(count, KEPT_FRAMES // 2)
    gaps = {b - a for a, b in pairwise(offsets[:-1])}
    assert len(gaps) <= 1


LINES = st.text(alphabet="hhhhpf....??bmzsxrr_", min_size=5, max_size=90)


@given(LINES)
@settings(max_examples=300, deadline=None)
def test_nothing_is_cleared_whose_absence_was_not_observed(line: str) -> None:
    camera = Camera()
    for number, letter in enumerate(line):
        before = len(camera.events)
        camera.show(letter)
        for event in camera.events[before:]:
            if event.state == "cleared" and event.episode.zone is not None:
                _absence_was_observed(line[: number + 1])


def _absence_was_observed(shown: str) -> None:
    """The letters before a clearing, read backwards: absences and still frames, for long enough without repeats."""
    scans = 0
    since = None
    silence = 0
    repeats = 0
    for back, letter in enumerate(reversed(shown)):
        if letter in ".f":
            scans += 1
            since = back - repeats
            silence = 0
        elif letter == "_":
            silence += 1
            assert (silence + 1) * STEP <= GAP * CONFIRMATION.off_delay or absent_enough(since, scans)
        elif letter not in "sr":
            break
        else:
            repeats += letter == "r"
            silence = 0
        if absent_enough(since, scans):
            return
    pytest.fail(f"cleared after {shown!r}")


def absent_enough(since: int | None, scans: int) -> bool:
    long_enough = since is not None and since * STEP >= CONFIRMATION.off_delay
    return long_enough and scans >= CONFIRMATION.full_scans


@given(LINES)
@settings(max_examples=200, deadline=None)
def test_sequences_count_up_and_every_raised_episode_ends_at_most_once(line: str) -> None:
    camera = Camera().show(line)
    told: dict[str, list[Event]] = {}
    for event in camera.events:
        told.setdefault(event.episode.risk_id, []).append(event)
    for events in told.values():
        assert [event.sequence for event in events] == list(range(len(events)))
        assert events[0].state == "raised"
        assert all(event.state == "updated" for event in events[1:-1])
    assert len({e.key for e in camera.episodes}) == len(camera.episodes)


@given(LINES, st.integers(0, 90), st.integers(0, 90))
@settings(max_examples=200, deadline=None)
def test_going_on_from_any_checkpoint_tells_the_same(line: str, cut: int, crash: int) -> None:
    """Killed at any frame after any checkpoint, and read again from there: ids, sequences and states are the same."""
    cut, crash = min(cut, len(line)), min(max(cut, crash), len(line))
    whole = identities(Camera().show(line).events)
    camera = Camera().show(line[:cut])
    kept = msgspec.msgpack.encode((camera.episodes, camera.seen_at))
    told = set(identities(camera.events))
    told |= set(identities(camera.show(line[cut:crash]).events))
    again = Camera()
    again.episodes, again.seen_at = msgspec.msgpack.decode(kept, type=tuple[tuple[Episode, ...], datetime | None])
    again.frame = cut
    told |= set(identities(again.show(line[cut:]).events))
    assert told == set(whole)


def identities(events: Sequence[Event]) -> list[tuple[str, int, str, datetime]]:
    return [(e.episode.risk_id, e.sequence, e.state, e.observed_at) for e in events]
