"""A code book in TOML: one code in one edition, with clauses in both languages, hazard tags and limits.

The shape of such a file (either language of a title or text may be missing)::

    [code]
    id = "cn-coal"                       # lower-case letters, digits, hyphens
    kind = "national"                    # or "supplement", which belongs to one mine
    edition = "2016"
    title = { zh = "煤矿安全规程", en = "Coal Mine Safety Regulation" }
    effective_from = 2016-10-01
    note = { zh = "2022年已修改", en = "amended in 2022" }

    [[clause]]
    number = "172"      # "374-1": 第374条之一; "5.2.1": a section; "172(2)(1)": paragraph and item
    heading = { zh = ["第三编 井工煤矿", "第三章 通风"], en = ["Part three", "Ventilation"] }
    title = { zh = "回风巷甲烷", en = "Methane in return airways" }
    text = { zh = "…", en = "…" }
    hazards = ["methane-high"]           # ids of stream.catalogue.RISK_TYPES that this clause governs directly
    tightens = "cn-coal 172"             # supplements only: the code and number that this clause tightens
    [[clause.limits]]                    # see rules.limits
    quantity = "methane"
    comparison = ">="
    value = 1.0
    unit = "%"
    places = ["return-airway"]
    hold_seconds = 0
    action = "withdraw"
"""
