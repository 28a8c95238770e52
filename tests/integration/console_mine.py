"""A mine for the console's tests: real tables, a real site, risks that go in through the intake, accounts of every role."""

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path

import cv2
import numpy as np
from sqlalchemy import Engine
from sqlmodel import SQLModel

import console.tables  # noqa: F401  # every table of the house
from console.accounts import ROLES, add_user
from disposal.alert import Alert
from disposal.audit import append
from disposal.document import (
    Bilingual,
    Citation,
    Document,
    DocumentContent,
    DocumentState,
    Fact,
    Reason,
    StoredMatch,
    Verdict,
    document_identity,
    to_json,
)
from disposal.intake import take
from disposal.settings import DisposalSettings
from stream.catalogue import RISK_TYPES
from stream.database import open_database, writing
from stream.evidence import EvidenceStore
from stream.log import Log, open_log
from stream.messages import Detection, Evidence, Measured, Risk, RiskState, risk_identity, utc_now
from stream.settings import LogSettings
from stream.site import Camera, Name, Place, Sensor, Site, store_site

MINE = "north"
PASSWORD = "coal seam lantern"
SITE = Site(
    mine=MINE,
    places=(
        Place(
            id="belt-3",
            name=Name(zh="三号带式输送机巷", en="Belt roadway 3"),
            kind="belt-roadway",
            responsible=Name(zh="机电队值班队长", en="Duty foreman, electromechanical team"),
        ),
        Place(id="return-2", name=Name(zh="2采区回风巷", en="Return airway, district 2"), kind="return-airway"),
        Place(id="shaft", name=Name(zh="副井井口", en="Service shaft collar"), kind="shaft"),
    ),
    cameras=(
        Camera(id="cam-belt", name=Name(zh="皮带机头摄像机", en="Belt head camera"), url="belt.mp4", place="belt-3"),
        Camera(id="cam-shaft", name=Name(zh="井口摄像机", en="Shaft camera"), url="shaft.mp4", place="shaft"),
    ),
    sensors=(
        Sensor(
            id="ch4-2",
            name=Name(zh="T2甲烷传感器", en="Methane T2"),
            url="ch4.csv",
            place="return-2",
            quantity="methane",
            unit="%",
        ),
    ),
)


@dataclass
class Mine:
    """Opened stores with a few helpers that write what the stages would."""

    folder: Path
    engine: Engine
    evidence: EvidenceStore
    log: Log
    picture: bytes
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def raise_risk(
        self,
        kind: str,
        source: str = "cam-belt",
        place: str = "belt-3",
        *,
        age: float = 0.0,
        state: RiskState = "raised",
        risk_id: str = "",
    ) -> str:
        """Take a risk of that type in, as disposal's first thread does; answers the alert's id."""
        now = utc_now() - timedelta(seconds=age)
        identity = risk_id or risk_identity(source, kind, None, f"test/{next(self.numbers)}")
        sensor = SITE.sensor(source)
        risk = Risk(
            mine=MINE,
            risk_id=identity,
            sequence=0 if state == "raised" else 1,
            state=state,
            type=kind,
            source=source,
            source_kind="sensor" if sensor else "camera",
            place=place,
            zone=None if sensor else f"zone-{next(self.numbers)}",
            confidence=0.87,
            started_at=now,
            observed_at=now,
            read_at=now,
            published_at=now,
            detections=() if sensor else (Detection(label="person", confidence=0.87, box=(0.4, 0.3, 0.6, 0.9)),),
            evidence=() if sensor else (self._seen(kind, now),),
            measured=(
                Measured(sensor="ch4-2", quantity="methane", value=1.32, unit="%", captured_at=now, limit="≥ 1.0 %"),
            )
            if sensor
            else (),
            reason="4 of 5 frames over 1.2 s" if not sensor else "1.32 % for 6 s",
            detector=None if sensor else "ppe-n",
        )
        with writing(self.engine) as session:
            taken = take(session, risk, SITE, DisposalSettings(), now)
        return taken.alert_id

    def draft(
        self, alert_id: str, state: DocumentState = DocumentState.PENDING_APPROVAL, *, close: bool = False
    ) -> None:
        """Write the next version of the alert's document, with its audit line, as disposal's second loop does."""
        with writing(self.engine) as session:
            alert = session.get_one(Alert, alert_id, with_for_update=True)
            alert.document_version += 1
            alert.updated_at = utc_now()
            document = _document(alert, state, close=close)
            if state is DocumentState.AUTO_CLOSED:
                alert.closed, alert.closed_at, alert.closed_by = True, utc_now(), document.decided_by
                alert.active, alert.acked = False, True
            session.add(alert)
            session.flush()
            session.add(document)
            append(session, MINE, document.backend, "draft", f"alert/{alert.id}", {}, {"document": state.value})

    def _seen(self, kind: str, now: object) -> Evidence:
        digest = self.evidence.put(MINE, self.picture, "image/jpeg")
        return Evidence(sha256=digest, media_type="image/jpeg", kind="annotated", captured_at=now)  # type: ignore[arg-type]


