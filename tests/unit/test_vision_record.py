"""Evidence: the frames as they were analysed, the one with the boxes, the clip."""

import io
from datetime import timedelta
from pathlib import Path

import av
import cv2
import msgspec
import numpy as np
import pytest

from stream.evidence import EvidenceStore
from stream.messages import Detection, Evidence, Frame
from stream.site import Zone
from tests.clips import START, WORKER, as_frame, pictures
from vision.episode import Episode, Event, Look, with_look
from vision.record import Recorder
from vision.zones import ZoneMap

PERSON = Detection(label="person", confidence=0.88, box=(0.29, 0.3, 0.45, 0.99))
ZONE = ZoneMap(
    Zone(id="floor", camera="cam", purpose="watched", polygon=((0.1, 0.2), (0.9, 0.2), (0.9, 0.9), (0.1, 0.9)))
)


@pytest.fixture
def frames(test_data: Path) -> list[Frame]:
    return [as_frame(picture, "cam", i, s) for i, (s, picture) in enumerate(pictures(test_data, WORKER, limit=40))]


@pytest.fixture
def store(tmp_path: Path) -> EvidenceStore:
    return EvidenceStore(tmp_path)


def episode_of(frames: list[Frame], best: int) -> Episode:
    episode = Episode(
        type="person-present",
        zone="floor",
        risk_id="0" * 32,
        started_at=frames[0].captured_at,
        supported_at=frames[-1].captured_at,
        confidence=0.88,
        persons=1,
    )
    for offset, frame in enumerate(frames):
        confidence = 0.88 if offset == best else 0.5
        episode = with_look(episode, Look(offset, frame.captured_at, confidence, (PERSON,)))
    return episode


def event(episode: Episode, state: str = "raised", *, record: bool = False) -> Event:
    at = episode.supported_at
    content = {"state": state, "sequence": 0, "episode": episode, "observed_at": at, "read_at": at, "reason": ""}
    return msgspec.convert({**content, "record": record}, Event, from_attributes=True)


def of_kind(evidence: tuple[Evidence, ...], kind: str) -> list[Evidence]:
    return [one for one in evidence if one.kind == kind]


def test_the_frames_are_kept_byte_for_byte(frames: list[Frame], store: EvidenceStore) -> None:
    recorder = Recorder(store, "mine", 0)
    for offset, frame in enumerate(frames):
        recorder.hold(frame, offset)
    evidence = recorder.evidence(event(episode_of(frames, 5)), "cam", ZONE)
    kept = of_kind(evidence, "frame")
    assert 4 <= len(kept) <= 8
    by_time = {frame.captured_at: frame.jpeg for frame in frames}
    assert kept[0].captured_at == frames[0].captured_at
    assert kept[-1].captured_at == frames[-1].captured_at
    for one in kept:
        assert store.get("mine", one.sha256, one.media_type) == by_time[one.captured_at]


def test_the_picture_shows_the_surest_frame_with_its_boxes_and_zone(frames: list[Frame], store: EvidenceStore) -> None:
    recorder = Recorder(store, "mine", 0)
    for offset, frame in enumerate(frames):
        recorder.hold(frame, offset)
    [drawn] = of_kind(recorder.evidence(event(episode_of(frames, 13)), "cam", ZONE), "annotated")
    assert drawn.captured_at == frames[13].captured_at
    picture = cv2.imdecode(np.frombuffer(store.get("mine", drawn.sha256, "image/jpeg"), np.uint8), cv2.IMREAD_COLOR)
    plain = cv2.imdecode(np.frombuffer(frames[13].jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (360 + 28, 640, 3)
    plain = cv2.resize(plain, (640, 360), interpolation=cv2.INTER_CUBIC)
    changed = cv2.absdiff(picture[:360], plain).max(axis=2) > 60
    x, y = round(0.29 * 640), round(0.6 * 360)
    assert changed[y - 20 : y + 20, x - 3 : x + 4].any(axis=1).all(), "the box's left side"
    assert changed[70:74, 80:140].any(axis=0).mean() > 0.9, "the zone's upper side"
    assert changed.mean() < 0.12, "the person stays visible"
    assert picture[360:].max() > 200, "the caption"


def test_what_no_candidate_needs_is_let_go(frames: list[Frame], store: EvidenceStore) -> None:
    recorder = Recorder(store, "mine", 0)
    for offset, frame in enumerate(frames[:6]):
        recorder.hold(frame, offset)
    recorder.release("cam", frozenset({2}))
    evidence = recorder.evidence(event(episode_of(frames[:6], 0)), "cam", ZONE)
    assert [one.captured_at for one in evidence] == [frames[2].captured_at]


def test_the_clip_plays_the_seconds_around_the_raising(frames: list[Frame], store: EvidenceStore) -> None:
    recorder = Recorder(store, "mine", 1.0)
    for offset, frame in enumerate(frames):
        recorder.hold(frame, offset)
    raised = msgspec.structs.replace(episode_of(frames, 0), raised_at=START + timedelta(seconds=1.5))
    assert recorder.clip(event(raised, "updated"), "cam") is None
    making = recorder.clip(event(raised, "updated", record=True), "cam")
    assert making is not None
    [clip] = making.result()
    assert (clip.kind, clip.media_type) == ("clip", "video/webm")
    assert START + timedelta(seconds=0.5) <= clip.captured_at <= START + timedelta(seconds=0.8)
    with av.open(io.BytesIO(store.get("mine", clip.sha256, "video/webm"))) as video:
        assert video.streams.video[0].codec_context.name == "vp9"
        shown = [frame.to_ndarray(format="bgr24") for frame in video.decode(video=0)]
    assert 7 <= len(shown) <= 12
    first = next(frame for frame in frames if frame.captured_at == clip.captured_at)
    plain = cv2.imdecode(np.frombuffer(first.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert cv2.absdiff(shown[0], cv2.resize(plain, shown[0].shape[1::-1])).mean() < 12


def test_a_store_that_cannot_be_written_costs_the_evidence_and_not_the_risk(
    frames: list[Frame], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    recorder = Recorder(EvidenceStore(tmp_path / "file"), "mine", 0)
    recorder.hold(frames[0], 0)
    assert recorder.evidence(event(episode_of(frames[:1], 0)), "cam", ZONE) == ()
