"""The stage over time, with a detector that sees what is drawn: each camera for itself, and nothing taken for seen."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from sqlalchemy import Engine
from sqlmodel import SQLModel
from structlog.testing import capture_logs

from stream.checkpoint import load_checkpoint
from stream.database import open_database
from stream.evidence import EvidenceStore
from stream.heartbeat import Heartbeat
from stream.log import Log, Position, Record, open_log
from stream.messages import Detection, Frame, Risk, decode, encode
from stream.settings import LogSettings
from stream.site import Camera, Name, Place, Site, Zone, store_site
from stream.worker import Item
from tests.clips import START, as_frame
from vision.decode import Picture
from vision.settings import DetectorSettings, MotionSettings, VisionSettings
from vision.worker import VisionStage

WHOLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
BELT = ((0.0, 0.6), (1.0, 0.6), (1.0, 0.8), (0.0, 0.8))
AT_THE_EDGE = Detection(label="person", confidence=0.8, box=(0.93, 0.5, 0.99, 0.8))
NOW = START + timedelta(hours=1)
EYES = VisionSettings(
    detectors={"ppe": DetectorSettings(weights="ppe")},
    motion=MotionSettings(enabled=False),
    clip_seconds=0,
    staleness_seconds=5,
)


class Seeing:
    """Sees somebody at the edge of each picture whose upper left corner is white."""

    name, digest, labels, image_size = "ppe", "0" * 64, frozenset({"person"}), 160

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection]]:
        return [[AT_THE_EDGE] if picture[:12, :12].mean() > 200 else [] for picture in pictures]


def scene(number: int, *, somebody: bool = False) -> Picture:
    """The same blocks in each picture, with other grain: neither blind nor frozen, and unmoved."""
    blocks = np.random.default_rng(7).integers(30, 220, (9, 16, 3), dtype=np.uint8)
    picture = cv2.resize(blocks, (160, 90), interpolation=cv2.INTER_NEAREST)
    grain = np.random.default_rng(100 + number).normal(0, 3, picture.shape)
    shown = np.clip(picture + grain, 0, 255).astype(np.uint8)
    shown[:14, :14] = 255 if somebody else 40
    return shown


ELSEWHERE = Detection(label="person", confidence=0.6, box=(0.1, 0.4, 0.16, 0.8))
WORN = Detection(label="helmet", confidence=0.3, box=(0.11, 0.4, 0.15, 0.46))
BURNS = Detection(label="fire", confidence=0.7, box=(0.5, 0.5, 0.6, 0.6))


class SeeingAll(Seeing):
    """Sees two persons, the helmet of one, and a fire, in the same pictures."""

    def __init__(self, *labels: str) -> None:
        self.labels = frozenset(labels)

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection]]:
        found = [d for d in (AT_THE_EDGE, ELSEWHERE, WORN, BURNS) if d.label in self.labels]
        return [found if picture[:12, :12].mean() > 200 else [] for picture in pictures]


class Mine:
    """Cameras on a site, and the stage that looks at them."""

    def __init__(
        self,
        folder: Path,
        settings: VisionSettings,
        cameras: Sequence[Camera],
        zones: Sequence[Zone],
        detector: Seeing | None = None,
    ) -> None:
        self.folder = folder
        self.engine: Engine = open_database(f"sqlite:///{folder}/mine.db")
        SQLModel.metadata.create_all(self.engine)
        site = Site(places=(Place(id="face", name=Name(en="Face")),), cameras=tuple(cameras), zones=tuple(zones))
        store_site(self.engine, site, "test")
        self.log: Log = open_log(LogSettings(folder=folder / "log", partitions=1))
        self._offset = 0
        self.stage = VisionStage(
            settings,
            {"ppe": detector or Seeing()},
            log=self.log,
            engine=self.engine,
            evidence=EvidenceStore(folder / "evidence"),
            mine="mine",
            heartbeat=Heartbeat(self.engine, "mine", "vision"),
            clock=lambda: NOW,
        )
        self._consumer = self.log.subscribe("vision", ("frames",))
        self.stage.assigned(self._consumer, frozenset({("frames", 0)}))

    def show(self, *frames: Frame) -> None:
        for frame in frames:
            record = Record(Position("frames", 0, self._offset), f"mine/{frame.camera}", encode(frame))
            self.stage.handle([Item(record, frame)])
            self._offset += 1

    def risks(self) -> list[Risk]:
        self.stage._publisher.flush(wait=True)  # what waits for its clip is told as well
        consumer = self.log.subscribe(f"reader-{self._offset}", ("risks",))
        found: list[object] = []
        while len(found) < self.log.lag("nobody", "risks"):
            found += [decode(record.value) for record in consumer.poll(100, 0.1)]
        consumer.close()
        return [message for message in found if isinstance(message, Risk)]

    def close(self) -> None:
        self.stage.close()
        self._consumer.close()
        self.log.close()
        self.engine.dispose()


def camera(name: str, url: str = "clip.mp4", *detectors: str) -> Camera:
    return Camera(id=name, name=Name(en=name), url=url, place="face", detectors=detectors)


def zone(name: str, purpose: str = "watched", polygon: tuple[tuple[float, float], ...] = WHOLE) -> Zone:
    return Zone.model_validate({"id": f"{name}-zone", "camera": name, "purpose": purpose, "polygon": polygon})


def frame(picture: Picture, name: str, number: int, seconds: float, *, waited: float = 0.0) -> Frame:
    read_at = NOW - timedelta(seconds=waited)
    return msgspec.structs.replace(as_frame(picture, name, number, seconds), read_at=read_at)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Mine]:
    url = "rtsp://root:hunter2@10.0.0.7/live?token=geheim"
    made = Mine(tmp_path, EYES, [camera(n, url, "ppe") for n in "ab"], [zone(n) for n in "ab"])
    yield made
    made.close()


def test_each_camera_has_a_tracker_of_its_own(watched: Mine) -> None:
    """Two cameras that send at the same moments: one tracker for both would take each frame for another source's."""
    for number in range(4):
        watched.show(*(frame(scene(number, somebody=True), name, number, number / 2) for name in "ab"))
    raised = watched.risks()
    assert sorted((risk.source, risk.state) for risk in raised) == [("a", "raised"), ("b", "raised")]
    for risk in raised:
        assert [d.track is not None for d in risk.detections] == [True]


