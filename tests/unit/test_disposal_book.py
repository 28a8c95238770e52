"""Every change of the code book has its line in the audit chain, written exactly when the change is."""

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, SQLModel, select

from disposal.audit import AuditLine, verify
from disposal.book import recorded
from rules.clause import ClauseVersion, CodeEdition
from rules.codebook import load_codebook
from rules.errors import ApprovalError, ClauseError
from rules.importer import import_code
from rules.revision import add_edition, edit, publish, publish_edition, repeal, review, review_edition
from stream.database import open_database
from stream.messages import utc_now

MINE = "north"
RECORD = recorded(MINE)
CODE = "第一条 矿井必须有两个安全出口。\n第二条 入井人员必须戴安全帽。\n"
SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "codebook"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'book.db'}")
    SQLModel.metadata.create_all(engine)
    yield engine
    engine.dispose()


def lines(engine: Engine) -> list[tuple[str, str, str]]:
    with Session(engine) as session:
        found = session.exec(select(AuditLine).where(AuditLine.mine == MINE).order_by(AuditLine.sequence)).all()  # type: ignore[arg-type]
    return [(line.actor, line.action, line.subject) for line in found]


def after(engine: Engine) -> dict[str, object]:
    with Session(engine) as session:
        found = session.exec(select(AuditLine).order_by(AuditLine.sequence.desc())).first()  # type: ignore[attr-defined]
    assert found is not None
    told: dict[str, object] = json.loads(found.after)
    return told


def hash_of(engine: Engine, identity: str) -> str:
    with Session(engine) as session:
        return session.get_one(ClauseVersion, identity).content_hash


def imported(engine: Engine, tmp_path: Path, text: str = CODE) -> None:
    (tmp_path / "code.txt").write_text(text, encoding="utf-8")
    import_code(engine, tmp_path / "code.txt", "cn", "2016", None, "officer", mine=MINE, record=RECORD)


def test_each_step_from_import_to_repeal_has_its_line_with_who_and_what_was_said(
    engine: Engine, tmp_path: Path
) -> None:
    add_edition(engine, CodeEdition(code="cn", edition="2016", kind="national"))
    imported(engine, tmp_path)
    assert after(engine) == {"versions": [f"cn:{n}@1 {hash_of(engine, f'cn:{n}@1')} DRAFT" for n in ("1", "2")]}, (
        "each version with what it says"
    )
    review_edition(engine, "cn", "2016", "officer", RECORD)
    publish_edition(engine, "cn", "2016", "chief", record=RECORD)
    made = edit(engine, "cn:2", "officer", {"text_zh": "入井人员必须戴安全帽和矿灯。"}, RECORD)
    review(engine, made, "officer", RECORD)
    publish(engine, made, "chief", record=RECORD)
    assert after(engine) == {"versions": [f"{made} {hash_of(engine, made)} PUBLISHED"]}
    repeal(engine, "cn:1", "chief", utc_now() + timedelta(hours=1), RECORD)
    assert after(engine) == {"versions": [f"cn:1@1 {hash_of(engine, 'cn:1@1')} PUBLISHED REPEALED"]}
    assert lines(engine) == [
        ("officer", "import-clause", "clause/cn@2016"),
        ("officer", "review-clause", "clause/cn@2016"),
        ("chief", "publish-clause", "clause/cn@2016"),
        ("officer", "draft-clause", "clause/cn:2"),
        ("officer", "review-clause", "clause/cn:2"),
        ("chief", "publish-clause", "clause/cn:2"),
        ("chief", "repeal-clause", "clause/cn:1"),
    ]
    assert (verify(engine, MINE).whole, verify(engine, MINE).lines) == (True, 7)


def test_what_is_refused_leaves_no_line(engine: Engine, tmp_path: Path) -> None:
    add_edition(engine, CodeEdition(code="cn", edition="2016", kind="national"))
    imported(engine, tmp_path)
    review_edition(engine, "cn", "2016", "officer", RECORD)
    told = lines(engine)
    with pytest.raises(ApprovalError):
        publish_edition(engine, "cn", "2016", "officer", record=RECORD)
    with pytest.raises(ClauseError):
        review(engine, "cn:1@1", "chief", RECORD)
    with pytest.raises(ClauseError):
        edit(engine, "cn:2", "officer", {"text_zh": ""}, RECORD)
    with pytest.raises(ClauseError):
        repeal(engine, "cn:1", "chief", utc_now(), RECORD)
    assert lines(engine) == told


def test_of_a_whole_code_the_line_holds_how_many_and_one_digest_over_all(engine: Engine) -> None:
    count = load_codebook(engine, SAMPLES / "national.toml", MINE, "writer", "approver", RECORD)
    with Session(engine) as session:
        rows = session.exec(select(ClauseVersion)).all()
    said = "\n".join(sorted(f"{row.id} {row.content_hash} PUBLISHED" for row in rows))
    assert after(engine) == {"count": count, "sha256": hashlib.sha256(said.encode()).hexdigest()}
    load_codebook(engine, SAMPLES / "national.toml", MINE, "writer", "approver", RECORD)
    assert len(lines(engine)) == 1, "loading it again changes nothing and tells nothing"
