"""The mine's own Word form at the console: sent, refused with its reason, published by another, used, taken back."""

import io
from collections.abc import Iterator
from pathlib import Path

import docx
import pytest
from sqlmodel import select

from disposal.audit import AuditLine, verify
from disposal.own_form_fields import FIELDS, LISTS, PICTURES
from stream.database import reading
from tests.integration.console_client import person, send
from tests.integration.console_mine import MINE, Mine, open_mine
from tests.unit.test_disposal_export import text_of
from tests.unit.test_disposal_own_form import form_of

PAGE = "/knowledge/form"


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mine]:
    folder: Path = tmp_path_factory.mktemp("form")
    mine = open_mine(folder)
    yield mine
    mine.close()


def test_a_form_is_sent_published_by_another_used_and_taken_back(mine: Mine) -> None:
    officer, second, auditor = person(mine, "officer"), person(mine, "administrator"), person(mine, "auditor")
    alert = mine.raise_risk("no-helmet", "cam-shaft", "shaft")
    mine.draft(alert)
    page = auditor.get(PAGE).text
    assert "A PDF keeps the layout that ships" in page
    for name in (*FIELDS, *PICTURES, *LISTS):
        assert name in page
    assert "<form" not in page.partition("<main")[2]

    refused = send(officer, PAGE, {"language": "en"}, files={"file": ("a.docx", form_of("{{ foremn }}"))})
    assert refused.status_code == 422
    assert "names what is no field: foremn. Fields are: number, version" in refused.text
    assert send(officer, PAGE, {"language": "fr"}, files={"file": ("a.docx", form_of("x"))}).status_code == 422
    assert "choose a docx file" in send(officer, PAGE, {"language": "en"}).text
    huge = send(officer, PAGE, {"language": "en"}, files={"file": ("a.docx", form_of("x") + b"\0" * 3 * 1024**2)})
    assert huge.status_code in (413, 422)

    own = form_of("Order of the North mine {{ number }}", "{%p for c in clauses %}", "{{ c.text }}", "{%p endfor %}")
    assert send(officer, PAGE, {"language": "en"}, files={"file": ("../our <order>.docx", own)}).status_code == 303
    assert officer.get(f"{PAGE}/en/1.docx").content == own
    page = officer.get(PAGE).text
    assert "our_order_.docx" in page
    assert "<order>" not in page
    version = f"{MINE}/form/en@1"
    assert send(officer, f"{PAGE}/en/review", {"version_id": version}).status_code == 303
    alone = send(officer, f"{PAGE}/en/publish", {"version_id": version})
    assert (alone.status_code, "somebody else has to publish it" in alone.text) == (422, True)
    assert "Order of the North mine" not in document_of(auditor.get(f"/documents/{alert}-1.docx?language=en").content)
    assert send(second, f"{PAGE}/en/publish", {"version_id": version}).status_code == 303
    said = document_of(auditor.get(f"/documents/{alert}-1.docx?language=en").content)
    assert f"Order of the North mine {alert}-1" in said

    assert send(officer, f"{PAGE}/en/roll-back", {"version_id": "shipped"}).status_code == 303
    assert send(officer, f"{PAGE}/en/review", {"version_id": f"{MINE}/form/en@2"}).status_code == 303
    assert send(second, f"{PAGE}/en/publish", {"version_id": f"{MINE}/form/en@2"}).status_code == 303
    assert "1. Facts" in document_of(auditor.get(f"/documents/{alert}-1.docx?language=en").content)
    assert send(officer, f"{PAGE}/en/roll-back", {"version_id": version}).status_code == 303
    assert officer.get(f"{PAGE}/en/3.docx").content == own
    for address in (f"{PAGE}/en/9.docx", f"{PAGE}/en/2.docx", f"{PAGE}/fr/1.docx", f"{PAGE}/en/1.doc"):
        assert officer.get(address).status_code == 404, address
    for step in ("review", "publish", "roll-back"):
        assert send(officer, f"{PAGE}/en/{step}", {"version_id": f"{MINE}/measures/no-helmet@1"}).status_code == 404

    with reading(mine.engine) as session:
        lines = session.exec(select(AuditLine).where(AuditLine.subject == f"knowledge/{version}")).all()
    assert [line.action for line in lines] == ["write-knowledge", "review-knowledge", "publish-knowledge"]
    assert verify(mine.engine, MINE).whole


def document_of(data: bytes) -> str:
    """What the file says, headers too."""
    header = docx.Document(io.BytesIO(data)).sections[0].header.paragraphs
    return "\n".join([*(p.text for p in header), text_of(data)])
