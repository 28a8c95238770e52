"""A whole code from a file into drafts: read, cut into clauses, checked, compared with what is there, then written.

Gaps and odd lines are warnings. A file that cannot be read, has no clause, or gives one number two texts is refused,
and nothing of it is written. What a file does not name stays as it was: a code may come in many files.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from rules.clause import ClauseVersion, CodeEdition, Content, clause_id, editions
from rules.codebook import read_codebook
from rules.comparison import Change, Comparison, compare, known_clauses, tightening
from rules.errors import ImportRefusedError
from rules.figure import put_figures
from rules.formats import read_content
from rules.numbering import gaps
from rules.ocr import Progress, ignored
from rules.outline import Article, doubles, outline, repeated
from rules.revision import Record, check_content, drop_drafts, nothing, put_drafts, put_edition, put_repeals
from rules.rows import from_rows
from stream.database import writing

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
    """What an import found and did; ``written`` says whether anything was, ``strange`` lists (line, text).

    ``changes``: the diff by article against what was known; ``carried``: numbers whose tags and limits were carried
    over; ``orphaned``: (what is bound, number) of bindings whose clause is repealed. ``figures``: pictures of the file
    that its clauses show; what was not kept is named in the warnings.
    """

    file: str
    code: str
    edition: str
    encoding: str
    style: str
    count: int
    added: int
    replaced: int
    unchanged: int
    figures: int
    repealed: tuple[str, ...]
    changes: tuple[Change, ...]
    carried: tuple[str, ...]
    orphaned: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    repeated: tuple[str, ...]
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
    replaces: bool = False,
    dry_run: bool = False,
    progress: Progress = ignored,
    record: Record = nothing,
) -> ImportReport:
    """Import the clauses of a file as drafts by ``author`` into that edition of a code; report what was found.

    A .toml code book says its code, edition and dates itself and may be a supplement of ``mine``. Without
    ``effective_from`` a clause takes effect when it is published. Clauses that the file does not have stay as they are,
    unless it ``replaces`` the code: then drafts of their repeal are written, as they are for those that it names as
    deleted. ``progress`` is told the pages of a PDF that are read, and of how many; ``record`` what was written.
    Raises ImportRefusedError or ClauseError where the file cannot be imported; then nothing was written.
    """
    head, clauses, found = _read(engine, path, code, edition, effective_from, mine, progress)
    compared = compare(
        clauses,
        known_clauses(engine, head.code),
        head.edition,
        found.said,
        replaces=replaces,
        tightened=tightening(engine, head.code),
    )
    for number, content in compared.contents.items():
        check_content(head.code, number, content)
    kinds = Counter(change.kind for change in compared.changes)
    added = kinds["added"] if compared.changes else len(compared.contents)
    warnings = [*found.warnings, *(f"{what} is left without its clause {n}." for what, n in compared.orphaned)]
    report = ImportReport(
        file=path.name,
        code=head.code,
        edition=head.edition,
        encoding=found.encoding,
        style=found.style,
        count=len(compared.contents) + compared.unchanged,
        added=added,
        replaced=kinds["changed"],
        unchanged=compared.unchanged,
        figures=len(found.pictures),
        repealed=compared.repealed,
        changes=compared.changes,
        carried=compared.carried,
        orphaned=compared.orphaned,
        missing=tuple(found.missing),
        strange=tuple((line, text[:120]) for line, text in found.strange),
        repeated=tuple(found.repeated),
        warnings=tuple(warnings),
        written=not dry_run,
    )
    if not dry_run:
        start = effective_from or (head.effective_from if compared.new_edition else None)
        _write(engine, head, compared, found.pictures, author, start, record)
    return report


@dataclass(frozen=True)
class _Found:
    encoding: str
    style: str
    missing: Sequence[str] = ()
    strange: Sequence[tuple[int, str]] = ()
    warnings: Sequence[str] = ()
    repeated: Sequence[str] = ()
    said: Collection[str] = ()
    pictures: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)


def _read(
    engine: Engine,
    path: Path,
    code: str,
    edition: str,
    effective_from: datetime | None,
    mine: str,
    progress: Progress,
) -> tuple[CodeEdition, dict[str, Content], _Found]:
    if path.suffix.lower() == ".toml":
        book = read_codebook(path, mine)
        every = {field.name for field in fields(Content)}
        return book.edition, book.clauses, _Found("utf-8", "codebook", gaps(list(book.clauses)), said=every)
    if not code or not edition:
        raise ImportRefusedError(f"{path.name} does not say which code it is: give its id and edition.")
    clause_id(code, "1")
    content = read_content(path, progress)
    found = outline(content.lines) if content.lines else from_rows(path.name, content)
    left_out = content.pictures.take(found)
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
    if content.doubtful:
        pages = [f"{page} ({confidence:.0f} %)" for page, confidence in content.doubtful]
        warnings.append(
            f"Read from a scan with little confidence, to be compared by a person: pages {', '.join(pages)}."
        )
    warnings += left_out
    if missing:
        warnings.append(f"{_several(missing)} missing between the numbers at hand.")
    clauses = {a.number: _content(a, effective_from) for a in found.articles}
    twice = repeated(found.articles)
    if twice:
        warnings.append(f"{_several(twice)} more than once, with the same text.")
    head = _head(engine, code, edition, effective_from, mine)
    return (
        head,
        clauses,
        _Found(content.encoding, found.style, missing, found.stray, warnings, twice, found.said, content.pictures.kept),
    )


def _content(article: Article, effective_from: datetime | None) -> Content:
    """The clause's content: as its text reads, then what the file states outright; a date that was asked for wins."""
    stated = {k: v for k, v in article.fields.items() if k != "effective_from" or effective_from is None}
    return replace(_by_language(article, effective_from), **stated)


def _by_language(article: Article, effective_from: datetime | None) -> Content:
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


def _head(engine: Engine, code: str, edition: str, effective_from: datetime | None, mine: str) -> CodeEdition:
    """The edition, of the kind and with the titles that the code's other editions have."""
    known = [e for e in editions(engine, mine) if e.code == code]
    last = known[-1] if known else CodeEdition(code=code, edition=edition, kind="national")
    same = next((e for e in known if e.edition == edition), None)
    if same is not None:
        return CodeEdition(**same.model_dump())
    return CodeEdition(
        code=code, edition=edition, kind=last.kind, mine=last.mine, title_zh=last.title_zh, title_en=last.title_en,
        effective_from=effective_from,
    )  # fmt: skip


def _write(
    engine: Engine,
    head: CodeEdition,
    found: Comparison,
    pictures: Mapping[str, tuple[str, bytes]],
    author: str,
    start: datetime | None,
    record: Record,
) -> None:
    with writing(engine) as session:
        put_edition(session, CodeEdition(**head.model_dump()))
        put_figures(session, pictures)
        drop_drafts(session, head.code, head.edition, {*found.contents, *found.repealed})
        made = put_drafts(session, head.code, head.edition, found.contents, author)
        made += put_repeals(session, head.code, head.edition, found.repealed, author, start)
        session.flush()
        rows = [session.get_one(ClauseVersion, identity) for identity in made]
        record(session, author, "import", f"{head.code}@{head.edition}", rows)


def _several(numbers: Sequence[str]) -> str:
    more = f" and {len(numbers) - 10} more" if len(numbers) > 10 else ""
    return ", ".join(numbers[:10]) + more
