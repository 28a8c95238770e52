"""The sample code book, and what a refused book leaves behind."""

from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import SQLModel

from rules.clause import editions, in_force
from rules.codebook import load_codebook
from rules.errors import ApprovalError, ImportRefusedError, LoosenedLimitError
from stream.database import open_database
from stream.messages import utc_now

NATIONAL = """
[code]
id = "N"
kind = "national"
edition = "1"
title = { en = "A code" }
effective_from = 2020-01-01
[[clause]]
number = "172"
title = { en = "Return airways" }
text = { en = "No more than 1.0 % of methane in a return airway." }
[[clause.limits]]
quantity = "methane"
comparison = ">="
value = 1.0
unit = "%"
places = ["return-airway"]
action = "withdraw"
"""


def supplement(value: float) -> str:
    own = NATIONAL.replace('"N"', '"S"').replace('"national"', '"supplement"').replace('"172"', '"S-1"')
    return own.replace("value = 1.0", f"value = {value}")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    opened = open_database(f"sqlite:///{tmp_path / 'rules.db'}")
    SQLModel.metadata.create_all(opened)
    (tmp_path / "national.toml").write_text(NATIONAL)
    load_codebook(opened, tmp_path / "national.toml", "north", "one", "other")
    return opened


def test_a_loosening_supplement_leaves_nothing_and_the_mended_one_is_published(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "supplement.toml"
    file.write_text(supplement(1.2))
    with pytest.raises(LoosenedLimitError, match=r"1\.2"):
        load_codebook(engine, file, "north", "one", "other")
    assert [edition.code for edition in editions(engine, "north")] == ["N"]
    file.write_text(supplement(0.8))
    assert load_codebook(engine, file, "north", "one", "other") == 1
    assert {p.number for p in in_force(engine, "north", utc_now())} == {"172", "S-1"}
    assert {p.number for p in in_force(engine, "south", utc_now())} == {"172"}, "a supplement belongs to one mine"


def test_loading_again_changes_nothing(engine: Engine, tmp_path: Path) -> None:
    assert load_codebook(engine, tmp_path / "national.toml", "north", "one", "other") == 0


def test_author_and_approver_differ(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "supplement.toml"
    file.write_text(supplement(0.8))
    with pytest.raises(ApprovalError):
        load_codebook(engine, file, "north", "one", "one")
    assert [edition.code for edition in editions(engine, "north")] == ["N"]


@pytest.mark.parametrize("change", [("number", "nummer"), ('unit = "%"', 'unit = "ppm"'), ("[[clause]]", "[clause]")])
def test_a_book_that_does_not_fit_is_refused_with_its_name(
    engine: Engine, tmp_path: Path, change: tuple[str, str]
) -> None:
    file = tmp_path / "odd.toml"
    file.write_text(supplement(0.8).replace(*change))
    with pytest.raises(ImportRefusedError, match=r"odd\.toml"):
        load_codebook(engine, file, "north", "one", "other")
