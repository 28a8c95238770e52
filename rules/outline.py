"""Lines of a code's text cut into its clauses, with their headings: articles, sections, CFR sections or plain lists."""

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rules.numbering import ARTICLE, CFR, HEADING, LEVELS, NUMERAL, article_number, chinese_number, follows, path

Lines = Sequence[tuple[int, str]]
_QUOTES = " \t\"“”'#>*"
_REFERENCE = re.compile(r"^(?:[、和至及或与,，]|规定|所列|的规定|第[^条]{1,6}[款项])")
_BEFORE_ARTICLE = re.compile(rf"(?:[。；;!！)）”\"]|第{NUMERAL}[编篇章节][^。；，]{{0,30}})\s*$")
_SECTION_START = re.compile(r"^[#*\s]*(\d{1,3}(?:\.\d{1,3}){0,6})(?!\d)[\s、.．:：]*(.*)$")
_INNER = re.compile(r"(?<=[。；\u4e00-\u9fff])\d{1,3}(?:\.\d{1,3})*(?=[\u4e00-\u9fff]{2})")
_INNER_SENTENCE = re.compile(r"(?<=[。；])\d{1,3}(?:\.\d{1,3})*(?=[\u4e00-\u9fff]{2})")
_LIST_START = re.compile(r"^(\d{1,3})\s*[.、．)）]\s*(\D.*)$")
_GROUP = re.compile(r"^([一二三四五六七八九十]{1,3})\s*[、.．]\s*(\S.*)$")
_UNIT = re.compile(r"^(?:[a-zA-Zμ°℃%‰]{1,4}(?![a-zA-Z])|[~～—\-+×=/%‰℃°]|[年月日时分秒米吨人个台次倍以至或])")
_TITLE_LENGTH = 40
_SENTENCE = re.compile(r"[。；;：:，,]")


@dataclass
class Article:
    """One clause as it stands in a file; ``english`` is a second title and text, where a table has both languages.

    ``fields``: what a table states outright of the clause, by the names of rules.clause.Content.
    """

    number: str
    line: int
    heading: tuple[str, ...] = ()
    title: str = ""
    parts: list[str] = field(default_factory=list)
    english: tuple[str, str] = ("", "")
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text, a paragraph a line."""
        return "\n".join(p for p in self.parts if p)


@dataclass
class Outline:
    """What was found: the clauses in order, and lines that belong to none of them; ``said``: fields of each clause."""

    style: str
    articles: list[Article] = field(default_factory=list)
    stray: list[tuple[int, str]] = field(default_factory=list)
    headings: set[str] = field(default_factory=set)
    doubled: list[str] = field(default_factory=list)
    said: frozenset[str] = frozenset()


def outline(lines: Lines) -> Outline:
    """The clauses in these lines, by the way of numbering that they follow most; none where they follow none."""
    articles = sum(bool(ARTICLE.match(text.lstrip(_QUOTES))) for _, text in lines)
    numbered = sum(bool(_SECTION_START.match(text)) for _, text in lines)
    if articles and articles * 3 >= numbered:
        return _articles(lines)
    if sum(bool(CFR.match(text)) for _, text in lines) * 2 >= max(1, numbered):
        return _cfr(lines)
    sections, lists = _sections(lines), _lists(lines)
    return lists if len(sections.articles) * 2 < len(lists.articles) else sections


def repeats_numbers(articles: Sequence[Article]) -> bool:
    """Whether the file puts an article's number before each of its paragraphs: many repeat right behind each other."""
    repeated = sum(one.number == other.number for one, other in itertools.pairwise(articles))
    return repeated >= 5 and repeated * 10 >= len(articles)


def merged(articles: Sequence[Article]) -> list[Article]:
    """Neighbours of the same number as one article; only for a file that repeats its numbers."""
    result: list[Article] = []
    for article in articles:
        if result and result[-1].number == article.number:
            result[-1].parts.extend(article.parts)
        else:
            result.append(article)
    return result


def _articles(lines: Lines) -> Outline:
    found = Outline("articles")
    heading: dict[int, str] = {}
    last = 0
    for number, line in lines:
        for piece in _pieces(line, last):
            match = ARTICLE.match(piece.lstrip(_QUOTES))
            if match and not _REFERENCE.match(piece.lstrip(_QUOTES)[match.end() :]):
                rest = piece.lstrip(_QUOTES)[match.end() :].lstrip(" :：　").strip(' "“”')
                article = Article(article_number(match), number, tuple(heading[k] for k in sorted(heading)), "", [rest])
                last = int(article.number.partition("-")[0])
                found.articles.append(article)
            elif level := _heading_level(piece):
                heading = {k: v for k, v in heading.items() if k < level[0]} | {level[0]: level[1]}
            elif found.articles:
                found.articles[-1].parts.append(piece)
            else:
                found.stray.append((number, piece))
    if repeats_numbers(found.articles):
        found.articles = merged(found.articles)
    return found


def _pieces(line: str, last: int) -> list[str]:
    """A line cut where articles run together: before 第N条 that follows a sentence or a heading and is the next one."""
    cuts = [0]
    for match in ARTICLE.finditer(line):
        before = line[cuts[-1] : match.start()]
        if match.start() and _BEFORE_ARTICLE.search(before) and not _REFERENCE.match(line[match.end() :]):
            number = chinese_number(match.group(1))
            if last <= number <= last + 3:
                cuts.append(match.start())
                last = number
    return [line[a:b].strip() for a, b in zip(cuts, [*cuts[1:], len(line)], strict=True)]


