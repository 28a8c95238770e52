"""A picture leaves the site only where that is set, and then with every head in it covered; else it is said why not."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError
from sqlalchemy import Engine
from sqlmodel import col, select

from disposal.alert import Alert
from disposal.audit import AuditLine
from disposal.callout import CallOuts
from disposal.drafter import Drafter
from disposal.endpoint import EndpointBackend
from disposal.prompt import BLURRED, PICTURE
from disposal.second_look import SecondLook, analysed_frame, doubt, note, withheld
from disposal.settings import DisposalSettings, DrafterSettings, EndpointSettings, PrivacySettings
from disposal.showing import Showing, showing
from disposal.steps import Steps
from stream.database import open_database, reading
from stream.evidence import EvidenceStore
from stream.messages import Detection, Evidence, Risk, decode, encode, utc_now
from tests.unit.disposal_endpoint import Endpoint, endpoint
from tests.unit.disposal_world import MINE, TaggedFinder, furnish, risk
from tests.unit.test_disposal_checks import request
from tests.unit.test_disposal_steps import documents, send, work

NOISE = np.random.default_rng(11).integers(0, 255, (240, 320, 3), dtype=np.uint8)
FRAME = cv2.imencode(".jpg", NOISE, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
ANNOTATED = cv2.imencode(".jpg", 255 - NOISE)[1].tobytes()
STANDS = Detection(label="person", confidence=0.9, box=(0.1, 0.2, 0.3, 0.9))
BARE = Detection(label="no_helmet", confidence=0.4, box=(0.6, 0.3, 0.7, 0.45))
HEADS = ((slice(48, 104), slice(32, 96)), (slice(72, 108), slice(192, 224)))
"""Rows and columns of the picture: the upper third of who stands, and the bare head."""


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    return engine


@pytest.fixture
def served() -> Iterator[Endpoint]:
    with endpoint() as state:
        state.picture = "confirmed"
        yield state


def piece(kind: str, digest: str = "0" * 64, people: tuple[Detection, ...] | None = None) -> Evidence:
    at = utc_now()
    return Evidence(sha256=digest, media_type="image/jpeg", kind=kind, captured_at=at, people=people)  # type: ignore[arg-type]


class World:
    """A mine whose model stands outside, and takes pictures with covered heads."""

    def __init__(self, engine: Engine, served: Endpoint, folder: Path) -> None:
        self.engine, self.url, self.store = engine, served.url, EvidenceStore(folder)
        self.read: list[str] = []

    def seen(self, data: bytes, people: tuple[Detection, ...] | None) -> Risk:
        """A risk with its annotated picture, and the frame behind it."""
        drawn = self.store.put(MINE, ANNOTATED, "image/jpeg")
        frame = self.store.put(MINE, data, "image/jpeg")
        return risk(evidence=(piece("frame", frame, people), piece("annotated", drawn)))

    def drafted(self, told: Risk, privacy: PrivacySettings = PrivacySettings(), **settings: Any) -> Alert:
        """Its alert, once its document was drafted."""

        def read(evidence: Evidence) -> bytes:
            self.read.append(evidence.kind)
            return self.store.get(MINE, evidence.sha256, evidence.media_type)

        chosen = {
            "url": self.url,
            "model": "eyes",
            "where": "off-site",
            "pictures": True,
            "off_site_pictures": "blurred",
        }
        backend = EndpointBackend(EndpointSettings.model_validate(chosen | settings), CallOuts(self.engine, MINE), read)
        drafter = Drafter([backend], DrafterSettings(rest_seconds=0))
        done = DisposalSettings(privacy=privacy)
        send(self.engine, told)
        work(Steps(self.engine, MINE, lambda: TaggedFinder(self.engine), drafter, done, lambda _: None))
        with reading(self.engine) as session:
            return session.exec(select(Alert).where(Alert.mine == MINE)).one()

    def lines(self, action: str) -> list[dict[str, Any]]:
        with reading(self.engine) as session:
            rows = session.exec(select(AuditLine).where(AuditLine.action == action).order_by(col(AuditLine.sequence)))
            return [json.loads(row.after) for row in rows.all()]


@pytest.fixture
def world(engine: Engine, served: Endpoint, tmp_path: Path) -> World:
    return World(engine, served, tmp_path)


def sent_pictures(served: Endpoint) -> list[bytes]:
    contents = [one["messages"][0]["content"] for one in served.asked]
    urls = [content[1]["image_url"]["url"] for content in contents if isinstance(content, list)]
    return [base64.b64decode(url.partition("base64,")[2]) for url in urls]


def grain(picture: np.ndarray, part: tuple[slice, slice]) -> float:
    """How much neighbours differ within that part."""
    return float(np.abs(np.diff(picture[part].astype(int), axis=1)).mean())


def test_what_leaves_is_the_frame_as_analysed_with_every_head_flat(world: World, served: Endpoint) -> None:
    alert = world.drafted(world.seen(FRAME, (STANDS, BARE)))
    assert (alert.look_verdict, alert.look_by) == ("confirmed", "openai:eyes")
    (sent,) = sent_pictures(served)
    assert world.read == ["frame"], "the annotated copy was not even read"
    picture = cv2.imdecode(np.frombuffer(sent, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == NOISE.shape
    for head in HEADS:
        assert grain(picture, head) < grain(NOISE, head) / 5
        assert np.abs(picture[head].astype(int) - NOISE[head].astype(int)).mean() > 20, "its pixels are others"
    elsewhere = (slice(150, 230), slice(200, 310))
    assert grain(picture, elsewhere) > grain(NOISE, elsewhere) / 2
    assert FRAME not in sent
    assert documents(world.engine)[0].prompt.endswith(f"+{BLURRED}")
    assert "covered" in json.dumps(served.asked) or "打码" in json.dumps(served.asked, ensure_ascii=False)
    assert [line["purpose"] for line in world.lines("call-out")] == ["picture", "draft"]
    assert world.lines("call-out-refused") == []


@pytest.mark.parametrize(
    ("data", "people", "why"),
    [(FRAME, None, "heads-unknown"), (b"\xff\xd8 no picture \xff\xd9", (STANDS,), "unreadable")],
)
def test_what_cannot_be_covered_stays_with_its_reason_on_the_alert_and_an_audit_line(
    world: World, served: Endpoint, data: bytes, people: tuple[Detection, ...] | None, why: str
) -> None:
    alert = world.drafted(world.seen(data, people))
    assert (alert.look_verdict, alert.look_reason, alert.look_by) == ("withheld", why, "openai:eyes")
    assert sent_pictures(served) == []
    assert documents(world.engine)[0].backend == "openai:eyes", "the draft is asked for without the picture"
    refused = {"purpose": "picture", "to": "openai:eyes", "off_site": True, "private": False, "why": why}
    assert world.lines("call-out-refused") == [refused]
    assert world.lines("drafted")[0]["look"] == f"withheld: {why}"


def test_of_a_private_alert_no_picture_is_read_and_nothing_leaves(world: World, served: Endpoint) -> None:
    alert = world.drafted(world.seen(FRAME, (STANDS,)), PrivacySettings(places=("roadway",)))
    assert (alert.look_verdict, alert.look_reason) == ("withheld", "private")
    assert (world.read, served.asked) == ([], [])
    assert documents(world.engine)[0].backend == "composer"
    assert [(line["purpose"], line.get("why")) for line in world.lines("call-out-refused")] == [
        ("picture", "private"),
        ("draft", None),
    ]


def test_unless_it_is_set_nothing_leaves_and_nothing_is_said(world: World, served: Endpoint) -> None:
    assert EndpointSettings().off_site_pictures == "never"
    with pytest.raises(ValidationError, match="pictures = true"):
        EndpointSettings(url="https://model.example/v1", model="m", off_site_pictures="blurred")
    alert = world.drafted(world.seen(FRAME, (STANDS,)), off_site_pictures="never")
    assert (alert.look_verdict, world.read, sent_pictures(served)) == ("", [], [])
    assert world.lines("call-out-refused") == []


def test_on_the_site_the_annotated_picture_is_shown_as_it_is(world: World, served: Endpoint) -> None:
    world.drafted(world.seen(FRAME, None), where="on-site")
    assert sent_pictures(served) == [ANNOTATED]


def test_which_picture_is_shown_is_one_decision() -> None:
    shown, frame, old = piece("annotated"), piece("frame", people=(BARE,)), piece("frame")
    asked = request(picture=shown, frame=frame)
    assert showing(asked, off_site=False, leaving="never") == Showing(shown, PICTURE)
    assert showing(asked, off_site=True, leaving="never") is None
    assert showing(asked, off_site=True, leaving="blurred") == Showing(frame, BLURRED, (BARE,))
    assert showing(request(picture=shown, frame=frame, private=True), off_site=True, leaving="blurred") == "private"
    for unknown in (None, old):
        blind = request(picture=shown, frame=unknown)
        assert showing(blind, off_site=True, leaving="blurred") == "heads-unknown"
    empty = request(picture=shown, frame=piece("frame", people=()))
    assert isinstance(showing(empty, off_site=True, leaving="blurred"), Showing), "looked for, and nobody there"
    photo = request(picture=piece("photo"))
    assert showing(photo, off_site=True, leaving="blurred") == "heads-unknown", "nobody looked for heads in a photo"
    assert showing(request(), off_site=True, leaving="blurred") is None


def test_a_record_from_before_heads_were_kept_is_read_as_unknown() -> None:
    told = risk(evidence=(piece("frame", people=(BARE,)),))
    as_of_old = encode(told).replace(b"\xa6people", b"\xa6peopl_")
    (kept,) = decode(encode(told)).evidence  # type: ignore[union-attr]
    (read,) = decode(as_of_old).evidence  # type: ignore[union-attr]
    assert (kept.people, read.people) == ((BARE,), None)


def test_the_frame_is_the_one_behind_the_annotated_picture() -> None:
    drawn = piece("annotated")
    first = Evidence(sha256="a" * 64, media_type="image/jpeg", kind="frame", captured_at=drawn.captured_at, people=())
    newer, unknown = piece("frame", "b" * 64, ()), piece("frame", "c" * 64)
    assert analysed_frame(risk(evidence=(first, newer, unknown, drawn))) == first
    assert analysed_frame(risk(evidence=(newer, unknown, drawn))) == newer
    assert analysed_frame(risk(evidence=(drawn,))) is None


def test_a_picture_that_was_withheld_bars_nothing_and_covers_no_look() -> None:
    kept = withheld("heads-unknown", "far")
    sure = SecondLook(verdict="confirmed", reason="r", by="near")
    doubted = SecondLook(verdict="rejected", reason="r", by="near")
    assert [doubt([kept]), doubt([kept, sure]), doubt([kept, sure, doubted])] == [kept, sure, doubted]
    alert = Alert(look_verdict="")
    for look, stands in ((kept, "withheld"), (sure, "confirmed"), (kept, "confirmed"), (doubted, "rejected")):
        note(alert, look)
        assert alert.look_verdict == stands
    assert not kept.bars
