"""Frames on a real log to risks on it: real clips, restarts, broken pictures, changes of the site."""

import io
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import cast
from uuid import uuid4

import cv2
import msgspec
import numpy as np
import pytest
from PIL import Image
from sqlalchemy import Engine
from sqlmodel import SQLModel

from stream.checkpoint import load_checkpoint
from stream.database import open_database
from stream.errors import ConfigurationError, LogError, LogFencedError, MinewatchError
from stream.evidence import EvidenceStore
from stream.heartbeat import Heartbeat, stages_since, total
from stream.ledger import partition_of
from stream.live import LivePictures
from stream.log import Log, Position, Record, Topic, open_log
from stream.messages import DeadLetter, Frame, Risk, SourceEnded, decode, encode, utc_now
from stream.settings import LogSettings
from stream.site import Camera, Name, Place, Site, Zone, store_site
from stream.worker import Item, Worker
from tests.clips import BELT, BOTTLES, PERSONS, START, WORKER, as_frame, pictures
from vision.detector import Detector, open_detectors
from vision.settings import DetectorSettings, MotionSettings, VisionSettings
from vision.weights_file import folder_digest
from vision.worker import VisionStage, run_vision

WHOLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


@pytest.fixture(scope="module")
def settings(test_data: Path) -> VisionSettings:
    weights = test_data / "weights/yolo11n_coco_int8_openvino_model"
    return VisionSettings(detectors={"ppe": DetectorSettings(weights=str(weights), sha256=folder_digest(weights))})


@pytest.fixture(scope="module")
def detectors(settings: VisionSettings) -> dict[str, Detector]:
    return open_detectors(settings.detectors)


def site_of(*cameras: str, polygon: tuple[tuple[float, float], ...] = WHOLE, detector: str = "ppe") -> Site:
    return Site(
        mine="mine",
        places=(Place(id="face", name=Name(en="Face")),),
        cameras=tuple(
            Camera(id=c, name=Name(en=c), url=f"{c}.mp4", place="face", detectors=(detector,), paced=False)
            for c in cameras
        ),
        zones=tuple(Zone(id=f"{c}-zone", camera=c, purpose="watched", polygon=polygon) for c in cameras),
    )


@dataclass
class House:
    """A log, a database and an evidence store, and stages at work on them."""

    folder: Path
    engine: Engine
    log: Log
    settings: VisionSettings
    detectors: dict[str, Detector]

    def send(self, *messages: Frame | SourceEnded) -> None:
        for message in messages:
            self.log.append("frames", f"mine/{message.camera}", encode(message))

    def end(self, camera: str, sequence: int, seconds: float) -> None:
        at = START + timedelta(seconds=seconds)
        self.send(SourceEnded(mine="mine", camera=camera, sequence=sequence, captured_at=at, reason="its end"))

    def stage(self, heartbeat: Heartbeat | None = None, log: Log | None = None) -> VisionStage:
        return VisionStage(
            self.settings,
            self.detectors,
            log=log or self.log,
            engine=self.engine,
            evidence=EvidenceStore(self.folder / "evidence"),
            mine="mine",
            heartbeat=heartbeat or Heartbeat(self.engine, "mine", "vision"),
        )

    def run(self, log: Log | None = None) -> Counter[str]:
        """Let a stage work until nothing is left to read, and end it; answers its counters."""
        stop = threading.Event()
        heartbeat = Heartbeat(self.engine, "mine", "vision")
        worker = Worker(self.stage(heartbeat, log), self.log, "mine", heartbeat, stop)
        thread = threading.Thread(target=worker.run)
        thread.start()
        while self.log.lag("vision", "frames") and thread.is_alive():
            stop.wait(0.05)
        stop.set()
        thread.join()
        return total(stages_since(self.engine, "mine", START))

    def run_and_kill(self, count: int) -> None:
        """Let a stage handle ``count`` frames, one by one, and then no more: nothing of it is ended in order."""
        stage = self.stage()
        consumer = self.log.subscribe("vision", stage.topics)
        held: frozenset[tuple[Topic, int]] = frozenset()
        while count:
            if consumer.assigned() != held:
                held = consumer.assigned()
                stage.assigned(consumer, held)
            records = consumer.poll(1, 0.2)
            for record in records:
                stage.handle([Item(record, decode(record.value))])
                consumer.commit([record.position])
                count -= 1
        consumer.close()

    def read(self, topic: Topic) -> list[object]:
        """Every message of the topic so far."""
        consumer = self.log.subscribe(f"reader-{uuid4()}", (topic,))
        found: list[object] = []
        while len(found) < self.log.lag("nobody", topic):
            found += [decode(record.value) for record in consumer.poll(100, 0.1)]
        consumer.close()
        return found

    def risks(self) -> list[Risk]:
        return [message for message in self.read("risks") if isinstance(message, Risk)]


