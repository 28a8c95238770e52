"""The code book's tables: editions of codes, clauses, their versions; and what was in force when.

A version's stored state is DRAFT, REVIEWED or PUBLISHED. Whether a published one is SUPERSEDED or REPEALED depends on
the time asked about: its ``effective_to`` says until when it held, and ``ended`` why it does no longer. So the book
answers as-of questions on both sides of every change, and nothing has to run at midnight.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import JSON, Column, Engine, UniqueConstraint
from sqlmodel import Field, Session, SQLModel, col, or_, select

from rules.errors import ClauseError
from rules.figure import Figure, read_figures
from rules.limits import CarriedLimit, Limit, read_limits
from stream.database import UtcDateTime, reading
from stream.messages import utc_now

_CHUNK = 500
Kind = Literal["national", "supplement"]
State = Literal["DRAFT", "REVIEWED", "PUBLISHED", "SUPERSEDED", "REPEALED"]


class CodeEdition(SQLModel, table=True):
    """One edition of a code. ``mine`` is empty for national codes, which all mines share."""

    __tablename__ = "code_edition"

    code: str = Field(primary_key=True, max_length=63)
    edition: str = Field(primary_key=True, max_length=63)
    kind: str
    mine: str | None = Field(default=None, index=True)
    title_zh: str = ""
    title_en: str = ""
    note_zh: str = ""
    note_en: str = ""
    promulgated: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    effective_from: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))


class Clause(SQLModel, table=True):
    """One numbered provision of a code, through all its versions; its id is ``code:number``."""

    __tablename__ = "clause"

    id: str = Field(primary_key=True)
    code: str = Field(index=True)
    number: str
    sort_key: str


class ClauseVersion(SQLModel, table=True):
    """One version of a clause. Published ones never change, but for when and why they end."""

    __tablename__ = "clause_version"
    __table_args__ = (UniqueConstraint("clause_id", "version"),)

    id: str = Field(primary_key=True)
    clause_id: str = Field(foreign_key="clause.id", index=True)
    version: int
    edition: str
    state: str = Field(index=True)
    ended: str | None = None
    heading_zh: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    heading_en: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    title_zh: str = ""
    title_en: str = ""
    text_zh: str = ""
    text_en: str = ""
    hazards: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    tightens: str | None = None
    limits: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    figures: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    effective_from: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    effective_to: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    author: str
    reviewer: str | None = None
    reviewed_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    review_reason: str = ""
    approver: str | None = None
    created_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    published_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    content_hash: str = Field(index=True)


class ClauseChange(SQLModel, table=True):
    """One row whose counter moves with every change to what is in force, so that indexes know when to rebuild."""

    __tablename__ = "clause_change"

    id: int = Field(default=1, primary_key=True)
    counter: int = 0


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a person writes: the wording of a clause with its figures, dates, hazard tags (risk types) and limits."""

    heading_zh: tuple[str, ...] = ()
    heading_en: tuple[str, ...] = ()
    title_zh: str = ""
    title_en: str = ""
    text_zh: str = ""
    text_en: str = ""
    hazards: tuple[str, ...] = ()
    tightens: str | None = None
    limits: tuple[Limit, ...] = ()
    figures: tuple[Figure, ...] = ()
    effective_from: datetime | None = None
    effective_to: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Provision:
    """A clause in one version, with its code, as it stood at the time asked about (``state``)."""

    clause_id: str
    version_id: str
    version: int
    code: str
    edition: str
    kind: Kind
    mine: str | None
    number: str
    sort_key: str
    code_title_zh: str
    code_title_en: str
    state: State
    content: Content = field(repr=False)
    author: str
    reviewer: str | None
    approver: str | None
    published_at: datetime | None
    repeals: bool = False
    """It says nothing of its own but that the clause ends."""
    reviewed_at: datetime | None = None
    review_reason: str = ""

    @property
    def to_be_signed(self) -> bool:
        """A draft of a supplement that tightens a clause by words alone: its reviewer says why they do not loosen."""
        content = self.content
        words_alone = self.kind == "supplement" and content.tightens and not content.limits
        return bool(words_alone) and self.state == "DRAFT" and not self.repeals

    def title(self, language: str) -> str:
        """The title in ``language`` (zh or en), else in the other one."""
        one, other = self.content.title_zh, self.content.title_en
        return (one or other) if language == "zh" else (other or one)

    def text(self, language: str) -> str:
        """The text in ``language`` (zh or en), else in the other one."""
        one, other = self.content.text_zh, self.content.text_en
        return (one or other) if language == "zh" else (other or one)


