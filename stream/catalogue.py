"""The risk types that Minewatch knows: names, grade, priority, who can see them and when they count as real.

Grades follow the Chinese practice of general hazards (can be put right at once) and major hazards (need a full or
partial stop of work). Priorities are those of ISA-18.2: critical is red, high orange, medium yellow, low blue.
Delays are this project's own starting values; a mine may set others in its configuration.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from stream.errors import ConfigurationError

Grade = Literal["general", "major"]
Priority = Literal["critical", "high", "medium", "low"]
Purpose = Literal[
    "helmet-required",
    "vest-required",
    "restricted",
    "conveyor",
    "haulage-track",
    "belt-edge",
    "watched",
    "no-lone-work",
    "occupancy-limit",
]
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


@dataclass(frozen=True)
class Confirmation:
    """When support over time becomes a risk, and when its absence ends it. Seconds of captured time.

    A risk is raised once at least ``share`` of the frames analysed over ``on_delay`` support it; it is cleared after
    its absence was seen for ``off_delay`` in at least ``full_scans`` frames.
    """

    on_delay: float = 1.0
    share: float = 0.6
    off_delay: float = 3.0
    full_scans: int = 3


@dataclass(frozen=True)
class RiskType:
    """One type of hazard.

    ``seen_by`` names detectors (``ppe``), ``picture`` (measured on the picture itself), ``capture``, ``limit`` or
    ``person``. ``assumes``: what is taken for granted because nothing in the mine tells it to Minewatch.
    """

    id: str
    zh: str
    en: str
    grade: Grade
    priority: Priority
    seen_by: frozenset[str]
    purposes: frozenset[Purpose] = frozenset()
    quantity: str | None = None
    latching: bool = False
    confirmation: Confirmation = Confirmation()
    assumes: str = ""


def _seen(
    identity: str,
    zh: str,
    en: str,
    grade: Grade,
    priority: Priority,
    seen_by: str,
    *,
    purposes: tuple[Purpose, ...] = (),
    latching: bool | None = None,
    confirmation: Confirmation | None = None,
    assumes: str = "",
) -> RiskType:
    return RiskType(
        id=identity,
        zh=zh,
        en=en,
        grade=grade,
        priority=priority,
        seen_by=frozenset({seen_by}),
        purposes=frozenset(purposes),
        latching=grade == "major" if latching is None else latching,
        confirmation=confirmation or Confirmation(),
        assumes=assumes,
    )


def _measured(identity: str, zh: str, en: str, grade: Grade, priority: Priority, quantity: str) -> RiskType:
    return RiskType(
        id=identity,
        zh=zh,
        en=en,
        grade=grade,
        priority=priority,
        seen_by=frozenset({"limit"}),
        quantity=quantity,
        latching=grade == "major",
    )


_SLOW = Confirmation(on_delay=3.0, share=0.6, off_delay=10.0, full_scans=3)

RISK_TYPES: dict[str, RiskType] = {
    t.id: t
    for t in (
        _seen("no-helmet", "未戴安全帽", "No helmet", "general", "medium", "ppe", purposes=("helmet-required",)),
        _seen(
            "no-vest", "未穿反光衣", "No high-visibility vest", "general", "low", "vest", purposes=("vest-required",)
        ),
        _seen(
            "person-in-restricted-zone",
            "人员进入禁区",
            "Person in restricted zone",
            "general",
            "high",
            "ppe",
            purposes=("restricted",),
        ),
        _seen(
            "person-present",
            "人员进入监视区",
            "Person in watched place",
            "general",
            "low",
            "ppe",
            purposes=("watched",),
        ),
        _seen(
            "person-on-belt",
            "人员在输送带上或跨越输送带",
            "Person on or crossing a belt",
            "major",
            "critical",
            "ppe",
            purposes=("conveyor",),
        ),
        _seen(
            "person-on-track",
            "人员在运输轨道上",
            "Person on haulage track",
            "major",
            "critical",
            "ppe",
            purposes=("haulage-track",),
            assumes="The haulage runs at all times: no signal says that it stands still, and one that does may start.",
        ),
        _seen(
            "person-alone",
            "单人作业",
            "Person working alone",
            "general",
            "medium",
            "ppe",
            purposes=("no-lone-work",),
            confirmation=Confirmation(on_delay=60.0),
        ),
        _seen(
            "crowding",
            "人员聚集超限",
            "Too many persons in one place",
            "general",
            "medium",
            "ppe",
            purposes=("occupancy-limit",),
            confirmation=_SLOW,
        ),
        _seen(
            "missing-guard", "设备缺少防护罩", "Equipment not guarded", "general", "high", "guard", confirmation=_SLOW
        ),
        _seen("fire", "明火", "Fire", "major", "critical", "fire"),
        _seen("smoke", "烟雾", "Smoke", "major", "critical", "fire", confirmation=Confirmation(on_delay=2.0)),
        _seen("belt-hole", "输送带穿孔", "Hole in belt", "general", "high", "belt", confirmation=_SLOW),
        _seen(
            "belt-impact", "输送带冲击损伤", "Impact damage on belt", "general", "medium", "belt", confirmation=_SLOW
        ),
        _seen("belt-puncture", "输送带刺穿", "Puncture in belt", "general", "high", "belt", confirmation=_SLOW),
        _seen("belt-tear", "输送带撕裂", "Tear in belt", "major", "critical", "belt", confirmation=_SLOW),
        _seen("belt-wear", "输送带磨损", "Belt wear", "general", "low", "belt", confirmation=_SLOW),
        _seen(
            "belt-deviation",
            "输送带跑偏",
            "Belt running off",
            "general",
            "high",
            "picture",
            purposes=("belt-edge",),
            confirmation=_SLOW,
        ),
        _seen("foreign-object", "大块或异物", "Large lump or foreign object", "general", "high", "object"),
        _seen("coal-pile-up", "堆煤", "Coal pile-up", "general", "high", "object", confirmation=_SLOW),
        _seen("standing-water", "积水", "Standing water", "general", "medium", "object", confirmation=_SLOW),
        _seen("vehicle-near-person", "车辆与人员过近", "Vehicle near person", "major", "critical", "vehicle"),
        _seen(
            "camera-blind",
            "摄像机被遮挡或画面过暗",
            "Camera covered or too dark",
            "general",
            "high",
            "picture",
            confirmation=Confirmation(on_delay=2.0),
        ),
        _seen("camera-moved", "摄像机移位", "Camera moved", "general", "medium", "picture", confirmation=_SLOW),
        _seen(
            "camera-frozen", "摄像机画面冻结", "Camera picture frozen", "general", "high", "picture", confirmation=_SLOW
        ),
        _seen("camera-offline", "摄像机离线", "Camera offline", "general", "high", "capture"),
        _measured("methane-high", "甲烷超限", "Methane over its limit", "major", "critical", "methane"),
        _measured(
            "carbon-monoxide-high",
            "一氧化碳超限",
            "Carbon monoxide over its limit",
            "major",
            "critical",
            "carbon-monoxide",
        ),
        _measured("oxygen-low", "氧气浓度过低", "Oxygen too low", "major", "critical", "oxygen"),
        _measured("wind-speed-low", "风速过低", "Air velocity too low", "general", "high", "wind-speed"),
        _measured("wind-speed-high", "风速过高", "Air velocity too high", "general", "medium", "wind-speed"),
        _measured("temperature-high", "温度超限", "Temperature over its limit", "general", "medium", "temperature"),
        _measured("dust-high", "粉尘浓度超限", "Dust over its limit", "general", "medium", "dust"),
        _measured("water-level-high", "水位超限", "Water level over its limit", "major", "critical", "water-level"),
        _seen("sensor-stale", "传感器无数据", "Sensor silent", "general", "high", "limit"),
        _seen("hand-raised", "人工上报隐患", "Hazard reported by a person", "general", "high", "person"),
    )
}


def risk_type(identity: str) -> RiskType:
    """The risk type of that id. Raises ConfigurationError where there is none."""
    try:
        return RISK_TYPES[identity]
    except KeyError:
        raise ConfigurationError(
            f"There is no risk type {identity!r}: the catalogue has {', '.join(sorted(RISK_TYPES))}."
        ) from None
