"""Risks of real clips, found again from their evidence alone, and what keeps them from being found again."""

import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from sqlmodel import SQLModel

from stream.database import open_database
from stream.evidence import EvidenceStore
from stream.heartbeat import Heartbeat
from stream.log import Position, Record, open_log
from stream.messages import Detection, Evidence, Frame, Risk, decode, encode
from stream.settings import LogSettings
from stream.site import Camera, Name, Place, Site, Zone, store_site
from stream.worker import Item
from tests.clips import PERSONS, START, WORKER, as_frame, pictures
from vision.analysis import decode_analysis, encode_analysis
from vision.decode import Picture
from vision.detector import Detector, open_detectors
from vision.errors import WeightsError
from vision.replay import CONFIDENCE, differences, replay
from vision.settings import DetectorSettings, VisionSettings
from vision.weights_file import folder_digest
from vision.worker import VisionStage

LEFT = ((0.0, 0.0), (0.6, 0.0), (0.6, 1.0), (0.0, 1.0))
PERSON = Detection(label="person", confidence=0.8, box=(0.1, 0.1, 0.3, 0.9))


@pytest.fixture(scope="module")
def settings(test_data: Path) -> VisionSettings:
    weights = test_data / "weights/yolo11n_coco_int8_openvino_model"
    coco = DetectorSettings(weights=str(weights), sha256=folder_digest(weights), threshold=0.35)
    return VisionSettings(detectors={"coco": coco}, clip_seconds=0)


@pytest.fixture(scope="module")
def detectors(settings: VisionSettings) -> dict[str, Detector]:
    return open_detectors(settings.detectors)


class Mine:
    """One camera with a zone, and the stage that looks at it."""

    def __init__(self, folder: Path, settings: VisionSettings, detectors: dict[str, Detector]) -> None:
        self.store = EvidenceStore(folder / "evidence")
        self._folder, self._settings, self._detectors = folder, settings, detectors

    def raised(self, frames: Sequence[Frame]) -> list[Risk]:
        """The risks that these frames raise."""
        engine = open_database(f"sqlite:///{self._folder}/minewatch.db")
        SQLModel.metadata.create_all(engine)
        camera = Camera(id="cam", name=Name(en="cam"), url="cam.mp4", place="face", detectors=tuple(self._detectors))
        zone = Zone(id="floor", camera="cam", purpose="watched", polygon=LEFT)
        store_site(
            engine, Site(places=(Place(id="face", name=Name(en="Face")),), cameras=(camera,), zones=(zone,)), "me"
        )
        log = open_log(LogSettings(folder=self._folder / "log", partitions=1))
        heartbeat = Heartbeat(engine, "mine", "vision")
        stage = VisionStage(
            self._settings,
            self._detectors,
            log=log,
            engine=engine,
            evidence=self.store,
            mine="mine",
            heartbeat=heartbeat,
        )
        for offset, frame in enumerate(frames, 100):
            stage.handle([Item(Record(Position("frames", 0, offset), "mine/cam", encode(frame)), frame)])
        stage.close()
        consumer = log.subscribe("test", ("risks",))
        found: list[object] = []
        while len(found) < log.lag("nobody", "risks"):
            found += [decode(record.value) for record in consumer.poll(100, 0.1)]
        consumer.close()
        log.close()
        engine.dispose()
        return [risk for risk in found if isinstance(risk, Risk) and risk.state == "raised"]


@pytest.fixture(scope="module")
def seen(
    tmp_path_factory: pytest.TempPathFactory, test_data: Path, settings: VisionSettings, detectors: dict[str, Detector]
) -> tuple[Risk, EvidenceStore]:
    """A person seen by real weights in a real clip: the risk, and the store with its evidence."""
    mine = Mine(tmp_path_factory.mktemp("mine"), settings, detectors)
    shown = pictures(test_data, WORKER, every=3, limit=20)
    [risk] = mine.raised([as_frame(picture, "cam", i, s) for i, (s, picture) in enumerate(shown)])
    return risk, mine.store


@pytest.fixture
def risk(seen: tuple[Risk, EvidenceStore]) -> Risk:
    return seen[0]


@pytest.fixture
def store(seen: tuple[Risk, EvidenceStore], tmp_path: Path) -> EvidenceStore:
    """The test's own copy."""
    shutil.copytree(seen[1].root, tmp_path / "evidence")
    return EvidenceStore(tmp_path / "evidence")


def reference(risk: Risk, kind: str) -> Evidence:
    return next(one for one in risk.evidence if one.kind == kind)


def test_the_same_risk_comes_of_the_evidence_alone(risk: Risk, store: EvidenceStore) -> None:
    found = replay(risk, store)
    assert (found.outcome, found.reasons) == ("same", ())
    assert (found.type, found.zone) == ("person-present", "floor")
    assert len(found.frames) == sum(one.kind == "frame" for one in risk.evidence) >= 3
    for frame in found.frames:
        assert [d.label for d in frame.replayed] == [d.label for d in frame.recorded] == ["person"]
    [analysis] = [one for one in risk.evidence if one.kind == "analysis"]
    content = decode_analysis(store.get("mine", analysis.sha256, analysis.media_type))
    assert content.detectors[0].settings["threshold"] == 0.35
    assert content.position.startswith("frames/0/")


