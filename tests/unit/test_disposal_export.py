import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import cv2
import docx
import numpy as np
import pypdf
import pytest
from PIL import Image
from sqlalchemy import Engine
from sqlmodel import select
from typer.testing import CliRunner

from console.cli import app
from console.schema import prepare
from disposal import chinese_font, own_form
from disposal.audit import find_digest
from disposal.document import EFFECTS, Bilingual, Document, DocumentState, to_json
from disposal.drafter import Drafter
from disposal.editing import edit_document
from disposal.errors import AlertError, ExportError, FontMissingError
from disposal.export import export
from disposal.intake import take_all
from disposal.policy import SHIPPED, AreaReading, Cited, ClosureFacts, may_close
from disposal.settings import DisposalSettings, DrafterSettings
from disposal.stamp import find_printed
from disposal.steps import Steps
from disposal.words import DECISIONS, STATES, figures_in, local_times
from rules import knowledge
from rules.figure import ClauseFigure
from rules.importer import import_code
from rules.revision import publish, review
from stream.database import open_database, reading, writing
from stream.evidence import EvidenceStore
from stream.messages import Evidence, utc_now
from tests.unit.disposal_world import CLAUSES, MINE, SEEN_TO_END, SITE, TaggedFinder, furnish, risk

FACTS = ClosureFacts(
    type="no-helmet",
    source_kind="camera",
    episode="cleared",
    absence=SEEN_TO_END,
    camera_trouble=("camera-blind", "offline"),
    stable_seconds=None,
    readings=(AreaReading(sensor="ch4-1", quantity="methane", value=None, unit="%", within=False),),
    confidence=0.5,
    recurrences=4,
    alerts_lately=2,
    shelved=False,
    document_faults=("responsible", "citations"),
    citations=(Cited(version_id="cn-coal:18@1", retrieved=True, in_force=True),),
    closed_today=0,
)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    return engine


@pytest.fixture
def store(tmp_path: Path) -> EvidenceStore:
    return EvidenceStore(tmp_path / "evidence")


def document(engine: Engine, evidence: tuple[Evidence, ...] = (), source: str = "cam-1", note: str = "") -> Document:
    with writing(engine) as session:
        take_all(session, [risk(evidence=evidence, source=source, note=note)], SITE, DisposalSettings(), utc_now())
    steps = Steps(
        engine, MINE, lambda: TaggedFinder(engine), Drafter([], DrafterSettings()), DisposalSettings(), lambda _: None
    )
    while steps.do_next(("match", "draft", "decide"), "tester"):
        pass
    with reading(engine) as session:
        return session.exec(select(Document)).one()


def text_of(data: bytes) -> str:
    file = docx.Document(io.BytesIO(data))
    cells = [c.text for t in file.tables for row in t.rows for c in row.cells]
    return "\n".join([*(p.text for p in file.paragraphs), *cells])


def picture(store: EvidenceStore, data: bytes) -> Evidence:
    return Evidence(
        sha256=store.put(MINE, data, "image/jpeg"), media_type="image/jpeg", kind="annotated", captured_at=utc_now()
    )


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_file_says_everything_that_the_document_says(engine: Engine, store: EvidenceStore, language: str) -> None:
    jpeg = cv2.imencode(".jpg", np.full((120, 160, 3), 90, np.uint8))[1].tobytes()
    row = document(engine, (picture(store, jpeg),))
    data = export(engine, store, MINE, row.id, language)
    text, content = text_of(data), row.read_content()
    assert content is not None
    assert CLAUSES["18"][f"text_{language}"] in text, "clauses stand in full"
    for line in (*content.measures, *content.resources, content.contingency, content.acceptance, content.responsible):
        assert line.text(language) in text
    for fact in content.facts:
        assert fact.value.text(language).removesuffix(" UTC") in text
    assert hashlib.sha256(row.content.encode()).hexdigest() in text
    assert f"{content.deadline:%Y-%m-%d %H:%M} (UTC+00:00)" in text
    assert len(docx.Document(io.BytesIO(data)).inline_shapes) == 2, "the evidence and the QR code"
    assert ("自动关闭" in text) == (language == "zh")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_code_and_no_other_zones_time_is_printed(engine: Engine, store: EvidenceStore, language: str) -> None:
    row = document(engine)
    with writing(engine) as session:
        kept = session.get_one(Document, row.id)
        kept.verdict = to_json(may_close(SHIPPED, FACTS))
        kept.decision, kept.decided_by, kept.decided_at = "approve", "li", row.created_at
    text = text_of(export(engine, store, MINE, row.id, language, zone=ZoneInfo("Asia/Shanghai")))
    content = row.read_content()
    assert content is not None
    local = content.deadline.astimezone(ZoneInfo("Asia/Shanghai"))
    assert f"{local:%Y-%m-%d %H:%M} (UTC+08:00)" in text
    fact = next(f.value.en for f in content.facts if f.name.en == "Time").removesuffix(" UTC")
    seen = datetime.strptime(fact, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).astimezone(ZoneInfo("Asia/Shanghai"))
    assert f"{seen:%Y-%m-%d %H:%M:%S}" in text
    assert fact not in text
    for code in ("PENDING_APPROVAL", "True", "False", " UTC\n", "approve,"):
        assert code not in text, code
    if language == "zh":
        assert "待审批" in text
        for word in ("at least", "at most", "unknown", "cited", "no-helmet", "general", "zone in view", "(out)"):
            assert word not in text, word


