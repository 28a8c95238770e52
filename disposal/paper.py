"""What a printed document says, block by block, in Chinese or English: the same for every file format."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from types import MappingProxyType
from typing import NamedTuple

import cv2
import numpy as np

from disposal.document import Bilingual, Document, DocumentContent, Verdict
from disposal.drawings import Drawing
from disposal.policy import CONDITIONS
from disposal.stamp import content_digest, picture_of, stamp_of
from disposal.words import clock, decision_in, figures_in, local_times, state_in

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
CODE_WIDTH = 35.0
"""Millimetres of the QR code: its smallest squares are half a millimetre wide, which every telephone reads."""
_KNOWN_HEADERS = (b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe1", b"\x89PNG")
_WORDS: dict[str, Bilingual] = {
    "number": Bilingual("编号", "Number"),
    "version": Bilingual("版本", "Version"),
    "state": Bilingual("状态", "State"),
    "grade": Bilingual("隐患等级", "Grade"),
    "deadline": Bilingual("整改期限", "Deadline"),
    "responsible": Bilingual("责任人", "Responsible"),
    "nobody": Bilingual("（未指定，须由人员确定）", "(nobody named: a person has to settle it)"),
    "general": Bilingual("一般隐患", "general hazard"),
    "major": Bilingual("重大隐患", "major hazard"),
    "facts": Bilingual("一、事实", "1. Facts"),
    "evidence": Bilingual("证据图片", "Evidence"),
    "no-picture": Bilingual("证据图片无法读取：", "The evidence cannot be read: "),
    "clauses": Bilingual("二、依据条款", "2. Clauses"),
    "figure": Bilingual("插图", "Figure"),
    "no-figure": Bilingual("插图无法读取。", "The figure cannot be read."),
    "no-clauses": Bilingual("未检索到适用条款。", "No clause was found."),
    "measures": Bilingual("三、整改措施", "3. Measures"),
    "resources": Bilingual("四、所需资源", "4. Resources"),
    "contingency": Bilingual("五、应急预案", "5. Contingency"),
    "acceptance": Bilingual("六、验收标准", "6. Acceptance"),
    "verdict": Bilingual("七、自动关闭判定", "7. Automatic closure"),
    "holds": Bilingual("满足", "holds"),
    "fails": Bilingual("不满足", "does not hold"),
    "closed": Bilingual("结论：符合自动关闭条件", "Verdict: may be closed automatically"),
    "open": Bilingual("结论：须由人员决定", "Verdict: a person has to decide"),
    "decided": Bilingual("决定", "Decision"),
    "signatures": Bilingual("签字", "Signatures"),
    "digest": Bilingual("内容摘要 SHA-256：", "SHA-256 of the content: "),
    "code": Bilingual(
        "扫码核对：minewatch audit verify --digest 加二维码内容。",
        "To check this copy, scan the code: minewatch audit verify --digest and what it says.",
    ),
}


class Title(NamedTuple):
    """The document's title."""

    text: str


class Heading(NamedTuple):
    """The heading of a part."""

    text: str


class Line(NamedTuple):
    """A paragraph; ``strong``: in bold type, or what comes nearest to it."""

    text: str
    strong: bool = False


class Bullet(NamedTuple):
    """A line of a list."""

    text: str


class Rows(NamedTuple):
    """A table of names and values."""

    rows: tuple[tuple[str, str], ...]


class Picture(NamedTuple):
    """A JPEG or PNG that every format can show; ``width`` in millimetres."""

    data: bytes
    width: float = 150.0


Block = Title | Heading | Line | Bullet | Rows | Picture


def blocks(
    row: Document,
    content: DocumentContent,
    pictures: Iterable[bytes | str],
    language: str,
    zone: tzinfo = UTC,
    drawings: Mapping[str, Sequence[Drawing]] = MappingProxyType({}),
) -> list[Block]:
    """The whole document in ``language`` (zh or en); what was written in one language only stays in it.

    ``pictures``: bytes of a picture, or why it cannot be read. ``zone``: the mine's, in which every time is told.
    ``drawings``: the figures of the clause versions that are cited. No text carries what a file cannot hold.
    """
    paper = _Paper(language, zone)
    return [
        *paper.own_words(content.heading),
        Title(paper.said(content.title)),
        *paper.head(row, content),
        *paper.facts(content),
        *paper.pictures(pictures),
        *paper.clauses(content, drawings),
        *paper.list("measures", content.measures),
        *paper.list("resources", content.resources),
        *paper.list("contingency", (content.contingency,)),
        *paper.list("acceptance", (content.acceptance,)),
        *paper.verdict(row.read_verdict()),
        *paper.own_words(content.closing),
        *paper.end(row, content),
    ]