def test_an_absence_with_a_frame_in_it_that_nobody_looked_at_begins_anew(watched: Mine) -> None:
    at = [number / 2 for number in range(18)]
    for number, seconds in enumerate(at[:12]):
        late = 6.0 if seconds == 4.5 else 0.0
        watched.show(frame(scene(number, somebody=seconds < 2), "a", number, seconds, waited=late))
    assert [risk.state for risk in watched.risks()] == ["raised"], "3.5 s without anybody, but not all of them seen"
    for number, seconds in enumerate(at[12:], 12):
        watched.show(frame(scene(number), "a", number, seconds))
    cleared = watched.risks()[-1]
    assert (cleared.state, cleared.observed_at) == ("cleared", START + timedelta(seconds=8))
    assert cleared.absence is not None
    assert cleared.absence.seconds == 3.0


def test_a_frozen_picture_of_an_empty_scene_clears_nothing(watched: Mine) -> None:
    """Long before it is said that the camera is frozen, its repeated pictures are no look at the scene."""
    for number in range(40):
        watched.show(frame(scene(min(number, 5), somebody=number < 4), "a", number, number / 2))
    told = [(risk.type, risk.state) for risk in watched.risks()]
    assert told[1:] == [("camera-frozen", "raised"), (told[0][0], "lost")]
    assert told[0][1] == "raised"
    for number in range(40, 70):
        watched.show(frame(scene(number), "a", number, number / 2))
    assert (watched.risks()[-1].type, watched.risks()[-1].state) == ("camera-frozen", "cleared")