def sort_key(number: str) -> str:
    """A key that sorts clause numbers as a code counts them: 9 before 10, 374 before 374-1 before 375."""
    return ".".join(p.zfill(6) if p.isdigit() else p.lower() for p in re.findall(r"\d+|[A-Za-z]+", number))


def clause_id(code: str, number: str) -> str:
    """The id of the clause with that number. Raises ClauseError where code or number cannot be one."""
    if not re.fullmatch(r"\w[\w.\-]{0,62}", code):
        raise ClauseError(f"{code!r} cannot name a code: write letters, digits, hyphens and dots, 63 at most.")
    if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z.\-()]{0,62}", number):
        raise ClauseError(
            f"{number!r} cannot number a clause of {code}: write for instance 374, 374-1, 5.2.1 or 172(2)."
        )
    return f"{code}:{number}"


def content_hash(content: Content) -> str:
    """A hash of everything that a person wrote, equal for equal contents (Unicode normalised)."""
    parts = [
        content.heading_zh, content.heading_en, content.title_zh, content.title_en, content.text_zh, content.text_en,
        sorted(content.hazards), content.tightens or "", [repr(limit) for limit in content.limits],
        str(content.effective_from), str(content.effective_to), *(repr(figure) for figure in content.figures),
    ]  # fmt: skip
    text = unicodedata.normalize("NFC", json.dumps(parts, ensure_ascii=False))
    return hashlib.sha256(text.encode()).hexdigest()


def content_of(row: ClauseVersion) -> Content:
    """What was written in that version."""
    return Content(
        heading_zh=tuple(row.heading_zh),
        heading_en=tuple(row.heading_en),
        title_zh=row.title_zh,
        title_en=row.title_en,
        text_zh=row.text_zh,
        text_en=row.text_en,
        hazards=tuple(row.hazards),
        tightens=row.tightens,
        limits=read_limits(row.limits),
        figures=read_figures(row.figures),
        effective_from=row.effective_from,
        effective_to=row.effective_to,
    )


def state_at(row: ClauseVersion, at: datetime) -> State:
    """The state of the version at that time: a published one whose time is over is SUPERSEDED or REPEALED."""
    if row.state == "PUBLISHED" and row.effective_to is not None and row.effective_to <= at:
        return "REPEALED" if row.ended == "REPEALED" else "SUPERSEDED"
    return row.state  # type: ignore[return-value]  # the column holds nothing else


def in_force(engine: Engine, mine: str, at: datetime) -> list[Provision]:
    """What is in force at ``at`` in ``mine``: published versions within their dates, national ones and the mine's own.

    At most one version of each clause, in the order of code and number.
    """
    condition = (col(ClauseVersion.effective_from) <= at) & or_(
        col(ClauseVersion.effective_to).is_(None), col(ClauseVersion.effective_to) > at
    )
    with reading(engine) as session:
        found = _found(session, _published(mine) & condition, at)
    latest = {p.clause_id: p for p in found}
    return sorted(latest.values(), key=lambda p: (p.code, p.sort_key))


def published(engine: Engine, mine: str) -> list[Provision]:
    """Every version ever published for the mine, ended ones with them; their dates say when each was in force."""
    with reading(engine) as session:
        found = _found(session, _published(mine), utc_now())
    return sorted(found, key=lambda p: (p.code, p.sort_key, p.version))


def published_ends(engine: Engine, mine: str) -> dict[str, tuple[datetime | None, str | None]]:
    """When and why each version ever published for the mine ends, by its id: what alone can change of it."""
    with reading(engine) as session:
        rows = session.exec(
            select(ClauseVersion.id, ClauseVersion.effective_to, ClauseVersion.ended)
            .join(Clause, col(Clause.id) == col(ClauseVersion.clause_id))
            .join(
                CodeEdition,
                (col(CodeEdition.code) == col(Clause.code)) & (col(CodeEdition.edition) == col(ClauseVersion.edition)),
            )
            .where(_published(mine))
        ).all()
    return {identity: (end, why) for identity, end, why in rows}


def versions(engine: Engine, identities: Sequence[str]) -> list[Provision]:
    """Those versions, whatever their state; ids that are not there are left out."""
    found: list[Provision] = []
    with reading(engine) as session:
        for start in range(0, len(identities), _CHUNK):
            chosen = col(ClauseVersion.id).in_(identities[start : start + _CHUNK])
            found += _found(session, chosen, utc_now())
    return found