def test_figures_of_every_condition_are_words(engine: Engine) -> None:
    for reason in may_close(SHIPPED, FACTS).reasons:
        said = figures_in(reason.figures, "zh").replace("ch4-1", "").replace("cn-coal:18@1", "")
        assert not re.search("[a-z]{3}", said), (reason.condition, said)
    assert figures_in("ch4-1 1.4 % (out), co-1 missing (out)", "zh") == "ch4-1 1.4 %（超限），co-1 无读数"
    assert figures_in("zone in view: True, camera moved: False", "en") == "zone in view: yes, camera moved: no"
    assert figures_in("somebody's own words, as they are", "zh") == "somebody's own words，as they are"


def test_every_state_and_decision_has_its_words() -> None:
    assert set(STATES) == {state.value for state in DocumentState}
    assert set(DECISIONS) == set(EFFECTS)
    assert local_times("at 2026-13-45 99:00 UTC", ZoneInfo("Asia/Shanghai")) == "at 2026-13-45 99:00 UTC"


def test_a_picture_without_the_usual_header_is_shown_too(engine: Engine, store: EvidenceStore) -> None:
    jpeg = cv2.imencode(".jpg", np.full((60, 80, 3), 90, np.uint8))[1].tobytes()
    bare = jpeg[:2] + jpeg[2 + 2 + int.from_bytes(jpeg[4:6]) :]  # the same without its JFIF segment
    assert jpeg[2:4] == b"\xff\xe0"
    row = document(engine, (picture(store, bare),))
    assert len(docx.Document(io.BytesIO(export(engine, store, MINE, row.id, "en"))).inline_shapes) == 2


def test_missing_and_damaged_evidence_is_said_and_hides_nothing_else(engine: Engine, store: EvidenceStore) -> None:
    missing = Evidence(sha256="0" * 64, media_type="image/jpeg", kind="annotated", captured_at=utc_now())
    row = document(engine, (missing,))
    assert "cannot be read" in text_of(export(engine, store, MINE, row.id, "en"))


def test_a_picture_that_is_none_is_said(engine: Engine, store: EvidenceStore) -> None:
    row = document(engine, (picture(store, b"no picture at all"),))
    assert "证据图片无法读取" in text_of(export(engine, store, MINE, row.id, "zh"))


def test_control_characters_from_outside_do_not_break_the_file(engine: Engine, store: EvidenceStore) -> None:
    row = document(engine, source="cam\x00\x0b-9")
    assert "cam-9" in text_of(export(engine, store, MINE, row.id, "en"))


def test_what_is_not_there_or_not_drafted_is_refused(engine: Engine, store: EvidenceStore) -> None:
    row = document(engine)
    with pytest.raises(AlertError):
        export(engine, store, "south", row.id, "zh")
    with writing(engine) as session:
        session.get_one(Document, row.id).content = ""
    with pytest.raises(ExportError, match="not drafted"):
        export(engine, store, MINE, row.id, "zh")


def pdf_text(data: bytes) -> str:
    """The text of all pages without what breaks lines."""
    pages = pypdf.PdfReader(io.BytesIO(data)).pages
    return "".join("".join(page.extract_text().split()) for page in pages)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_pdf_reads_back_with_its_chinese_characters(engine: Engine, store: EvidenceStore, language: str) -> None:
    jpeg = cv2.imencode(".jpg", np.full((120, 160, 3), 90, np.uint8))[1].tobytes()
    row = document(engine, (picture(store, jpeg),))
    data = export(engine, store, MINE, row.id, language, "pdf")
    text, content = pdf_text(data), row.read_content()
    assert content is not None
    said = [CLAUSES["18"][f"text_{language}"], f"[{content.citations[0].version_id}]", content.title.text(language)]
    said += [line.text(language) for line in (*content.measures, *content.resources, content.contingency)]
    said += [content.acceptance.text(language), content.responsible.text(language)]
    said += [fact.value.text(language).removesuffix(" UTC") for fact in content.facts]
    said += [hashlib.sha256(row.content.encode()).hexdigest(), f"{content.deadline:%Y-%m-%d %H:%M} (UTC+00:00)"]
    for line in said:
        assert "".join(line.split()) in text
    reader = pypdf.PdfReader(io.BytesIO(data))
    drawn = [one.get_object() for page in reader.pages for one in page["/Resources"].get("/XObject", {}).values()]
    assert [(one["/Width"], one["/Height"]) for one in drawn if one["/Filter"] == "/DCTDecode"] == [(160, 120)]
    assert reader.metadata is not None
    assert reader.metadata.title == content.title.text(language)