def test_a_picture_repeated_now_and_then_delays_the_end_by_that_time_alone(watched: Mine) -> None:
    """As where an encoder finds nothing new in a still scene: here each picture comes twice."""
    for number in range(40):
        watched.show(frame(scene(number // 2, somebody=number < 8), "a", number, number / 4))
    raised, cleared = watched.risks()
    assert (raised.state, cleared.state) == ("raised", "cleared")
    assert cleared.absence is not None
    assert 3.0 <= cleared.absence.seconds < 3.5
    assert (cleared.observed_at - START).total_seconds() == 2 + 2 * 3


def test_what_leaves_the_stage_holds_no_credentials(tmp_path: Path, watched: Mine) -> None:
    with capture_logs() as said:
        for number in range(4):
            watched.show(frame(scene(number, somebody=True), "a", number, number / 2))
        watched.stage.idle()
    [risk] = watched.risks()
    assert {"frame", "annotated", "analysis"} == {one.kind for one in risk.evidence}
    kept = load_checkpoint(watched.engine, "vision", "frames", 0)
    assert kept is not None
    pieces = [path.read_bytes() for path in (tmp_path / "evidence").rglob("*") if path.is_file()]
    for left in (*pieces, encode(risk), kept[1], repr(said).encode()):
        assert b"hunter2" not in left
        assert b"geheim" not in left


@pytest.mark.parametrize(
    ("labels", "people"),
    [
        (("person", "helmet", "fire"), ["helmet", "person", "person"]),
        (("helmet", "no_helmet", "fire"), ["helmet"]),
        (("helmet", "fire"), None),
        (("fire",), None),
    ],
)
def test_evidence_says_where_everybody_is_in_each_frame_also_who_supports_nothing(
    tmp_path: Path, labels: tuple[str, ...], people: list[str] | None
) -> None:
    mine = Mine(tmp_path, EYES, [camera("a", "clip.mp4", "ppe")], [zone("a", polygon=BELT)], SeeingAll(*labels))
    for number in range(4):
        mine.show(frame(scene(number, somebody=True), "a", number, number / 2))
    fire = next(risk for risk in mine.risks() if risk.type == "fire")
    assert [d.label for d in fire.detections] == ["fire"]
    frames = [one for one in fire.evidence if one.kind == "frame"]
    assert len(frames) >= 2
    for one in frames:
        assert (None if one.people is None else sorted(d.label for d in one.people)) == people
    assert [one.people for one in fire.evidence if one.kind != "frame"] == [None] * 2
    mine.close()


def test_types_that_no_detector_sees_are_said_when_the_stage_starts(tmp_path: Path) -> None:
    with capture_logs() as said:
        Mine(tmp_path, EYES, [camera("a", "clip.mp4", "ppe")], [zone("a", "vest-required")]).close()
    [types] = [line["types"] for line in said if "types" in line]
    assert {"fire", "smoke", "no-helmet", "belt-tear"} <= set(types)


def belt(number: int, line: float | None) -> Picture:
    """A belt whose edge runs at that height of the picture (0..1), or nothing of it."""
    picture = cv2.resize(scene(number), (320, 180), interpolation=cv2.INTER_NEAREST)
    strip = picture[100:150]
    strip[:] = 110
    if line is not None:
        strip[max(0, round(180 * line) - 100) :] = 200
    return picture


def test_a_belt_runs_off_is_hidden_and_is_back(tmp_path: Path) -> None:
    """Measured on each picture, without any detector; while its edge is hidden, it neither ends nor is lost."""
    settings = VisionSettings(detectors={}, clip_seconds=0)
    mine = Mine(tmp_path, settings, [camera("belt")], [zone("belt", "belt-edge", BELT)])
    lines = [0.7] * 3 + [0.775] * 5 + [None] * 15 + [0.7] * 12
    for number, line in enumerate(lines[:23]):
        mine.show(frame(belt(number, line), "belt", number, number))
    assert [(r.type, r.zone, r.state) for r in mine.risks()] == [("belt-deviation", "belt-zone", "raised")]
    assert mine.risks()[0].observed_at == START + timedelta(seconds=6)
    for number, line in enumerate(lines[23:], 23):
        mine.show(frame(belt(number, line), "belt", number, number))
    assert [(r.type, r.state) for r in mine.risks()] == [("belt-deviation", "raised"), ("belt-deviation", "cleared")]
    assert mine.risks()[-1].observed_at == START + timedelta(seconds=33)
    mine.close()


def test_what_a_frozen_belt_shows_neither_raises_nor_ends_anything(tmp_path: Path) -> None:
    mine = Mine(
        tmp_path, VisionSettings(detectors={}, clip_seconds=0), [camera("belt")], [zone("belt", "belt-edge", BELT)]
    )
    off, back = belt(0, 0.775), belt(1, 0.7)
    shown = [off] * 9 + [belt(n, 0.775) for n in range(9, 15)] + [back] * 9
    for number, picture in enumerate(shown):
        mine.show(frame(picture, "belt", number, number))
    assert [(r.type, r.state) for r in mine.risks()] == [("belt-deviation", "raised")]
    assert mine.risks()[0].observed_at > START + timedelta(seconds=8)
    mine.close()
