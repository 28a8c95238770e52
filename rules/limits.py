"""Numeric limits that clauses carry, held against readings: on-delay, hysteresis, episodes raised, cleared and lost.

A limit as it stands in the code book (TOML), below its clause::

    [[clause.limits]]
    quantity = "methane"          # stream.site.Quantity
    comparison = ">="             # one of COMPARISONS: the reading that breaks the limit
    value = 1.0
    unit = "%"                    # the unit of the quantity in stream.site.UNITS
    places = ["return-airway"]    # kinds of place from PLACE_KINDS; ["any"] holds everywhere
    hold_seconds = 0              # for how long readings break the limit before it counts
    action = "withdraw"           # one of ACTIONS
"""

from typing import Literal

PLACE_KINDS: dict[str, tuple[str, str]] = {
    "any": ("任何地点", "any place"),
    "shaft": ("井筒", "shaft"),
    "intake-airway": ("进风巷", "intake airway"),
    "return-airway": ("采区或工作面回风巷", "return airway of a district or face"),
    "main-return-airway": ("总回风巷或一翼回风巷", "main return airway"),
    "working-face": ("采煤工作面", "coal face"),
    "upper-corner": ("工作面上隅角", "upper corner of a face"),
    "heading": ("掘进工作面", "heading"),
    "belt-roadway": ("带式输送机巷", "belt roadway"),
    "haulage-roadway": ("轨道运输巷", "haulage roadway"),
    "roadway": ("巷道", "roadway"),
    "chamber": ("机电设备硐室", "machinery chamber"),
    "sump": ("水仓", "sump"),
    "coal-bunker": ("煤仓", "coal bunker"),
    "goaf": ("采空区", "goaf"),
    "blasting-site": ("爆破地点", "blasting site"),
    "surface": ("地面", "surface"),
    "open-pit": ("露天采场", "open pit"),
}
"""What a place can be, as clauses speak of places: the values of ``stream.site.Place.kind``, with their names (zh, en)."""

Comparison = Literal[">", ">=", "<", "<="]
COMPARISONS: tuple[Comparison, ...] = (">", ">=", "<", "<=")
"""How a reading that breaks a limit stands to its value: methane ``> 1.0``, oxygen ``< 20``."""

Action = Literal["watch", "stop-work", "power-off", "withdraw"]
ACTIONS: dict[str, tuple[str, str]] = {
    "watch": ("查明原因，采取措施", "find the cause and put it right"),
    "stop-work": ("停止作业", "stop work"),
    "power-off": ("停止作业，切断电源", "stop work and cut the power"),
    "withdraw": ("停止作业，切断电源，撤出人员", "stop work, cut the power and withdraw everybody"),
}
"""What a broken limit asks for, from mild to severe, with its wording (zh, en)."""
