"""Models side by side on stored requests, scored against what people approved."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine
from sqlmodel import select

from disposal.alert import Alert
from disposal.compare import compare, editing
from disposal.composer import compose
from disposal.decision import decide
from disposal.document import Bilingual
from disposal.drafter import Drafter
from disposal.errors import DraftError
from disposal.settings import DisposalSettings, DrafterSettings, EndpointSettings
from disposal.steps import Steps
from stream.database import open_database, reading
from tests.unit.disposal_endpoint import Endpoint, endpoint
from tests.unit.disposal_world import MINE, TaggedFinder, furnish, risk
from tests.unit.test_disposal_checks import request
from tests.unit.test_disposal_steps import documents, send, work


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    steps = Steps(
        engine, MINE, lambda: TaggedFinder(engine), Drafter([], DrafterSettings()), DisposalSettings(), lambda _: None
    )
    send(engine, risk(), risk("methane-high"))
    work(steps)
    with reading(engine) as session:
        alert = session.exec(select(Alert).where(Alert.type == "methane-high")).one()
    decide(engine, MINE, alert.id, "approve", "ann", document_version=1)
    return engine


@pytest.fixture
def served() -> Iterator[Endpoint]:
    with endpoint() as state:
        yield state


def test_each_model_drafts_the_stored_requests_anew_and_is_scored(engine: Engine, served: Endpoint) -> None:
    before = [(d.id, d.content, d.state) for d in documents(engine)]
    drafter = DrafterSettings(endpoint=EndpointSettings(url=served.url, model="m"), rest_seconds=0)
    told: list[int] = []
    found = compare(engine, MINE, DisposalSettings(drafter=drafter), ["composer", "openai"], 10, told.append)
    assert (found["requests"], found["approved"], sum(told)) == (2, 1, 4)
    composer, model = found["models"]["composer"], found["models"]["openai"]
    assert composer["editing"] == 0.0, "the approved one was composed"
    assert 0 < model["editing"] <= 1
    assert (model["drafts"], model["fell_through"], model["schema_valid"], model["passed_at_once"]) == (2, 0, 2, 2)
    assert composer["seconds_p95"] < model["seconds_p95"]
    assert [(d.id, d.content, d.state) for d in documents(engine)] == before
    served.mood = "garbage"
    model = compare(engine, MINE, DisposalSettings(drafter=drafter), ["openai"], 1)["models"]["openai"]
    assert (model["drafts"], model["fell_through"], model["schema_valid"]) == (0, 1, 0)


@pytest.mark.parametrize(
    ("name", "said"), [("openai", "not configured"), ("gpt-9", "There is no model"), ("transformers", "not configured")]
)
def test_a_model_that_is_not_there_is_refused_by_name(engine: Engine, name: str, said: str) -> None:
    with pytest.raises(DraftError, match=f"{said}|{name}"):
        compare(engine, MINE, DisposalSettings(), [name], 10)


def test_without_any_document_there_is_nothing_to_compare_on(tmp_path: Path) -> None:
    empty = open_database(f"sqlite:///{tmp_path / 'empty.db'}")
    furnish(empty)
    with pytest.raises(DraftError, match="no stored requests"):
        compare(empty, MINE, DisposalSettings(), ["composer"], 10)


def test_editing_is_the_share_that_differs() -> None:
    content = compose(request())
    assert editing(content, content, "zh,en") == 0.0
    other = msgspec.structs.replace(content, measures=(Bilingual("撤人。", "Withdraw."),))
    assert 0 < editing(other, content, "en") < 1
