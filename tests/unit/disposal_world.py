"""A small mine for the tests of disposal: its site, its clauses, and risks as stages publish them."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine
from sqlmodel import SQLModel

from console import tables
from rules.clause import CodeEdition, Content, in_force
from rules.limits import Limit
from rules.matcher import Match
from rules.revision import add_edition, draft, publish, review
from stream.catalogue import RISK_TYPES
from stream.health import store_health
from stream.messages import Absence, Detection, Health, Measured, Reading, Risk, risk_identity, utc_now
from stream.readings import store_readings
from stream.site import Camera, Name, Place, Sensor, Site, store_site

MINE = "north"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SITE = Site(
    mine=MINE,
    places=(
        Place(
            id="roadway",
            name=Name(zh="一号带式输送机巷", en="Belt roadway 1"),
            kind="belt-roadway",
            responsible=Name(zh="运输区长", en="Head of haulage"),
        ),
        Place(
            id="return",
            name=Name(zh="总回风巷", en="Main return"),
            kind="return-airway",
            responsible=Name(zh="通风区长", en="Head of ventilation"),
        ),
    ),
    cameras=(
        Camera(id="cam-1", name=Name(zh="一号机头", en="Head of belt 1"), url="rtsp://127.0.0.1/1", place="roadway"),
        Camera(id="cam-2", name=Name(zh="回风", en="Return"), url="rtsp://127.0.0.1/2", place="return"),
    ),
    sensors=(
        Sensor(
            id="ch4-1",
            name=Name(zh="甲烷", en="Methane"),
            url="mqtt://127.0.0.1:1883/ch4",
            place="return",
            quantity="methane",
            unit="%",
        ),
    ),
)
CLAUSES: dict[str, dict[str, Any]] = {
    "18": {
        "title_zh": "安全帽",
        "title_en": "Helmets",
        "text_zh": "入井人员必须戴安全帽。未戴安全帽的人员不得进入作业地点20 m范围内。",
        "text_en": "Persons underground wear helmets. Nobody without one comes within 20 m of a working place.",
        "hazards": ("no-helmet",),
    },
    "172": {
        "title_zh": "回风巷甲烷",
        "title_en": "Methane in returns",
        "text_zh": "采区回风巷甲烷浓度超过1.0%时，必须停止工作，撤出人员。",
        "text_en": "Where methane in a return exceeds 1.0 %, work stops and persons are withdrawn.",
        "hazards": ("methane-high",),
        "limits": (
            Limit(
                quantity="methane", comparison=">", value=1.0, unit="%", places=("return-airway",), action="withdraw"
            ),
        ),
    },
}


def furnish(engine: Engine) -> None:
    """Make the tables, the site and the clauses; every source is well and the air is clean."""
    assert tables
    SQLModel.metadata.create_all(engine)
    store_site(engine, SITE, "test")
    edition = CodeEdition(
        code="cn-coal", edition="2016", kind="national", title_zh="煤矿安全规程", title_en="Coal Rules"
    )
    add_edition(engine, edition)
    for number, content in CLAUSES.items():
        version = draft(engine, "cn-coal", "2016", number, Content(effective_from=LONG_AGO, **content), "writer")
        review(engine, version, "reviewer")
        publish(engine, version, "approver", LONG_AGO)
    well(engine)


def well(engine: Engine) -> None:
    """Every source reports that it is well, and the air in the return is clean, now."""
    now = utc_now()
    kinds = {c.id: "camera" for c in SITE.cameras} | {s.id: "sensor" for s in SITE.sensors}
    store_health(
        engine,
        [
            Health(mine=MINE, source=s, source_kind=k, status="ok", detail="", observed_at=now)  # type: ignore[arg-type]
            for s, k in kinds.items()
        ],
    )
    store_readings(engine, [reading_of(0.2, now)])


def reading_of(value: float, at: datetime) -> Reading:
    """A methane reading in the return."""
    return Reading(
        mine=MINE,
        sensor="ch4-1",
        place="return",
        quantity="methane",
        value=value,
        unit="%",
        sequence=0,
        captured_at=at,
        read_at=at,
    )


SEEN_TO_END = Absence(
    full_scans=5, seconds=5.0, zone_in_view=True, camera_moved=False, persons_in_zone=0, reason="seen to end"
)


def risk(kind: str = "no-helmet", **changes: Any) -> Risk:
    """A raised risk of that type, as its stage would publish it; ``changes`` replaces fields."""
    now = utc_now()
    measured = RISK_TYPES[kind].quantity is not None
    fields: dict[str, Any] = {
        "mine": MINE,
        "sequence": 0,
        "state": "raised",
        "type": kind,
        "source": "ch4-1" if measured else "cam-1",
        "source_kind": "sensor" if measured else "camera",
        "place": "return" if measured else "roadway",
        "zone": None if measured else "zone-1",
        "confidence": 1.0 if measured else 0.9,
        "started_at": now - timedelta(seconds=2),
        "observed_at": now,
        "read_at": now - timedelta(milliseconds=300),
        "published_at": now,
        "detections": () if measured else (Detection(label="no_helmet", confidence=0.9, box=(0.1, 0.1, 0.2, 0.4)),),
        "measured": (_measured(now),) if measured else (),
    } | changes
    fields.setdefault(
        "risk_id", risk_identity(fields["source"], kind, fields["zone"], f"frames/0/{uuid.uuid4().int % 10**9}")
    )
    return Risk(**fields)


def later(first: Risk, state: str, sequence: int = 1, **changes: Any) -> Risk:
    """A later event of the same risk."""
    now = utc_now()
    absence = SEEN_TO_END if state == "cleared" else None
    fields = {name: getattr(first, name) for name in first.__struct_fields__}
    fields |= {"state": state, "sequence": sequence, "observed_at": now, "published_at": now, "absence": absence}
    return Risk(**(fields | changes))


class TaggedFinder:
    """Finds the clauses in force that are tagged with the hazard: the matcher's first rule, without its models."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def match(self, risk: Risk, at: datetime) -> list[Match]:
        """The clauses bound to that risk type."""
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
                score=0.9,
                dense=0.8,
                lexical=0.7,
                bound=True,
                reason_zh="标注",
                reason_en="tagged",
            )
            for p in in_force(self._engine, risk.mine, at)
            if risk.type in p.content.hazards
        ]


def _measured(at: datetime) -> Measured:
    return Measured(sensor="ch4-1", quantity="methane", value=1.4, unit="%", captured_at=at, limit="> 1.0 %")
