"""What drafting costs, the daily budget, and what happens in a flood."""

import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import col, select

from disposal import composer
from disposal.alert import Alert
from disposal.document import Document
from disposal.drafter import Drafter, open_drafter
from disposal.errors import DraftError
from disposal.intake import take_all
from disposal.ledger import DraftUse, Prices, Usage, record, spent, spent_today
from disposal.prompt import Prompt, prompt_for
from disposal.request import DraftRequest
from disposal.settings import DisposalSettings, DrafterSettings, EndpointSettings
from disposal.situation import draft_request
from disposal.steps import Steps
from stream.catalogue import RISK_TYPES
from stream.database import open_database, reading, writing
from stream.messages import utc_now
from tests.unit import disposal_endpoint
from tests.unit.disposal_world import MINE, SITE, TaggedFinder, furnish, risk

ANSWER = (
    '{"citations":[%s],"measures":["立即停止作业，撤出人员。"],"resources":["瓦斯检查员"],'
    '"deadline_hours":1,"contingency":"扩大撤人范围。","acceptance":"经他人复查。"}'
)


class Writer:
    """A backend in this process that writes several answers side by side, and remembers what it was asked."""

    batch = 4
    digest = "d" * 64

    def __init__(self, name: str = "writer", price: float = 0.0, daily_budget: float = 0.0) -> None:
        self.name = name
        self.prices = Prices(price, price / 10, price)
        self.daily_budget = daily_budget
        self.batches: list[list[str]] = []
        self.fails: set[str] = set()

    def prompt(self, request: DraftRequest) -> Prompt:
        return prompt_for(request)

    def shown(self, request: DraftRequest) -> bool:
        return False

    def answer(self, request: DraftRequest, prompt: Prompt, seconds: float) -> str:
        (one,) = self.answers([(request, prompt)], seconds)
        if isinstance(one, DraftError):
            raise one
        return one

    def answers(self, asked: Sequence[tuple[DraftRequest, Prompt]], seconds: float) -> list[str | DraftError]:
        self.batches.append([request.type for request, _ in asked])
        for n, _ in enumerate(asked):
            record(Usage(1000 + n, 400, 100))
        said: list[str | DraftError] = []
        for request, _ in asked:
            cited = ",".join(f'"{m.version_id}"' for m in request.citable)
            said.append(DraftError("lost") if request.type in self.fails else ANSWER % cited)
        return said


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    return engine


def take(engine: Engine, *kinds: str) -> None:
    risks = [risk(kind, source=f"s{n}") for n, kind in enumerate(kinds)]
    with writing(engine) as session:
        take_all(session, risks, SITE, DisposalSettings(), utc_now())


def steps_of(engine: Engine, drafter: Drafter, **drafting: Any) -> Steps:
    settings = DisposalSettings(drafter=DrafterSettings(**drafting))
    return Steps(engine, MINE, lambda: TaggedFinder(engine), drafter, settings, lambda _: None)


def match_all(steps: Steps) -> None:
    while steps.do_next(("match",), "m"):
        pass


def uses(engine: Engine) -> list[DraftUse]:
    with reading(engine) as session:
        return list(session.exec(select(DraftUse).order_by(col(DraftUse.at), col(DraftUse.id))).all())


def documents(engine: Engine) -> dict[str, Document]:
    with reading(engine) as session:
        rows = session.exec(select(Alert.type, Document).join(Document, col(Document.alert_id) == col(Alert.id))).all()
        return {kind: document for kind, document in rows}  # noqa: C416  # rows are no pairs to mypy


def test_each_document_has_its_line_with_tokens_price_seconds_and_digests(engine: Engine) -> None:
    take(engine, "no-helmet")
    steps = steps_of(engine, Drafter([Writer(price=10.0)], DrafterSettings()))
    match_all(steps)
    assert steps.do_next(("draft",), "d")
    (line,) = uses(engine)
    document = documents(engine)["no-helmet"]
    assert (line.document_id, line.backend, line.used, document.backend) == (document.id, "writer", True, "writer")
    assert (line.input_tokens, line.cached_tokens, line.output_tokens) == (1000, 400, 100)
    assert line.price == pytest.approx((600 * 10 + 400 * 1 + 100 * 10) / 1e6)
    assert (len(line.prompt_digest), line.model_digest, line.prompt) == (64, "d" * 64, document.prompt)
    assert line.seconds >= 0
    with reading(engine) as session:
        (total,) = spent(session, MINE, utc_now() - timedelta(hours=1), utc_now() + timedelta(hours=1))
        assert spent(session, "south", utc_now() - timedelta(hours=1), utc_now()) == []
    assert (total.asked, total.used, total.input, total.cached, total.output) == (1, 1, 1000, 400, 100)


def test_what_was_asked_in_vain_is_in_the_ledger_too(engine: Engine) -> None:
    take(engine, "no-helmet")
    first, second = Writer("first"), Writer("second")
    first.fails = {"no-helmet"}
    steps = steps_of(engine, Drafter([first, second], DrafterSettings()))
    match_all(steps)
    steps.do_next(("draft",), "d")
    assert {(u.backend, u.used, u.input_tokens) for u in uses(engine)} == {
        ("first", False, 1000),
        ("second", True, 1000),
    }


