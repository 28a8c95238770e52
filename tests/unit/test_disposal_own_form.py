import io
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import cv2
import docx
import numpy as np
import pytest
import structlog
from sqlalchemy import Engine

from disposal import own_form
from disposal.document import Document
from disposal.errors import FormError
from disposal.export import export
from disposal.own_form_fields import FIELDS, LISTS, PICTURES, sample
from disposal.stamp import content_digest, find_printed
from rules import knowledge
from stream.database import open_database, writing
from stream.evidence import EvidenceStore
from stream.messages import utc_now
from tests.unit.disposal_world import CLAUSES, MINE, furnish
from tests.unit.test_disposal_export import document, picture, scanned_from, text_of

WHOLE = (
    "North mine order {{ number }} v{{ version }}",
    "{{ title }} / {{ grade }} / {{ responsible }} / {{ deadline }}",
    "{%p for f in facts %}", "{{ loop.index }}. {{ f.name }}: {{ f.value }}", "{%p endfor %}",
    "{{ picture }}{{ picture_missing }}",
    "{%p for c in clauses %}", "{{ c.label }} [{{ c.version }}]", "{{ c.text }}", "{%p endfor %}",
    "{%p for m in measures %}", "- {{ m }}", "{%p endfor %}",
    "{%p if signatures %}", "Signed:", "{%p for s in signatures %}", "{{ s.role }}: {{ s.name }}, {{ s.time }}",
)  # fmt: skip


def form_of(*lines: str, header: str = "") -> bytes:
    """A form as somebody writes it in Word."""
    file = docx.Document()
    for line in lines:
        file.add_paragraph(line)
    file.sections[0].header.paragraphs[0].text = header
    out = io.BytesIO()
    file.save(out)
    return out.getvalue()


