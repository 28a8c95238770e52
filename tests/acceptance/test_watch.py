"""`minewatch watch` on clips that nobody here made."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from sqlmodel import Session, select
from sqlmodel.sql.expression import SelectOfScalar

from disposal.alert import AlertRisk
from disposal.decision import decide
from disposal.document import Document
from rules.clause import in_force
from tests.acceptance.command import Answer, database, evidence_of, minewatch, raised, watch_folder
from vision.dataset import label_file

CLIPS = {"worker-zone-detection": 71, "one-by-one-person-detection": 1394}
ABOUT_A_PERSON = {"no-helmet", "person-present"}


@pytest.fixture(scope="module")
def watched(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Answer, Path]:
    data = tmp_path_factory.mktemp("watch")
    clips = [test_data / "video" / f"{name}.mp4" for name in CLIPS]
    logged = {"MINEWATCH_LOG_LEVEL": "info"}
    return minewatch("watch", *clips, "--json", "--data", data, variables=logged), watch_folder(data)


def test_every_frame_is_read_and_nothing_is_put_aside(watched: tuple[Answer, Path]) -> None:
    answer, _ = watched
    assert answer.code == 0, answer.err
    assert answer.json["frames_read"] == sum(CLIPS.values())
    assert answer.json["frames_skipped"] == 0
    assert answer.json["dead_letters"] == 0
    assert 0 < answer.json["frames_analysed"] <= answer.json["frames_read"]


def test_each_clip_gives_a_risk_about_a_person_whose_picture_shows_the_person(
    watched: tuple[Answer, Path], test_data: Path
) -> None:
    _, folder = watched
    risks = raised(database(folder))
    reference = _Reference(test_data / "weights" / "yolo11n_coco_int8_openvino_model")
    for clip in CLIPS:
        about_persons = [r for r in risks if r.source == clip and r.type in ABOUT_A_PERSON]
        assert about_persons, f"no risk about a person in {clip}: {[(r.source, r.type) for r in risks]}"
        shown = [
            reference.sees_a_person(picture)
            for r in about_persons
            for _, picture in evidence_of(folder, r, "annotated")
        ]
        assert any(shown), f"no evidence picture of {clip} shows a person"


def test_every_raised_risk_has_a_document_that_cites_clauses_in_force(watched: tuple[Answer, Path]) -> None:
    answer, folder = watched
    engine = database(folder)
    with Session(engine) as session:
        documents = session.exec(select(Document)).all()
    assert answer.json["risks"] >= len(CLIPS)
    assert answer.json["documents"] == len(documents) == answer.json["alerts"] > 0
    for document in documents:
        content = document.read_content()
        assert content is not None
        cited = {citation.version_id for citation in content.citations}
        assert cited, f"document {document.id} cites nothing"
        assert cited <= {provision.version_id for provision in in_force(engine, document.mine, document.created_at)}


def test_the_log_follows_each_risk_by_its_id_through_the_stages(watched: tuple[Answer, Path]) -> None:
    answer, folder = watched
    lines = [json.loads(line) for line in answer.err.splitlines() if line.startswith("{")]
    risks = raised(database(folder))
    assert risks
    for risk in risks:
        told = [line for line in lines if line.get("risk") == risk.risk_id]
        assert {"vision", "disposal"} <= {line["stage"] for line in told}
        assert "raised" in {line["state"] for line in told if line["event"] == "risk"}
        alerts = {line["alert"] for line in told if line["event"] == "risk taken"}
        steps = {line["step"] for line in lines if line["event"] == "step" and line["alert"] in alerts}
        assert {"match", "draft", "decide"} <= steps


def test_the_summary_says_what_the_tables_say(watched: tuple[Answer, Path]) -> None:
    answer, folder = watched
    risks = raised(database(folder))
    assert answer.json["risks"] == len({r.risk_id for r in risks}) == sum(answer.json["risks_by_type"].values())
    assert answer.json["latency_ms"]["frame_to_risk"]["p50"] > 0
    assert answer.json["latency_ms"]["risk_to_document"]["p95"] > 0
    assert answer.json["auto_closed"] == 0, "nothing closes by itself outside the demonstration"
    assert answer.json["pending"] > 0


def test_each_risk_is_found_again_from_its_evidence(watched: tuple[Answer, Path]) -> None:
    _, folder = watched
    risk = raised(database(folder))[0]
    again = minewatch("vision", "replay", risk.risk_id, "--data", folder, "--json")
    assert again.code == 0, again.err
    assert (again.json["outcome"], again.json["type"], again.json["zone"]) == ("same", risk.type, risk.zone)
    frame = next(one for one in risk.evidence if one.kind == "frame")
    path = folder / "evidence" / risk.mine / frame.sha256[:2] / f"{frame.sha256}.jpg"
    kept = path.read_bytes()
    path.unlink()
    try:
        impossible = minewatch("vision", "replay", risk.risk_id, "--data", folder, "--json")
    finally:
        path.write_bytes(kept)
    assert (impossible.code, impossible.json["outcome"]) == (1, "impossible")
    assert frame.sha256[:12] in impossible.json["reasons"][0]


def test_what_dispatchers_decided_becomes_a_set_of_pictures(watched: tuple[Answer, Path]) -> None:
    """One alert is a false alarm and one confirmed, each with all that it stands for; no picture leaves the folder."""
    _, folder = watched
    engine = database(folder)
    with Session(engine) as session:
        waiting = session.exec(select(Document).where(Document.state == "PENDING_APPROVAL")).all()
        behind = {
            document.alert_id: [row.risk for row in session.exec(_raised_behind(document.alert_id)).all()]
            for document in waiting
        }
    seen = [d for d in waiting if all((risk.detector or "").startswith("ppe@") for risk in behind[d.alert_id])]
    rejected, approved = seen[:2]
    decide(
        engine, rejected.mine, rejected.alert_id, "reject", "ann", reason="a sack", document_version=rejected.version
    )
    decide(engine, approved.mine, approved.alert_id, "approve", "ann", document_version=approved.version)
    done = minewatch("vision", "export-feedback", "--data", folder, "--json")
    assert done.code == 0, done.err
    wrong, right = behind[rejected.alert_id], behind[approved.alert_id]
    assert done.json["risks"] == {"confirmed": len(right), "false-alarm": len(wrong)}
    kept = {one.sha256 for risk in (*wrong, *right) for one in risk.evidence if one.kind == "frame"}
    assert done.json["pictures"] == done.json["written"] == len(kept)
    lines = [json.loads(line) for line in (folder / "feedback" / "decisions.jsonl").read_text().splitlines()]
    assert {(line["alert"], line["verdict"], line["reason"]) for line in lines} == {
        (rejected.alert_id, "false-alarm", "a sack"),
        (approved.alert_id, "confirmed", ""),
    }
    for line in lines:
        picture = folder / "feedback" / line["picture"]
        assert picture.resolve().is_relative_to(folder / "evidence")
        assert len(label_file(picture).read_text().splitlines()) >= len(line["boxes"]) > 0


def _raised_behind(alert_id: str) -> SelectOfScalar[AlertRisk]:
    return select(AlertRisk).where(AlertRisk.alert_id == alert_id, AlertRisk.state == "raised")


class _Reference:
    """A detector that the product does not ship, as an independent witness."""

    def __init__(self, folder: Path) -> None:
        import openvino

        model = openvino.Core().read_model(next(folder.glob("*.xml")))
        self._model = openvino.Core().compile_model(model, "CPU")

    def sees_a_person(self, jpeg: bytes) -> bool:
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        scale = 640 / max(picture.shape[:2])
        small = cv2.resize(picture, None, fx=scale, fy=scale)
        canvas = np.full((640, 640, 3), 114, np.uint8)
        canvas[: small.shape[0], : small.shape[1]] = small
        tensor = canvas[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32) / 255
        person_scores = self._model(tensor)[0][0][4]
        return bool(person_scores.max() > 0.4)
