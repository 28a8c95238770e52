"""How the code book changes: draft, review, publish, repeal; one version or a whole edition, always by two people."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Engine
from sqlmodel import Session, col, func, select

from rules.clause import (
    Clause,
    ClauseVersion,
    CodeEdition,
    Content,
    clause_id,
    content_hash,
    content_of,
    count_change,
    sort_key,
)
from rules.errors import ApprovalError, ClauseError
from rules.supplement import refuse_loosening, refuse_unsigned
from stream.catalogue import RISK_TYPES
from stream.database import reading, writing
from stream.messages import utc_now

Record = Callable[[Session, str, str, str, Sequence[ClauseVersion]], None]
"""Told, within the transaction, what was done: the session, who did it, what, to which clause or edition, and with
which versions."""


def nothing(session: Session, who: str, what: str, subject: str, versions: Sequence[ClauseVersion]) -> None:
    """For those who keep no record of what was done."""


def add_edition(engine: Engine, edition: CodeEdition) -> None:
    """Store an edition of a code, or its new titles, notes and dates where it is known.

    Raises ClauseError where the code belongs to another mine or is of another kind already.
    """
    with writing(engine) as session:
        put_edition(session, edition)


def put_edition(session: Session, edition: CodeEdition) -> None:
    """``add_edition`` within a transaction."""
    clause_id(edition.code, "1")
    if (edition.kind == "supplement") != bool(edition.mine):
        raise ClauseError(f"{edition.code}: a supplement belongs to one mine, a national code to none.")
    for known in session.exec(select(CodeEdition).where(CodeEdition.code == edition.code)):
        if (known.kind, known.mine) != (edition.kind, edition.mine):
            owner = f"mine {known.mine}" if known.mine else "all mines"
            raise ClauseError(f"{edition.code} is a {known.kind} code of {owner} already: choose another id.")
    session.merge(edition)


def draft(engine: Engine, code: str, edition: str, number: str, content: Content, author: str) -> str:
    """Write a new DRAFT version of the clause with that number; answers the version's id.

    Raises ClauseError where the edition is not there, or dates, hazard tags or number cannot be.
    """
    with writing(engine) as session:
        return put_draft(session, code, edition, number, content, author)


def put_draft(session: Session, code: str, edition: str, number: str, content: Content, author: str) -> str:
    """``draft`` within a transaction."""
    return put_drafts(session, code, edition, {number: content}, author)[0]


def put_drafts(session: Session, code: str, edition: str, contents: Mapping[str, Content], author: str) -> list[str]:
    """Drafts of many clauses within a transaction, all or none; answers their versions' ids in that order."""
    if session.get(CodeEdition, (code, edition)) is None:
        raise ClauseError(f"There is no edition {edition!r} of code {code!r}: import it or add it first.")
    for number, content in contents.items():
        check_content(code, number, content)
    latest = _latest_numbers(session, code)
    new = [n for n in contents if clause_id(code, n) not in latest]
    session.add_all(Clause(id=clause_id(code, n), code=code, number=n, sort_key=sort_key(n)) for n in new)
    session.flush()
    now = utc_now()
    rows = [
        _row(clause_id(code, number), latest.get(clause_id(code, number), 0) + 1, edition, content, author, now)
        for number, content in contents.items()
    ]
    session.add_all(rows)
    count_change(session)
    return [row.id for row in rows]


def put_repeals(
    session: Session, code: str, edition: str, numbers: Iterable[str], author: str, start: datetime | None
) -> list[str]:
    """Drafts, within a transaction, of the end of clauses at ``start`` (None: when they are published).

    Only a clause that is published without an end needs one; one that never was is gone with its draft. Answers the
    versions' ids. Like every draft they are reviewed and published; then nothing of the clause is in force.
    """
    latest, now, ids = _latest_numbers(session, code), utc_now(), []
    for identity in (clause_id(code, n) for n in numbers):
        live = [v for v in _published(session, identity) if v.effective_to is None]
        if not live:
            continue
        content = replace(content_of(live[-1]), effective_from=start, effective_to=None)
        row = _row(identity, latest[identity] + 1, edition, content, author, now)
        row.ended = "REPEALED"
        session.add(row)
        ids.append(row.id)
    count_change(session)
    return ids


def drop_drafts(session: Session, code: str, edition: str, numbers: Iterable[str]) -> None:
    """Within a transaction: drafts of the edition that nobody has reviewed give way to newer ones."""
    wanted = {clause_id(code, number) for number in numbers}
    for row in session.exec(_versions(code).where(ClauseVersion.edition == edition, ClauseVersion.state == "DRAFT")):
        if row.clause_id in wanted:
            session.delete(row)
    session.flush()