def _heading_level(piece: str) -> tuple[int, str] | None:
    text = piece.strip(_QUOTES)
    match = HEADING.match(text)
    if match is None or len(text) > _TITLE_LENGTH or _SENTENCE.search(text):
        return None
    return LEVELS[match.group(1)], re.sub(r"\s+", " ", text)


def _cfr(lines: Lines) -> Outline:
    found = Outline("cfr")
    for number, line in lines:
        if match := CFR.match(line):
            found.articles.append(Article(match.group(1), number, (), match.group(2).strip(" .#"), []))
        elif found.articles:
            found.articles[-1].parts.append(line)
        else:
            found.stray.append((number, line))
    return found


def _sections(lines: Lines) -> Outline:
    found = Outline("sections")
    last: tuple[int, ...] = ()
    titles: dict[tuple[int, ...], str] = {}
    seen: set[tuple[int, ...]] = set()
    for number, line in lines:
        for piece in _section_pieces(line, last):
            start = _section_start(piece, last)
            if start is None:
                found.doubled += _doubled(piece, seen)
                if found.articles:
                    found.articles[-1].parts.append(piece)
                else:
                    found.stray.append((number, piece))
                continue
            last, rest = start
            seen.add(last)
            short = len(rest) <= _TITLE_LENGTH and not _SENTENCE.search(rest)
            titles[last] = rest if short else ""
            above = tuple(
                f"{'.'.join(map(str, k))} {titles[k]}" for d in range(1, len(last)) if titles.get(k := last[:d])
            )
            article = Article(".".join(map(str, last)), number, above, rest if short else "", [] if short else [rest])
            found.articles.append(article)
    return _without_bare_headings(found)


def _section_start(piece: str, last: tuple[int, ...]) -> tuple[tuple[int, ...], str] | None:
    match = _SECTION_START.match(piece)
    if match is None or not match.group(2) or _UNIT.match(match.group(2)):
        return None
    number = path(match.group(1))
    if len(number) == 1 and not re.match(r"[㐀-鿿A-Z“《（(]", match.group(2)):
        return None
    return (number, match.group(2).strip()) if follows(number, last) else None


def _doubled(piece: str, seen: set[tuple[int, ...]]) -> list[str]:
    """The number at the start of a line that begins no new section, where that number was there before."""
    match = re.match(r"^(\d{1,3}(?:\.\d{1,3})+)(?!\d)\s*[㐀-鿿]", piece)
    return [match.group(1)] if match and path(match.group(1)) in seen else []


def _section_pieces(line: str, last: tuple[int, ...]) -> list[str]:
    """A line cut where sections run together: before the very next number, with a Chinese word behind it."""
    pieces, rest = [], line
    while rest:
        start = _section_start(rest, last)
        here = start[0] if start else last
        after = {(*here, 1), *((*here[:d], here[d] + 1) for d in range(len(here)))} if here else {(1,)}
        inner = _INNER if not last or start else _INNER_SENTENCE
        cut = next((m for m in inner.finditer(rest[1:]) if path(m.group()) in after), None)
        if cut is None or not _worth_cutting(cut.group(), rest[1 + cut.end() :], start is not None):
            pieces.append(rest)
            break
        pieces.append(rest[: 1 + cut.start()].strip())
        rest, last = rest[1 + cut.start() :], here
    return pieces


def _worth_cutting(number: str, behind: str, in_heading: bool) -> bool:
    """Numbers with a dot rarely stand in sentences; bare ones are taken only before the first words of a standard."""
    return "." in number or (not in_heading and behind.startswith(("范围", "总则", "适用范围", "目的")))


def _without_bare_headings(found: Outline) -> Outline:
    """Sections that have only a title and sections below them are headings, no clauses."""
    parents = {a.number.rpartition(".")[0] for a in found.articles}
    kept = []
    for article in found.articles:
        if not article.text and article.number in parents:
            found.headings.add(article.number)
            continue
        if not article.text:
            article.parts, article.title = [article.title], ""
        kept.append(article)
    found.articles = kept
    return found


def _lists(lines: Lines) -> Outline:
    """Lists that begin again under each heading (1., 2., … below 三、…): numbered group.item."""
    found = Outline("lists")
    group, item, heading = 0, 0, ""
    for number, line in lines:
        if match := _GROUP.match(line):
            group, item, heading = chinese_number(match.group(1)), 0, match.group(2)
        elif match := _LIST_START.match(line):
            value = int(match.group(1))
            if value <= item or not group:
                if not (item == 0 and group):
                    group += 1
                heading = heading if item == 0 else ""
            item = value
            above = (heading,) if heading else ()
            found.articles.append(Article(f"{group}.{item}", number, above, "", [match.group(2)]))
        elif len(line) <= _TITLE_LENGTH and not _SENTENCE.search(line):
            heading, group, item = line, group + 1, 0
        elif found.articles:
            found.articles[-1].parts.append(line)
        else:
            found.stray.append((number, line))
    return found


def doubles(articles: Sequence[Article]) -> list[str]:
    """Numbers that stand more than once with different texts."""
    texts: dict[str, set[str]] = {}
    for article in articles:
        texts.setdefault(article.number, set()).add(article.text)
    return [number for number, different in texts.items() if len(different) > 1]


def repeated(articles: Sequence[Article]) -> list[str]:
    """Numbers that stand more than once, whatever their texts."""
    return [number for number, count in Counter(a.number for a in articles).items() if count > 1]
