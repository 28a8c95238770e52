"""The document as a DOCX in Chinese or English: facts, picture, clauses in full, the five elements, the verdict."""

import hashlib
import io
import re
from collections.abc import Iterable
from datetime import UTC, datetime

import cv2
import docx
import numpy as np
from docx.document import Document as Docx
from docx.image.exceptions import UnrecognizedImageError
from docx.oxml.ns import qn
from docx.shared import Cm, Pt
from sqlalchemy import Engine

from disposal.alert import Alert
from disposal.document import Bilingual, Document, DocumentContent, Verdict
from disposal.errors import AlertError, ExportError
from disposal.policy import CONDITIONS
from disposal.situation import events_of
from stream.database import reading
from stream.errors import EvidenceError
from stream.evidence import EvidenceStore
from stream.messages import Evidence

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_LATIN_FONT, _CHINESE_FONT = "Arial", "SimSun"
_KINDS = ("annotated", "photo", "frame")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")
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
}


def export_docx(engine: Engine, evidence: EvidenceStore, mine: str, document_id: str, language: str) -> bytes:
    """The document as a DOCX file in ``language`` (zh or en); what was written in one language only stays in it.

    Raises AlertError where the mine has no such document and ExportError where nothing is drafted yet.
    """
    with reading(engine) as session:
        row = session.get(Document, document_id)
        if row is None or row.mine != mine:
            raise AlertError(f"There is no document {document_id[:48]!r} in mine {mine}.")
        alert = session.get_one(Alert, row.alert_id)
        pictures = [e for event in events_of(session, alert.id) for e in event.evidence]
    content = row.read_content()
    if content is None:
        raise ExportError(f"Document {document_id} is not drafted yet: export it once it is.")
    return _Writer(language).write(row, content, _pictures(evidence, mine, pictures))


class _Writer:
    """Writes one document in one language."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._docx: Docx = docx.Document()
        style = self._docx.styles["Normal"]
        style.font.name, style.font.size = _LATIN_FONT, Pt(10.5)
        style.element.rPr.rFonts.set(qn("w:eastAsia"), _CHINESE_FONT)

    def write(self, row: Document, content: DocumentContent, pictures: Iterable[bytes | str]) -> bytes:
        """The file's bytes."""
        self._docx.core_properties.title = _printable(self._said(content.title))
        self._docx.core_properties.author = "Minewatch"
        self._docx.add_heading(_printable(self._said(content.title)), level=0)
        self._table(self._head(row, content))
        self._heading("facts")
        self._table([(self._said(f.name), self._said(f.value)) for f in content.facts])
        self._picture(pictures)
        self._clauses(content)
        self._list("measures", content.measures)
        self._list("resources", content.resources)
        self._list("contingency", (content.contingency,))
        self._list("acceptance", (content.acceptance,))
        self._verdict(row.read_verdict())
        self._end(row, content)
        file = io.BytesIO()
        self._docx.save(file)
        return file.getvalue()

    def _head(self, row: Document, content: DocumentContent) -> list[tuple[str, str]]:
        return [
            (self._word("number"), row.id),
            (self._word("version"), str(row.version)),
            (self._word("state"), row.state),
            (self._word("grade"), self._word(content.grade)),
            (self._word("responsible"), self._said(content.responsible) or self._word("nobody")),
            (self._word("deadline"), _clock(content.deadline)),
        ]

    def _picture(self, pictures: Iterable[bytes | str]) -> None:
        for picture in pictures:
            self._docx.add_paragraph(self._word("evidence"))
            if isinstance(picture, str) or not self._show(picture):
                self._line(self._word("no-picture") + (picture if isinstance(picture, str) else "?"))

    def _show(self, picture: bytes) -> bool:
        """Show it; a picture whose header the format does not know is written anew. Answers whether it was one."""
        try:
            self._docx.add_picture(io.BytesIO(picture), width=Cm(15))
        except UnrecognizedImageError:
            decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
            if decoded is None:
                return False
            self._docx.add_picture(io.BytesIO(cv2.imencode(".jpg", decoded)[1].tobytes()), width=Cm(15))
        return True

    def _clauses(self, content: DocumentContent) -> None:
        self._heading("clauses")
        if not content.citations:
            self._line(self._word("no-clauses"))
        for cited in content.citations:
            self._docx.add_paragraph().add_run(
                _printable(f"{self._said(cited.label)} [{cited.version_id}]")
            ).bold = True
            self._line(self._said(cited.required))

    def _list(self, heading: str, lines: Iterable[Bilingual]) -> None:
        self._heading(heading)
        for line in lines:
            self._docx.add_paragraph(_printable(self._said(line)), style="List Bullet")

    def _verdict(self, verdict: Verdict | None) -> None:
        if verdict is None:
            return
        self._heading("verdict")
        self._line(
            self._word("closed" if verdict.close else "open") + (f" ({verdict.policy})" if verdict.policy else "")
        )
        rows = [
            (
                self._said(CONDITIONS.get(r.condition, Bilingual(r.condition, r.condition))),
                f"{self._word('holds' if r.ok else 'fails')}: {r.figures}",
            )
            for r in verdict.reasons
        ]
        self._table(rows)

    def _end(self, row: Document, content: DocumentContent) -> None:
        self._line(self._said(content.notice))
        if row.decided_by:
            said = f"{self._word('decided')}: {row.decision}, {row.decided_by}, {_clock(row.decided_at)}"
            self._line(f"{said}. {row.reason}" if row.reason else said)
        self._line(f"{self._word('signatures')}: ____________    ____________")
        self._line(self._word("digest") + hashlib.sha256(row.content.encode()).hexdigest())

    def _table(self, rows: list[tuple[str, str]]) -> None:
        table = self._docx.add_table(rows=0, cols=2, style="Table Grid")
        for name, value in rows:
            cells = table.add_row().cells
            cells[0].text, cells[1].text = _printable(name), _printable(value)

    def _heading(self, word: str) -> None:
        self._docx.add_heading(self._word(word), level=2)

    def _line(self, text: str) -> None:
        self._docx.add_paragraph(_printable(text))

    def _word(self, word: str) -> str:
        return _WORDS[word].text(self._language)

    def _said(self, text: Bilingual) -> str:
        return text.text(self._language)


def _pictures(store: EvidenceStore, mine: str, evidence: list[Evidence]) -> list[bytes | str]:
    """The picture that tells most, as bytes, or why it cannot be shown; empty where there is none."""
    pictures = [e for e in evidence if e.kind in _KINDS and e.media_type.startswith("image/")]
    if not pictures:
        return []
    best = min(pictures, key=lambda e: _KINDS.index(e.kind))
    try:
        return [store.get(mine, best.sha256, best.media_type)]
    except EvidenceError as error:
        return [str(error)]


def _printable(text: str) -> str:
    """The text without what XML cannot hold; people's notes and names come from outside."""
    return _UNPRINTABLE.sub("", text)


def _clock(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else ""