@pytest.fixture
def house(tmp_path: Path, settings: VisionSettings, detectors: dict[str, Detector]) -> Iterator[House]:
    engine = open_database(f"sqlite:///{tmp_path}/minewatch.db")
    SQLModel.metadata.create_all(engine)
    log = open_log(LogSettings(folder=tmp_path / "log", partitions=2))
    yield House(tmp_path, engine, log, settings, detectors)
    log.close()
    engine.dispose()


def clip(test_data: Path, name: str, camera: str, *, every: int, limit: int | None = None) -> list[Frame]:
    shown = pictures(test_data, name, every=every, limit=limit)
    return [as_frame(picture, camera, number, seconds) for number, (seconds, picture) in enumerate(shown)]


def test_persons_in_real_clips_become_risks_whose_evidence_shows_them(house: House, test_data: Path) -> None:
    worker = clip(test_data, WORKER, "worker", every=2)
    person = clip(test_data, PERSONS, "person", every=2, limit=115)[25:]
    store_site(house.engine, site_of("worker", "person"), "test")
    house.send(*worker, *person)
    house.end("worker", len(worker), 5.0)
    counted = house.run()
    risks = house.risks()
    events = [(risk.source, risk.state, risk.sequence) for risk in risks]
    assert sorted(events) == [
        ("person", "cleared", 2),
        ("person", "raised", 0),
        ("person", "updated", 1),
        ("worker", "lost", 2),
        ("worker", "raised", 0),
        ("worker", "updated", 1),
    ]
    assert {risk.type for risk in risks} == {"person-present"}
    assert counted["risks_raised"] == 2
    assert counted["frames_analysed"] + counted["frames_still"] == len(worker) + len(person)
    store = EvidenceStore(house.folder / "evidence")
    for risk in risks:
        assert (risk.place, risk.zone, risk.source_kind) == ("face", f"{risk.source}-zone", "camera")
        assert risk.detector == f"ppe@{house.detectors['ppe'].digest}"
        if risk.state == "raised":
            _evidence_shows_a_person(house, store, risk)
    cleared = next(risk for risk in risks if risk.state == "cleared")
    assert cleared.absence is not None
    assert cleared.absence.persons_in_zone == 0
    assert cleared.absence.full_scans >= 3
    clips = [one for risk in risks if risk.state == "updated" for one in risk.evidence]
    assert [one.media_type for one in clips] == ["video/webm"] * 2


def _evidence_shows_a_person(house: House, store: EvidenceStore, risk: Risk) -> None:
    frames = [one for one in risk.evidence if one.kind == "frame"]
    assert frames[0].captured_at == risk.started_at
    assert frames[-1].captured_at == risk.observed_at
    [drawn] = [one for one in risk.evidence if one.kind == "annotated"]
    data = np.frombuffer(store.get("mine", drawn.sha256, drawn.media_type), np.uint8)
    [seen] = house.detectors["ppe"].detect([np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)])
    assert any(d.label == "person" and d.confidence > 0.6 for d in seen)


