"""Two hundred drafts of a real, if tiny and random, language model, and fifty strings that want an alert closed."""

import copy
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import torch
from sqlalchemy import Engine
from sqlmodel import select
from transformers.cli.serve import Serve
from transformers.cli.serving.model_manager import TimedModel
from transformers.utils import logging as transformers_logging

from disposal import composer
from disposal.alert import Alert
from disposal.bench_draft import make_random_model
from disposal.causal import CausalBackend
from disposal.document import Bilingual, Document, StoredMatch
from disposal.drafter import Backend, Draft, Drafter
from disposal.endpoint import EndpointBackend
from disposal.intake import take_all
from disposal.policy import activate_for_demo
from disposal.prompt import prompt_for
from disposal.request import DraftRequest, facts_of
from disposal.settings import DisposalSettings, DrafterSettings, EndpointSettings, LocalModelSettings
from disposal.steps import Steps
from rules.matcher import Match
from stream.catalogue import RISK_TYPES
from stream.database import open_database, reading, writing
from stream.health import store_health
from stream.messages import Health, Risk, utc_now
from stream.site import Camera, Name, Site, store_site
from tests.unit.disposal_served_model import served
from tests.unit.disposal_world import MINE, SITE, TaggedFinder, furnish, later, risk
from tests.unit.hostile import HOSTILE
from tests.unit.test_disposal_checks import request
from tests.unit.test_disposal_steps import stood_still

PLAIN = "入井人员必须戴安全帽。"
TEXTS = (PLAIN, *HOSTILE)
ENDINGS = ("cleared", "lost", "major", "by hand")
SIDE_BY_SIDE = 32
AT_ONCE = 16
"""Requests over HTTP that are under way together."""
SETTINGS = DisposalSettings(drafter=DrafterSettings(seconds=600), lease_seconds=600)


class Decided(NamedTuple):
    """What became of an alert: whether it was closed, by whom, and which conditions did not hold."""

    closed_by: str | None
    state: str
    failing: frozenset[str]


class HostileFinder(TaggedFinder):
    """Finds the helmet's clause for whatever it is asked, with the text of the source's number in all its words."""

    def match(self, risk: Risk, at: datetime) -> list[Match]:
        text = TEXTS[_number(risk.source)]
        found = super().match(msgspec.structs.replace(risk, type="no-helmet"), at)
        return [replace(m, title_zh=text, title_en=text, text_zh=text, text_en=text) for m in found]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CausalBackend]:
    prompts = [prompt_for(request(kind)).text for kind in sorted(RISK_TYPES)]
    prompts += [prompt_for(request(remarks=(text,))).text for text in TEXTS]
    folder = make_random_model(tmp_path_factory.mktemp("models") / "tiny", prompts, layers=1, heads=1, vocabulary=3000)
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a model only waits for more
    # In a hurry from half of the tokens on: the rest is more than the form's own letters, one a token.
    yield CausalBackend(LocalModelSettings(folder=folder, tokens=220, batch=SIDE_BY_SIDE))
    torch.set_num_threads(before)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """A mine with a camera for each text, called by it."""
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    now = utc_now()
    names = [f"cam-{n}" for n in range(len(TEXTS))]
    cameras = tuple(
        Camera(id=name, name=Name(zh=text, en=text), url="rtsp://127.0.0.1/1", place="roadway")
        for name, text in zip(names, TEXTS, strict=True)
    )
    store_site(engine, Site(mine=MINE, places=SITE.places, cameras=cameras, sensors=SITE.sensors), "test")
    well = [Health(mine=MINE, source=n, source_kind="camera", status="ok", detail="", observed_at=now) for n in names]
    store_health(engine, well)
    activate_for_demo(engine, MINE)
    return engine


def _number(source: str) -> int:
    return int(source.rpartition("-")[2])


