"""What the pages about calls and emergency plans say: (Chinese, English) under the key that templates name."""

ESCALATION_PHRASES: dict[str, tuple[str, str]] = {
    "nav.emergency": ("应急预案", "Emergency"),
    "emergency": ("应急预案与呼叫名单", "Emergency plan and call list"),
    "emergency.open": ("打开应急预案与呼叫名单", "Open the emergency plan and call list"),
    "emergency.back": ("回到报警", "Back to the alert"),
    "emergency.intro": (
        "重大隐患时按Z打开。先用该原因的预案，没有则用通用预案。",
        "Opened with Z from a major hazard: the plan of its cause, or where there is none the one for every cause.",
    ),
    "emergency.calls": ("呼叫名单（按顺序）", "Whom to call, in this order"),
    "emergency.steps": ("步骤", "What to do"),
    "emergency.none": (
        "本矿还没有录入应急预案：由安全员在“应急预案”页录入。",
        "This mine has entered no emergency plan: a safety officer enters it on the emergency page.",
    ),
    "emergency.hands": (
        "本系统不操作任何设备：停电、撤人由人员执行。",
        "Minewatch actuates nothing: people cut the power and withdraw persons.",
    ),
    "emergency.every": ("其余所有原因", "Every other cause"),
    "emergency.cause": ("原因", "Cause"),
    "emergency.edit": ("修改", "Edit"),
    "emergency.steps_zh": ("步骤（中文，每行一步）", "Steps in Chinese, one a line"),
    "emergency.steps_en": ("步骤（英文，每行一步）", "Steps in English, one a line"),
    "emergency.calls_hint": ("每行一人：岗位、姓名、电话", "One a line: duty, name, telephone"),
    "emergency.save": ("保存预案", "Save the plan"),
    "error.emergency": (
        "没有保存：请选择原因，填写步骤和呼叫名单，每行一项。",
        "Not saved: choose a cause, and enter the steps and whom to call, one a line.",
    ),
    "calls": ("升级呼叫", "Calls"),
    "call.page": ("呼叫值班人", "paged"),
    "call.next-person": ("呼叫下一人", "next person"),
    "call.siren": ("警报器", "siren"),
    "call.acked": ("已应答：{who}", "acknowledged by {who}"),
    "call.waiting": ("尚无应答", "not acknowledged yet"),
    "call.answered": ("已应答", "has answered"),
    "action.chased": ("超期催办", "chased: overdue"),
    "action.call-acknowledged": ("被呼叫人已应答", "who was called has answered"),
    "action.put-emergency-plan": ("修改应急预案", "emergency plan changed"),
}
