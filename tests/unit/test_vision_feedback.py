"""Pictures that people have judged become a set: boxes to begin with, the decision, and nothing written over."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from stream.catalogue import Confirmation
from stream.evidence import EvidenceStore
from stream.messages import Detection, Evidence
from tests.clips import START
from tests.unit.disposal_world import risk
from vision.analysis import AnalysedFrame, Analysis, UsedDetector, encode_analysis
from vision.check import check_set
from vision.errors import DatasetError
from vision.feedback import Judged, Verdict, export_feedback

MINE = "north"
LEFT = Detection(label="person", confidence=0.8, box=(0.1, 0.1, 0.3, 0.9))
RIGHT = Detection(label="person", confidence=0.6, box=(0.6, 0.2, 0.9, 0.8))


@pytest.fixture
def store(tmp_path: Path) -> EvidenceStore:
    return EvidenceStore(tmp_path / "evidence")


def picture(number: int) -> bytes:
    noise = np.random.default_rng(number).integers(0, 255, (9, 16, 3), np.uint8)
    return cv2.imencode(".jpg", cv2.resize(noise, (160, 90)))[1].tobytes()


def judged(
    store: EvidenceStore, verdict: Verdict, name: str, frames: dict[int, tuple[Detection, ...]], **changes: Any
) -> Judged:
    """A risk that was raised by these boxes in these pictures, and what was said of it."""
    analysis = Analysis(
        release="1",
        risk_id=name,
        type="person-on-belt",
        camera={},
        zone=None,
        position="frames/0/0",
        confirmation=Confirmation(),
        detectors=(UsedDetector(name="ppe", digest="d" * 64, settings={}),),
        frames=tuple(
            AnalysedFrame(
                sha256=store.put(MINE, picture(number), "image/jpeg"),
                captured_at=START + timedelta(seconds=number),
                detections=boxes,
            )
            for number, boxes in frames.items()
        ),
        supports=len(frames),
    )
    kept = Evidence(
        sha256=store.put(MINE, encode_analysis(analysis), "application/json"),
        media_type="application/json",
        kind="analysis",
        captured_at=START,
    )
    raised = risk("person-on-belt", risk_id=name, **{"evidence": (kept,), **changes})
    return Judged(raised, f"alert-{name}", verdict, START, "a sack")


def labels(out: Path) -> dict[str, list[str]]:
    return {file.stem: file.read_text().splitlines() for file in (out / "labels").iterdir()}


def decisions(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "decisions.jsonl").read_text().splitlines()]


def test_pictures_come_with_their_boxes_and_what_was_decided(store: EvidenceStore, tmp_path: Path) -> None:
    out, steps = tmp_path / "site" / "feedback", list[tuple[int, int]]()
    rejected = judged(store, "false-alarm", "sack", {1: (LEFT,), 2: (LEFT, RIGHT)})
    confirmed = judged(store, "confirmed", "person", {3: (RIGHT,)})
    done = export_feedback([rejected, confirmed], store, {}, out, progress=lambda *at: steps.append(at))
    assert (done.risks, done.pictures, done.written, done.boxes, done.kept) == (
        {"false-alarm": 1, "confirmed": 1},
        3,
        3,
        4,
        0,
    )
    assert steps[-1] == (3, 3)
    assert yaml.safe_load((out / "data.yaml").read_text())["names"] == {0: "person"}
    lines = decisions(out)
    assert [(line["verdict"], line["alert"], line["reason"]) for line in lines] == [
        *[("false-alarm", "alert-sack", "a sack")] * 2,
        ("confirmed", "alert-person", "a sack"),
    ]
    assert [len(line["boxes"]) for line in lines] == [1, 2, 1]
    assert lines[0]["weights"] == {"ppe": "d" * 64}
    assert len((out / "false-alarm.txt").read_text().splitlines()) == 2
    assert (out / "confirmed.txt").read_text() == f"./{lines[2]['picture']}\n"
    assert labels(out)[Path(lines[2]["picture"]).stem] == ["0 0.750000 0.500000 0.300000 0.600000"]
    for line in lines:
        assert (out / line["picture"]).resolve().is_relative_to(store.root), "no copy of a person's picture is made"
    assert [f.kind for f in check_set(out / "data.yaml").findings] == ["same-splits"], "it is for a person to split"


def test_corrections_are_kept_and_new_decisions_are_added(store: EvidenceStore, tmp_path: Path) -> None:
    out = tmp_path / "feedback"
    first = judged(store, "false-alarm", "sack", {1: (LEFT,)})
    export_feedback([first], store, {}, out)
    [file] = (out / "labels").iterdir()
    file.write_text("")
    again = [first._replace(verdict="confirmed"), judged(store, "false-alarm", "post", {2: (RIGHT,)})]
    done = export_feedback(again, store, {}, out)
    assert (done.kept, done.written) == (1, 1)
    assert file.read_text() == ""
    assert [line["verdict"] for line in decisions(out)] == ["confirmed", "false-alarm"], "decisions are the latest"


def test_what_raised_a_false_alarm_is_left_out_when_asked_for_and_what_was_confirmed_stays(
    store: EvidenceStore, tmp_path: Path
) -> None:
    """One picture may have raised two risks: a box of both was confirmed."""
    rejected = judged(store, "false-alarm", "one", {1: (LEFT, RIGHT)})
    confirmed = judged(store, "confirmed", "two", {1: (RIGHT,)})
    done = export_feedback([rejected, confirmed], store, {}, tmp_path / "feedback", drop_rejected=True)
    assert (done.pictures, done.boxes) == (1, 1)
    [rows] = labels(tmp_path / "feedback").values()
    assert rows == ["0 0.750000 0.500000 0.300000 0.600000"]
    assert len(decisions(tmp_path / "feedback")) == 2


def test_what_no_detector_raised_or_is_gone_is_left_out_by_name(store: EvidenceStore, tmp_path: Path) -> None:
    good = judged(store, "confirmed", "good", {1: (LEFT,)})
    blind = judged(store, "confirmed", "blind", {2: ()})
    sensor = judged(store, "confirmed", "sensor", {}, evidence=())
    gone = judged(store, "false-alarm", "gone", {3: (LEFT,)})
    digest = store.put(MINE, picture(3), "image/jpeg")
    store.path(MINE, digest, "image/jpeg").unlink()
    done = export_feedback([good, blind, sensor, gone], store, {}, tmp_path / "feedback")
    assert done.risks == {"confirmed": 1, "false-alarm": 0}
    assert [name for name, _ in done.left_out] == ["blind", "sensor", "gone"]
    assert digest[:12] in done.left_out[2][1]
    with pytest.raises(DatasetError, match="None of 1 judged risks has a picture"):
        export_feedback([gone], store, {}, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_altered_evidence_teaches_nothing(store: EvidenceStore, tmp_path: Path) -> None:
    one = judged(store, "false-alarm", "sack", {1: (LEFT,)})
    digest = store.put(MINE, picture(1), "image/jpeg")
    store.path(MINE, digest, "image/jpeg").write_bytes(picture(9))
    with pytest.raises(DatasetError, match="was altered"):
        export_feedback([one], store, {}, tmp_path / "feedback")