def word(key: str, language: str) -> str:
    """A word of the paper's own, in ``language``."""
    return _WORDS[key].text(language)


class _Paper:
    """The parts of one document in one language."""

    def __init__(self, language: str, zone: tzinfo) -> None:
        self._language = language
        self._zone = zone

    def said(self, text: Bilingual) -> str:
        return printable(text.text(self._language))

    def own_words(self, text: Bilingual) -> Iterator[Block]:
        yield from (Line(line) for line in self.said(text).splitlines())

    def head(self, row: Document, content: DocumentContent) -> Iterator[Block]:
        yield self._rows(
            (self._word("number"), row.id),
            (self._word("version"), str(row.version)),
            (self._word("state"), state_in(row.state, self._language)),
            (self._word("grade"), self._word(content.grade)),
            (self._word("responsible"), self.said(content.responsible) or self._word("nobody")),
            (self._word("deadline"), clock(content.deadline, self._zone)),
        )

    def facts(self, content: DocumentContent) -> Iterator[Block]:
        yield Heading(self._word("facts"))
        yield self._rows(*((self.said(f.name), local_times(self.said(f.value), self._zone)) for f in content.facts))

    def pictures(self, pictures: Iterable[bytes | str]) -> Iterator[Block]:
        for picture in pictures:
            yield Line(self._word("evidence"))
            data = picture if isinstance(picture, str) else showable(picture)
            yield (
                Picture(data) if isinstance(data, bytes) else Line(self._word("no-picture") + printable(data or "?"))
            )

    def clauses(self, content: DocumentContent, drawings: Mapping[str, Sequence[Drawing]]) -> Iterator[Block]:
        yield Heading(self._word("clauses"))
        if not content.citations:
            yield Line(self._word("no-clauses"))
        for cited in content.citations:
            yield Line(f"{self.said(cited.label)} [{printable(cited.version_id)}]", strong=True)
            yield Line(self.said(cited.required))
            for number, drawing in enumerate(drawings.get(cited.version_id, ()), start=1):
                data = showable(drawing.data or b"")
                yield Picture(data, drawing.width) if data else Line(self._word("no-figure"))
                yield Line(figure_line(number, drawing.caption, self._language))

    def list(self, heading: str, lines: Iterable[Bilingual]) -> Iterator[Block]:
        yield Heading(self._word(heading))
        yield from (Bullet(self.said(line)) for line in lines)

    def verdict(self, verdict: Verdict | None) -> Iterator[Block]:
        if verdict is None:
            return
        yield Heading(self._word("verdict"))
        policy = f" ({verdict.policy})" if verdict.policy else ""
        yield Line(self._word("closed" if verdict.close else "open") + policy)
        yield self._rows(
            *(
                (
                    self.said(CONDITIONS.get(r.condition, Bilingual(r.condition, r.condition))),
                    f"{self._word('holds' if r.ok else 'fails')}: {figures_in(r.figures, self._language)}",
                )
                for r in verdict.reasons
            )
        )

    def end(self, row: Document, content: DocumentContent) -> Iterator[Block]:
        yield Line(self.said(content.notice))
        if row.decided_by:
            decision = decision_in(row.decision or "", self._language)
            said = f"{self._word('decided')}: {decision}, {row.decided_by}, {clock(row.decided_at, self._zone)}"
            yield Line(printable(f"{said}. {row.reason}" if row.reason else said))
        yield Line(f"{self._word('signatures')}: ____________    ____________")
        yield Line(self._word("digest"))
        yield Line(content_digest(row))
        yield Line(self._word("code"))
        yield Picture(picture_of(stamp_of(row)), CODE_WIDTH)

    def _rows(self, *rows: tuple[str, str]) -> Rows:
        return Rows(tuple((printable(name), printable(value)) for name, value in rows))

    def _word(self, key: str) -> str:
        return word(key, self._language)


def figure_line(number: int, caption: str, language: str) -> str:
    """What stands below a clause's figure."""
    named = f" · {printable(caption)}" if caption else ""
    return f"{word('figure', language)} {number}{named}"


def showable(picture: bytes) -> bytes | None:
    """The picture, written anew where its header is one that not every format knows; None where it is no picture."""
    decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR) if picture else None
    if decoded is None:
        return None
    return picture if picture.startswith(_KNOWN_HEADERS) else cv2.imencode(".jpg", decoded)[1].tobytes()


def printable(text: str) -> str:
    """The text without what files cannot hold; people's notes and names come from outside."""
    return _UNPRINTABLE.sub("", text)