def test_a_camera_that_moved_and_one_that_froze_are_found_again(tmp_path: Path, test_data: Path) -> None:
    """Both are told by what was remembered of earlier pictures, which the evidence therefore holds."""
    mine = Mine(tmp_path, VisionSettings(clip_seconds=0), {})
    picture = cv2.resize(pictures(test_data, PERSONS, limit=1)[0][1], (320, 180), interpolation=cv2.INTER_AREA)
    grain = np.random.default_rng(7)
    steady = [_grained(picture, grain) for _ in range(30)]
    turned = [np.roll(_grained(picture, grain), picture.shape[1] // 4, axis=1) for _ in range(40)]
    frozen = [turned[-1]] * 60
    frames = [as_frame(p, "cam", i, i * 0.5) for i, p in enumerate((*steady, *turned, *frozen))]
    risks = {risk.type: risk for risk in mine.raised(frames)}
    assert {"camera-moved", "camera-frozen"} <= set(risks)
    for risk_type in ("camera-moved", "camera-frozen"):
        assert replay(risks[risk_type], mine.store).outcome == "same"


def _grained(picture: Picture, grain: np.random.Generator) -> Picture:
    return np.asarray(np.clip(picture + grain.normal(0, 3, picture.shape), 0, 255), np.uint8)


def test_weights_of_another_digest_are_not_tried(risk: Risk, store: EvidenceStore) -> None:
    def altered(name: str, settings: DetectorSettings) -> Detector:
        raise WeightsError(f"The weights {settings.weights} are not those with {settings.sha256}.")

    found = replay(risk, store, altered)
    assert found.outcome == "impossible"
    assert folder_digest(Path(found.reasons[0].split()[2])) in found.reasons[0]


def test_weights_replaced_since_are_refused_by_their_digest(risk: Risk, store: EvidenceStore, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "weights.xml").write_text("<net/>")
    found = replay(_with_analysis(risk, store, weights=str(other)), store)
    assert found.outcome == "impossible"
    assert "they were altered or replaced" in found.reasons[0]


def test_other_settings_come_out_otherwise_and_it_is_said(risk: Risk, store: EvidenceStore) -> None:
    found = replay(_with_analysis(risk, store, threshold=0.99), store)
    assert found.outcome == "different"
    assert "no longer seen" in found.reasons[0]
    assert "do not raise person-present again" in found.reasons[-1]


def test_missing_and_altered_evidence_is_named(risk: Risk, store: EvidenceStore) -> None:
    frame = reference(risk, "frame")
    path = store.path("mine", frame.sha256, "image/jpeg")
    path.write_bytes(path.read_bytes() + b"\x00")
    assert "altered" in replay(risk, store).reasons[0]
    path.unlink()
    assert frame.sha256[:12] in replay(risk, store).reasons[0]
    bare = msgspec.structs.replace(risk, evidence=tuple(e for e in risk.evidence if e.kind != "analysis"))
    found = replay(bare, store)
    assert found.outcome == "impossible"
    assert "no record of an analysis" in found.reasons[0]


def test_a_record_of_another_risk_or_of_no_sense_is_not_believed(risk: Risk, store: EvidenceStore) -> None:
    renamed = msgspec.structs.replace(risk, risk_id="0" * 32)
    assert replay(renamed, store).outcome == "impossible"
    for content in (b"", b"{}", b"\xff"):
        digest = store.put("mine", content, "application/json")
        evidence = msgspec.structs.replace(reference(risk, "analysis"), sha256=digest)
        assert replay(msgspec.structs.replace(risk, evidence=(evidence,)), store).outcome == "impossible"
    assert replay(_with_analysis(risk, store, threshold=7), store).outcome == "impossible"
    moved = msgspec.structs.replace(risk, source="elsewhere")
    assert "another risk's" in replay(moved, store).reasons[0]


def _with_analysis(risk: Risk, store: EvidenceStore, **settings: object) -> Risk:
    """The risk with a record of its analysis in which the detector had other settings."""
    one = reference(risk, "analysis")
    analysis = decode_analysis(store.get("mine", one.sha256, one.media_type))
    used = analysis.detectors[0]
    used = msgspec.structs.replace(used, settings={**used.settings, **settings})
    data = encode_analysis(msgspec.structs.replace(analysis, detectors=(used,)))
    other = msgspec.structs.replace(one, sha256=store.put("mine", data, one.media_type))
    return msgspec.structs.replace(risk, evidence=(*(e for e in risk.evidence if e.kind != "analysis"), other))


@pytest.mark.parametrize(
    ("replayed", "said"),
    [
        ([PERSON], []),
        ([msgspec.structs.replace(PERSON, confidence=0.8 + CONFIDENCE / 2, track=4)], []),
        ([msgspec.structs.replace(PERSON, confidence=0.7)], ["now seen with confidence 0.70"]),
        ([msgspec.structs.replace(PERSON, box=(0.2, 0.1, 0.4, 0.9))], ["no longer seen", "not seen then"]),
        ([msgspec.structs.replace(PERSON, label="vehicle")], ["no longer seen", "not seen then"]),
        ([PERSON, PERSON], ["not seen then"]),
        ([], ["no longer seen"]),
    ],
)
def test_detections_differ_beyond_the_tolerance_only(replayed: list[Detection], said: list[str]) -> None:
    found = differences([PERSON], replayed)
    assert len(found) == len(said)
    assert all(part in text for part, text in zip(said, found, strict=True))


def test_frames_of_the_first_and_the_last_support_are_among_those_replayed(risk: Risk, store: EvidenceStore) -> None:
    frames = replay(risk, store).frames
    one = reference(risk, "analysis")
    kept = decode_analysis(store.get("mine", one.sha256, one.media_type)).frames
    assert kept[0].captured_at == risk.started_at
    assert kept[-1].captured_at == risk.observed_at >= START + timedelta(seconds=1)
    assert [frame.sha256 for frame in frames] == [frame.sha256 for frame in kept]