def figures_of(session: Session, identities: Sequence[str]) -> dict[str, tuple[Figure, ...]]:
    """The figures of those versions, by the version's id; versions without any are left out."""
    rows = session.exec(
        select(ClauseVersion.id, ClauseVersion.figures).where(col(ClauseVersion.id).in_(identities[:_CHUNK]))
    ).all()
    return {identity: read_figures(held) for identity, held in rows if held}


def limits_in_force(provisions: list[Provision]) -> tuple[CarriedLimit, ...]:
    """The limits that these provisions carry."""
    return tuple(
        CarriedLimit(p.clause_id, p.version_id, f"{p.title('en')} ({p.code} {p.number})", limit)
        for p in provisions
        for limit in p.content.limits
    )


def get(engine: Engine, version_id: str, at: datetime) -> Provision:
    """That version, with its state at ``at``. Raises ClauseError where there is none."""
    with reading(engine) as session:
        found = _found(session, col(ClauseVersion.id) == version_id, at)
    if not found:
        raise ClauseError(f"There is no clause version {version_id!r}.")
    return found[0]


def history(engine: Engine, identity: str, at: datetime) -> list[Provision]:
    """Every version of the clause, oldest first, with its state at ``at``. Raises ClauseError where there is none."""
    with reading(engine) as session:
        found = _found(session, col(ClauseVersion.clause_id) == identity, at)
    if not found:
        raise ClauseError(f"There is no clause {identity!r}.")
    return found


def listing(engine: Engine, code: str, at: datetime, edition: str | None = None) -> list[Provision]:
    """The newest version of each clause of a code (of one edition), whatever its state, in the order of numbers."""
    condition = col(Clause.code) == code
    if edition is not None:
        condition = condition & (col(ClauseVersion.edition) == edition)
    with reading(engine) as session:
        newest = {p.clause_id: p for p in _found(session, condition, at)}
    return sorted(newest.values(), key=lambda p: p.sort_key)


def editions(engine: Engine, mine: str) -> list[CodeEdition]:
    """The editions of the national codes and of the mine's own, by code and edition."""
    with reading(engine) as session:
        return list(
            session.exec(
                select(CodeEdition)
                .where(or_(col(CodeEdition.mine).is_(None), col(CodeEdition.mine) == mine))
                .order_by(col(CodeEdition.code), col(CodeEdition.edition))
            ).all()
        )


def change_counter(engine: Engine) -> int:
    """A number that moves with every change to the code book."""
    with reading(engine) as session:
        return session.exec(select(ClauseChange.counter)).first() or 0


def count_change(session: Session) -> None:
    """Move the counter, in the transaction of the change itself."""
    row = session.get(ClauseChange, 1) or ClauseChange(id=1, counter=0)
    row.counter += 1
    session.add(row)


def provision(version: ClauseVersion, clause: Clause, edition: CodeEdition, at: datetime) -> Provision:
    """The three rows as one frozen value."""
    return Provision(
        clause_id=clause.id,
        version_id=version.id,
        version=version.version,
        code=clause.code,
        edition=version.edition,
        kind=edition.kind,  # type: ignore[arg-type]  # the column holds nothing else
        mine=edition.mine,
        number=clause.number,
        sort_key=clause.sort_key,
        code_title_zh=edition.title_zh,
        code_title_en=edition.title_en,
        state=state_at(version, at),
        content=content_of(version),
        author=version.author,
        reviewer=version.reviewer,
        approver=version.approver,
        published_at=version.published_at,
        reviewed_at=version.reviewed_at,
        review_reason=version.review_reason,
        repeals=version.ended == "REPEALED"
        and (version.state != "PUBLISHED" or version.effective_to == version.effective_from),
    )


def _published(mine: str) -> Any:
    owned = or_(col(CodeEdition.mine).is_(None), col(CodeEdition.mine) == mine)
    return (col(ClauseVersion.state) == "PUBLISHED") & owned


def _found(session: Session, condition: Any, at: datetime) -> list[Provision]:
    rows = session.exec(
        select(ClauseVersion, Clause, CodeEdition)
        .join(Clause, col(Clause.id) == col(ClauseVersion.clause_id))
        .join(
            CodeEdition,
            (col(CodeEdition.code) == col(Clause.code)) & (col(CodeEdition.edition) == col(ClauseVersion.edition)),
        )
        .where(condition)
        .order_by(col(ClauseVersion.clause_id), col(ClauseVersion.version))
    ).all()
    return [provision(version, clause, edition, at) for version, clause, edition in rows]