def open_mine(folder: Path, database_url: str = "") -> Mine:
    """A fresh mine under ``folder`` with an account for each role, named after it."""
    engine = open_database(database_url or f"sqlite:///{folder / 'mine.db'}")
    SQLModel.metadata.create_all(engine)
    store_site(engine, SITE, "test")
    for role in ROLES:
        add_user(engine, MINE, role, role, PASSWORD)
    log = open_log(LogSettings(folder=folder / "log", frames_bytes=16 * 1024**2))
    return Mine(folder, engine, EvidenceStore(folder / "evidence"), log, drawn_picture())


def drawn_picture() -> bytes:
    """A roadway with a belt and a marked person, as a JPEG."""
    picture = np.zeros((540, 960, 3), np.uint8)
    for row in range(540):
        picture[row, :] = (30 + row // 12, 34 + row // 11, 38 + row // 10)
    cv2.fillPoly(picture, [np.array([(380, 200), (580, 200), (860, 540), (100, 540)])], (58, 60, 66))
    cv2.fillPoly(picture, [np.array([(450, 200), (520, 200), (640, 540), (330, 540)])], (28, 28, 30))
    for x in (250, 480, 710):
        cv2.circle(picture, (x, 90), 22, (200, 235, 255), -1)
    cv2.ellipse(picture, (500, 330), (26, 74), 0, 0, 360, (60, 110, 190), -1)
    cv2.circle(picture, (500, 238), 24, (120, 150, 190), -1)
    cv2.rectangle(picture, (456, 206), (548, 412), (40, 60, 255), 3)
    cv2.putText(picture, "person 0.87", (456, 198), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (40, 60, 255), 2)
    done, data = cv2.imencode(".jpg", picture)
    assert done
    return data.tobytes()


def _document(alert: Alert, state: DocumentState, *, close: bool) -> Document:
    kind = RISK_TYPES[alert.type]
    label = Bilingual("《煤矿安全规程》第三百七十四条", "Coal Mine Safety Regulation, article 374")
    wording = Bilingual(
        "采用滚筒驱动带式输送机运输时，行人跨越带式输送机处应当设置过桥；严禁人员在输送带上行走、站立或者乘坐。",
        "Where persons have to cross a belt conveyor there is a bridge; nobody walks, stands or rides on the belt.",
    )
    content = DocumentContent(
        title=Bilingual(f"{kind.zh}处置通知", f"Disposal of: {kind.en}"),
        grade=kind.grade,
        facts=(
            Fact(name=Bilingual("时间", "Time"), value=Bilingual("13:42:10", "13:42:10")),
            Fact(name=Bilingual("地点", "Place"), value=Bilingual("三号带式输送机巷", "Belt roadway 3")),
        ),
        citations=(Citation(version_id="cn-coal:374@1", clause_id="cn-coal:374", label=label, required=wording),),
        responsible=Bilingual("机电队值班队长", "Duty foreman, electromechanical team"),
        measures=(
            Bilingual("立即停止输送机并闭锁。", "Stop the conveyor at once and lock it out."),
            Bilingual("派人到现场让人员从过桥离开。", "Send somebody to lead the person off by the bridge."),
        ),
        resources=(Bilingual("值班电工1名", "One duty electrician"), Bilingual("停电闭锁牌", "Lock-out tag")),
        deadline=utc_now() + timedelta(hours=2),
        contingency=Bilingual(
            "人员受伤时立即报告调度室并启动急救。",
            "If anybody is hurt, report to the control room and start first aid.",
        ),
        acceptance=Bilingual("由安全员现场验收。", "Accepted on the spot by the safety officer."),
        notice=Bilingual("由规则模板起草，未使用语言模型。", "Composed from templates; no language model was used."),
    )
    match = StoredMatch(
        version_id="cn-coal:374@1",
        clause_id="cn-coal:374",
        label=label,
        text=wording,
        score=0.91,
        reason=Bilingual("该条款针对此类风险", "The clause names this hazard"),
    )
    verdict = Verdict(
        close=close,
        reasons=(
            Reason(condition="listed", ok=close, figures=alert.type),
            Reason(condition="cleared", ok=close, figures=alert.episode),
            Reason(condition="confidence", ok=True, figures="0.87 >= 0.7"),
        ),
        policy="routine@1",
    )
    now = utc_now()
    return Document(
        id=document_identity(alert.id, alert.document_version),
        alert_id=alert.id,
        mine=MINE,
        version=alert.document_version,
        state=state.value,
        backend="composer",
        language="zh",
        content=to_json(content),
        matches=to_json([match]),
        verdict=to_json(verdict),
        created_at=now,
        checked_at=now,
        decided_by="routine@1" if state is DocumentState.AUTO_CLOSED else None,
    )
