"""What a mine's supplement may say: its limits never loosen a national one; on mere words its reviewer decides."""

from sqlmodel import Session, col, select

from rules.clause import Clause, ClauseVersion, CodeEdition, content_of
from rules.errors import ApprovalError, LoosenedLimitError
from rules.limits import Limit, loosened


def refuse_loosening(session: Session, row: ClauseVersion) -> None:
    """Raises LoosenedLimitError, with both limits, where a supplement's limit is looser than a national one."""
    if not row.limits or not _of_supplement(session, row):
        return
    national = _national_limits(session, row)
    for limit in content_of(row).limits:
        rival = loosened(limit, [n for _, n in national])
        if rival is not None:
            name = next(name for name, n in national if n is rival)
            raise LoosenedLimitError(row.clause_id, limit, name, rival)


def refuse_unsigned(session: Session, row: ClauseVersion, reason: str) -> None:
    """Raises ApprovalError where a supplement tightens a national clause by words alone and no reason is signed.

    Figures are compared by the machine; whether words loosen other words is a judgement that somebody answers for.
    """
    if not reason and by_words_alone(row) and _of_supplement(session, row):
        raise ApprovalError(
            f"{row.id} differs from {row.tightens} in words alone: its reviewer decides whether they loosen it, and signs with a reason."
        )


def by_words_alone(row: ClauseVersion) -> bool:
    """It tightens a clause and carries no limit that could be compared with one; what only ends a clause is none."""
    return bool(row.tightens) and not row.limits and row.ended != "REPEALED"


def _of_supplement(session: Session, row: ClauseVersion) -> bool:
    clause = session.get_one(Clause, row.clause_id)
    return session.get_one(CodeEdition, (clause.code, row.edition)).kind == "supplement"


def _national_limits(session: Session, row: ClauseVersion) -> list[tuple[str, Limit]]:
    """National limits in force at any time in which ``row`` would be."""
    rows = session.exec(
        select(ClauseVersion)
        .join(Clause, col(Clause.id) == col(ClauseVersion.clause_id))
        .join(
            CodeEdition,
            (col(CodeEdition.code) == col(Clause.code)) & (col(CodeEdition.edition) == col(ClauseVersion.edition)),
        )
        .where(CodeEdition.kind == "national", ClauseVersion.state == "PUBLISHED")
    ).all()
    return [
        (v.clause_id, limit)
        for v in rows
        if (v.effective_to is None or row.effective_from is None or v.effective_to > row.effective_from)
        and (row.effective_to is None or v.effective_from is None or v.effective_from < row.effective_to)
        for limit in content_of(v).limits
    ]
