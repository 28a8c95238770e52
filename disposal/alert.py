"""The alert: what a dispatcher handles, in the states of ISA-18.2 / IEC 62682, and the risk events behind it."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple

from sqlalchemy import Column, Index, LargeBinary, text
from sqlmodel import Field, SQLModel

from disposal.errors import StateError
from stream.database import UtcDateTime
from stream.messages import Risk, decode

Episode = Literal["ongoing", "cleared", "lost"]
Step = Literal["match", "draft", "decide", "none"]
"""What has to be done next for an alert by the due loop; ``none``: it waits for a person or has ended."""


class AlertState(StrEnum):
    """The states of ISA-18.2 that an alert can be in; shelving is told apart from them."""

    NORMAL = "NORMAL"
    UNACK = "UNACK"
    ACKED = "ACKED"
    RTN_UNACK = "RTN_UNACK"
    LATCHED = "LATCHED"


class AlertEvent(StrEnum):
    """What can happen to an alert's state."""

    RAISE = "raise"
    RETURN = "return"
    ACKNOWLEDGE = "acknowledge"
    RESET = "reset"


class Bits(NamedTuple):
    """What an alert's state is made of: the hazard is there, somebody has acknowledged, it waits for a reset."""

    active: bool
    acked: bool
    latched: bool

    @property
    def state(self) -> AlertState:
        """The state that these bits stand for."""
        if self.active:
            return AlertState.ACKED if self.acked else AlertState.UNACK
        if not self.acked:
            return AlertState.RTN_UNACK
        return AlertState.LATCHED if self.latched else AlertState.NORMAL


_BITS: dict[AlertState, Bits] = {
    AlertState.NORMAL: Bits(active=False, acked=True, latched=False),
    AlertState.UNACK: Bits(active=True, acked=False, latched=False),
    AlertState.ACKED: Bits(active=True, acked=True, latched=False),
    AlertState.RTN_UNACK: Bits(active=False, acked=False, latched=False),
    AlertState.LATCHED: Bits(active=False, acked=True, latched=True),
}
_MOVES: dict[tuple[AlertState, AlertEvent], AlertState] = {
    (AlertState.NORMAL, AlertEvent.RAISE): AlertState.UNACK,
    (AlertState.UNACK, AlertEvent.ACKNOWLEDGE): AlertState.ACKED,
    (AlertState.UNACK, AlertEvent.RETURN): AlertState.RTN_UNACK,
    (AlertState.RTN_UNACK, AlertEvent.ACKNOWLEDGE): AlertState.NORMAL,
    (AlertState.RTN_UNACK, AlertEvent.RAISE): AlertState.UNACK,
    (AlertState.ACKED, AlertEvent.RETURN): AlertState.NORMAL,
    (AlertState.LATCHED, AlertEvent.RAISE): AlertState.UNACK,
    (AlertState.LATCHED, AlertEvent.RESET): AlertState.NORMAL,
}


def transition(state: AlertState, event: AlertEvent, *, latching: bool) -> AlertState:
    """The state after ``event`` (ISA-18.2, figure of the alarm state transitions; latching types stop at LATCHED).

    An event that says nothing new (raised again while active, acknowledged twice) leaves the state as it is.
    Raises StateError for a reset of anything that is not latched, or still there.
    """
    moved = _MOVES.get((state, event))
    if moved is None:
        if event is AlertEvent.RESET and state is not AlertState.NORMAL:
            raise StateError(f"An alert in state {state} cannot be reset: acknowledge it and let it return to normal.")
        return state
    if latching and moved is AlertState.NORMAL and event is not AlertEvent.RESET:
        return AlertState.LATCHED
    return moved


_CLOSED, _CLOSED_PG = text("closed IS 1"), text("closed IS true")
"""What an index of closed alerts alone holds, as statements say it: an alert pays for it once, when it is closed."""


