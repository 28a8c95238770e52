"""Codes in the reader's words: states, decisions, episodes, figures of the policy and times, in Chinese and English."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo

from disposal.document import Bilingual
from stream.catalogue import RISK_TYPES

STATES: Mapping[str, Bilingual] = {
    "DRAFT": Bilingual("起草中", "Draft"),
    "CHECKED": Bilingual("已检查", "Checked"),
    "PENDING_APPROVAL": Bilingual("待审批", "Waiting for approval"),
    "APPROVED": Bilingual("已批准", "Approved"),
    "ISSUED": Bilingual("已下发", "Issued"),
    "RECTIFYING": Bilingual("整改中", "Being put right"),
    "ACCEPTANCE": Bilingual("待验收", "Waiting for acceptance"),
    "CLOSED": Bilingual("已关闭", "Closed"),
    "RETURNED": Bilingual("已退回", "Returned"),
    "REJECTED": Bilingual("误报", "Rejected as false alarm"),
    "OVERDUE": Bilingual("已超期", "Overdue"),
    "REOPENED": Bilingual("重新打开", "Reopened"),
    "AUTO_CLOSED": Bilingual("自动关闭", "Closed automatically"),
    "SAMPLED": Bilingual("抽查中", "Sampled for a person"),
    "UPHELD": Bilingual("抽查维持", "Closure upheld"),
    "OVERTURNED": Bilingual("抽查推翻", "Closure overturned"),
}
"""What a document's state is called."""

DECISIONS: Mapping[str, Bilingual] = {
    "acknowledge": Bilingual("确认", "Acknowledge"),
    "approve": Bilingual("批准", "Approve"),
    "return": Bilingual("退回重写", "Return"),
    "reject": Bilingual("误报", "Reject as false alarm"),
    "start": Bilingual("开始整改", "Work has started"),
    "rectify": Bilingual("整改完成", "Put right"),
    "close": Bilingual("关闭", "Close"),
    "reopen": Bilingual("重新打开", "Reopen"),
    "uphold": Bilingual("维持自动关闭", "Uphold the closure"),
    "overturn": Bilingual("推翻自动关闭", "Overturn the closure"),
    "shelve": Bilingual("搁置", "Shelve"),
    "unshelve": Bilingual("取消搁置", "Take off the shelf"),
}
"""What a person's decision is called."""

_AUTOMATIC = Bilingual("按策略自动关闭", "Closed by the policy")
_CODES: Mapping[str, Bilingual] = {
    "unknown": Bilingual("未知", "unknown"),
    "none": Bilingual("无", "none"),
    "True": Bilingual("是", "yes"),
    "False": Bilingual("否", "no"),
    "complete": Bilingual("完整", "complete"),
    "general": Bilingual("一般隐患", "general hazard"),
    "major": Bilingual("重大隐患", "major hazard"),
    "camera": Bilingual("摄像机", "camera"),
    "sensor": Bilingual("传感器", "sensor"),
    "person": Bilingual("人员上报", "reported by a person"),
    "ongoing": Bilingual("仍在持续", "still there"),
    "cleared": Bilingual("已观察到消失", "seen to have ended"),
    "lost": Bilingual("已无法观察", "no longer observed"),
    "offline": Bilingual("离线", "offline"),
    "suppressed": Bilingual("被抑制", "suppressed by a larger alert"),
    "chattering": Bilingual("抖动", "chattering"),
    "severity": Bilingual("已提级", "raised in severity"),
    "responsible": Bilingual("责任人", "responsible person"),
    "measures": Bilingual("措施", "measures"),
    "resources": Bilingual("资源", "resources"),
    "contingency": Bilingual("应急预案", "contingency"),
    "acceptance": Bilingual("验收标准", "acceptance"),
    "citations": Bilingual("引用条款", "citations"),
    "no sensors at this place": Bilingual("该地点没有传感器", "no sensors at this place"),
    "no longer, when the closure was committed": Bilingual(
        "提交关闭时已不满足", "no longer, when the closure was committed"
    ),
} | {kind.id: Bilingual(kind.zh, kind.en) for kind in RISK_TYPES.values()}
"""What stands in figures as a whole, or between commas, and what it is called."""

_PHRASES: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r"zone in view: (\w+), camera moved: (\w+)"),
        "区域在视野内：{0}；摄像机移位：{1}",
        "zone in view: {0}, camera moved: {1}",
    ),
    (re.compile(r"([^,]+), at least ([^,]+)"), "{0}，至少{1}", "{0}, at least {1}"),
    (re.compile(r"([^,]+), at most ([^,]+)"), "{0}，至多{1}", "{0}, at most {1}"),
    (re.compile(r"(\d+) cited"), "引用{0}条", "{0} cited"),
    (re.compile(r"(\S+) missing \(out\)"), "{0} 无读数", "{0} no reading"),
    (re.compile(r"([^,]+) \(out\)"), "{0}（超限）", "{0} (out of its limit)"),
)
_INSTANT = re.compile(r"\b(\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?) UTC\b")


def state_in(state: str, language: str) -> str:
    """A document's state in words; one that is none stays as it is."""
    return STATES[state].text(language) if state in STATES else state


def decision_in(decision: str, language: str) -> str:
    """A decision in words, also the one that a policy takes."""
    known = _AUTOMATIC if decision == "auto-close" else DECISIONS.get(decision)
    return known.text(language) if known else decision


def figures_in(figures: str, language: str) -> str:
    """What a condition of closure saw, in words; names, numbers and units stay as they are.

    Figures are stored as the policy wrote them, so that what was decided reads the same for ever; only here do they
    become a language.
    """
    if figures in _CODES:
        return _CODES[figures].text(language)
    for pattern, zh, en in _PHRASES:
        if found := pattern.fullmatch(figures):
            said = [figures_in(part, language) for part in found.groups()]
            return (zh if language == "zh" else en).format(*said)
    if ", " in figures:
        return ("，" if language == "zh" else ", ").join(figures_in(part, language) for part in figures.split(", "))
    return figures


def clock(moment: datetime | None, zone: tzinfo) -> str:
    """Date and time at the mine with its distance from UTC, so that nobody takes it for another zone's."""
    if moment is None:
        return ""
    local = moment.astimezone(zone)
    ahead = f"{local:%z}"
    return f"{local:%Y-%m-%d %H:%M} (UTC{ahead[:3]}:{ahead[3:5]})"


def local_times(text: str, zone: tzinfo) -> str:
    """The text with every UTC instant in it told as the mine's local time."""

    def told(found: re.Match[str]) -> str:
        form = "%Y-%m-%d %H:%M:%S" if found[1].count(":") == 2 else "%Y-%m-%d %H:%M"
        try:
            local = datetime.strptime(found[1], form).replace(tzinfo=UTC).astimezone(zone)
        except (ValueError, OverflowError):
            return found[0]
        return f"{local:{form}}"

    return _INSTANT.sub(told, text)
