"""What a mine's own form can name: each field with what it says, and a document's values under these names."""

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from PIL import Image

from disposal.document import Bilingual, Document, DocumentContent
from disposal.drawings import Drawing
from disposal.paper import CODE_WIDTH, figure_line, printable, showable, word
from disposal.policy import CONDITIONS
from disposal.stamp import content_digest, picture_of, stamp_of
from disposal.words import clock, decision_in, figures_in, local_times, state_in

FIELDS: Mapping[str, Bilingual] = {
    "number": Bilingual("文件编号", "the document's number"),
    "version": Bilingual("版本", "its version"),
    "mine": Bilingual("矿井代号", "the mine's id"),
    "state": Bilingual("状态", "its state"),
    "title": Bilingual("标题", "its title"),
    "heading": Bilingual("抬头（文件模板）", "the heading of the document template"),
    "closing": Bilingual("结尾（文件模板）", "the closing of the document template"),
    "grade": Bilingual("隐患等级", "the hazard's grade"),
    "responsible": Bilingual("责任人", "who is responsible"),
    "deadline": Bilingual("整改期限", "until when"),
    "contingency": Bilingual("应急预案", "the contingency"),
    "acceptance": Bilingual("验收标准", "the acceptance check"),
    "notice": Bilingual("由谁起草", "who or what wrote it"),
    "verdict": Bilingual("自动关闭结论", "the closure policy's verdict"),
    "decision": Bilingual("决定、决定人和时间", "the decision, by whom and when"),
    "reason": Bilingual("决定的理由", "the reason for the decision"),
    "picture_missing": Bilingual("图片无法显示的原因", "why the picture cannot be shown"),
    "digest": Bilingual("内容摘要SHA-256", "the SHA-256 of the content"),
}
"""Each is a text, empty where there is nothing to say."""
PICTURES: Mapping[str, Bilingual] = {
    "picture": Bilingual("证据图片", "the evidence picture"),
    "qr": Bilingual("二维码，供 minewatch audit verify 核对", "the QR code for minewatch audit verify"),
}
LISTS: Mapping[str, Mapping[str, Bilingual]] = {
    "facts": {"name": Bilingual("名称", "name"), "value": Bilingual("内容", "value")},
    "clauses": {
        "label": Bilingual("规程和条号", "code and number"),
        "version": Bilingual("条款版本", "clause version"),
        "text": Bilingual("条款全文", "the clause in full"),
    },
    "drawings": {
        "clause": Bilingual("所属规程和条号", "code and number of its clause"),
        "caption": Bilingual("图号和图名", "its number and name"),
        "picture": Bilingual("插图", "the figure"),
    },
    "measures": {},
    "resources": {},
    "reasons": {"condition": Bilingual("关闭条件", "condition of closure"), "result": Bilingual("结果", "result")},
    "signatures": {
        "role": Bilingual("何事", "what was signed"),
        "name": Bilingual("签字人", "who signed"),
        "time": Bilingual("时间", "when"),
    },
}
"""Each list with what one of it has; one of a list without parts is a text."""
_PICTURE_WIDTH = 150.0


def values_of(
    row: Document,
    content: DocumentContent,
    pictures: Iterable[bytes | str],
    language: str,
    zone: tzinfo,
    drawings: Mapping[str, Sequence[Drawing]],
) -> dict[str, Any]:
    """The document's values in ``language``; times are told in ``zone``; ``drawings``: of the cited versions."""

    def said(text: Bilingual) -> str:
        return printable(text.text(language))

    picture, missing = _picture(pictures, language)
    return {
        "number": row.id,
        "version": str(row.version),
        "mine": row.mine,
        "state": state_in(row.state, language),
        "title": said(content.title),
        "heading": said(content.heading),
        "closing": said(content.closing),
        "grade": word(content.grade, language),
        "responsible": said(content.responsible) or word("nobody", language),
        "deadline": clock(content.deadline, zone),
        "contingency": said(content.contingency),
        "acceptance": said(content.acceptance),
        "notice": said(content.notice),
        "reason": printable(row.reason),
        "picture_missing": missing,
        "digest": content_digest(row),
        "picture": picture,
        "qr": (picture_of(stamp_of(row)), CODE_WIDTH),
        "facts": [{"name": said(f.name), "value": local_times(said(f.value), zone)} for f in content.facts],
        "clauses": [
            {"label": said(c.label), "version": printable(c.version_id), "text": said(c.required)}
            for c in content.citations
        ],
        "drawings": [
            {
                "clause": said(c.label),
                "caption": figure_line(number, drawing.caption, language),
                "picture": (data, drawing.width) if data else word("no-figure", language),
            }
            for c in content.citations
            for number, drawing in enumerate(drawings.get(c.version_id, ()), start=1)
            for data in (showable(drawing.data or b""),)
        ],
        "measures": [said(line) for line in content.measures],
        "resources": [said(line) for line in content.resources],
        **_judged(row, language),
        **_signed(row, language, zone),
    }


def sample() -> dict[str, Any]:
    """Values for trying a form: every field has something to say."""
    out = io.BytesIO()
    Image.new("RGB", (16, 12), "grey").save(out, "PNG")
    return {
        **dict.fromkeys(FIELDS, "1"),
        **{name: (out.getvalue(), 20.0) for name in PICTURES},
        **{name: [dict.fromkeys(parts, "1") if parts else "1"] * 2 for name, parts in LISTS.items()},
    }


def _picture(pictures: Iterable[bytes | str], language: str) -> tuple[tuple[bytes, float] | None, str]:
    for picture in pictures:
        data = picture if isinstance(picture, str) else showable(picture)
        if isinstance(data, bytes):
            return (data, _PICTURE_WIDTH), ""
        return None, word("no-picture", language) + printable(data or "?")
    return None, ""


def _judged(row: Document, language: str) -> dict[str, Any]:
    verdict = row.read_verdict()
    if verdict is None:
        return {"verdict": "", "reasons": []}
    reasons = [
        {
            "condition": CONDITIONS.get(r.condition, Bilingual(r.condition, r.condition)).text(language),
            "result": f"{word('holds' if r.ok else 'fails', language)}: {figures_in(r.figures, language)}",
        }
        for r in verdict.reasons
    ]
    return {"verdict": word("closed" if verdict.close else "open", language), "reasons": reasons}


def _signed(row: Document, language: str, zone: tzinfo) -> dict[str, Any]:
    """Who signed what, in order: what is put right is signed by another than who accepts it."""
    signed: list[tuple[datetime, str, str]] = []
    if row.rectified_by and row.rectified_at:
        signed.append((row.rectified_at, decision_in("rectify", language), row.rectified_by))
    if row.decided_by and row.decided_at:
        signed.append((row.decided_at, decision_in(row.decision or "", language), row.decided_by))
    signatures = [
        {"role": role, "name": printable(name), "time": clock(at, zone)}
        for at, role, name in sorted(signed, key=lambda one: one[0].astimezone(UTC))
    ]
    last = signatures[-1] if signatures and row.decided_by else None
    decision = f"{last['role']}, {last['name']}, {last['time']}" if last else ""
    return {"decision": decision, "signatures": signatures}