def packed(data: bytes, change: Callable[[str, bytes], bytes], **more: bytes) -> bytes:
    """The same file with its parts changed, and some more of them."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        for name, part in more.items():
            new.writestr(name, part)
    return out.getvalue()


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    return engine


def hold(engine: Engine, language: str, data: bytes) -> None:
    own_form.check_form(data)
    version = knowledge.write(engine, MINE, own_form.KIND, language, own_form.texts_of(data, "order.docx"), "li")
    knowledge.review(engine, version, "li")
    knowledge.publish(engine, version, "zhao")


def test_a_document_is_filled_into_the_mines_own_form(engine: Engine, tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path / "evidence")
    jpeg = cv2.imencode(".jpg", np.full((120, 160, 3), 90, np.uint8))[1].tobytes()
    row = document(engine, (picture(store, jpeg),), source="cam<b>&{{ number }}-9")
    with writing(engine) as session:
        kept = session.get_one(Document, row.id)
        kept.rectified_by, kept.rectified_at = "wang <&>", utc_now() - timedelta(hours=1)
        kept.decision, kept.decided_by, kept.decided_at = "close", "zhao", utc_now()
    hold(engine, "en", form_of(*WHOLE, "{%p endfor %}", "{%p endif %}", "{{ qr }}", header="{{ mine }} {{ digest }}"))
    data = export(engine, store, MINE, row.id, "en", zone=ZoneInfo("Asia/Shanghai"))
    text, content = text_of(data), row.read_content()
    assert content is not None
    assert f"North mine order {row.id} v1" in text
    assert CLAUSES["18"]["text_en"] in text, "clauses stand in full"
    said = [content.title.en, content.responsible.en, *(m.en for m in content.measures), "cam<b>&{{ number }}-9", "1. "]
    said += ["Put right: wang <&>, ", "Close: zhao, ", "(UTC+08:00)"]
    for line in said:
        assert line in text, line
    assert "7. Automatic closure" not in text, "nothing of our own layout"
    assert text.index("wang") < text.index("zhao"), "in the order in which they signed"
    assert len(docx.Document(io.BytesIO(data)).inline_shapes) == 2
    assert find_printed(engine, MINE, scanned_from(data)) is not None
    header = docx.Document(io.BytesIO(data)).sections[0].header.paragraphs[0].text
    assert header == f"{MINE} {content_digest(row)}"
    assert "North mine order" not in text_of(export(engine, store, MINE, row.id, "zh")), "a form is of one language"
    assert export(engine, store, MINE, row.id, "en", "pdf").startswith(b"%PDF")


def test_without_a_picture_the_form_says_why_and_our_layout_stands_in_for_a_form_that_breaks(
    engine: Engine, tmp_path: Path
) -> None:
    store = EvidenceStore(tmp_path / "evidence")
    row = document(engine, (picture(store, b"no picture at all"),))
    hold(engine, "zh", form_of("{{ picture }}{{ picture_missing }}"))
    assert "证据图片无法读取" in text_of(export(engine, store, MINE, row.id, "zh"))
    texts = own_form.texts_of(b"broken since", "order.docx")
    version = knowledge.write(engine, MINE, own_form.KIND, "zh", texts, "li")
    knowledge.review(engine, version, "li")
    knowledge.publish(engine, version, "zhao")
    with structlog.testing.capture_logs() as log:
        assert "一、事实" in text_of(export(engine, store, MINE, row.id, "zh"))
    assert [line["event"] for line in log] == ["the mine's own form cannot be filled in, ours is used"]


def test_every_field_can_be_named_in_a_form() -> None:
    lines = [f"{{{{ {name} }}}}" for name in (*FIELDS, *PICTURES)]
    for name, parts in LISTS.items():
        inner = "".join(f"{{{{ one.{part} }}}}" for part in parts) or "{{ one }}"
        lines.append(f"{{% for one in {name} %}}{inner}{{% if not loop.last %}}, {{% endif %}}{{% endfor %}}")
    own_form.check_form(form_of(*lines))
    guide = (Path(own_form.__file__).parents[1] / "samples" / "README.md").read_text(encoding="utf-8")
    parts = {part for of in LISTS.values() for part in of}
    assert [name for name in (*FIELDS, *PICTURES, *LISTS, *parts) if f"`{name}`" not in guide] == []


def test_a_list_goes_through_the_rows_of_a_table() -> None:
    file = docx.Document()
    table = file.add_table(rows=3, cols=2)
    for row, texts in enumerate(
        (("{%tr for c in clauses %}", ""), ("{{ c.label }}", "{{ c.text }}"), ("{%tr endfor %}", ""))
    ):
        for column, text in enumerate(texts):
            table.cell(row, column).text = text
    out = io.BytesIO()
    file.save(out)
    values = sample() | {"clauses": [{"label": f"{n}", "version": "", "text": f"a{n}\nb & <c>"} for n in range(3)]}
    (filled,) = docx.Document(io.BytesIO(own_form.fill(out.getvalue(), values))).tables
    assert [[c.text for c in row.cells] for row in filled.rows] == [[f"{n}", f"a{n}\nb & <c>"] for n in range(3)]


def test_an_unknown_field_is_named_with_the_fields_there_are() -> None:
    for form in (form_of("{{ foremn }} {{ number }}"), form_of("text", header="{{ foremn }}")):
        with pytest.raises(FormError, match="names what is no field: foremn") as refused:
            own_form.check_form(form)
        for said in (refused.value.said.zh, refused.value.said.en):
            assert "foremn" in said
            assert "responsible" in said
            assert "clauses (label, version, text)" in said
    with pytest.raises(FormError, match=r"no field: c\.txt, penalty"):
        own_form.check_form(form_of("{%p for c in clauses %}", "{{ c.txt }} {{ penalty }}", "{%p endfor %}"))


@pytest.mark.parametrize(
    "line",
    [
        "{{ number.__class__ }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ number|length }}",
        "{{ range(1000000000)|join }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ facts[0] }}",
        "{{ 'x' * 1000000000 }}",
        "{{ 7 ** 7 ** 7 ** 7 }}",
        "{% set x = 1 %}",
        "{% include '/etc/passwd' %}",
        "{% import 'x' as y %}",
        "{% macro m() %}{% endmacro %}",
        "{% for a in facts %}{% for b in facts %}{{ b.name }}{% endfor %}{% endfor %}",
        "{% for number in facts recursive %}{{ loop(facts) }}{% endfor %}",
        "{% for a in 'text' %}{{ a }}{% endfor %}",
        "{{ facts }}",
        "{{ self }}",
        "{% for f in facts %}{{ f }}{% endfor %}",
        "{% for f in facts %}{{ loop }}{% endfor %}",
        "{% for f in facts %}{{ f.name.join }}{% endfor %}",
    ],
)
def test_whatever_is_no_field_no_list_and_no_condition_is_refused(line: str) -> None:
    with pytest.raises(FormError, match="no field"):
        own_form.check_form(form_of(line))


def test_marks_that_cannot_be_read_and_files_that_are_none_are_refused() -> None:
    for line in (
        "{{ number",
        "{% for c in clauses %}",
        "{% autoescape false %}{{ number }}{% endautoescape %}",
        "{{ }}",
    ):
        with pytest.raises(FormError) as refused:
            own_form.check_form(form_of(line))
        assert refused.value.said.zh
    for data in (b"", b"text", form_of("x")[:-200], b"PK\x03\x04" + b"\0" * 100):
        with pytest.raises(FormError, match="no Word document"):
            own_form.check_form(data)
    with pytest.raises(FormError, match="no Word document"):
        own_form.check_form(packed(form_of("x"), lambda name, part: b"<broken" if name.endswith("ment.xml") else part))


def test_bombs_macros_entities_and_what_lies_elsewhere_are_refused() -> None:
    plain = form_of("{{ number }}")

    def same(_: str, part: bytes) -> bytes:
        return part

    with pytest.raises(FormError, match="KiB, more than 1024"):
        own_form.check_form(plain + b"\0" * own_form.LARGEST)
    with pytest.raises(FormError, match="unpacks to more than"):
        own_form.check_form(packed(plain, same, bomb=b"\0" * 9 * 1024**2))
    with pytest.raises(FormError, match="too many parts"):
        own_form.check_form(packed(plain, same, **{f"part{i}": b"" for i in range(501)}))
    with pytest.raises(FormError, match="too many parts"):
        own_form.check_form(packed(plain, same, **{"word/long.xml": b" " * 3 * 1024**2}))
    with pytest.raises(FormError, match=r"vbaProject\.bin in the file holds macros"):
        own_form.check_form(packed(plain, same, **{"word/vbaProject.bin": b"macro"}))
    entity = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    with pytest.raises(FormError, match=r"word/document\.xml in the file"):
        own_form.check_form(packed(plain, lambda n, p: p.replace(b"<w:document", entity + b"<w:document")))
    outside = (
        b'<Relationship Id="r9" Type="http://x/%s" Target="http://example.org/" TargetMode="External"/></Relationships>'
    )
    for kind, fine in ((b"image", False), (b"attachedTemplate", False), (b"hyperlink", True)):
        form = packed(
            plain,
            lambda n, p, kind=kind: p.replace(b"</Relationships>", outside % kind) if "document.xml.rels" in n else p,
        )
        if fine:
            own_form.check_form(form)
        else:
            with pytest.raises(FormError, match=r"document\.xml\.rels in the file"):
                own_form.check_form(form)
