"""Shift handover: what is open, shelved, due and newly learned, signed in the audit by who goes and by who comes."""

import json
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine, func
from sqlmodel import Session, col, select

from disposal.alert import Alert
from disposal.audit import AuditLine, append
from disposal.document import Document, DocumentState
from disposal.errors import HandoverError
from stream.database import writing

LEARNED = (
    "reject", "overturn", "reopen", "draw-zones", "add-camera", "remove-camera", "activate-policy", "suspend-policy",
    "put-emergency-plan", "add-duty", "remove-duty",
)  # fmt: skip
"""Audit lines that tell the next shift something new about the mine, its cameras and its policies."""
LONGEST_NOTE = 4000
_MOST = 100
_LONGEST_ITEM = 500
_UNDER_WAY = (
    DocumentState.APPROVED,
    DocumentState.ISSUED,
    DocumentState.RECTIFYING,
    DocumentState.ACCEPTANCE,
    DocumentState.OVERDUE,
)
_RANK = {"critical": 0, "high": 1, "medium": 2, "low": 3}


class Item(NamedTuple):
    """An alert in a list: ``at`` is since when it is open, until when it is shelved, or when its document is due.

    ``note`` is the alert's state, the reason why it is shelved, or its document's state.
    """

    alert: str
    type: str
    place: str
    priority: str
    at: str
    note: str = ""


class Standing(NamedTuple):
    """What one shift leaves to the next. Lists hold the hundred most urgent; ``opened`` counts all that are open.

    ``learned``: action, who, when, subject, and the reason that was given.
    """

    opened: int
    open: tuple[Item, ...]
    shelved: tuple[Item, ...]
    due: tuple[Item, ...]
    learned: tuple[tuple[str, str, str, str, str], ...]


class Handover(NamedTuple):
    """A handover as it was signed; ``taken_by`` is empty until somebody has taken over."""

    id: str
    since: datetime
    given_by: str
    given_at: datetime
    note: str
    standing: Standing
    taken_by: str = ""
    taken_at: datetime | None = None


def standing(session: Session, mine: str, since: datetime, now: datetime, until: datetime) -> Standing:
    """What stands now: ``since`` is when the shift began, ``until`` when the next one ends."""
    ours = (col(Alert.mine) == mine, col(Alert.closed).is_(False))
    aside = (col(Alert.shelved_until).is_not(None), col(Alert.shelved_until) > now)
    shelved = session.exec(select(Alert).where(*ours, *aside).order_by(col(Alert.shelved_until)).limit(_MOST)).all()
    rest = select(Alert).where(*ours).where(col(Alert.shelved_until).is_(None) | (col(Alert.shelved_until) <= now))
    count = session.exec(select(func.count()).select_from(rest.subquery())).one()
    found: list[Alert] = []
    for priority in _RANK:
        if len(found) < _MOST:
            these = rest.where(col(Alert.priority) == priority).order_by(col(Alert.committed_at))
            found += session.exec(these.limit(_MOST - len(found))).all()
    due = session.exec(
        select(Alert, Document)
        .join(
            Document, (col(Document.alert_id) == col(Alert.id)) & (col(Document.version) == col(Alert.document_version))
        )
        .where(*ours, col(Document.state).in_(_UNDER_WAY), col(Document.deadline) <= until)
        .order_by(col(Document.deadline))
        .limit(_MOST)
    ).all()
    lines = session.exec(
        select(AuditLine)
        .where(AuditLine.mine == mine, col(AuditLine.at) >= since, col(AuditLine.action).in_(LEARNED))
        .order_by(col(AuditLine.sequence))
        .limit(_MOST)
    ).all()
    return Standing(
        count,
        tuple(_item(alert, alert.committed_at, alert.state) for alert in found),
        tuple(_item(alert, alert.shelved_until, alert.shelved_reason or "") for alert in shelved),
        tuple(_item(alert, document.deadline, document.state) for alert, document in due),
        tuple(
            (
                line.action,
                line.actor,
                line.at.isoformat(),
                line.subject,
                str(json.loads(line.after).get("reason") or ""),
            )
            for line in lines
        ),
    )


def _item(alert: Alert, at: datetime | None, note: str = "") -> Item:
    short = note if len(note) <= _LONGEST_ITEM else f"{note[: _LONGEST_ITEM - 1]}…"
    return Item(alert.id, alert.type, alert.place, alert.priority, at.isoformat() if at else "", short)


def hand_over(engine: Engine, mine: str, actor: str, note: str, since: datetime, now: datetime, until: datetime) -> str:
    """Sign the shift out: what stands now goes into the audit under the actor's name. Answers the handover's id."""
    identity = uuid.uuid4().hex
    with writing(engine) as session:
        said = standing(session, mine, since, now, until)
        content = {"since": since.isoformat(), "note": note.strip()[:LONGEST_NOTE], "standing": said._asdict()}
        append(session, mine, actor, "hand-over", f"handover/{identity}", None, content)
    return identity


def take_over(engine: Engine, mine: str, identity: str, actor: str) -> None:
    """Sign the shift in. Raises HandoverError where there is no such handover, it is taken, or the actor gave it."""
    with writing(engine) as session:
        found = _read(session, mine, identity)
        if found is None:
            raise HandoverError("There is no such handover.")
        if found.taken_by:
            raise HandoverError(f"{found.taken_by} has taken that shift over already.")
        if found.given_by == actor:
            raise HandoverError("Who hands a shift over cannot take it over: somebody else has to sign.")
        after = {"given_by": found.given_by}
        append(session, mine, actor, "take-over", f"handover/{identity}", None, after)


def handover(session: Session, mine: str, identity: str) -> Handover | None:
    """The handover of that id."""
    return _read(session, mine, identity)


def handovers(session: Session, mine: str, limit: int = 10) -> list[Handover]:
    """The latest handovers, newest first."""
    subjects = session.exec(
        select(AuditLine.subject)
        .where(AuditLine.mine == mine, col(AuditLine.subject).like("handover/%"), AuditLine.action == "hand-over")
        .order_by(col(AuditLine.sequence).desc())
        .limit(limit)
    ).all()
    found = (_read(session, mine, subject.removeprefix("handover/")) for subject in subjects)
    return [one for one in found if one is not None]


def _read(session: Session, mine: str, identity: str) -> Handover | None:
    lines = session.exec(
        select(AuditLine)
        .where(AuditLine.mine == mine, AuditLine.subject == f"handover/{identity}")
        .order_by(col(AuditLine.sequence))
    ).all()
    if not lines or lines[0].action != "hand-over":
        return None
    said = json.loads(lines[0].after)
    taken = next((line for line in lines if line.action == "take-over"), None)
    return Handover(
        identity,
        datetime.fromisoformat(said["since"]),
        lines[0].actor,
        lines[0].at,
        said["note"],
        _standing(said["standing"]),
        taken.actor if taken else "",
        taken.at if taken else None,
    )


def _standing(said: dict[str, Any]) -> Standing:
    def items(rows: Sequence[Sequence[str]]) -> tuple[Item, ...]:
        return tuple(Item(*row) for row in rows)

    learned = tuple((row[0], row[1], row[2], row[3], row[4]) for row in said["learned"])
    return Standing(said["opened"], items(said["open"]), items(said["shelved"]), items(said["due"]), learned)