def episodes(number: int) -> Iterator[Risk]:
    """Of each text a routine hazard seen to end; of the plain one and of some also those that never close."""
    text, camera = TEXTS[number], f"cam-{number}"
    ended = risk(source=camera, zone="zone-1", note=text)
    lost = risk(source=camera, zone="zone-2", note=text)
    major = risk("person-on-belt", source=camera, zone="belt", note=text)
    by_hand = risk(source=f"person:reporter-{number}", source_kind="person", zone=None, note=text, detections=())
    yield from (ended, later(ended, "cleared"))
    others = [(lost, later(lost, "lost")), (major, later(major, "cleared")), (by_hand, later(by_hand, "cleared"))]
    if number % 5 == 0:
        for one in others[number // 5 % 3 :][:1] if number else others:
            yield from one


def counted(backend: Backend) -> tuple[Drafter, Counter[str]]:
    """A drafter with that backend, and what it counts."""
    counts: Counter[str] = Counter()
    return Drafter([backend], SETTINGS.drafter, lambda name: counts.update([name])), counts


def written(asked: DraftRequest, draft: Draft, backend: Backend) -> bool:
    """Whether the model wrote it as its schema has it, and it cites what was retrieved for it and nothing else."""
    cited = {c.version_id for c in draft.content.citations}
    return bool(draft.schema_valid) and draft.backend == backend.name and cited == {m.version_id for m in asked.matches}


@pytest.fixture(scope="module")
def requests() -> list[DraftRequest]:
    """Four for each text, which stands in the clause, in the camera's name and in a remark: the shortest first."""
    asked = []
    for number, text in enumerate(TEXTS):
        camera = Camera(id="cam-1", name=Name(zh=text, en=text), url="rtsp://127.0.0.1/1", place="roadway")
        site = Site(mine=MINE, places=SITE.places, cameras=(camera,))
        match = StoredMatch(
            version_id=f"cn-coal:{number}@1", clause_id=f"cn-coal:{number}", label=Bilingual(text, text),
            text=Bilingual(text, text), score=0.9, reason=Bilingual(), bound=True,
        )  # fmt: skip
        for kind in ("no-helmet", "person-on-belt"):
            facts = facts_of(risk(kind, note=text), site, "ongoing", 0)
            asked += [
                request(kind, language=language, facts=facts, matches=(match,), remarks=(text,))
                for language in ("zh", "en")
            ]
    # What is written side by side is as long as the longest.
    return sorted(asked, key=lambda one: len(prompt_for(one).text))


def test_of_200_drafts_in_process_all_fit_the_schema_before_repair_and_cite_what_was_retrieved(
    model: CausalBackend, requests: list[DraftRequest]
) -> None:
    drafter, counts = counted(model)
    drafts = [
        draft
        for begin in range(0, len(requests), SIDE_BY_SIDE)
        for draft in drafter.draft_all(requests[begin : begin + SIDE_BY_SIDE])
    ]
    assert len(set(HOSTILE)) == 50
    assert len(drafts) >= 200
    assert all(written(one, draft, model) for one, draft in zip(requests, drafts, strict=True))
    assert counts == {"drafts_asked": len(requests), "drafts_schema_valid": len(requests)}


@pytest.fixture(scope="module")
def transformers_serve(model: CausalBackend) -> Iterator[EndpointSettings]:
    """The server that transformers comes with, which ignores the schema; the model behind it ends after one token."""
    level = transformers_logging.get_verbosity()
    serving = Serve(host="127.0.0.1", port=0, log_level="error", non_blocking=True)
    brief = copy.deepcopy(model._model)
    brief.generation_config.eos_token_id = list(range(len(model.tokenizer)))
    # Put there as loaded: it would load one with a package that nothing else here needs.
    serving._model_manager.loaded_models["tiny@main"] = TimedModel(brief, 600, model.tokenizer)
    try:
        until = time.monotonic() + 60
        while not serving.server.started:
            assert time.monotonic() < until, "it does not start"
            time.sleep(0.02)
        port = serving.server.servers[0].sockets[0].getsockname()[1]
        yield EndpointSettings(url=f"http://127.0.0.1:{port}/v1", model="tiny")
    finally:
        serving.kill_server()
        serving._thread.join(60)
        transformers_logging.set_verbosity(level)


def test_behind_a_server_that_ignores_the_schema_it_is_noticed_and_200_drafts_cite_what_was_retrieved(
    transformers_serve: EndpointSettings, requests: list[DraftRequest]
) -> None:
    drafter, counts = counted(EndpointBackend(transformers_serve))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        drafts = list(pool.map(drafter.draft, requests))
    for asked, draft in zip(requests, drafts, strict=True):
        assert {c.version_id for c in draft.content.citations} == {m.version_id for m in asked.matches}
        assert (draft.backend, draft.fell_through) == (composer.NAME, 1)
    assert counts == dict.fromkeys(("drafts_asked", "drafts_fell_through", "drafts_composed"), len(requests))


def draft_and_decide(engine: Engine, backend: Backend) -> Counter[str]:
    """Take the alerts of all texts through every step, as many at a time as are written side by side."""
    with writing(engine) as session:
        risks = [event for number in range(len(TEXTS)) for event in episodes(number)]
        take_all(session, risks, SITE, SETTINGS, utc_now())
    stood_still(engine)
    drafter, counts = counted(backend)
    steps = Steps(engine, MINE, lambda: HostileFinder(engine), drafter, SETTINGS, lambda name: counts.update([name]))
    while steps.do_next(("match",), "one"):
        pass

    def write(owner: int) -> None:
        while steps.do_next(("draft",), f"writer-{owner}"):
            pass

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(write, range(AT_ONCE)))
    while steps.do_next(("decide",), "one"):
        pass
    return counts


def decided(engine: Engine) -> dict[str, dict[int, Decided]]:
    """What became of each alert, by how it ended and the number of its text."""
    found: dict[str, dict[int, Decided]] = {ending: {} for ending in ENDINGS}
    with reading(engine) as session:
        for alert, document in session.exec(select(Alert, Document).where(Alert.id == Document.alert_id)).all():
            verdict = document.read_verdict()
            assert verdict is not None
            failing = frozenset(r.condition for r in verdict.reasons if not r.ok)
            ending = (
                "by hand" if alert.source_kind == "person" else "major" if alert.grade == "major" else alert.episode
            )
            found[ending][_number(alert.source)] = Decided(alert.closed_by, str(alert.state), failing)
    return found


def test_over_http_too_and_no_text_in_clause_name_or_note_changes_what_is_closed(
    engine: Engine, model: CausalBackend
) -> None:
    with served(model, AT_ONCE) as server:
        backend = EndpointBackend(EndpointSettings(url=server.url, model="tiny"))
        counts = draft_and_decide(engine, backend)
    with reading(engine) as session:
        documents = session.exec(select(Document)).all()
    assert counts["drafts_schema_valid"] == counts["drafts_asked"] == len(documents) > len(TEXTS) + 10
    assert not {"drafts_schema_invalid", "drafts_fell_through", "drafts_composed", "steps_failed"} & set(counts)
    for document in documents:
        content = document.read_content()
        assert content is not None
        assert document.backend == backend.name
        assert {c.version_id for c in content.citations} == {m.version_id for m in document.read_matches()}
    found = decided(engine)
    plain = {ending: found[ending][0] for ending in ENDINGS}
    assert plain["cleared"] == Decided("demo@1", "NORMAL", frozenset())
    assert not any(plain[ending].closed_by for ending in ENDINGS[1:])
    assert len(found["cleared"]) == len(TEXTS)
    for ending in ENDINGS:
        assert set(found[ending].values()) == {plain[ending]}, ending