def test_after_the_daily_budget_the_next_backend_serves(engine: Engine) -> None:
    dear, cheap = Writer("dear", price=1000.0, daily_budget=1.0), Writer("cheap")
    drafter = Drafter([dear, cheap], DrafterSettings(), spent=lambda name: spent_today(engine, MINE, name, utc_now()))
    steps = steps_of(engine, drafter)
    for kind in ("no-helmet", "no-vest", "fire", "crowding"):
        take(engine, kind)
        match_all(steps)
        steps.do_next(("draft",), "d")
    assert [u.backend for u in uses(engine)] == ["dear", "dear", "cheap", "cheap"], "0.74 a draft, 1 a day"
    assert spent_today(engine, MINE, "dear", utc_now() + timedelta(days=1)) == 0, "tomorrow it serves again"


def test_the_tokens_of_an_endpoint_are_those_that_it_tells(engine: Engine) -> None:
    with disposal_endpoint.endpoint() as served:
        settings = DrafterSettings(
            order=("openai", "composer"), endpoint=EndpointSettings(url=served.url, model="m", price_input=2.0)
        )
        take(engine, "methane-high")
        steps = steps_of(engine, open_drafter(settings, lambda _: None))
        match_all(steps)
        steps.do_next(("draft",), "d")
    (line,) = uses(engine)
    assert (line.backend, line.used) == ("openai:m", True)
    assert (line.input_tokens, line.cached_tokens, line.output_tokens) == (120, 64, 30)
    assert line.price == pytest.approx((120 - 64) * 2 / 1e6)


def test_the_fixed_part_of_the_prompt_comes_first(engine: Engine) -> None:
    take(engine, "methane-high", "no-helmet")
    match_all(steps_of(engine, Drafter([], DrafterSettings())))
    with reading(engine) as session:
        rows = session.exec(select(Alert, Document).join(Document, col(Document.alert_id) == col(Alert.id))).all()
    first, second = (
        prompt_for(draft_request(engine, alert, document, "zh", utc_now())).text for alert, document in rows
    )
    same = next(n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    assert "# " in first[:same]
    assert len(first) - same < len(first) * 0.75
    assert "methane-high" not in first[:same]
    assert first[:same].count("\n") > 8, "rules and schema stand before the material"


def test_several_drafts_are_written_side_by_side_and_each_falls_through_alone(engine: Engine) -> None:
    writer = Writer()
    writer.fails = {"no-vest"}
    take(engine, "no-helmet", "no-vest", "fire", "crowding", "smoke")
    steps = steps_of(engine, Drafter([writer], DrafterSettings(rest_seconds=0)))
    match_all(steps)
    while steps.do_next(("draft",), "d"):
        pass
    assert [len(batch) for batch in writer.batches] == [4, 1]
    written = documents(engine)
    assert written["no-vest"].backend == composer.NAME
    assert {d.backend for kind, d in written.items() if kind != "no-vest"} == {"writer"}
    assert sorted(u.input_tokens for u in uses(engine)) == [1000, 1000, 1001, 1002, 1003]


def test_a_batch_that_fails_as_a_whole_is_composed(engine: Engine) -> None:
    class Busy(Writer):
        def answers(self, asked: Sequence[tuple[DraftRequest, Prompt]], seconds: float) -> list[str | DraftError]:
            raise DraftError("busy")

    take(engine, "no-helmet", "no-vest")
    steps = steps_of(engine, Drafter([Busy()], DrafterSettings()))
    match_all(steps)
    steps.do_next(("draft",), "d")
    assert {d.backend for d in documents(engine).values()} == {composer.NAME}


def test_in_a_flood_the_most_urgent_are_drafted_and_what_would_wait_past_its_budget_is_composed(engine: Engine) -> None:
    kinds = sorted(k.id for k in RISK_TYPES.values() if k.id != "hand-raised")
    risks = [
        risk(kinds[n % len(kinds)], source=f"flood-{n}", place="roadway", source_kind="camera") for n in range(120)
    ]
    with writing(engine) as session:
        take_all(session, risks, SITE, DisposalSettings(), utc_now())
    started = threading.Event()

    class Slow(Writer):
        batch = 8

        def answers(self, asked: Sequence[tuple[DraftRequest, Prompt]], seconds: float) -> list[str | DraftError]:
            started.set()
            return super().answers(asked, seconds)

    writer = Slow()
    steps = steps_of(engine, Drafter([writer], DrafterSettings()), wait_seconds=0.001)
    match_all(steps)
    for _ in range(3):
        assert steps.do_next(("draft",), "d")
    asked = [RISK_TYPES[kind].priority for batch in writer.batches for kind in batch]
    assert asked == ["critical"] * 24, "the model is given the most urgent first"
    while steps.compose_late("late"):
        pass
    with reading(engine) as session:
        rows = session.exec(select(Document.backend, Document.state)).all()
    assert len(rows) == 120
    assert sum(backend == "writer" for backend, _ in rows) == 24
    assert sum(backend == composer.NAME for backend, _ in rows) == 96
    assert {state for _, state in rows} == {"CHECKED"}


def test_what_has_not_waited_long_is_left_to_the_model(engine: Engine) -> None:
    take(engine, "no-helmet")
    steps = steps_of(engine, Drafter([Writer()], DrafterSettings()), wait_seconds=600)
    match_all(steps)
    assert not steps.compose_late("late")
    assert not steps_of(engine, Drafter([], DrafterSettings())).compose_late("late"), "without a model nothing waits"


@pytest.fixture(autouse=True)
def _no_threads_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() <= before + 2
