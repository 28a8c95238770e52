"""What is published waits for its own clip and for nobody else's, and for a log that fails."""

from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from sqlmodel import SQLModel

from stream.database import open_database
from stream.errors import LogError
from stream.evidence import EvidenceStore
from stream.heartbeat import Heartbeat
from stream.messages import Evidence, Risk, decode
from vision.publisher import Prepared, Publisher
from vision.record import Recorder
from vision.settings import DetectorSettings, VisionSettings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLIP = Evidence(sha256="1" * 64, media_type="video/webm", kind="clip", captured_at=NOW)
RISK = Risk(
    mine="m",
    risk_id="0" * 32,
    sequence=0,
    state="updated",
    type="person-present",
    source="a",
    source_kind="camera",
    place="face",
    zone=None,
    confidence=0.9,
    started_at=NOW,
    observed_at=NOW,
    read_at=NOW,
    published_at=NOW,
)


class Taken:
    """Of the log's protocol what a publisher uses; refuses while ``down``."""

    def __init__(self) -> None:
        self.risks: list[Risk] = []
        self.down = False

    def append(self, topic: str, key: str, value: bytes) -> None:
        if self.down:
            raise LogError("The log does not answer.")
        risk = decode(value)
        assert isinstance(risk, Risk)
        self.risks.append(risk)

    def told(self) -> list[tuple[str, int]]:
        return [(risk.source, risk.sequence) for risk in self.risks]


@pytest.fixture
def log() -> Taken:
    return Taken()


@pytest.fixture
def publisher(tmp_path: Path, log: Taken) -> Iterator[Publisher]:
    engine = open_database(f"sqlite:///{tmp_path}/a.db")
    SQLModel.metadata.create_all(engine)
    settings = VisionSettings(detectors={"ppe": DetectorSettings(weights="ppe")})
    recorder = Recorder(EvidenceStore(tmp_path / "evidence"), "m", 1.0)
    yield Publisher(log, "m", settings, recorder, Heartbeat(engine, "m", "vision"), lambda: NOW)  # type: ignore[arg-type]
    engine.dispose()


def prepared(source: str, sequence: int, clip: Future[tuple[Evidence, ...]] | None = None) -> Prepared:
    return Prepared(msgspec.structs.replace(RISK, source=source, sequence=sequence), clip)


def test_other_cameras_do_not_wait_for_a_clip_and_the_camera_keeps_its_order(publisher: Publisher, log: Taken) -> None:
    clip: Future[tuple[Evidence, ...]] = Future()
    publisher.add([prepared("a", 0, clip), prepared("b", 0), prepared("a", 1)])
    assert publisher.flush() == 1
    assert log.told() == [("b", 0)]
    assert publisher.waiting == {"a"}
    clip.set_result((CLIP,))
    assert publisher.flush() == 2
    assert log.told() == [("b", 0), ("a", 0), ("a", 1)]
    assert log.risks[1].evidence == (CLIP,)
    assert not publisher.waiting


def test_a_log_that_fails_keeps_what_it_did_not_take(publisher: Publisher, log: Taken) -> None:
    publisher.add([prepared("a", 0), prepared("a", 1)])
    log.down = True
    with pytest.raises(LogError):
        publisher.flush()
    log.down = False
    assert publisher.flush(wait=True) == 2
    assert log.told() == [("a", 0), ("a", 1)]