@pytest.fixture
def drawn(engine: Engine, tmp_path: Path) -> bytes:
    """The clause that the documents cite gets a figure in a new version; its PNG is another in size than the rest."""
    png = io.BytesIO()
    Image.new("RGB", (210, 70), "red").save(png, "PNG")
    word = docx.Document()
    word.add_paragraph("第十八条 " + CLAUSES["18"]["text_zh"]).add_run().add_picture(io.BytesIO(png.getvalue()))
    word.inline_shapes[0]._inline.docPr.set("descr", "防护栏布置图")
    word.save(str(tmp_path / "code.docx"))
    import_code(engine, tmp_path / "code.docx", "cn-coal", "2016", None, "writer", mine=MINE)
    review(engine, "cn-coal:18@2", "writer")
    publish(engine, "cn-coal:18@2", "approver")
    return png.getvalue()


def test_a_cited_clause_in_full_has_its_figure_in_docx_and_pdf(
    engine: Engine, store: EvidenceStore, drawn: bytes
) -> None:
    row = document(engine)
    data = export(engine, store, MINE, row.id, "zh")
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert drawn in [file.read(name) for name in file.namelist() if name.startswith("word/media/")]
    assert text_of(data).index(CLAUSES["18"]["text_zh"]) < text_of(data).index("插图 1 · 防护栏布置图")
    printed = export(engine, store, MINE, row.id, "en", "pdf")
    assert "Figure1·防护栏布置图" in pdf_text(printed)
    sizes = [
        image.image.size for page in pypdf.PdfReader(io.BytesIO(printed)).pages for image in page.images if image.image
    ]
    assert (210, 70) in sizes
    with writing(engine) as session:
        for figure in session.exec(select(ClauseFigure)):
            session.delete(figure)
    assert "插图无法读取。" in text_of(export(engine, store, MINE, row.id, "zh"))


def test_the_mines_own_form_can_show_the_figures(engine: Engine, store: EvidenceStore, drawn: bytes) -> None:
    row, form = document(engine), docx.Document()
    for line in ("{%p for d in drawings %}", "{{ d.clause }}: {{ d.caption }}", "{{ d.picture }}", "{%p endfor %}"):
        form.add_paragraph(line)
    out = io.BytesIO()
    form.save(out)
    own_form.check_form(out.getvalue())
    version = knowledge.write(engine, MINE, own_form.KIND, "zh", own_form.texts_of(out.getvalue(), "own.docx"), "li")
    knowledge.review(engine, version, "li")
    knowledge.publish(engine, version, "zhao")
    data = export(engine, store, MINE, row.id, "zh")
    assert "插图 1 · 防护栏布置图" in text_of(data)
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert drawn in [file.read(name) for name in file.namelist() if name.startswith("word/media/")]


def test_a_pdf_of_hostile_text_and_damaged_evidence_is_whole(engine: Engine, store: EvidenceStore) -> None:
    row = document(engine, (picture(store, b"no picture at all"),), source="cam\x00<b>%)(\\endobj-9" + "长" * 300)
    text = pdf_text(export(engine, store, MINE, row.id, "zh", "pdf"))
    assert "cam<b>%)(\\endobj-9" in text
    assert text.count("长") >= 300
    assert "证据图片无法读取" in text