class Alert(SQLModel, table=True):
    """One alert: one cause, linked to one or more risks. ``raised_at`` is capture time, ``committed_at`` wall clock.

    ``group_key`` is place and cause; ``suppressed_by`` the alert that explains it (suppressed by design), with the
    reason beside it, ``explains`` how many this one explains; ``severity_raised``: camera and sensor agree; ``joined``
    holds the fingerprints of what was joined to it, a line each; ``look_verdict``, ``look_reason`` and
    ``look_by``: what a model said of the picture, or that it was withheld from it; ``restless`` is empty,
    ``chattering`` or ``recurring``, after so many ``raisings``.
    """

    __tablename__ = "alert"
    __table_args__ = (
        Index("alert_open_fingerprint", "mine", "fingerprint", "closed"),
        Index("alert_due", "mine", "closed", "due_at"),
        Index("alert_closed", "mine", "closed", "closed_at"),
        Index("alert_open", "mine", "closed", "committed_at"),
        Index("alert_queue", "mine", "closed", "priority", "acked", "committed_at", "shelved_until", "suppressed_by"),
        Index("alert_similar", "mine", "type", "place", "committed_at"),
        Index("alert_source", "mine", "source", "committed_at"),
        Index("alert_committed", "mine", "committed_at"),
        Index("alert_group", "mine", "closed", "group_key"),
        Index("alert_suppressed", "mine", "closed", "suppressed_by"),
        *(
            Index(
                f"alert_closed_{by}",
                "mine",
                "closed",
                by,
                "closed_at",
                sqlite_where=_CLOSED,
                postgresql_where=_CLOSED_PG,
            )
            for by in ("type", "place", "source", "priority")
        ),
    )

    id: str = Field(primary_key=True, max_length=32)
    mine: str = Field(max_length=63)
    fingerprint: str
    type: str
    grade: str
    priority: str
    place: str
    source: str
    source_kind: str
    zone: str | None = None
    latching: bool = False
    confidence: float = 0.0
    active: bool = True
    acked: bool = False
    latched: bool = False
    episode: str = "ongoing"
    folded: int = 0
    raised_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    committed_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    updated_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    returned_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    acked_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    acked_by: str | None = None
    shelved_until: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    shelved_by: str | None = None
    shelved_reason: str | None = None
    group_key: str = ""
    suppressed_by: str | None = Field(default=None, max_length=32)
    suppressed_zh: str = ""
    suppressed_en: str = ""
    explains: int = 0
    early: bool = False
    severity_raised: bool = False
    severity_zh: str = ""
    severity_en: str = ""
    joined: str = ""
    restless: str = ""
    raisings: int = 1
    look_verdict: str = ""
    look_reason: str = ""
    look_by: str = ""
    closed: bool = False
    closed_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    closed_by: str | None = None
    responsible_zh: str = ""
    responsible_en: str = ""
    escalated: int = 0
    escalate_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    document_version: int = 0
    step: str = "match"
    due_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    revision: int = 0
    attempts: int = 0
    lease_owner: str | None = None
    lease_until: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))

    @property
    def state(self) -> AlertState:
        """The alert's ISA-18.2 state."""
        return Bits(active=self.active, acked=self.acked, latched=self.latched).state

    def call_again(self) -> None:
        """An alarm that has become graver is announced anew, whoever had acknowledged it before."""
        self.acked = self.latched = False
        self.acked_by = self.acked_at = None

    def move(self, event: AlertEvent) -> None:
        """Apply an event to the state. Raises StateError where it cannot happen."""
        self.active, self.acked, self.latched = _BITS[transition(self.state, event, latching=self.latching)]


class AlertRisk(SQLModel, table=True):
    """One event of a risk, as it came, linked to the alert that stands for it."""

    __tablename__ = "alert_risk"
    __table_args__ = (Index("alert_risk_published", "mine", "published_at"),)

    mine: str = Field(primary_key=True, max_length=63)
    risk_id: str = Field(primary_key=True, max_length=64)
    sequence: int = Field(primary_key=True)
    alert_id: str = Field(foreign_key="alert.id", index=True)
    state: str
    type: str
    published_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))

    @property
    def risk(self) -> Risk:
        """The event itself."""
        message = decode(self.content)
        assert isinstance(message, Risk)
        return message


def alert_identity(mine: str, risk_id: str) -> str:
    """The id of the alert that a risk opens; the same on every delivery."""
    return hashlib.sha256(f"{mine}\x1f{risk_id}".encode()).hexdigest()[:32]


def fingerprint(risk: Risk) -> str:
    """What makes two risks the same cause: source, type and zone. What persons report is never taken for the same."""
    last = risk.risk_id if risk.source_kind == "person" else (risk.zone or "")
    return f"{risk.source}|{risk.type}|{last}"


def episode_of(events: Iterable[tuple[str, int, str]]) -> Episode:
    """How the risks behind an alert stand, from (risk_id, sequence, state) of all their events in any order.

    One that is still there outweighs all; one that was lost outweighs those that were seen to end.
    """
    latest: dict[str, tuple[int, str]] = {}
    for risk_id, sequence, state in events:
        if risk_id not in latest or sequence > latest[risk_id][0]:
            latest[risk_id] = (sequence, state)
    states = {state for _, state in latest.values()}
    if states & {"raised", "updated"}:
        return "ongoing"
    return "lost" if "lost" in states else "cleared"
