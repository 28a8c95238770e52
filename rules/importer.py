"""A whole code from a file into drafts: read, cut into clauses, checked, compared with what is there, then written.

Gaps and odd lines are warnings. A file that cannot be read, has no clause, or gives one number two texts is refused,
and nothing of it is written. What a file does not name stays as it was: a code may come in many files.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlmodel import col, select

from rules.clause import Clause, ClauseVersion, CodeEdition, Content, clause_id, content_hash, content_of
from rules.codebook import read_codebook
from rules.errors import ImportRefusedError
from rules.formats import read_content
from rules.numbering import canonical, gaps
from rules.outline import Article, Outline, doubles, outline
from rules.revision import drop_drafts, put_drafts, put_edition
from stream.database import reading, writing

_NUMBER = ("number", "article", "section", "no", "id", "clause", "条号", "条", "条款", "编号", "序号", "条文号")
_TEXT = ("text", "content", "body", "内容", "正文", "条文", "条文内容", "text_zh", "text_en", "zh", "en")
_TITLE = ("title", "heading", "name", "标题", "名称", "题目", "title_zh", "title_en")
_ABOVE = ("part", "编", "chapter", "章", "subchapter", "节", "subpart")
_HAN = re.compile(r"[㐀-鿿]")
_PARTS = {
    "56": "Part 56, surface metal and nonmetal mines",
    "57": "Part 57, underground metal and nonmetal mines",
    "70": "Part 70, health standards for underground coal mines",
    "71": "Part 71, health standards for surface coal mines",
    "75": "Part 75, underground coal mines",
    "77": "Part 77, surface coal mines and surface work areas of underground coal mines",
}
"""What the parts of title 30 of the US Code of Federal Regulations are about: a section's number names its part."""


@dataclass(frozen=True)
class ImportReport:
    """What an import found and did; ``written`` says whether anything was, ``strange`` lists (line, text)."""

    file: str
    code: str
    edition: str
    encoding: str
    style: str
    count: int
    added: int
    replaced: int
    unchanged: int
    missing: tuple[str, ...]
    strange: tuple[tuple[int, str], ...]
    warnings: tuple[str, ...]
    written: bool

    def as_dict(self) -> dict[str, object]:
        """Every field by name, fit for JSON."""
        return asdict(self)


def import_code(
    engine: Engine,
    path: Path,
    code: str,
    edition: str,
    effective_from: datetime | None,
    author: str,
    *,
    mine: str,
    dry_run: bool = False,
) -> ImportReport:
    """Import the clauses of a file as drafts by ``author`` into that edition of a national code; report what was found.

    A .toml code book says its code, edition and dates itself and may be a supplement of ``mine``. Without
    ``effective_from`` a clause takes effect when it is published. Raises ImportRefusedError or ClauseError where the
    file cannot be imported; then nothing was written.
    """
    head, clauses, found = _read(path, code, edition, effective_from, mine)
    known = _known(engine, head.code)
    carried = {number: _carried(content, known.get(number), head.edition) for number, content in clauses.items()}
    same = {n for n, c in carried.items() if _unchanged(c, known.get(n), head.edition)}
    fresh = [n for n in carried if n not in known]
    report = ImportReport(
        file=path.name,
        code=head.code,
        edition=head.edition,
        encoding=found.encoding,
        style=found.style,
        count=len(carried),
        added=len(fresh),
        replaced=len(carried) - len(fresh) - len(same),
        unchanged=len(same),
        missing=tuple(found.missing),
        strange=tuple((line, text[:120]) for line, text in found.strange),
        warnings=tuple(found.warnings),
        written=not dry_run,
    )
    if not dry_run:
        _write(engine, head, {n: c for n, c in carried.items() if n not in same}, author)
    return report


@dataclass(frozen=True)
class _Found:
    encoding: str
    style: str
    missing: Sequence[str] = ()
    strange: Sequence[tuple[int, str]] = ()
    warnings: Sequence[str] = ()


