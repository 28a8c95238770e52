"""What drafting costs, the daily budget, and what happens in a flood: the same on SQLite and PostgreSQL."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import col, func, select

from disposal import composer
from disposal.alert import Alert
from disposal.document import Document
from disposal.drafter import Drafter, open_drafter
from disposal.errors import DraftError
from disposal.grouping import RANKS
from disposal.intake import take_all
from disposal.ledger import DraftUse, Prices, Usage, record, spent, spent_today
from disposal.prompt import Prompt, prompt_for
from disposal.request import DraftRequest
from disposal.settings import DisposalSettings, DrafterSettings, EndpointSettings
from disposal.situation import draft_request
from disposal.steps import Steps
from rules.matcher import Match
from stream.catalogue import RISK_TYPES
from stream.database import reading, writing
from stream.messages import Risk, utc_now
from tests.unit import disposal_endpoint
from tests.unit.disposal_world import MINE, SITE, TaggedFinder, risk

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
def engine(furnished: Engine) -> Engine:
    return furnished


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


class Flood:
    """A thousand risks of 100 causes in a minute by a clock of its own; a model takes 20 s for eight drafts."""

    batch = 8
    name = "flooded"
    takes, wait, risks, repeats, minute = 20, 30, 1000, 10, 60

    def __init__(self, engine: Engine) -> None:
        self.begin, self.gone = utc_now(), 0
        self.engine = engine
        self.counts: Counter[str] = Counter()
        self.batches: list[list[str]] = []
        drafter = Drafter([self], DrafterSettings(), lambda name: self.counts.update([name]))
        settings = DisposalSettings(drafter=DrafterSettings(wait_seconds=self.wait))
        finder = OneLook(engine)
        self.steps = Steps(engine, MINE, lambda: finder, drafter, settings, lambda _: None, self.now)

    def now(self) -> datetime:
        return self.begin + timedelta(seconds=self.gone)

    def prompt(self, request: DraftRequest) -> Prompt:
        return Prompt(request.subject, "flood")

    def shown(self, request: DraftRequest) -> bool:
        return False

    def answer(self, request: DraftRequest, prompt: Prompt, seconds: float) -> str:
        return self.answers([(request, prompt)], seconds)[0]

    def answers(self, asked: Sequence[tuple[DraftRequest, Prompt]], seconds: float) -> list[str]:
        """Write, while the clock goes on, risks come in, and what has waited too long is composed beside it."""
        with reading(self.engine) as session:
            rows = session.exec(select(Alert.id, Alert.priority, Alert.lease_owner).where(Alert.step == "draft")).all()
        mine = {prompt.text.removeprefix("alert/") for _, prompt in asked}
        behind = [RANKS[priority] for alert, priority, _ in rows if alert not in mine]
        assert max(RANKS[priority] for alert, priority, _ in rows if alert in mine) <= min(behind, default=9)
        self.batches.append([RISK_TYPES[request.type].priority for request, _ in asked])
        for _ in range(self.takes):
            self.second()
        return [ANSWER % ",".join(f'"{m.version_id}"' for m in request.citable) for request, _ in asked]

    def second(self) -> None:
        """What a second brings."""
        self.gone += 1
        if self.gone <= self.minute:
            numbers = range(*(self.risks * second // self.minute for second in (self.gone - 1, self.gone)))
            kinds = sorted(k.id for k in RISK_TYPES.values() if k.id != "hand-raised")
            come = [
                risk(kinds[n // self.repeats % len(kinds)], source=f"flood-{n // self.repeats}", source_kind="camera")
                for n in numbers
            ]
            with writing(self.engine) as session:
                take_all(session, come, SITE, DisposalSettings(), self.now())
            match_all(self.steps)
        while self.steps.compose_late("late"):
            pass


class OneLook(TaggedFinder):
    """Looks each type up once."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._found: dict[str, list[Match]] = {}

    def match(self, risk: Risk, at: datetime) -> list[Match]:
        if risk.type not in self._found:
            self._found[risk.type] = super().match(risk, at)
        return self._found[risk.type]


@pytest.mark.parametrize("furnished", ["sqlite"], indirect=True)
def test_of_a_thousand_risks_in_a_minute_the_most_urgent_are_drafted_and_what_would_wait_too_long_is_composed(
    engine: Engine,
) -> None:
    flood = Flood(engine)
    flood.second()
    while flood.steps.do_next(("draft",), "model"):
        pass
    assert flood.gone >= flood.minute
    with reading(engine) as session:
        rows = session.exec(
            select(Document.backend, Document.state, Document.checked_at, Alert.committed_at, Alert.priority).join(
                Alert, col(Document.alert_id) == col(Alert.id)
            )
        ).all()
        folded = session.exec(select(func.sum(Alert.folded))).one()
    assert len(rows) == flood.risks // flood.repeats
    assert len(rows) + folded == flood.risks
    assert {state for _, state, *_ in rows} == {"CHECKED"}
    composed = sum(backend == composer.NAME for backend, *_ in rows)
    drafted = sum(backend == flood.name for backend, *_ in rows)
    assert composed == flood.counts["drafts_waited_too_long"] == flood.counts["drafts_composed"] > 40
    assert drafted == flood.counts["drafts_asked"] == sum(map(len, flood.batches)) == len(rows) - composed
    waited = [(checked - committed).total_seconds() for _, _, checked, committed, _ in rows]
    assert max(waited) <= flood.wait + flood.takes + 1, "the wait, and the draft that the model was at"
    assert flood.batches[1] == ["critical"] * flood.batch


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
