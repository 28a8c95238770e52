"""The disposal document: what it says, its states, and the one table of what each decision does."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple

import msgspec
from sqlalchemy import Column, Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from disposal.alert import AlertEvent
from stream.database import UtcDateTime


class DocumentState(StrEnum):
    """The states of a document, in the order in which it goes through them; branches behind."""

    DRAFT = "DRAFT"
    CHECKED = "CHECKED"
    PENDING_APPROVAL = "PENDING_APPROVAL"
    APPROVED = "APPROVED"
    ISSUED = "ISSUED"
    RECTIFYING = "RECTIFYING"
    ACCEPTANCE = "ACCEPTANCE"
    CLOSED = "CLOSED"
    RETURNED = "RETURNED"
    REJECTED = "REJECTED"
    OVERDUE = "OVERDUE"
    REOPENED = "REOPENED"
    AUTO_CLOSED = "AUTO_CLOSED"
    SAMPLED = "SAMPLED"
    UPHELD = "UPHELD"
    OVERTURNED = "OVERTURNED"


class Bilingual(msgspec.Struct, frozen=True):
    """The same thing said in Chinese and in English; a language that was not written is empty."""

    zh: str = ""
    en: str = ""

    def text(self, language: str) -> str:
        """What it says in ``language`` (zh or en), else in the other one."""
        return (self.zh or self.en) if language == "zh" else (self.en or self.zh)


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One line of what was found: written by code from the risk, never by a model."""

    name: Bilingual
    value: Bilingual


class Citation(msgspec.Struct, frozen=True, kw_only=True):
    """A clause version as it read when the document was drafted. ``required``: what it asks for, in full."""

    version_id: str
    clause_id: str
    label: Bilingual
    required: Bilingual


class DocumentContent(msgspec.Struct, frozen=True, kw_only=True):
    """What a document says: facts, citations, the five elements. ``deadline`` is UTC, ``notice`` says who wrote it.

    ``heading`` and ``closing`` are the mine's own words above the title and below the text.
    """

    title: Bilingual
    grade: Literal["general", "major"]
    facts: tuple[Fact, ...]
    citations: tuple[Citation, ...]
    responsible: Bilingual
    measures: tuple[Bilingual, ...]
    resources: tuple[Bilingual, ...]
    deadline: datetime
    contingency: Bilingual
    acceptance: Bilingual
    notice: Bilingual
    heading: Bilingual = Bilingual()
    closing: Bilingual = Bilingual()


class StoredMatch(msgspec.Struct, frozen=True, kw_only=True):
    """A clause version that was found for the alert, with its score, why, and its wording then.

    ``bound``: it governs this hazard by name or set the broken limit; else it was found by its words. ``by``: the
    person who cites it though the search did not find it.
    """

    version_id: str
    clause_id: str
    label: Bilingual
    text: Bilingual
    score: float
    reason: Bilingual
    bound: bool = False
    by: str = ""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check of a draft, whether it holds, and what was found."""

    name: str
    ok: bool
    detail: str = ""


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One condition of automatic closure, whether it holds, and the figures that it was judged by."""

    condition: str
    ok: bool
    figures: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the policy closes, with every reason. ``policy`` is ``id@version``; ``shadow``: it only watches."""

    close: bool
    reasons: tuple[Reason, ...]
    policy: str = ""
    shadow: bool = False


class Document(SQLModel, table=True):
    """A version of an alert's document; ``content``, ``matches``, ``checks``, ``verdict`` are JSON of those shapes."""

    __tablename__ = "document"
    __table_args__ = (
        UniqueConstraint("alert_id", "version"),
        Index("document_listed", "mine", "state", "closed_at"),
    )

    id: str = Field(primary_key=True, max_length=48)
    alert_id: str = Field(foreign_key="alert.id")
    mine: str = Field(max_length=63)
    version: int
    state: str = "DRAFT"
    backend: str = ""
    language: str = ""
    prompt: str = ""
    content: str = Field(default="", sa_column=Column(Text, nullable=False))
    matches: str = Field(default="[]", sa_column=Column(Text, nullable=False))
    checks: str = Field(default="[]", sa_column=Column(Text, nullable=False))
    verdict: str = Field(default="", sa_column=Column(Text, nullable=False))
    policy: str = Field(default="", index=True)
    would_close: bool | None = None
    schema_valid: bool | None = None
    repaired: bool = False
    fell_through: int = 0
    seconds: float = 0.0
    created_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False, index=True))
    checked_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime, index=True))
    decided_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    decided_by: str | None = None
    decision: str | None = None
    reason: str = ""
    auto_closed_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    issued_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    rectified_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    rectified_by: str | None = None
    deadline: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    escalated: int = 0
    escalate_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    closed_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))

    def read_content(self) -> DocumentContent | None:
        """What the document says; None while nothing is drafted."""
        return msgspec.json.decode(self.content, type=DocumentContent) if self.content else None

    def read_matches(self) -> tuple[StoredMatch, ...]:
        """The clause versions found for it."""
        return msgspec.json.decode(self.matches, type=tuple[StoredMatch, ...])

    def read_checks(self) -> tuple[Check, ...]:
        """What was checked of the draft."""
        return msgspec.json.decode(self.checks, type=tuple[Check, ...])

    def read_verdict(self) -> Verdict | None:
        """What the closure policy said, if it was asked."""
        return msgspec.json.decode(self.verdict, type=Verdict) if self.verdict else None


