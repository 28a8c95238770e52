"""A code book in TOML: one code in one edition, with clauses in both languages, hazard tags and limits.

The shape of such a file (either language of a title or text may be missing)::

    [code]
    id = "cn-coal"                       # letters, digits, hyphens, dots
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

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlmodel import select

from rules.clause import Clause, ClauseVersion, CodeEdition, Content, clause_id, content_hash
from rules.errors import ClauseError, ImportRefusedError
from rules.limits import read_limits
from rules.revision import Record, nothing, put_drafts, put_edition, put_published, put_review
from stream.database import reading, writing
from stream.messages import utc_now

_CODE_KEYS = {"id", "kind", "edition", "title", "note", "promulgated", "effective_from"}
_CLAUSE_KEYS = {"number", "heading", "title", "text", "hazards", "tightens", "limits", "effective_from", "effective_to"}


@dataclass(frozen=True)
class CodeBook:
    """A code book as read: its edition and its clauses by number."""

    edition: CodeEdition
    clauses: dict[str, Content]


def read_codebook(path: Path, mine: str) -> CodeBook:
    """The code book in that file; a supplement becomes one of ``mine``.

    Raises ImportRefusedError that says what does not fit, and where.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ImportRefusedError(f"The code book {path} cannot be read: {error}.") from error
    try:
        return _book(data, mine)
    except (KeyError, TypeError, ValueError, ClauseError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ImportRefusedError(
            f"The code book {path} does not fit: {what}. Compare it with samples/codebook/national.toml."
        ) from error


def load_codebook(engine: Engine, path: Path, mine: str, author: str, approver: str, record: Record = nothing) -> int:
    """Publish what is new or changed in that code book, written by ``author``, published by ``approver``.

    Loading it again changes nothing. Answers how many versions were published. Raises ImportRefusedError for the
    file, ApprovalError where author and approver are one, LoosenedLimitError for a supplement that loosens.
    """
    book = read_codebook(path, mine)
    code, edition = book.edition.code, book.edition.edition
    known = _known(engine, code)
    with writing(engine) as session:
        put_edition(session, CodeEdition(**book.edition.model_dump()))
        changed = {n: c for n, c in book.clauses.items() if (n, content_hash(c)) not in known}
        # All in one transaction: a book that is refused half-way must leave nothing behind that looks known.
        rows = [session.get_one(ClauseVersion, d) for d in put_drafts(session, code, edition, changed, author)]
        for row in rows:
            put_review(session, row, author, f"as written in {path.name}")
        put_published(session, code, rows, approver, utc_now())
        if rows:
            record(session, approver, "publish", f"{code}@{edition}", rows)
    return len(changed)


def moment(value: date | datetime | None) -> datetime | None:
    """A date of a code as the instant from which it counts: its midnight in UTC."""
    if value is None or isinstance(value, datetime):
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.combine(value, time(), tzinfo=UTC)


def _book(data: Mapping[str, Any], mine: str) -> CodeBook:
    head = data["code"]
    _only(head, _CODE_KEYS, "[code]")
    note = head.get("note", "")
    note = note if isinstance(note, dict) else {"zh": note, "en": note}
    edition = CodeEdition(
        code=head["id"],
        edition=str(head["edition"]),
        kind=head["kind"],
        mine=mine if head["kind"] == "supplement" else None,
        title_zh=head["title"].get("zh", ""),
        title_en=head["title"].get("en", ""),
        note_zh=note.get("zh", ""),
        note_en=note.get("en", ""),
        promulgated=moment(head.get("promulgated")),
        effective_from=moment(head["effective_from"]),
    )
    if edition.kind not in ("national", "supplement"):
        raise ValueError(f"kind is {edition.kind!r}: write 'national' or 'supplement'")
    clauses: dict[str, Content] = {}
    for row in data.get("clause", []):
        number = str(row["number"])
        clause_id(edition.code, number)
        if number in clauses:
            raise ValueError(f"clause {number} stands twice")
        try:
            clauses[number] = _content(row, edition)
        except (KeyError, ValueError) as error:
            raise ValueError(f"clause {number}: {error}") from error
    if not clauses:
        raise ValueError("it has no [[clause]]")
    return CodeBook(edition, clauses)


def _content(row: Mapping[str, Any], edition: CodeEdition) -> Content:
    _only(row, _CLAUSE_KEYS, "[[clause]]")
    heading, title, text = row.get("heading", {}), row.get("title", {}), row.get("text", {})
    return Content(
        heading_zh=tuple(heading.get("zh", ())),
        heading_en=tuple(heading.get("en", ())),
        title_zh=title.get("zh", ""),
        title_en=title.get("en", ""),
        text_zh=text.get("zh", "").strip(),
        text_en=text.get("en", "").strip(),
        hazards=tuple(row.get("hazards", ())),
        tightens=row.get("tightens"),
        limits=read_limits(row.get("limits", ())),
        effective_from=moment(row.get("effective_from")) or edition.effective_from,
        effective_to=moment(row.get("effective_to")),
    )


def _only(row: Mapping[str, Any], keys: set[str], where: str) -> None:
    if unknown := sorted(set(row) - keys):
        raise ValueError(f"{where} has the unknown key {', '.join(unknown)}")


def _known(engine: Engine, code: str) -> set[tuple[str, str]]:
    """Number and content hash of every version there ever was, so that a later edit is not written over."""
    with reading(engine) as session:
        rows = session.exec(
            select(Clause.number, ClauseVersion.content_hash).join(Clause).where(Clause.code == code)
        ).all()
    return set(rows)