def test_without_a_chinese_font_the_package_is_named(
    engine: Engine, store: EvidenceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = document(engine)
    chinese_font.system_font.cache_clear()
    monkeypatch.setattr(chinese_font, "findSystemFonts", lambda: [__file__])
    with pytest.raises(FontMissingError, match="fonts-noto-cjk"):
        export(engine, store, MINE, row.id, "en", "pdf")
    monkeypatch.undo()
    assert export(engine, store, MINE, row.id, "en", "pdf").startswith(b"%PDF"), "one installed since is found"


def test_the_printed_digest_is_one_that_the_audit_tells_of(engine: Engine, store: EvidenceStore) -> None:
    row = document(engine)
    printed = hashlib.sha256(row.content.encode()).hexdigest()
    for text in (
        text_of(export(engine, store, MINE, row.id, "zh")),
        pdf_text(export(engine, store, MINE, row.id, "zh", "pdf")),
    ):
        assert printed in text
    line = find_digest(engine, MINE, f" {printed.upper()} ")
    assert line is not None
    assert (line.action, line.subject) == ("drafted", f"alert/{row.alert_id}")
    for other in ("", "0" * 64, printed[:-1], "%" * 64, "drafted", hashlib.sha256(b"forged").hexdigest()):
        assert find_digest(engine, MINE, other) is None
    assert find_digest(engine, "south", printed) is None


def test_the_command_says_whether_a_printed_digest_is_of_this_house(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'command.db'}")
    prepare(engine)
    furnish(engine)
    row = document(engine)
    config = tmp_path / "minewatch.toml"
    config.write_text(f'mine = "{MINE}"\n[database]\nurl = "sqlite:///{tmp_path / "command.db"}"\n')
    arguments = ["audit", "verify", "--json", "--config", str(config), "--data", str(tmp_path / "data"), "--digest"]
    printed = hashlib.sha256(row.content.encode()).hexdigest()
    store = EvidenceStore(tmp_path / "evidence")
    scanned = scanned_from(export(engine, store, MINE, row.id, "zh", "pdf"))
    assert scanned == f"MINEWATCH:{MINE}:{row.id}:{printed}".upper()
    for known in (printed, scanned):
        answer = CliRunner().invoke(app, [*arguments, known])
        assert answer.exit_code == 0
        found = json.loads(answer.stdout)
        assert (found["whole"], found["document"]["subject"]) == (True, f"alert/{row.alert_id}")
    with writing(engine) as session:
        kept = session.get_one(Document, row.id)
        kept.content = kept.content.replace("north", "south").replace("20 m", "2 m")
        assert kept.content != row.content
    changed = scanned_from(export(engine, store, MINE, row.id, "zh", "pdf"))
    for other in (printed[::-1], changed):
        forged = CliRunner().invoke(app, [*arguments, other])
        assert forged.exit_code == 1
        assert json.loads(forged.stdout)["document"] is None


def readings_of(image: Any) -> Iterator[str]:
    """What OpenCV's readers make of a picture; held dead straight they overlook one code in fifty."""
    wide = cv2.copyMakeBorder(image, 60, 60, 60, 60, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    height, width = wide.shape[:2]
    for angle in (0, 2, -3, 5, 10):
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1)
        askew = cv2.warpAffine(wide, turn, (width, height), flags=cv2.INTER_CUBIC, borderValue=(255, 255, 255))
        for reader in (cv2.QRCodeDetector(), cv2.QRCodeDetectorAruco()):
            yield reader.detectAndDecode(askew)[0]


def scanned_from(data: bytes) -> str:
    """What is read off the one QR code among the pictures of a DOCX or PDF, held a little askew where need be."""
    if data.startswith(b"%PDF"):
        pictures = [image.data for page in pypdf.PdfReader(io.BytesIO(data)).pages for image in page.images]
    else:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            pictures = [file.read(name) for name in file.namelist() if name.startswith("word/media/")]
    decoded = [cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_COLOR) for one in pictures]
    read = {next((said for said in readings_of(one) if said), "") for one in decoded}
    (said,) = read - {""}
    return said


def test_the_code_names_its_document_and_every_part_of_it_has_to_be_true(engine: Engine, store: EvidenceStore) -> None:
    jpeg = cv2.imencode(".jpg", np.full((120, 160, 3), 90, np.uint8))[1].tobytes()
    row = document(engine, (picture(store, jpeg),))
    said = scanned_from(export(engine, store, MINE, row.id, "en"))
    line = find_printed(engine, MINE, f" {said}\n")
    assert line is not None
    assert line.subject == f"alert/{row.alert_id}"
    alert, digest = row.alert_id, said.rpartition(":")[2].lower()
    for forged in (
        f"minewatch:south:{row.id}:{digest}",
        f"minewatch:{MINE}:{alert}-2:{digest}",
        f"minewatch:{MINE}:{'0' * 32}-1:{digest}",
        f"minewatch:{MINE}:{row.id}:{digest[::-1]}",
        said[:-1],
        f"{said}0",
        "https://example.org/",
    ):
        assert find_printed(engine, MINE, forged) is None, forged
    assert find_printed(engine, "south", said) is None


def test_what_a_person_wrote_on_a_document_is_known_by_its_digest_too(engine: Engine, store: EvidenceStore) -> None:
    row = document(engine)
    with writing(engine) as session:
        session.get_one(Document, row.id).state = DocumentState.PENDING_APPROVAL
    changes = {"measures": (Bilingual("立即停机", "Stop the belt"),)}
    version = edit_document(engine, MINE, row.alert_id, row.version, "li", changes, "en")
    said = scanned_from(export(engine, store, MINE, f"{row.alert_id}-{version}", "zh"))
    line = find_printed(engine, MINE, said)
    assert line is not None
    assert (line.actor, line.subject) == ("li", f"alert/{row.alert_id}")