def document_identity(alert_id: str, version: int) -> str:
    """The id of an alert's document in that version."""
    return f"{alert_id}-{version}"


def to_json(value: object) -> str:
    """JSON text of the structs above, as it is stored."""
    return msgspec.json.encode(value).decode()


Decision = Literal[
    "acknowledge",
    "approve",
    "return",
    "reject",
    "start",
    "rectify",
    "close",
    "reopen",
    "uphold",
    "overturn",
    "shelve",
    "unshelve",
]


class Effect(NamedTuple):
    """What a decision does.

    ``sources``: the document's states in which it may be taken (None: whatever it is, also none yet); ``target``: the
    state after it (None: unchanged); ``events``: what happens to the alert, in order; ``closes``: the alert is done
    (None: as it was); ``redraft``: a new version is drafted; ``issues``: the document goes out; ``needs_reason``;
    ``shelves``: the alert is set aside until a time (True) or put back (False), whatever its document is.
    """

    sources: frozenset[DocumentState] | None
    target: DocumentState | None
    events: tuple[AlertEvent, ...] = (AlertEvent.ACKNOWLEDGE,)
    closes: bool | None = None
    redraft: bool = False
    issues: bool = False
    needs_reason: bool = False
    shelves: bool | None = None


_D = DocumentState
_END = (AlertEvent.ACKNOWLEDGE, AlertEvent.RETURN, AlertEvent.RESET)
_AGAIN = (AlertEvent.RAISE,)

EFFECTS: Mapping[Decision, Effect] = {
    "acknowledge": Effect(None, None),
    "approve": Effect(frozenset({_D.PENDING_APPROVAL}), _D.APPROVED, issues=True),
    "return": Effect(frozenset({_D.PENDING_APPROVAL}), _D.RETURNED, redraft=True, needs_reason=True),
    "reject": Effect(
        frozenset({_D.DRAFT, _D.CHECKED, _D.PENDING_APPROVAL, _D.RETURNED, _D.REOPENED}),
        _D.REJECTED,
        _END,
        closes=True,
        needs_reason=True,
    ),
    "start": Effect(frozenset({_D.ISSUED, _D.APPROVED}), _D.RECTIFYING),
    "rectify": Effect(frozenset({_D.APPROVED, _D.ISSUED, _D.RECTIFYING, _D.OVERDUE}), _D.ACCEPTANCE),
    "close": Effect(
        frozenset({_D.PENDING_APPROVAL, _D.APPROVED, _D.ISSUED, _D.RECTIFYING, _D.OVERDUE, _D.ACCEPTANCE}),
        _D.CLOSED,
        _END,
        closes=True,
        needs_reason=True,
    ),
    "reopen": Effect(
        frozenset({_D.CLOSED, _D.AUTO_CLOSED, _D.SAMPLED, _D.UPHELD, _D.REJECTED}),
        _D.REOPENED,
        _AGAIN,
        closes=False,
        redraft=True,
        needs_reason=True,
    ),
    "uphold": Effect(frozenset({_D.SAMPLED}), _D.UPHELD, ()),
    "overturn": Effect(frozenset({_D.SAMPLED}), _D.OVERTURNED, _AGAIN, closes=False, redraft=True, needs_reason=True),
    "shelve": Effect(None, None, (), needs_reason=True, shelves=True),
    "unshelve": Effect(None, None, (), shelves=False),
}
"""The one table of what each decision by a person does to the alert and to the document."""

AUTOMATIC = Effect(frozenset({_D.CHECKED}), _D.AUTO_CLOSED, (AlertEvent.ACKNOWLEDGE,), closes=True, issues=True)
"""What a closure by policy does."""

OPEN: frozenset[DocumentState] = frozenset({_D.DRAFT, _D.CHECKED, _D.PENDING_APPROVAL, _D.RETURNED, _D.REOPENED})
"""States in which the document still waits for its first decision."""
