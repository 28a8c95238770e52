"""Who is responsible: looked up in the roster, named in the document, and a person's question where nobody is found."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlmodel import select

from disposal.alert import Alert
from disposal.audit import AuditLine, verify
from disposal.document import Bilingual, Document
from disposal.drafter import Drafter
from disposal.errors import RosterError
from disposal.intake import take_all
from disposal.policy import activate_for_demo
from disposal.prompt import prompt_for
from disposal.roster import DAY, Duty, DutyWanted, add_duty, on_duty, remove_duty, responsible_for, roster
from disposal.settings import DisposalSettings, DrafterSettings
from disposal.situation import draft_request
from disposal.steps import Steps
from stream.database import open_database, reading, writing
from stream.messages import utc_now
from tests.unit.disposal_world import MINE, SITE, TaggedFinder, furnish, later, risk

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ALL_DAY = DutyWanted("roadway", 0, 0, "李明", "内线 8012", "Wang Fang", "8013")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    return engine


def duty(person: str = "ann", **changes: Any) -> Duty:
    fields: dict[str, Any] = {"place": "roadway", "begins": 8 * 60, "ends": 16 * 60, "time_zone": "UTC"}
    return Duty(id=person, mine=MINE, person=person, created_at=NOON, **(fields | changes))


def closed_routine(engine: Engine) -> tuple[Alert, Document]:
    """A routine hazard that came and went under an active policy."""
    activate_for_demo(engine, MINE)
    first = risk()
    with writing(engine) as session:
        take_all(session, [first, later(first, "cleared")], SITE, DisposalSettings(), utc_now())
    steps = Steps(
        engine, MINE, lambda: TaggedFinder(engine), Drafter([], DrafterSettings()), DisposalSettings(), lambda _: None
    )
    while steps.do_next(("match", "draft", "decide"), "tester"):
        pass
    with writing(engine) as session:
        alert = session.exec(select(Alert)).one()
        assert alert.returned_at is not None
        alert.returned_at -= timedelta(minutes=1)
        alert.due_at = utc_now()
        session.add(alert)
    while steps.do_next(("match", "draft", "decide"), "tester"):
        pass
    with reading(engine) as session:
        return session.exec(select(Alert)).one(), session.exec(select(Document)).one()


@pytest.mark.parametrize(
    ("begins", "ends", "hour", "on"),
    [(480, 960, 8, True), (480, 960, 16, False), (1320, 360, 23, True), (1320, 360, 5, True), (1320, 360, 6, False),
     (0, 0, 3, True), (480, 480, 7, True)],
)  # fmt: skip
def test_a_shift_covers_its_hours_also_past_midnight(begins: int, ends: int, hour: int, on: bool) -> None:
    assert duty(begins=begins, ends=ends).covers(NOON.replace(hour=hour)) is on


def test_hours_are_those_of_the_mines_own_time_zone() -> None:
    assert duty(time_zone="Asia/Shanghai").covers(NOON.replace(hour=1))
    assert not duty(time_zone="Asia/Shanghai").covers(NOON)


def test_the_places_own_duty_comes_first_and_two_at_once_are_nobody() -> None:
    own, general = duty("own"), duty("general", place="")
    assert on_duty([general, own], "roadway", NOON) is own
    assert on_duty([general, own], "return", NOON) is general
    assert on_duty([own], "return", NOON) is None
    assert on_duty([], "roadway", NOON) is None
    assert on_duty([own, duty("other"), general], "roadway", NOON) is None


_minutes = st.integers(0, DAY - 1)


@given(_minutes, _minutes, _minutes, _minutes)
def test_overlap_is_a_minute_that_both_cover(begins: int, ends: int, begins_2: int, ends_2: int) -> None:
    one, two = duty(begins=begins, ends=ends), duty(begins=begins_2, ends=ends_2)
    minutes = [NOON.replace(hour=0) + timedelta(minutes=m) for m in {begins, begins_2}]
    assert one.overlaps(two) == two.overlaps(one) == any(one.covers(m) and two.covers(m) for m in minutes)


def test_two_people_for_one_shift_are_refused(engine: Engine) -> None:
    add_duty(engine, MINE, ALL_DAY._replace(begins=480, ends=960), "UTC", "officer")
    with pytest.raises(RosterError, match="李明 has that shift already"):
        add_duty(engine, MINE, ALL_DAY._replace(begins=900, ends=1000, person="bob"), "UTC", "officer")
    add_duty(engine, MINE, ALL_DAY._replace(begins=960, ends=480, person="bob"), "UTC", "officer")
    add_duty(engine, MINE, ALL_DAY._replace(place="return"), "UTC", "officer")
    add_duty(engine, "south", ALL_DAY, "UTC", "officer")
    assert [d.person for d in roster(engine, MINE)] == ["李明", "李明", "bob"]


@pytest.mark.parametrize("change", [{"person": " \x00 "}, {"begins": -1}, {"ends": DAY}])
def test_a_duty_of_nobody_or_at_no_time_is_refused(engine: Engine, change: dict[str, Any]) -> None:
    with pytest.raises(RosterError):
        add_duty(engine, MINE, ALL_DAY._replace(**change), "UTC", "officer")
    assert roster(engine, MINE) == []


def test_every_change_stands_in_the_audit(engine: Engine) -> None:
    row = add_duty(engine, MINE, ALL_DAY, "UTC", "officer")
    with pytest.raises(RosterError):
        remove_duty(engine, "south", row.id, "officer")
    remove_duty(engine, MINE, row.id, "chief")
    with pytest.raises(RosterError, match="may have removed it"):
        remove_duty(engine, MINE, row.id, "chief")
    with reading(engine) as session:
        lines = session.exec(select(AuditLine).where(AuditLine.mine == MINE)).all()
    assert [(line.action, line.actor) for line in lines] == [("add-duty", "officer"), ("remove-duty", "chief")]
    assert verify(engine, MINE).whole


def test_the_document_names_who_is_on_duty(engine: Engine) -> None:
    add_duty(engine, MINE, ALL_DAY, "UTC", "officer")
    alert, document = closed_routine(engine)
    content = document.read_content()
    assert content is not None
    assert content.responsible == Bilingual(
        "李明（内线 8012）；副职：Wang Fang（8013）", "李明 (内线 8012); deputy: Wang Fang (8013)"
    )
    assert alert.responsible_zh == content.responsible.zh
    assert alert.closed_by == "demo@1"


def test_where_nobody_is_found_it_goes_to_a_person(engine: Engine) -> None:
    add_duty(engine, MINE, ALL_DAY._replace(place="return"), "UTC", "officer")
    alert, document = closed_routine(engine)
    verdict, content = document.read_verdict(), document.read_content()
    assert verdict is not None
    assert content is not None
    assert content.responsible == Bilingual()
    assert (alert.closed, document.state) == (False, "PENDING_APPROVAL")
    assert [(r.condition, r.figures) for r in verdict.reasons if not r.ok] == [("document", "responsible")]


def test_without_any_roster_the_site_names_the_duty(engine: Engine) -> None:
    assert responsible_for(engine, MINE, SITE, "roadway", NOON) == Bilingual("运输区长", "Head of haulage")
    assert responsible_for(engine, MINE, None, "roadway", NOON) == Bilingual()


def test_no_model_is_told_who_it_is(engine: Engine) -> None:
    add_duty(engine, MINE, ALL_DAY, "UTC", "officer")
    alert, document = closed_routine(engine)
    asked = draft_request(engine, alert, document, "zh", utc_now())
    assert asked.responsible.zh.startswith("李明")
    assert "李明" not in prompt_for(asked).text
    assert "8012" not in prompt_for(asked).text
