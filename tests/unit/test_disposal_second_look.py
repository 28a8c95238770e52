"""A model that takes pictures is shown the evidence: what it says may bar automatic closure and never permits one."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from disposal.alert import Alert
from disposal.document import DocumentState
from disposal.drafter import Drafter
from disposal.endpoint import EndpointBackend
from disposal.policy import activate_for_demo
from disposal.prompt import PICTURE
from disposal.second_look import SecondLook, evidence_picture, note
from disposal.settings import DisposalSettings, DrafterSettings, EndpointSettings
from disposal.steps import Steps
from stream.database import open_database, reading
from stream.evidence import EvidenceStore
from stream.messages import Evidence, utc_now
from tests.unit.disposal_endpoint import Endpoint, endpoint
from tests.unit.disposal_world import MINE, TaggedFinder, furnish, later, risk
from tests.unit.test_disposal_checks import request
from tests.unit.test_disposal_steps import documents, failing, send, stood_still, work

JPEG = b"\xff\xd8\xff\xe0 a picture \xff\xd9"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    return engine


@pytest.fixture
def served() -> Iterator[Endpoint]:
    with endpoint() as state:
        yield state


def drafter(served: Endpoint, folder: Path, **settings: object) -> Drafter:
    store = EvidenceStore(folder)
    chosen = EndpointSettings.model_validate({"url": served.url, "model": "eyes", "pictures": True} | settings)
    backend = EndpointBackend(chosen, None, lambda e: store.get(MINE, e.sha256, e.media_type))
    return Drafter([backend], DrafterSettings(rest_seconds=0))


def closed_after(engine: Engine, drafter: Drafter, folder: Path, *, stored: bool = True) -> Alert:
    """A routine hazard with an evidence picture that ends well, taken all the way."""
    activate_for_demo(engine, MINE)
    digest = EvidenceStore(folder).put(MINE, JPEG, "image/jpeg") if stored else "0" * 64
    piece = Evidence(sha256=digest, media_type="image/jpeg", kind="annotated", captured_at=utc_now())
    first = risk(evidence=(piece,))
    steps = Steps(engine, MINE, lambda: TaggedFinder(engine), drafter, DisposalSettings(), lambda _: None)
    send(engine, first)
    work(steps)
    send(engine, later(first, "cleared"))
    stood_still(engine)
    work(steps)
    with reading(engine) as session:
        return session.exec(select(Alert)).one()


@pytest.mark.parametrize(
    ("picture", "verdict", "closes"),
    [("confirmed", "confirmed", True), ("rejected", "rejected", False), ("cannot-say", "cannot-say", False), ("", "cannot-say", False)],
)  # fmt: skip
def test_the_verdict_with_its_reason_stands_on_the_alert_and_bars_closure(
    engine: Engine, served: Endpoint, tmp_path: Path, picture: str, verdict: str, closes: bool
) -> None:
    served.picture = picture
    alert = closed_after(engine, drafter(served, tmp_path), tmp_path)
    (document,) = documents(engine)
    assert (alert.look_verdict, alert.look_by, alert.closed) == (verdict, "openai:eyes", closes)
    assert alert.look_reason == (
        f"{picture}: 图中可见" if picture else "The model was shown the picture and said nothing about it."
    )
    assert document.prompt.endswith("+picture-1")
    if not closes:
        assert document.state == DocumentState.PENDING_APPROVAL
        assert failing(document) == {"undisturbed"}
    said, shown = served.asked[0]["messages"][0]["content"]
    assert "picture_verdict" in said["text"]
    assert base64.b64decode(shown["image_url"]["url"].partition("base64,")[2]) == JPEG


def test_a_model_that_refuses_pictures_is_asked_without_and_shown_none_again(
    engine: Engine, served: Endpoint, tmp_path: Path
) -> None:
    served.blind, served.picture = True, "rejected"
    asking = drafter(served, tmp_path)
    alert = closed_after(engine, asking, tmp_path)
    assert (alert.look_verdict, alert.closed) == ("", True)
    assert documents(engine)[0].backend == "openai:eyes"
    assert [isinstance(one["messages"][0]["content"], list) for one in served.asked] == [True, False]


@pytest.mark.parametrize("settings", [{"pictures": False}, {"where": "off-site"}])
def test_no_picture_leaves_where_none_is_wanted_or_the_model_stands_outside(
    engine: Engine, served: Endpoint, tmp_path: Path, settings: dict[str, object]
) -> None:
    served.picture = "rejected"
    assert closed_after(engine, drafter(served, tmp_path, **settings), tmp_path).look_verdict == ""
    assert all(isinstance(one["messages"][0]["content"], str) for one in served.asked)


@pytest.mark.parametrize("kind", ["annotated", "photo", "frame"])
@pytest.mark.parametrize(
    "settings",
    [{"where": "off-site"}, {"url": "https://dashscope.aliyuncs.com/v1"}, {"url": "http://8.8.8.8/v1"}, {"url": "http://model.example/v1"}],
)  # fmt: skip
def test_for_a_model_outside_no_picture_is_even_read(settings: dict[str, str], kind: str) -> None:
    def read(evidence: Evidence) -> bytes:
        raise AssertionError(f"{evidence.kind} was read for a model off the site")

    chosen = {"url": "http://127.0.0.1:9/v1", "model": "eyes", "pictures": True} | settings
    backend = EndpointBackend(EndpointSettings.model_validate(chosen), None, read)
    piece = Evidence(sha256="0" * 64, media_type="image/jpeg", kind=kind, captured_at=utc_now())  # type: ignore[arg-type]
    asked = request(picture=piece)
    assert PICTURE not in backend.prompt(asked).version
    assert backend._picture(asked) is None


def test_evidence_that_is_gone_is_not_shown(engine: Engine, served: Endpoint, tmp_path: Path) -> None:
    alert = closed_after(engine, drafter(served, tmp_path), tmp_path, stored=False)
    assert (alert.look_verdict, len(served.asked)) == ("", 1)
    assert isinstance(served.asked[0]["messages"][0]["content"], str)


def test_a_look_counts_also_where_its_draft_is_of_no_use(served: Endpoint, engine: Engine, tmp_path: Path) -> None:
    served.mood = "garbage"
    alert = closed_after(engine, drafter(served, tmp_path), tmp_path)
    assert (documents(engine)[0].backend, alert.look_verdict, alert.closed) == ("composer", "cannot-say", False)


def test_no_later_answer_takes_a_doubt_back() -> None:
    alert = Alert(look_verdict="")
    said = ("confirmed", "cannot-say", "confirmed", "rejected", "confirmed")
    left = ("confirmed", "cannot-say", "cannot-say", "rejected", "rejected")
    for verdict, stands in zip(said, left, strict=True):
        note(alert, SecondLook(verdict=verdict, reason="r", by="m"))  # type: ignore[arg-type]
        assert alert.look_verdict == stands
    note(alert, None)
    assert alert.look_verdict == "rejected"


def test_the_picture_shown_is_the_newest_annotated_one() -> None:
    now = utc_now()
    frame, photo, drawn = (
        Evidence(sha256=c * 64, media_type="image/jpeg", kind=kind, captured_at=now)  # type: ignore[arg-type]
        for c, kind in (("a", "frame"), ("b", "photo"), ("c", "annotated"))
    )
    assert evidence_picture(risk(evidence=(drawn, frame, photo))) == drawn
    assert evidence_picture(risk(evidence=(frame, photo))) == photo
    assert evidence_picture(risk(evidence=(frame,))) is None