def edit(engine: Engine, identity: str, author: str, changes: Mapping[str, Any], record: Record = nothing) -> str:
    """A new DRAFT of the clause: its newest version with ``changes`` (fields of Content); answers the version's id.

    Unless the changes say from when, the new version takes effect when it is published.
    """
    with writing(engine) as session:
        latest = _latest(session, identity)
        clause = session.get_one(Clause, identity)
        content = replace(content_of(latest), **{"effective_from": None, "effective_to": None, **changes})
        made = put_draft(session, clause.code, latest.edition, clause.number, content, author)
        record(session, author, "draft", identity, [_version(session, made)])
        return made


def review(engine: Engine, version_id: str, by: str, record: Record = nothing, reason: str = "") -> None:
    """Say that a draft is fit to be published; name, time and ``reason`` are the signature, kept with the version.

    Raises ClauseError where it is no draft, ApprovalError where words alone tighten a national clause without a reason.
    """
    with writing(engine) as session:
        row = _version(session, version_id)
        put_review(session, row, by, reason)
        count_change(session)
        record(session, by, "review", row.clause_id, [row])


def put_review(session: Session, row: ClauseVersion, by: str, reason: str = "") -> None:
    """``review`` within a transaction."""
    if row.state != "DRAFT":
        raise ClauseError(f"{row.id} is {row.state.lower()}: only a draft can be reviewed.")
    refuse_unsigned(session, row, reason.strip())
    row.state, row.reviewer, row.reviewed_at, row.review_reason = "REVIEWED", by, utc_now(), reason.strip()


def publish(engine: Engine, version_id: str, by: str, at: datetime | None = None, record: Record = nothing) -> None:
    """Put a reviewed version in force, from its date on or at once; what it replaces ends then.

    Raises ApprovalError where it was not reviewed or ``by`` wrote or reviewed it, LoosenedLimitError where a
    supplement's limit is looser than a national one in force.
    """
    with writing(engine) as session:
        row = _version(session, version_id)
        put_publish(session, row, by, at or utc_now(), _published(session, row.clause_id))
        count_change(session)
        record(session, by, "publish", row.clause_id, [row])


def put_publish(session: Session, row: ClauseVersion, by: str, at: datetime, others: Iterable[ClauseVersion]) -> None:
    """``publish`` within a transaction; ``others`` are the clause's versions that are published already."""
    if row.state != "REVIEWED":
        raise ApprovalError(f"{row.id} is {row.state.lower()}: only a reviewed version can be published.")
    if by in (row.author, row.reviewer):
        raise ApprovalError(f"{by} wrote or reviewed {row.id}: somebody else has to publish it.")
    row.effective_from = row.effective_from or at
    if row.ended == "REPEALED":
        row.effective_to = row.effective_from
    else:
        refuse_loosening(session, row)
    _make_room(row, others)
    row.state, row.approver, row.published_at = "PUBLISHED", by, at


def repeal(engine: Engine, identity: str, by: str, at: datetime, record: Record = nothing) -> None:
    """End the clause at ``at``: nothing of it is in force from then on. Raises ClauseError where nothing of it is.

    Somebody other than the author of the version in force repeals it.
    """
    with writing(engine) as session:
        rows = [v for v in _published(session, identity) if v.effective_to is None or v.effective_to > at]
        if not rows:
            raise ClauseError(f"Nothing of clause {identity} is in force at {at:%Y-%m-%d %H:%M} or later.")
        for row in rows:
            if by == row.author:
                raise ApprovalError(f"{by} wrote {row.id}: somebody else has to repeal it.")
            row.effective_to = max(at, row.effective_from or at)
            row.ended = "REPEALED"
        count_change(session)
        record(session, by, "repeal", identity, rows)


def review_edition(engine: Engine, code: str, edition: str, by: str, record: Record = nothing, reason: str = "") -> int:
    """Review every draft of that edition; answers how many. Raises as ``review`` does, or where there is none."""
    with writing(engine) as session:
        rows = _of_edition(session, code, edition, "DRAFT")
        for row in rows:
            put_review(session, row, by, reason)
        count_change(session)
        record(session, by, "review", f"{code}@{edition}", rows)
        return len(rows)


def publish_edition(
    engine: Engine, code: str, edition: str, by: str, at: datetime | None = None, record: Record = nothing
) -> int:
    """Publish every reviewed version of that edition, all or none; answers how many. Raises as ``publish`` does."""
    with writing(engine) as session:
        rows = _of_edition(session, code, edition, "REVIEWED")
        put_published(session, code, rows, by, at or utc_now())
        record(session, by, "publish", f"{code}@{edition}", rows)
        return len(rows)


def put_published(session: Session, code: str, rows: Iterable[ClauseVersion], by: str, at: datetime) -> None:
    """Within a transaction: publish reviewed versions of one code, all or none."""
    others: dict[str, list[ClauseVersion]] = {}
    for row in session.exec(_versions(code).where(ClauseVersion.state == "PUBLISHED")):
        others.setdefault(row.clause_id, []).append(row)
    with session.no_autoflush:
        for row in rows:
            put_publish(session, row, by, at, others.setdefault(row.clause_id, []))
            others[row.clause_id].append(row)
    count_change(session)


