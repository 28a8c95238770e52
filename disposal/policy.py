"""The closure policy: pure conditions that answer with their reasons, and the versions of the policy itself."""

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import msgspec
from sqlalchemy import Column, Engine, Text
from sqlmodel import Field, Session, SQLModel, col, select

from disposal.audit import append
from disposal.document import Bilingual, Reason, Verdict
from disposal.errors import PolicyError
from stream.catalogue import RISK_TYPES
from stream.database import UtcDateTime, writing
from stream.messages import Absence, utc_now

PolicyState = Literal["DRAFT", "BACKTESTED", "SHADOW", "ACTIVE", "SUSPENDED"]
JUDGED_BEFORE_ACTIVE = 300
"""Closures that people must have judged in shadow before a policy may close anything."""

CONDITIONS: dict[str, Bilingual] = {
    "policy": Bilingual("有生效的关闭策略", "a closure policy is in force"),
    "listed": Bilingual("风险类型在策略清单内", "the risk type is on the policy's list"),
    "general": Bilingual("属于一般隐患", "it is a general hazard"),
    "not-by-hand": Bilingual("不是人工上报", "no person raised it by hand"),
    "cleared": Bilingual("已观察到隐患消失", "the hazard was seen to end"),
    "in-view": Bilingual("区域在视野内且摄像机未移位", "the zone was in view and the camera unmoved"),
    "camera": Bilingual("摄像机工作正常", "the camera works"),
    "full-scans": Bilingual("消失后完整分析的帧数足够", "enough frames were analysed in full since"),
    "absence": Bilingual("观察到消失的时间足够长", "the absence was seen for long enough"),
    "stable": Bilingual("消失后保持稳定", "it has stayed away since"),
    "nobody": Bilingual("危险区域内无人", "nobody is inside the zone"),
    "readings": Bilingual("该地点读数齐全且在限值内", "all readings of the place are there and within limits"),
    "confidence": Bilingual("置信度高于下限", "the confidence is above the bound"),
    "recurrence": Bilingual("本班未反复出现", "it has not come back too often this shift"),
    "flood": Bilingual("没有告警泛滥", "there is no alarm flood"),
    "unshelved": Bilingual("未被搁置", "it is not shelved"),
    "undisturbed": Bilingual(
        "未被抑制、未抖动、未提级，看图未存疑",
        "not suppressed, not chattering, not raised in severity, not doubted by a model",
    ),
    "document": Bilingual("处置单完整", "the document is complete"),
    "citations": Bilingual("引用条款均经检索且现行有效", "every cited clause was retrieved and is in force"),
    "cap": Bilingual("未超过每日上限", "the policy's daily cap is not reached"),
}
"""Every condition of automatic closure by its name in the reasons."""


class ClosurePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a policy allows. Raises PolicyError for a major hazard, an unknown type, or a bound that bounds nothing.

    ``target``: the highest share of wrong closures that is borne; ``sample``: the share of closures that a person
    checks again. A flood is counted in alerts of the last ten minutes (ISA-18.2 counts more than ten for one person).
    """

    types: tuple[str, ...]
    minimum_confidence: float = 0.6
    full_scans: int = 3
    absence_seconds: float = 3.0
    stable_seconds: float = 30.0
    per_shift: int = 3
    shift_hours: float = 8.0
    flood_alerts: int = 30
    daily_cap: int = 200
    sample: float = 0.1
    target: float = 0.01

    def __post_init__(self) -> None:
        for name in self.types:
            kind = RISK_TYPES.get(name)
            if kind is None:
                raise PolicyError(
                    f"The policy names the risk type {name!r}, which the catalogue does not have: mend its name."
                )
            if kind.grade != "general" or kind.latching:
                raise PolicyError(
                    f"The policy names {name}, a major hazard: those never close by themselves. Take it off the list."
                )
            if "person" in kind.seen_by:
                raise PolicyError(
                    f"The policy names {name}, which people report: that never closes by itself. Take it off the list."
                )
        shares = (self.minimum_confidence, self.sample, self.target)
        counts = (self.full_scans, self.absence_seconds, self.shift_hours, self.flood_alerts, self.target)
        if not all(0.0 <= s <= 1.0 for s in shares) or not all(c > 0 and math.isfinite(c) for c in counts):
            raise PolicyError(
                "The policy's shares lie between 0 and 1, and its frames, seconds, hours and counts above 0."
            )
        if min(self.stable_seconds, self.per_shift, self.daily_cap) < 0:
            raise PolicyError("The policy's seconds and counts cannot be below 0.")


class AreaReading(msgspec.Struct, frozen=True, kw_only=True):
    """What one sensor of the place says; the value is None where it is missing or too old."""

    sensor: str
    quantity: str
    value: float | None
    unit: str
    within: bool


class Cited(msgspec.Struct, frozen=True, kw_only=True):
    """One citation of the document: was it among the matches, is it in force now."""

    version_id: str
    retrieved: bool
    in_force: bool


class ClosureFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that automatic closure is judged by. None means that nobody knows, and what is unknown never closes.

    ``camera_trouble`` names what is wrong with the source now, ``recurrences`` counts the risks of this cause within
    the shift (this one among them), ``alerts_lately`` all alerts of ten minutes, ``closed_today`` those by policy,
    ``disturbances`` what about the alert itself asks for a person.
    """

    type: str
    source_kind: str
    episode: str
    absence: Absence | None
    camera_trouble: tuple[str, ...] | None
    stable_seconds: float | None
    readings: tuple[AreaReading, ...] | None
    confidence: float | None
    recurrences: int | None
    alerts_lately: int | None
    shelved: bool
    document_faults: tuple[str, ...] | None
    citations: tuple[Cited, ...]
    closed_today: int | None
    disturbances: tuple[str, ...] | None = ()