def test_the_latest_frame_is_shown_to_who_looks_with_what_is_seen_in_it(house: House, test_data: Path) -> None:
    frames = clip(test_data, WORKER, "worker", every=2, limit=10)
    store_site(house.engine, site_of("worker"), "test")
    live = LivePictures(house.folder / "evidence", "mine")
    live.look()
    house.send(*frames)
    house.run()
    found = live.get("worker")
    assert found is not None
    assert found.captured_at in {frame.captured_at for frame in frames}
    shown = cv2.imdecode(np.frombuffer(found.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape[1] <= 640


def test_a_belt_and_bottles_nobody_touches_are_no_risk(house: House, test_data: Path) -> None:
    """From the sixth second on, arms reach for the bottles, and a person is what they belong to."""
    store_site(house.engine, site_of("belt", "bottles"), "test")
    house.send(*clip(test_data, BELT, "belt", every=1), *clip(test_data, BOTTLES, "bottles", every=9, limit=18))
    house.run()
    assert house.risks() == []


@pytest.mark.parametrize("cut", [4, 11])
def test_a_stage_killed_and_started_again_tells_the_same_with_the_same_evidence(
    house: House, test_data: Path, cut: int
) -> None:
    """Killed before the raising, its candidate's pictures are read again; killed after it, nothing is raised twice."""
    frames = clip(test_data, WORKER, "worker", every=3)
    store_site(house.engine, site_of("worker"), "test")
    house.send(*frames)
    house.end("worker", len(frames), 5.0)
    house.run_and_kill(cut)
    house.run()
    risks = house.risks()
    assert len({risk.risk_id for risk in risks}) == 1
    assert {(risk.sequence, risk.state) for risk in risks} == {(0, "raised"), (1, "updated"), (2, "lost")}
    for raised in (risk for risk in risks if risk.state == "raised"):
        kept = [one for one in raised.evidence if one.kind == "frame"]
        assert [one.captured_at for one in kept] == [frame.captured_at for frame in frames[: len(kept)]]
        assert kept[-1].captured_at == raised.observed_at


def test_checkpoints_do_not_wait_for_a_clip_and_a_kill_meanwhile_loses_nothing(
    house: House, test_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = clip(test_data, WORKER, "worker", every=3)
    store_site(house.engine, site_of("worker"), "test")
    house.send(*frames)
    house.end("worker", len(frames), 5.0)
    encode_on = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr("vision.record.make_clip", lambda _: encode_on.wait(60) and None)
        patch.setattr("vision.partitions.CHECKPOINT_SECONDS", 0.0)
        house.run_and_kill(len(frames))
        assert [(risk.sequence, risk.state) for risk in house.risks()] == [(0, "raised")]
        kept = load_checkpoint(house.engine, "vision", "frames", partition_of("mine/worker", 2))
        assert kept is not None
        assert kept[0].offset == len(frames) - 1, "all that was read is in the checkpoint"
    house.run()
    encode_on.set()
    risks = house.risks()
    assert len({risk.risk_id for risk in risks}) == 1
    assert [(risk.sequence, risk.state) for risk in risks] == [(0, "raised"), (1, "updated"), (2, "lost")]


class Member:
    """A stage that shares the partitions with others, moved by hand."""

    def __init__(self, house: House) -> None:
        self.stage = house.stage()
        self.consumer = house.log.subscribe("vision", self.stage.topics)
        self.held: frozenset[tuple[Topic, int]] = frozenset()

    def turn(self) -> None:
        """What the worker's loop does once."""
        if self.consumer.assigned() != self.held:
            self.held = self.consumer.assigned()
            self.stage.assigned(self.consumer, self.held)
        records = self.consumer.poll(8, 0.05)
        if self.consumer.assigned() != self.held or not records:
            return
        self.stage.handle([Item(record, decode(record.value)) for record in records])
        with suppress(LogFencedError):
            self.consumer.commit(list({r.position.partition: r.position for r in records}.values()))

    def close(self) -> None:
        self.stage.close()
        self.consumer.close()


def test_a_camera_that_goes_to_another_member_is_told_as_if_it_had_stayed(house: House, test_data: Path) -> None:
    cameras = list({partition_of(f"mine/{name}", 2): name for name in "abcdef"}.values())
    assert len(cameras) == 2
    store_site(house.engine, site_of(*cameras), "test")
    shown = {camera: clip(test_data, WORKER, camera, every=4) for camera in cameras}
    house.send(*(frame for frames in shown.values() for frame in frames[:9]))
    members = [Member(house)]

    def until(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not holds():
            assert time.monotonic() < deadline, "it does not come true"
            for member in members:
                member.turn()

    until(lambda: house.log.lag("vision", "frames") == 0)
    assert len(members[0].held) == 2
    members.append(Member(house))
    until(lambda: all(len(member.held) == 1 for member in members))
    for camera, frames in shown.items():
        house.send(*frames[9:])
        house.end(camera, len(frames), 5.0)
    until(lambda: house.log.lag("vision", "frames") == 0)
    for member in members:
        member.close()
    for camera in cameras:
        risks = [risk for risk in house.risks() if risk.source == camera]
        assert len({risk.risk_id for risk in risks}) == 1
        assert {(risk.sequence, risk.state) for risk in risks} == {(0, "raised"), (1, "updated"), (2, "lost")}


def test_frames_that_capture_sends_again_are_dropped_and_counted(house: House, test_data: Path) -> None:
    frames = clip(test_data, WORKER, "worker", every=6)
    store_site(house.engine, site_of("worker"), "test")
    house.send(*frames[:8], *frames[3:])
    counted = house.run()
    assert counted["frames_doubled"] == counted["frames_skipped"] == 5
    assert counted["frames_analysed"] + counted["frames_still"] == len(frames)


def test_what_was_read_too_long_ago_is_skipped_and_counted(house: House, test_data: Path) -> None:
    house.settings = house.settings.model_copy(update={"staleness_seconds": 5.0})
    frames = clip(test_data, WORKER, "worker", every=6)
    fresh = [msgspec.structs.replace(frame, read_at=utc_now() + timedelta(minutes=5)) for frame in frames[6:]]
    store_site(house.engine, site_of("worker"), "test")
    house.send(*frames[:6], *fresh)
    counted = house.run()
    assert counted["frames_stale"] == counted["frames_skipped"] == 6
    assert counted["frames_analysed"] + counted["frames_still"] == len(fresh)


def saved(mode: str, size: tuple[int, int]) -> bytes:
    """A whole JPEG of that kind."""
    out = io.BytesIO()
    Image.new(mode, size).save(out, "JPEG")
    return out.getvalue()


def test_broken_pictures_are_put_aside_and_the_rest_flows_on(house: House, test_data: Path) -> None:
    frames = clip(test_data, WORKER, "worker", every=4)
    precise = bytearray(frames[11].jpeg)
    precise[precise.index(b"\xff\xc0") + 4] = 16  # bits a sample, in the frame header
    broken = {
        3: b"",
        4: b"text",
        9: frames[9].jpeg[:2000],
        10: cv2.imencode(".png", np.zeros((9, 9, 3)))[1].tobytes(),
        11: bytes(precise),
        12: saved("RGB", (1, 1)),
        13: saved("L", (12_000, 64)),
        14: saved("CMYK", (64, 64)),
    }
    sent = [msgspec.structs.replace(f, jpeg=broken.get(i, f.jpeg)) for i, f in enumerate(frames)]
    store_site(house.engine, site_of("worker"), "test")
    house.send(*sent)
    counted = house.run()
    letters = [letter for letter in house.read("dead-letters") if isinstance(letter, DeadLetter)]
    assert [letter.payload for letter in letters] == [encode(sent[i]) for i in broken]
    assert all(letter.reason for letter in letters)
    assert counted["dead_letters"] == len(broken)
    assert counted["frames_analysed"] + counted["frames_still"] == len(frames) - len(broken)
    assert not counted["frames_skipped"], "what came before a broken picture was handed in twice and taken in once"
    assert house.risks()[0].state == "raised"


def test_a_covered_camera_is_a_risk_and_what_it_saw_is_lost(house: House, test_data: Path) -> None:
    frames = clip(test_data, WORKER, "worker", every=3)
    dark = [as_frame(np.full((270, 480, 3), 12, np.uint8), "worker", 24 + i, 4.3 + i * 0.2) for i in range(16)]
    store_site(house.engine, site_of("worker"), "test")
    house.send(*frames, *dark)
    house.run()
    told = [(risk.type, risk.state) for risk in house.risks()]
    assert told == [
        ("person-present", "raised"),
        ("person-present", "updated"),
        ("camera-blind", "raised"),
        ("person-present", "lost"),
    ]
    blind = next(risk for risk in house.risks() if risk.type == "camera-blind")
    assert blind.detector == "picture"
    assert blind.zone is None
    assert {one.kind for one in blind.evidence} == {"frame", "annotated", "analysis"}


def test_a_redrawn_zone_is_taken_up_without_a_restart(house: House, test_data: Path) -> None:
    frames = clip(test_data, WORKER, "worker", every=3)
    store_site(house.engine, site_of("worker"), "test")
    stage = house.stage()
    records = [Record(house.log.append("frames", "mine/worker", encode(f)), "mine/worker", encode(f)) for f in frames]
    items = [Item(record, decode(record.value)) for record in records]
    stage.handle(items[:12])
    stage._publisher.flush(wait=True)
    assert [risk.state for risk in house.risks()] == ["raised"]
    store_site(house.engine, site_of("worker", polygon=((0.7, 0.0), (1.0, 0.0), (1.0, 0.4), (0.7, 0.4))), "test")
    deadline = time.monotonic() + 10
    while len(house.risks()) == 1 and time.monotonic() < deadline:
        stage.idle()
    stage.handle(items[12:])
    stage.close()
    assert [risk.state for risk in house.risks()] == ["raised", "lost"], "the person does not stand in the new zone"


def test_a_site_that_asks_for_an_unknown_detector_is_refused_and_later_not_taken_up(
    house: House, test_data: Path
) -> None:
    store_site(house.engine, site_of("worker", detector="magic"), "test")
    with pytest.raises(ConfigurationError, match="magic"):
        house.stage()
    store_site(house.engine, site_of("worker"), "test")
    stage = house.stage()
    store_site(house.engine, site_of("worker", "second", detector="magic"), "test")
    frames = clip(test_data, WORKER, "worker", every=6)
    unknown = msgspec.structs.replace(frames[0], camera="second")
    records = [Record(house.log.append("frames", "k", encode(f)), "k", encode(f)) for f in (unknown, *frames)]
    stage.handle([Item(record, decode(record.value)) for record in records])
    stage.close()
    assert {risk.source for risk in house.risks()} == {"worker"}


class Failing:
    """The real log, whose first ``failures`` appends of risks fail."""

    def __init__(self, log: Log, failures: int) -> None:
        self._log = log
        self._failures = failures

    def append(self, topic: Topic, key: str, value: bytes) -> Position:
        if topic == "risks" and self._failures:
            self._failures -= 1
            raise LogError("The log does not answer.")
        return self._log.append(topic, key, value)

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)


def test_a_log_that_fails_for_a_while_costs_no_risk(house: House, test_data: Path) -> None:
    frames = clip(test_data, WORKER, "worker", every=4)
    store_site(house.engine, site_of("worker"), "test")
    house.send(*frames)
    house.end("worker", len(frames), 5.0)
    house.run(log=cast("Log", Failing(house.log, 2)))
    assert [(risk.sequence, risk.state) for risk in house.risks()] == [(0, "raised"), (1, "updated"), (2, "lost")]


def test_the_same_frames_in_other_batches_tell_the_same(house: House, test_data: Path) -> None:
    """One by one, or as many as the log gives: what goes to the detector and what is told may not depend on it."""
    house.settings = house.settings.model_copy(update={"motion": MotionSettings(linger_seconds=0.5)})
    frames = clip(test_data, PERSONS, "person", every=4, limit=40)
    store_site(house.engine, site_of("person"), "test")
    told = []
    for size in (1, 16):
        stage = house.stage()
        records = [Record(Position("frames", 0, i), "k", encode(f)) for i, f in enumerate(frames)]
        items = [Item(record, decode(record.value)) for record in records]
        before = len(house.risks())
        for start in range(0, len(items), size):
            stage.handle(items[start : start + size])
        stage.close()  # what waits for its clip is told as well
        told.append([(r.risk_id, r.sequence, r.state, r.observed_at, len(r.evidence)) for r in house.risks()[before:]])
    assert told[0] == told[1]
    assert told[0]


def run_until_read(house: House, **changes: object) -> None:
    """The stage as its process runs it, until it has read everything."""
    stop = threading.Event()
    arguments: dict[str, object] = {
        "settings": house.settings,
        "log_settings": LogSettings(folder=house.folder / "log", partitions=2),
        "database_url": f"sqlite:///{house.folder}/minewatch.db",
        "evidence_url": f"file://{house.folder}/evidence",
        "mine": "mine",
        **changes,
    }
    failed: list[BaseException] = []

    def work() -> None:
        try:
            run_vision(stop, **arguments)  # type: ignore[arg-type]
        except MinewatchError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive() and house.log.lag("vision", "frames"):
        stop.wait(0.05)
    stop.set()
    thread.join()
    if failed:
        raise failed[0]


def test_the_stage_runs_from_settings_and_addresses_alone(house: House, test_data: Path) -> None:
    frames = clip(test_data, WORKER, "worker", every=6)
    store_site(house.engine, site_of("worker"), "test")
    house.send(*frames)
    run_until_read(house)
    assert house.risks()[0].state == "raised"
    [beat] = stages_since(house.engine, "mine", START)
    assert beat.ready
    assert beat.ended
    assert house.log.lag("vision", "frames") == 0


def test_nothing_is_analysed_with_weights_that_are_not_the_pinned_ones(house: House, test_data: Path) -> None:
    store_site(house.engine, site_of("worker"), "test")
    house.send(*clip(test_data, WORKER, "worker", every=20))
    bundled = DetectorSettings(weights="ppe", sha256="0" * 64)
    with pytest.raises(ConfigurationError, match="altered or replaced"):
        run_until_read(house, settings=VisionSettings(detectors={"ppe": bundled}))
    assert stages_since(house.engine, "mine", START) == []


def test_a_mine_without_a_site_is_refused(house: House) -> None:
    house.end("worker", 0, 0.0)
    with pytest.raises(ConfigurationError, match="no site"):
        run_until_read(house)
