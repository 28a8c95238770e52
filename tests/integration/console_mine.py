"""A mine for the console's tests: real tables, a site, risks that go in through the intake, accounts of every role."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import count
from pathlib import Path

import cv2
import numpy as np
from argon2 import PasswordHasher
from sqlalchemy import Engine
from sqlmodel import SQLModel

import console.tables  # noqa: F401  # every table of the house
from console.accounts import ROLES, Account
from disposal.alert import Alert
from disposal.audit import append
from disposal.document import Document, DocumentState, Reason, Verdict, document_identity, to_json
from disposal.drafter import open_drafter
from disposal.intake import take_all
from disposal.settings import DisposalSettings, DrafterSettings
from disposal.steps import Steps
from rules.clause import CodeEdition, Content, in_force
from rules.matcher import Match, binding
from rules.revision import add_edition, draft, publish, review
from stream.database import open_database, reading, writing
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
        clip: bytes = b"",
    ) -> str:
        """Take a risk of that type in, as disposal's first thread does; answers the alert's id. ``clip``: WebM."""
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
            evidence=() if sensor else (self._seen(kind, now), *self._filmed(clip, now)),
            measured=(
                Measured(sensor="ch4-2", quantity="methane", value=1.32, unit="%", captured_at=now, limit="≥ 1.0 %"),
            )
            if sensor
            else (),
            reason="4 of 5 frames over 1.2 s" if not sensor else "1.32 % for 6 s",
            detector=None if sensor else "ppe-n",
        )
        with writing(self.engine) as session:
            [taken] = take_all(session, [risk], SITE, DisposalSettings(), utc_now() - timedelta(seconds=age))
        return taken.alert_id

    def draft(self, alert_id: str) -> None:
        """Match, draft and judge, by the disposal's own steps, until the alert's document waits for a person."""
        nobody = DisposalSettings(drafter=DrafterSettings(order=("composer",)))
        drafter = open_drafter(nobody.drafter, lambda _: None)
        steps = Steps(self.engine, MINE, lambda: Bindings(self.engine), drafter, nobody, lambda _: None)
        while self.document_state(alert_id) != DocumentState.PENDING_APPROVAL:
            assert steps.do_next(("match", "draft", "decide"), "test"), "nothing is due, and no document waits"

    def close_by_policy(self, alert_id: str) -> None:
        """What a closure by policy leaves behind, for pages that only show it."""
        self.draft(alert_id)
        with writing(self.engine) as session:
            alert = session.get_one(Alert, alert_id)
            document = session.get_one(Document, document_identity(alert_id, alert.document_version))
            document.state, document.decided_by = DocumentState.AUTO_CLOSED.value, "routine@1"
            document.auto_closed_at = document.decided_at = utc_now()
            document.verdict = to_json(
                Verdict(
                    close=True, reasons=(Reason(condition="listed", ok=True, figures=alert.type),), policy="routine@1"
                )
            )
            alert.closed, alert.closed_at, alert.closed_by = True, utc_now(), "routine@1"
            alert.active, alert.acked = False, True
            session.add_all((alert, document))
            append(session, MINE, "routine@1", "auto-close", f"alert/{alert_id}", {}, {"document": "AUTO_CLOSED"})

    def close(self) -> None:
        """Let go of files and connections."""
        self.log.close()
        self.engine.dispose()

    def document_state(self, alert_id: str) -> str | None:
        """The state of the alert's document, None while there is none."""
        with reading(self.engine) as session:
            alert = session.get_one(Alert, alert_id)
            document = session.get(Document, document_identity(alert_id, alert.document_version))
            return document.state if document else None

    def cited(self, alert_id: str) -> list[str]:
        """The clause versions that the alert's document cites."""
        with reading(self.engine) as session:
            alert = session.get_one(Alert, alert_id)
            content = session.get_one(Document, document_identity(alert_id, alert.document_version)).read_content()
            return [c.version_id for c in content.citations] if content else []

    def alert(self, alert_id: str) -> Alert:
        """The alert's row as it is now."""
        with reading(self.engine) as session:
            return session.get_one(Alert, alert_id)

    def _filmed(self, clip: bytes, now: datetime) -> tuple[Evidence, ...]:
        if not clip:
            return ()
        digest = self.evidence.put(MINE, clip, "video/webm")
        return (Evidence(sha256=digest, media_type="video/webm", kind="clip", captured_at=now),)

    def _seen(self, kind: str, now: datetime) -> Evidence:
        digest = self.evidence.put(MINE, self.picture, "image/jpeg")
        return Evidence(sha256=digest, media_type="image/jpeg", kind="annotated", captured_at=now)


def open_mine(folder: Path, database_url: str = "") -> Mine:
    """A fresh mine under ``folder`` with an account for each role, named after it."""
    engine = open_database(database_url or f"sqlite:///{folder / 'mine.db'}")
    SQLModel.metadata.create_all(engine)
    store_site(engine, SITE, "test")
    publish_code(engine)
    with writing(engine) as session:
        session.add_all(_account(role) for role in ROLES)
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


@lru_cache
def _hashed() -> str:
    """Hashing is slow on purpose; once is enough for all tests."""
    return PasswordHasher().hash(PASSWORD)


def _account(role: str) -> Account:
    now = utc_now()
    return Account(
        id=f"account-{role}", mine=MINE, name=role, role=role, password_hash=_hashed(), created_at=now, changed_at=now
    )


class Bindings:
    """Finds the clauses that name the hazard, as the matcher does before it looks at words; loads no model."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def match(self, risk: Risk, at: datetime) -> list[Match]:
        """The clauses in force that are bound to the risk."""
        place = SITE.place(risk.place)
        return [
            Match(
                clause_id=p.clause_id,
                version_id=p.version_id,
                code=p.code,
                edition=p.edition,
                number=p.number,
                kind=p.kind,
                code_title_zh=p.code_title_zh,
                code_title_en=p.code_title_en,
                title_zh=p.content.title_zh,
                title_en=p.content.title_en,
                text_zh=p.content.text_zh,
                text_en=p.content.text_en,
                score=1.0,
                dense=0.0,
                lexical=0.0,
                bound=True,
                reason_zh="该条款针对此类风险",
                reason_en="The clause names this hazard",
            )
            for p in in_force(self._engine, MINE, at)
            if binding(p, risk, place.kind if place else "")
        ]


def publish_code(engine: Engine) -> None:
    """A code of two clauses in force, each through draft, review and publication by three people."""
    add_edition(
        engine,
        CodeEdition(
            code="belt-code", edition="1", kind="national", title_zh="带式输送机安全规程", title_en="Belt conveyor code"
        ),
    )
    belt = Content(
        title_zh="输送带与人员",
        title_en="Belts and persons",
        text_zh="行人跨越带式输送机处应当设置过桥；严禁人员在输送带上行走、站立或者乘坐。",
        text_en="Where persons cross a belt conveyor there is a bridge; nobody walks, stands or rides on the belt.",
        hazards=("person-on-belt", "belt-wear", "belt-hole"),
    )
    helmet = Content(
        title_zh="安全帽",
        title_en="Helmets",
        text_zh="入井人员必须戴安全帽。",
        text_en="Whoever goes underground wears a helmet.",
        hazards=("no-helmet",),
    )
    for number, content in (("12", belt), ("13", helmet)):
        version = draft(engine, "belt-code", "1", number, content, "author")
        review(engine, version, "reviewer")
        publish(engine, version, "publisher")