def may_close(policy: ClosurePolicy | None, facts: ClosureFacts) -> Verdict:
    """Whether this may be closed automatically: only when every condition holds. Each answers with what it saw."""
    if policy is None:
        return Verdict(close=False, reasons=(Reason(condition="policy", ok=False, figures="none"),))
    reasons = (
        *_hazard(policy, facts),
        *_ending(policy, facts),
        *_surroundings(policy, facts),
        *_paper(policy, facts),
    )
    return Verdict(close=all(r.ok for r in reasons), reasons=reasons)


def _hazard(policy: ClosurePolicy, facts: ClosureFacts) -> Iterator[Reason]:
    kind = RISK_TYPES.get(facts.type)
    yield _reason("listed", facts.type in policy.types, facts.type)
    general = kind is not None and kind.grade == "general" and not kind.latching
    yield _reason("general", general, kind.grade if kind else "unknown")
    reported = kind is None or "person" in kind.seen_by
    yield _reason("not-by-hand", facts.source_kind in ("camera", "sensor") and not reported, facts.source_kind)


def _ending(policy: ClosurePolicy, facts: ClosureFacts) -> Iterator[Reason]:
    absence = facts.absence
    yield _reason("cleared", facts.episode == "cleared", facts.episode)
    seen = f"zone in view: {absence.zone_in_view}, camera moved: {absence.camera_moved}" if absence else "unknown"
    yield _reason("in-view", absence is not None and absence.zone_in_view and not absence.camera_moved, seen)
    trouble = facts.camera_trouble
    yield _reason("camera", trouble == (), "unknown" if trouble is None else ", ".join(trouble) or "none")
    scans = absence.full_scans if absence else None
    yield _at_least("full-scans", scans, policy.full_scans)
    yield _at_least("absence", absence.seconds if absence else None, policy.absence_seconds)
    yield _at_least("stable", facts.stable_seconds, policy.stable_seconds)
    persons = absence.persons_in_zone if absence else None
    yield _reason("nobody", persons == 0, "unknown" if persons is None else str(persons))


def _surroundings(policy: ClosurePolicy, facts: ClosureFacts) -> Iterator[Reason]:
    readings = facts.readings
    within = readings is not None and all(r.within and r.value is not None for r in readings)
    yield _reason("readings", within, _said(readings))
    yield _at_least("confidence", facts.confidence, policy.minimum_confidence)
    yield _at_most("recurrence", facts.recurrences, policy.per_shift)
    yield _at_most("flood", facts.alerts_lately, policy.flood_alerts)
    yield _reason("unshelved", not facts.shelved, str(facts.shelved))
    odd = facts.disturbances
    yield _reason("undisturbed", odd == (), "unknown" if odd is None else ", ".join(odd) or "none")


def _paper(policy: ClosurePolicy, facts: ClosureFacts) -> Iterator[Reason]:
    faults = facts.document_faults
    yield _reason("document", faults == (), "unknown" if faults is None else ", ".join(faults) or "complete")
    sound = bool(facts.citations) and all(c.retrieved and c.in_force for c in facts.citations)
    bad = [c.version_id for c in facts.citations if not (c.retrieved and c.in_force)]
    yield _reason("citations", sound, ", ".join(bad) if bad else f"{len(facts.citations)} cited")
    yield _at_most("cap", None if facts.closed_today is None else facts.closed_today + 1, policy.daily_cap)


def _reason(condition: str, ok: bool, figures: str) -> Reason:
    return Reason(condition=condition, ok=ok, figures=figures)


def _at_least(condition: str, value: float | None, bound: float) -> Reason:
    ok = value is not None and math.isfinite(value) and value >= bound
    return _reason(condition, ok, f"{'unknown' if value is None else f'{value:g}'}, at least {bound:g}")


def _at_most(condition: str, value: int | None, bound: int) -> Reason:
    return _reason(
        condition,
        value is not None and 0 <= value <= bound,
        f"{'unknown' if value is None else value}, at most {bound}",
    )