def _read(
    path: Path, code: str, edition: str, effective_from: datetime | None, mine: str
) -> tuple[CodeEdition, dict[str, Content], _Found]:
    if path.suffix.lower() == ".toml":
        book = read_codebook(path, mine)
        return book.edition, book.clauses, _Found("utf-8", "codebook", gaps(list(book.clauses)))
    if not code or not edition:
        raise ImportRefusedError(f"{path.name} does not say which code it is: give its id and edition.")
    clause_id(code, "1")
    content = read_content(path)
    found = outline(content.lines) if content.lines else _from_rows(path.name, content.rows)
    if not found.articles:
        raise ImportRefusedError(
            f"{path.name} has no numbered clause (第N条, 5.2.1, § 75.1722 or a column of numbers): is it a code?"
        )
    if contradictions := list(dict.fromkeys(doubles(found.articles) + found.doubled)):
        raise ImportRefusedError(
            f"{path.name} gives {_several(contradictions)} two different texts: keep one of each and import it again."
        )
    missing = gaps([a.number for a in found.articles] + list(found.headings)) if found.style != "cfr" else []
    warnings = [f"{len(found.stray)} lines belong to no clause."] if found.stray else []
    if missing:
        warnings.append(f"{_several(missing)} missing between the numbers at hand.")
    clauses = {a.number: _content(a, effective_from) for a in found.articles}
    head = CodeEdition(code=code, edition=edition, kind="national", effective_from=effective_from)
    return head, clauses, _Found(content.encoding, found.style, missing, found.stray, warnings)


def _from_rows(name: str, rows: Sequence[tuple[int, Mapping[str, Any]]]) -> Outline:
    """Clauses from a table or JSON, one a row, by the names of its columns."""
    found = Outline("rows")
    columns = {key.strip().lower(): key for _, row in rows[:50] for key in row}
    number_key = next((columns[k] for k in _NUMBER if k in columns), None)
    text_key = next((columns[k] for k in _TEXT if k in columns), None)
    if number_key is None or text_key is None:
        raise ImportRefusedError(
            f"{name} has the columns {', '.join(columns.values()) or 'none'}: name one 'number' and one 'text'."
        )
    title_key = next((columns[k] for k in _TITLE if k in columns), None)
    above = [columns[k] for k in _ABOVE if k in columns]
    for line, row in rows:
        number, text = canonical(row.get(number_key)), str(row.get(text_key) or "").strip()
        english = (str(row.get("title_en") or "").strip(), str(row.get("text_en") or "").strip())
        text = text or english[1]
        if number is None or not text:
            found.stray.append((line, str(row.get(number_key) or text)))
            continue
        heading = tuple(str(row[k]).strip() for k in above if row.get(k))
        title = str(row.get(title_key) or "").strip() if title_key else ""
        parts = text.replace("\\n", "\n").splitlines()
        found.articles.append(Article(number, line, heading, title, parts, english))
    return found


def _content(article: Article, effective_from: datetime | None) -> Content:
    heading, title, text = article.heading, article.title, article.text or article.title
    if _HAN.search(text + title):
        title_en, text_en = article.english
        return Content(
            heading_zh=heading,
            title_zh=title,
            text_zh=text,
            title_en=title_en,
            text_en=text_en,
            effective_from=effective_from,
        )
    part = _PARTS.get(article.number.partition(".")[0]) if re.match(r"\d+\.\d{3,}", article.number) else None
    heading = heading or ((part,) if part else ())
    return Content(heading_en=heading, title_en=title, text_en=text, effective_from=effective_from)


def _known(engine: Engine, code: str) -> dict[str, tuple[str, Content]]:
    """Edition and content of the newest version of each clause of the code."""
    with reading(engine) as session:
        rows = session.exec(
            select(Clause.number, ClauseVersion)
            .join(Clause)
            .where(Clause.code == code)
            .order_by(col(ClauseVersion.version))
        ).all()
    return {number: (row.edition, content_of(row)) for number, row in rows}


def _carried(content: Content, known: tuple[str, Content] | None, edition: str) -> Content:
    """The content with what the file cannot say carried over from the newest version: tags, limits, other language."""
    if known is None or content.hazards or content.limits:
        return content
    old = known[1]
    kept = {
        field: getattr(old, field)
        for field in ("title_zh", "title_en", "text_zh", "text_en", "heading_zh", "heading_en")
        if not getattr(content, field) and (known[0] == edition or field.startswith("title"))
    }
    return replace(content, hazards=old.hazards, limits=old.limits, tightens=old.tightens, **kept)


def _unchanged(content: Content, known: tuple[str, Content] | None, edition: str) -> bool:
    if known is None or known[0] != edition:
        return False
    undated = [replace(c, effective_from=None, effective_to=None) for c in (content, known[1])]
    return content_hash(undated[0]) == content_hash(undated[1])


def _write(engine: Engine, head: CodeEdition, clauses: Mapping[str, Content], author: str) -> None:
    with writing(engine) as session:
        known = session.get(CodeEdition, (head.code, head.edition))
        if known is None or head.title_zh or head.title_en:
            put_edition(session, CodeEdition(**head.model_dump()))
        drop_drafts(session, head.code, head.edition, clauses)
        put_drafts(session, head.code, head.edition, clauses, author)


def _several(numbers: Sequence[str]) -> str:
    more = f" and {len(numbers) - 10} more" if len(numbers) > 10 else ""
    return ", ".join(numbers[:10]) + more
