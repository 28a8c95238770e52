"""A file's clauses held against the code book: what is added, changed or gone, and which bindings hang loose."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy import Engine
from sqlmodel import col, select

from rules.clause import Clause, ClauseVersion, Content, content_hash, content_of
from rules.numbering import canonical
from stream.database import reading

Kind = Literal["added", "changed", "repealed", "absent"]
DELETED = re.compile(
    r"^[（(\[【]?\s*(?:已?删除|已?废止|reserved|repealed|removed)\s*[）)\]】]?\s*[。.]?$", re.IGNORECASE
)
"""What stands in the place of a clause that an amendment takes out: 第三条（删除）, § 75.1724 [Reserved]."""
_CARRIED = ("hazards", "limits", "tightens")
_WORDS = ("title_zh", "title_en", "text_zh", "text_en", "heading_zh", "heading_en")


@dataclass(frozen=True)
class Known:
    """A clause of the code book in its newest version. ``live``: a published version has no end yet."""

    edition: str
    content: Content
    repealed: bool
    live: bool


@dataclass(frozen=True)
class Change:
    """What becomes of one article. ``absent``: the file does not have it, and it stays as it is."""

    number: str
    kind: Kind
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Comparison:
    """``contents``: what to write; ``repealed``: numbers that end; ``orphaned``: (what is bound, clause) left behind.

    ``new_edition``: the code is known, in other editions only.
    """

    new_edition: bool
    contents: Mapping[str, Content]
    repealed: tuple[str, ...]
    unchanged: int
    changes: tuple[Change, ...]
    carried: tuple[str, ...]
    orphaned: tuple[tuple[str, str], ...]


def known_clauses(engine: Engine, code: str) -> dict[str, Known]:
    """Every clause of the code by number, in its newest version."""
    found: dict[str, Known] = {}
    live: set[str] = set()
    with reading(engine) as session:
        rows = session.exec(
            select(Clause.number, ClauseVersion)
            .join(Clause)
            .where(Clause.code == code)
            .order_by(col(ClauseVersion.version))
        ).all()
    for number, row in rows:
        if row.state == "PUBLISHED" and row.effective_to is None:
            live.add(number)
        found[number] = Known(row.edition, content_of(row), row.ended == "REPEALED", number in live)
    return found


def compare(
    clauses: Mapping[str, Content],
    known: Mapping[str, Known],
    edition: str,
    said: Collection[str],
    *,
    replaces: bool,
    tightened: Mapping[str, Sequence[str]],
) -> Comparison:
    """Hold the clauses of a file against those that are known, by number.

    ``said``: fields of Content that the file states outright, empty or not; all else that it cannot say is carried over
    from the newest version. ``replaces``: what the file does not have is repealed. ``tightened``: the clauses of
    supplements by the number that they tighten.
    """
    deleted = {n for n, c in clauses.items() if DELETED.match((c.text_zh or c.text_en).strip())}
    kept = {n: carried_over(c, known.get(n), edition, said) for n, c in clauses.items() if n not in deleted}
    same = {n for n, c in kept.items() if n in known and _unchanged(c, known[n], edition, said)}
    standing = {n: k for n, k in known.items() if not k.repealed}
    absent = [n for n in standing if n not in clauses]
    ends = [n for n in standing if n in deleted or (replaces and n not in clauses)]
    new_edition = bool(known) and all(k.edition != edition for k in known.values())
    changes = [_change(n, c, known.get(n)) for n, c in kept.items() if n not in same] if known else []
    changes += [Change(n, "repealed", _text(known[n].content)) for n in ends]
    if new_edition and not replaces:
        changes += [Change(n, "absent", _text(known[n].content)) for n in absent]
    carried = [n for n, c in kept.items() if n in known and n not in same and _carries(c, known[n].content)]
    return Comparison(
        new_edition=new_edition,
        contents={n: c for n, c in kept.items() if n not in same},
        repealed=tuple(ends),
        unchanged=len(same),
        changes=tuple(changes),
        carried=tuple(carried),
        orphaned=tuple(pair for n in ends for pair in _orphaned(n, known[n].content, tightened.get(n, ()))),
    )


def carried_over(content: Content, known: Known | None, edition: str, said: Collection[str]) -> Content:
    """The content with what the file cannot say taken from the newest version: tags, limits, the other language."""
    if known is None:
        return content
    old = known.content
    words = {
        field: getattr(old, field)
        for field in _WORDS
        if not getattr(content, field) and field not in said and (known.edition == edition or field.startswith("title"))
    }
    figures = old.figures if known.edition == edition and "figures" not in said else content.figures
    carried = {field: getattr(old, field) for field in _CARRIED if field not in said}
    return replace(content, **words, **carried, figures=figures)


def tightening(engine: Engine, code: str) -> dict[str, list[str]]:
    """The clauses, of other codes, that say which clause of ``code`` they tighten, by the number of that one."""
    with reading(engine) as session:
        rows = session.exec(
            select(ClauseVersion.clause_id, ClauseVersion.tightens)
            .where(col(ClauseVersion.tightens).is_not(None), col(ClauseVersion.effective_to).is_(None))
            .order_by(col(ClauseVersion.clause_id))
        ).all()
    found: dict[str, list[str]] = {}
    for identity, target in rows:
        named, _, number = (target or "").partition(" ")
        wanted = canonical(number)
        if named == code and wanted and identity not in found.setdefault(wanted, []):
            found[wanted].append(identity)
    return found


def _unchanged(content: Content, known: Known, edition: str, said: Collection[str]) -> bool:
    if known.edition != edition or known.repealed:
        return False
    old = known.content
    begin = content.effective_from if "effective_from" in said else None
    end = content.effective_to if "effective_to" in said else None
    dated = replace(content, effective_from=begin or old.effective_from, effective_to=end or old.effective_to)
    return content_hash(dated) == content_hash(old)


def _change(number: str, content: Content, known: Known | None) -> Change:
    if known is None or known.repealed:
        return Change(number, "added", after=_text(content))
    return Change(number, "changed", _text(known.content), _text(content))


def _carries(content: Content, old: Content) -> bool:
    return bool(old.hazards or old.limits) and (content.hazards, content.limits) == (old.hazards, old.limits)


def _orphaned(number: str, content: Content, tightened: Sequence[str]) -> list[tuple[str, str]]:
    """What was bound to a clause that ends: hazards, limits, and clauses of a supplement that tighten it."""
    bound = [f"hazard {h}" for h in content.hazards]
    bound += [f"limit {li.quantity} {li.comparison} {li.value:g} {li.unit}" for li in content.limits]
    bound += [f"tightened by {identity}" for identity in tightened]
    return [(what, number) for what in bound]


def _text(content: Content) -> str:
    figures = [f"[插图 figure: {figure.caption or figure.sha256[:8]}]" for figure in content.figures]
    return "\n".join([content.text_zh or content.text_en, *figures])
