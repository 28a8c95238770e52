"""What the mine knows besides its codes, entry by entry, in versions: draft, review, publication by another, roll back.

An entry has a ``kind`` (measures, synonyms, ...) and a ``key`` within it. What a version says is a flat table of texts,
so that one page edits and compares every kind; who reads an entry gives the texts their meaning. An entry that was
never published is as the product ships it.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from sqlalchemy import JSON, Column, Engine, UniqueConstraint
from sqlmodel import Field, Session, SQLModel, col, func, select

from rules.clause import count_change
from rules.errors import ApprovalError, KnowledgeError
from stream.database import UtcDateTime, reading, writing
from stream.messages import utc_now

Texts = Mapping[str, str]
Record = Callable[[Session, str, str, str], None]
"""Told, within the transaction, what was done: the session, who did it, what, and the version's id."""


class KnowledgeVersion(SQLModel, table=True):
    """One version of one entry of one mine. Of the published ones the latest holds; none of them ever changes."""

    __tablename__ = "knowledge_version"
    __table_args__ = (UniqueConstraint("mine", "kind", "key", "version"),)

    id: str = Field(primary_key=True)
    mine: str = Field(max_length=63)
    kind: str = Field(max_length=31)
    key: str = Field(max_length=63)
    version: int
    state: str
    texts: dict[str, str] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    author: str
    reviewer: str | None = None
    approver: str | None = None
    created_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    published_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))


def nothing(session: Session, who: str, what: str, version: str) -> None:
    """For those who keep no record of what was done."""


def current(engine: Engine, mine: str, kind: str, at: datetime | None = None) -> dict[str, dict[str, str]]:
    """What holds at ``at`` (now) of that kind, by key, as far as it was ever published."""
    with reading(engine) as session:
        rows = session.exec(
            select(KnowledgeVersion)
            .where(
                KnowledgeVersion.mine == mine,
                KnowledgeVersion.kind == kind,
                KnowledgeVersion.state == "PUBLISHED",
                col(KnowledgeVersion.published_at) <= (at or utc_now()),
            )
            .order_by(col(KnowledgeVersion.published_at), col(KnowledgeVersion.version))
        ).all()
    return {row.key: row.texts for row in rows}


def history(engine: Engine, mine: str, kind: str, key: str) -> list[KnowledgeVersion]:
    """Every version of the entry, oldest first; none where it is as it ships."""
    with reading(engine) as session:
        return list(
            session.exec(
                select(KnowledgeVersion)
                .where(KnowledgeVersion.mine == mine, KnowledgeVersion.kind == kind, KnowledgeVersion.key == key)
                .order_by(col(KnowledgeVersion.version))
            ).all()
        )


def waiting(engine: Engine, mine: str, kind: str) -> dict[str, str]:
    """The state of the newest version of each entry whose newest version is not published, by key."""
    with reading(engine) as session:
        rows = session.exec(
            select(KnowledgeVersion.key, KnowledgeVersion.state)
            .where(KnowledgeVersion.mine == mine, KnowledgeVersion.kind == kind)
            .order_by(col(KnowledgeVersion.version))
        ).all()
    return {key: state for key, state in dict(rows).items() if state != "PUBLISHED"}


def write(engine: Engine, mine: str, kind: str, key: str, texts: Texts, author: str, record: Record = nothing) -> str:
    """A new DRAFT of the entry; answers the version's id. Rolling back writes the texts of an earlier version anew."""
    with writing(engine) as session:
        last = session.exec(
            select(func.max(KnowledgeVersion.version)).where(
                KnowledgeVersion.mine == mine, KnowledgeVersion.kind == kind, KnowledgeVersion.key == key
            )
        ).one()
        version = (last or 0) + 1
        row = KnowledgeVersion(
            id=f"{mine}/{kind}/{key}@{version}",
            mine=mine,
            kind=kind,
            key=key,
            version=version,
            state="DRAFT",
            texts=dict(texts),
            author=author,
            created_at=utc_now(),
        )
        session.add(row)
        record(session, author, "write", row.id)
        return row.id


def review(engine: Engine, identity: str, by: str, record: Record = nothing) -> None:
    """Say that a draft is fit to be published. Raises KnowledgeError where it is no draft."""
    with writing(engine) as session:
        row = _version(session, identity)
        if row.state != "DRAFT":
            raise KnowledgeError(f"{identity} is {row.state.lower()}: only a draft can be reviewed.")
        row.state, row.reviewer = "REVIEWED", by
        record(session, by, "review", identity)


def publish(engine: Engine, identity: str, by: str, record: Record = nothing) -> None:
    """Put a reviewed version in force at once. Raises ApprovalError where it was not reviewed, or by who may not."""
    with writing(engine) as session:
        row = _version(session, identity)
        if row.state != "REVIEWED":
            raise ApprovalError(f"{identity} is {row.state.lower()}: only a reviewed version can be published.")
        if by in (row.author, row.reviewer):
            raise ApprovalError(f"{by} wrote or reviewed {identity}: somebody else has to publish it.")
        row.state, row.approver, row.published_at = "PUBLISHED", by, utc_now()
        count_change(session)
        record(session, by, "publish", identity)


def _version(session: Session, identity: str) -> KnowledgeVersion:
    row = session.get(KnowledgeVersion, identity, with_for_update=True)
    if row is None:
        raise KnowledgeError(f"There is no version {identity!r}.")
    return row
