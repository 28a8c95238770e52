"""Pictures that people have judged, as a YOLO set with the detectors' boxes: to be corrected, and trained on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from stream.errors import EvidenceError
from stream.evidence import EvidenceStore
from stream.messages import Detection, Risk
from vision.analysis import AnalysedFrame, Analysis, decode_analysis
from vision.check import Progress
from vision.dataset import label_file, overlap
from vision.detect import detect_files
from vision.detector import Detector
from vision.errors import DatasetError
from vision.label import SAME, centred, class_names, merged, write_labels, write_names, write_whole

Verdict = Literal["confirmed", "false-alarm"]

_AT_ONCE = 8


class Judged(NamedTuple):
    """A risk as it was raised, and what a person said of it; ``alert`` is the id under which the console shows it."""

    risk: Risk
    alert: str
    verdict: Verdict
    at: datetime
    reason: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One line of decisions.jsonl: a judged risk in one picture; ``boxes`` are those that raised it there."""

    picture: str
    verdict: Verdict
    reason: str
    decided_at: datetime
    alert: str
    risk: str
    type: str
    camera: str
    zone: str | None
    captured_at: datetime
    boxes: tuple[Detection, ...]
    weights: dict[str, str]


@dataclass
class Feedback:
    """What was written. ``risks`` counts the judged risks that pictures were taken from, by verdict."""

    data_yaml: Path
    risks: dict[str, int] = field(default_factory=lambda: {"confirmed": 0, "false-alarm": 0})
    pictures: int = 0
    written: int = 0
    kept: int = 0
    boxes: int = 0
    left_out: tuple[tuple[str, str], ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Fit for JSON."""
        counts = {"pictures": self.pictures, "written": self.written, "kept": self.kept, "boxes": self.boxes}
        left_out = [{"risk": risk, "reason": reason} for risk, reason in self.left_out]
        return {"data": str(self.data_yaml), "risks": self.risks, **counts, "left_out": left_out}


@dataclass
class _Picture:
    """A picture, what is said of it, and the detectors that its cameras ask for."""

    path: Path
    decisions: list[Decision] = field(default_factory=list)
    detectors: set[str] = field(default_factory=set)

    @property
    def verdicts(self) -> frozenset[Verdict]:
        return frozenset(one.verdict for one in self.decisions)

    def boxes(self, seen: Iterable[Detection], *, drop_rejected: bool) -> list[Detection]:
        """What is seen in it now and what raised the risks then, as labels to begin with."""
        both = merged([*seen, *(box for one in self.decisions for box in one.boxes)])
        if not drop_rejected:
            return both
        rejected = [box for one in self.decisions if one.verdict == "false-alarm" for box in one.boxes]
        confirmed = [box for one in self.decisions if one.verdict == "confirmed" for box in one.boxes]
        return [box for box in both if _among(box, confirmed) or not _among(box, rejected)]


def export_feedback(
    judged: Sequence[Judged],
    store: EvidenceStore,
    detectors: Mapping[str, Detector],
    out: Path,
    *,
    drop_rejected: bool = False,
    progress: Progress | None = None,
) -> Feedback:
    """Write the pictures behind judged risks into the folder ``out`` as a YOLO set.

    The pictures are links into the evidence store, so that what is deleted there is gone here as well. Each has the
    boxes that raised the risk and those that the camera's ``detectors`` see now; with ``drop_rejected`` without those
    that raised a false alarm. ``decisions.jsonl`` says what was decided of which picture, ``false-alarm.txt`` and
    ``confirmed.txt`` list the pictures by it. Label files that exist may hold corrections and are kept.

    Raises DatasetError where nothing judged has a picture, or a data.yaml is there whose classes lack a label.
    """
    pictures, left_out = _pictures(judged, store)
    if not pictures:
        reasons = "".join(f" {reason}" for _, reason in left_out[:1])
        raise DatasetError(
            f"None of {len(judged)} judged risks has a picture that a detector could learn from.{reasons}"
        )
    result = Feedback(out / "data.yaml", pictures=len(pictures))
    for one in {d.risk: d.verdict for picture in pictures.values() for d in picture.decisions}.values():
        result.risks[one] += 1
    names = class_names(result.data_yaml, _labels(pictures.values(), detectors))
    write_names(result.data_yaml, names, "images")
    targets = {out / "images" / f"{digest[:16]}.jpg": picture for digest, picture in pictures.items()}
    due = [target for target in targets if not label_file(target).exists()]
    result.kept = len(targets) - len(due)
    for start in range(0, len(due), _AT_ONCE):
        chosen = due[start : start + _AT_ONCE]
        for target, seen in zip(chosen, _seen([targets[t] for t in chosen], detectors), strict=True):
            boxes = targets[target].boxes(seen, drop_rejected=drop_rejected)
            write_labels(targets[target].path, target, boxes, names)
            result.written += 1
            result.boxes += len(boxes)
        if progress is not None:
            progress(result.kept + start + len(chosen), len(targets))
    _write_decisions(out, targets)
    result.left_out = tuple(left_out)
    return result


def _pictures(judged: Sequence[Judged], store: EvidenceStore) -> tuple[dict[str, _Picture], list[tuple[str, str]]]:
    """The kept frames of judged risks by their digest, and the risks of which there are none, with the reason."""
    pictures: dict[str, _Picture] = {}
    left_out = []
    for one in judged:
        try:
            analysis = _analysis(one.risk, store)
            frames = [(frame, _checked(one.risk.mine, frame.sha256, store)) for frame in analysis.frames]
        except EvidenceError as error:
            left_out.append((one.risk.risk_id, str(error)))
            continue
        for frame, path in frames:
            picture = pictures.setdefault(frame.sha256, _Picture(path))
            picture.decisions.append(_decision(one, analysis, frame))
            picture.detectors |= {used.name for used in analysis.detectors}
    return pictures, left_out


def _analysis(risk: Risk, store: EvidenceStore) -> Analysis:
    """The record of how the risk was seen. Raises EvidenceError where no detector saw it or nothing of it is left."""
    reference = next((one for one in risk.evidence if one.kind == "analysis"), None)
    if reference is None:
        raise EvidenceError(f"Risk {risk.risk_id} ({risk.type}) has no record of an analysis: no detector raised it.")
    analysis = decode_analysis(store.get(risk.mine, reference.sha256, reference.media_type))
    if not any(frame.detections for frame in analysis.frames):
        raise EvidenceError(f"Risk {risk.risk_id} ({risk.type}) rests on no box: no detector raised it.")
    return analysis


def _checked(mine: str, digest: str, store: EvidenceStore) -> Path:
    store.get(mine, digest, "image/jpeg")
    return store.path(mine, digest, "image/jpeg")


def _decision(judged: Judged, analysis: Analysis, frame: AnalysedFrame) -> Decision:
    return Decision(
        picture=f"images/{frame.sha256[:16]}.jpg",
        verdict=judged.verdict,
        reason=judged.reason,
        decided_at=judged.at,
        alert=judged.alert,
        risk=judged.risk.risk_id,
        type=judged.risk.type,
        camera=judged.risk.source,
        zone=judged.risk.zone,
        captured_at=frame.captured_at,
        boxes=frame.detections,
        weights={used.name: used.digest for used in analysis.detectors},
    )


def _labels(pictures: Iterable[_Picture], detectors: Mapping[str, Detector]) -> list[str]:
    """Every label that one of the boxes may have."""
    boxes = {box.label for picture in pictures for one in picture.decisions for box in one.boxes}
    used = {name for picture in pictures for name in picture.detectors}
    return sorted(boxes | {label for name in used if name in detectors for label in detectors[name].labels})


def _seen(pictures: Sequence[_Picture], detectors: Mapping[str, Detector]) -> list[list[Detection]]:
    """What the detectors of each picture's camera see in it now; one that is no longer set up sees nothing."""
    found: list[list[Detection]] = [[] for _ in pictures]
    for name, detector in detectors.items():
        asked = [i for i, picture in enumerate(pictures) if name in picture.detectors]
        for index, seen in zip(asked, detect_files(detector, [pictures[i].path for i in asked]), strict=True):
            found[index] += seen.detections
    return found


def _among(box: Detection, others: Sequence[Detection]) -> bool:
    return any(other.label == box.label and overlap(centred(other), centred(box)) > SAME for other in others)


def _write_decisions(out: Path, targets: Mapping[Path, _Picture]) -> None:
    lines = [msgspec.json.encode(one).decode() + "\n" for picture in targets.values() for one in picture.decisions]
    write_whole(out / "decisions.jsonl", "".join(lines))
    for verdict in ("confirmed", "false-alarm"):
        listed = [target for target, picture in targets.items() if verdict in picture.verdicts]
        write_whole(out / f"{verdict}.txt", "".join(f"./{t.relative_to(out).as_posix()}\n" for t in listed))