def _said(readings: tuple[AreaReading, ...] | None) -> str:
    if readings is None:
        return "unknown"
    said = [
        f"{r.sensor} {'missing' if r.value is None else f'{r.value:g} {r.unit}'}{'' if r.within else ' (out)'}"
        for r in readings
    ]
    return ", ".join(said) or "no sensors at this place"


class PolicyVersion(SQLModel, table=True):
    """One version of a mine's closure policy; its content never changes. ``demo``: made for a demonstration."""

    __tablename__ = "closure_policy"

    mine: str = Field(primary_key=True, max_length=63)
    name: str = Field(primary_key=True, max_length=63)
    version: int = Field(primary_key=True)
    state: str = Field(default="DRAFT", index=True)
    content: str = Field(sa_column=Column(Text, nullable=False))
    author: str
    approver: str | None = None
    demo: bool = False
    created_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    approved_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    activated_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    suspended_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    reason: str = ""

    @property
    def id(self) -> str:
        """``name@version``, as it stands in verdicts and in the audit."""
        return f"{self.name}@{self.version}"

    def read(self) -> ClosurePolicy:
        """What the version allows. Raises PolicyError where the catalogue has changed so that it no longer may."""
        return msgspec.json.decode(self.content, type=ClosurePolicy)


SHIPPED = ClosurePolicy(types=("no-helmet", "no-vest", "person-present", "person-alone", "crowding"))
"""The policy that ships; it starts in shadow."""
_DEMO = msgspec.structs.replace(
    SHIPPED,
    types=(*SHIPPED.types, "person-in-restricted-zone"),
    minimum_confidence=0.4,
    stable_seconds=2.0,
    per_shift=1000,
    flood_alerts=1000,
    daily_cap=10_000,
    sample=0.2,
)


def in_force(session: Session, mine: str) -> PolicyVersion | None:
    """The newest ACTIVE version of the mine's policies, else the newest in SHADOW, else None."""
    return session.exec(
        select(PolicyVersion)
        .where(PolicyVersion.mine == mine, col(PolicyVersion.state).in_(("ACTIVE", "SHADOW")))
        .order_by(col(PolicyVersion.state), col(PolicyVersion.created_at).desc(), col(PolicyVersion.version).desc())
    ).first()


def put_policy(
    session: Session, mine: str, content: ClosurePolicy, author: str, *, name: str = "routine", demo: bool = False
) -> PolicyVersion:
    """Store a new DRAFT version, with its audit line, within a transaction."""
    versions = session.exec(
        select(PolicyVersion.version).where(PolicyVersion.mine == mine, PolicyVersion.name == name)
    ).all()
    row = PolicyVersion(
        mine=mine,
        name=name,
        version=max(versions, default=0) + 1,
        content=msgspec.json.encode(content).decode(),
        author=author,
        demo=demo,
        created_at=utc_now(),
    )
    session.add(row)
    append(session, mine, author, "draft-policy", f"policy/{row.id}", None, msgspec.to_builtins(content))
    return row


def put_in_shadow(session: Session, row: PolicyVersion, approver: str) -> None:
    """Approve a draft so that it judges without effect. Raises PolicyError for its author, or where it is no draft."""
    if approver == row.author:
        raise PolicyError(f"{approver} wrote policy {row.id}: somebody else has to approve it.")
    if row.state not in ("DRAFT", "BACKTESTED"):
        raise PolicyError(f"Policy {row.id} is {row.state}: only a draft can be approved.")
    before = row.state
    row.state, row.approver, row.approved_at = "SHADOW", approver, utc_now()
    session.add(row)
    append(session, row.mine, approver, "approve-policy", f"policy/{row.id}", {"state": before}, {"state": row.state})


def suspend(session: Session, row: PolicyVersion, actor: str, reason: str) -> None:
    """Stop a policy from closing anything, at once, with its reason in the audit."""
    before = row.state
    row.state, row.suspended_at, row.reason = "SUSPENDED", utc_now(), reason
    session.add(row)
    after = {"state": row.state, "reason": reason}
    append(session, row.mine, actor, "suspend-policy", f"policy/{row.id}", {"state": before}, after)


def ship_policy(engine: Engine, mine: str) -> None:
    """Give a mine that has no policy at all the one that ships, in shadow."""
    with writing(engine) as session:
        if session.exec(select(PolicyVersion.version).where(PolicyVersion.mine == mine).limit(1)).first() is None:
            put_in_shadow(session, put_policy(session, mine, SHIPPED, "minewatch"), "minewatch release")


def activate_for_demo(engine: Engine, mine: str) -> None:
    """Give a demonstration's mine an active policy, marked as the demonstration's; no real site has such a one."""
    with writing(engine) as session:
        row = put_policy(session, mine, _DEMO, "demo author", name="demo", demo=True)
        put_in_shadow(session, row, "demo approver")
        row.state, row.activated_at = "ACTIVE", utc_now()
        session.add(row)
        after = {"state": row.state, "demo": True}
        append(session, mine, "demo approver", "activate-policy", f"policy/{row.id}", {"state": "SHADOW"}, after)
