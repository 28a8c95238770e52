"""What goes over the API: shapes of requests and answers, as its OpenAPI document tells them."""

import base64
import binascii
import json
from datetime import datetime
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from console.alert_view import Line, told_verdict
from console.errors import WrongInputError
from disposal.alert import Alert
from disposal.decision import LONGEST_REASON
from disposal.document import Decision, Document
from stream.messages import Evidence


def _sound(value: str) -> str:
    if "\x00" in value:
        raise ValueError("a text holds no NUL sign")
    return value


Text = Annotated[str, AfterValidator(_sound)]


class Shape(BaseModel):
    """What all have in common: nothing unknown is taken in."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AlertShape(Shape):
    """One alert. Times are UTC; ``state`` is that of ISA-18.2, ``document_state`` null while nothing is drafted."""

    id: str
    type: str
    grade: str
    priority: str
    place: str
    source: str
    source_kind: str
    zone: str | None
    state: str
    episode: str
    confidence: float
    raised_at: datetime
    committed_at: datetime
    updated_at: datetime
    acked_at: datetime | None
    acked_by: str | None
    closed: bool
    closed_at: datetime | None
    closed_by: str | None
    shelved_until: datetime | None
    document_version: int
    document_state: str | None

    @classmethod
    def of(cls, alert: Alert, document_state: str | None) -> "AlertShape":
        """The alert's row as it goes out."""
        own = {name: getattr(alert, name) for name in cls.model_fields if name not in ("state", "document_state")}
        return cls(state=alert.state.value, document_state=document_state, **own)


class AlertPage(Shape):
    """Some alerts, newest first; ``next`` is the cursor of the page behind, null on the last."""

    alerts: list[AlertShape]
    next: str | None


class EvidenceShape(Shape):
    """A piece of evidence; ``address`` is where this server gives it to whoever is signed in."""

    kind: str
    media_type: str
    sha256: str
    captured_at: datetime

    @classmethod
    def of(cls, evidence: Evidence) -> "EvidenceShape":
        """The evidence as it goes out."""
        return cls(
            kind=evidence.kind,
            media_type=evidence.media_type,
            sha256=evidence.sha256,
            captured_at=evidence.captured_at,
        )


class DocumentShape(Shape):
    """The disposal document in force: what it says, the clauses found for it, the policy's verdict and its reasons.

    ``verdict`` is null before the policy was asked, and while a policy on trial waits for a person's own decision.
    """

    version: int
    state: str
    backend: str
    created_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    decision: str | None
    reason: str
    content: dict[str, Any] | None
    matches: list[dict[str, Any]]
    verdict: dict[str, Any] | None

    @classmethod
    def of(cls, row: Document) -> "DocumentShape":
        """The document's row as it goes out."""
        names = ("version", "state", "backend", "created_at", "decided_at", "decided_by", "decision", "reason")
        return cls(
            **{name: getattr(row, name) for name in names},
            content=json.loads(row.content) if row.content else None,
            matches=json.loads(row.matches),
            verdict=json.loads(row.verdict) if row.verdict and not told_verdict(row)[1] else None,
        )


class LineShape(Shape):
    """One line of what happened, from the audit."""

    at: datetime
    actor: str
    action: str
    reason: str

    @classmethod
    def of(cls, line: Line) -> "LineShape":
        """The line as it goes out."""
        return cls(at=line.at, actor=line.actor, action=line.action, reason=line.reason)


class AlertWhole(Shape):
    """One alert with everything about it; ``possible`` are the decisions that fit it now and that you may take."""

    alert: AlertShape
    document: DocumentShape | None
    evidence: list[EvidenceShape]
    history: list[LineShape]
    possible: list[Decision]


class DecisionWanted(Shape):
    """A decision on an alert and on the version of its document that you have seen (0: there was none).

    ``until``: how long to shelve; for that decision alone.
    """

    decision: Decision
    reason: Text = Field("", max_length=LONGEST_REASON)
    document_version: int = Field(0, ge=0, le=1_000_000)
    until: AwareDatetime | None = None


class Decided(Shape):
    """What the decision led to; ``audit_sequence`` is the audit line that tells of it."""

    alert_id: str
    decision: Decision
    alert_state: str
    document_state: str | None
    document_version: int
    audit_sequence: int


class Conflict(Shape):
    """Nothing was done, because of what the alert is now; ``other`` is who decided before, and what."""

    sentence: str
    other: LineShape | None = None
    alert: AlertShape | None = None


class Refusal(Shape):
    """Why nothing was done."""

    sentence: str


class HazardWanted(Shape):
    """A hazard that somebody has seen: its risk type, the place's id, and what was seen."""

    type: Text = Field(max_length=63)
    place: Text = Field(max_length=63)
    text: Text = Field(min_length=1, max_length=LONGEST_REASON)


class HazardTaken(Shape):
    """It is on the log; its alert appears under ``alert_id`` within a second or so."""

    risk_id: str
    alert_id: str


class Cursor(NamedTuple):
    """Where a page of alerts ended: the last one's time and id."""

    at: datetime
    id: str

    def text(self) -> str:
        """As it stands in an address."""
        return base64.urlsafe_b64encode(json.dumps([self.at.isoformat(), self.id]).encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> "Cursor":
        """The cursor that ``text`` stands for. Raises WrongInputError where it stands for none."""
        try:
            at, identity = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
            moment = datetime.fromisoformat(at)
            sound = (
                isinstance(identity, str) and identity.isascii() and identity.isalnum() and moment.tzinfo is not None
            )
            # Past the ends of time a zone's shift overflows; such a moment was never handed out.
            if not sound or not 2000 <= moment.year < 9000:
                raise ValueError("no cursor")
        except (binascii.Error, ValueError, TypeError, RecursionError) as error:
            raise WrongInputError("error.cursor") from error
        return cls(moment, identity)
