"""What the pages of administrators and safety officers say: (Chinese, English)."""

OFFICE_PHRASES: dict[str, tuple[str, str]] = {
    "accounts": ("账户", "Accounts"),
    "accounts.intro": (
        "除管理员外，账户可以限定为某些摄像机和传感器：它只看到、听到、处理和导出这些来源的报警。看到全矿情况的页面（审计、交接班、策略、摄像机）不对它开放。",
        "An account that is no administrator's can be limited to some cameras and sensors. Pages that tell of the whole mine (audit, handover, policy) are closed to it.",
    ),
    "accounts.name": ("姓名", "Name"),
    "accounts.sees": ("可见范围", "Sees"),
    "accounts.sees-who": ("{name} 的可见范围", "What {name} sees"),
    "accounts.whole": ("全矿", "The whole mine"),
    "accounts.some": ("仅以下来源", "Only these"),
    "accounts.none": ("无任何来源", "Nothing"),
    "accounts.closed": ("已停用", "closed"),
    "accounts.save": ("保存", "Save"),
    "error.account-sources": (
        "请至少选择一个本矿的摄像机或传感器，或选择全矿。",
        "Tick at least one camera or sensor of this mine, or choose the whole mine.",
    ),
    "error.scope": (
        "该页面涉及全矿，而您的账户仅限于部分摄像机和传感器。",
        "That page tells of the whole mine, and your account is limited to some of its cameras and sensors.",
    ),
    "action.limit-account": ("限定账户范围", "limited an account"),
}