def open_versions(engine: Engine, code: str, edition: str) -> list[tuple[str, str]]:
    """Ids and states of the versions of an edition that wait for review or publication."""
    with reading(engine) as session:
        rows = session.exec(
            select(ClauseVersion)
            .join(Clause)
            .where(Clause.code == code, ClauseVersion.edition == edition, col(ClauseVersion.state) != "PUBLISHED")
        ).all()
    return [(row.id, row.state) for row in rows]


def _row(identity: str, version: int, edition: str, content: Content, author: str, now: datetime) -> ClauseVersion:
    return ClauseVersion(
        id=f"{identity}@{version}",
        clause_id=identity,
        version=version,
        edition=edition,
        state="DRAFT",
        author=author,
        created_at=now,
        content_hash=content_hash(content),
        **_columns(content),
    )


def _versions(code: str) -> Any:
    return select(ClauseVersion).join(Clause).where(Clause.code == code)


def _latest_numbers(session: Session, code: str) -> dict[str, int]:
    """The number of the newest version of each clause of the code, by the clause's id; 0 where it has none."""
    rows = session.exec(
        select(Clause.id, func.max(ClauseVersion.version))
        .join(ClauseVersion, isouter=True)
        .where(Clause.code == code)
        .group_by(col(Clause.id))
    ).all()
    return {identity: version or 0 for identity, version in rows}


def _columns(content: Content) -> dict[str, Any]:
    return {
        "heading_zh": list(content.heading_zh),
        "heading_en": list(content.heading_en),
        "title_zh": content.title_zh,
        "title_en": content.title_en,
        "text_zh": content.text_zh,
        "text_en": content.text_en,
        "hazards": list(content.hazards),
        "tightens": content.tightens,
        "limits": [msgspec.to_builtins(limit) for limit in content.limits],
        "figures": [msgspec.to_builtins(figure) for figure in content.figures],
        "effective_from": content.effective_from,
        "effective_to": content.effective_to,
    }


def check_content(code: str, number: str, content: Content) -> None:
    """Raises ClauseError where text, hazard tags or dates of a clause cannot be."""
    where = f"{code} {number}"
    if not (content.text_zh.strip() or content.text_en.strip()):
        raise ClauseError(f"{where} has no text in either language.")
    if unknown := [h for h in content.hazards if h not in RISK_TYPES]:
        raise ClauseError(f"{where} is tagged with {', '.join(unknown)}, which the catalogue of risk types has not.")
    if content.effective_from and content.effective_to and content.effective_to <= content.effective_from:
        raise ClauseError(
            f"{where} would end on {content.effective_to:%Y-%m-%d}, before it takes effect on {content.effective_from:%Y-%m-%d}."
        )


def _make_room(row: ClauseVersion, others: Iterable[ClauseVersion]) -> None:
    """End what is in force before ``row``, and end ``row`` where a version published for later begins."""
    start = row.effective_from
    assert start is not None  # publish has set it
    for other in others:
        if other.effective_from is not None and other.effective_from > start:
            row.effective_to = min(row.effective_to or other.effective_from, other.effective_from)
            row.ended = row.ended or ("REPEALED" if _repeals(other) else "SUPERSEDED")
        elif other.effective_to is None or other.effective_to > start:
            other.effective_to, other.ended = start, "REPEALED" if _repeals(row) else "SUPERSEDED"


def _repeals(row: ClauseVersion) -> bool:
    """Whether the version is nothing but the clause's end: it ends where it begins."""
    return row.ended == "REPEALED" and row.effective_to == row.effective_from


def _published(session: Session, identity: str) -> Iterable[ClauseVersion]:
    return session.exec(
        select(ClauseVersion).where(ClauseVersion.clause_id == identity, ClauseVersion.state == "PUBLISHED")
    ).all()


def _of_edition(session: Session, code: str, edition: str, state: str) -> list[ClauseVersion]:
    if session.get(CodeEdition, (code, edition)) is None:
        raise ClauseError(f"There is no edition {edition!r} of code {code!r}: import it or add it first.")
    rows = session.exec(
        select(ClauseVersion)
        .join(Clause)
        .where(Clause.code == code, ClauseVersion.edition == edition, ClauseVersion.state == state)
        .order_by(col(Clause.sort_key), col(ClauseVersion.version))
    ).all()
    if not rows:
        raise ClauseError(f"Nothing of {code} {edition} is a {state.lower()} version.")
    return list(rows)


def _latest(session: Session, identity: str) -> ClauseVersion:
    row = session.exec(
        select(ClauseVersion)
        .where(ClauseVersion.clause_id == identity)
        .order_by(col(ClauseVersion.version).desc())
        .limit(1)
    ).first()
    if row is None:
        raise ClauseError(f"There is no clause {identity!r}.")
    return row


def _version(session: Session, version_id: str) -> ClauseVersion:
    row = session.get(ClauseVersion, version_id)
    if row is None:
        raise ClauseError(f"There is no clause version {version_id!r}.")
    return row
