"""What leaves the site: nothing private, no secret, no name, no head; and an audit line each time."""

import ast
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlmodel import col, select

from disposal.audit import AuditLine, verify
from disposal.blur import blur_heads
from disposal.callout import CallOuts, Destination, clear, is_off_site
from disposal.drafter import Drafter, open_drafter
from disposal.endpoint import EndpointBackend
from disposal.errors import StaysOnSiteError
from disposal.intake import take_all
from disposal.mask import mask
from disposal.notify import STAYS, Outbox, Postman, post
from disposal.roster import DutyWanted, add_duty
from disposal.settings import DisposalSettings, DrafterSettings, EndpointSettings, NotifySettings, PrivacySettings
from disposal.steps import Steps
from stream.database import open_database, reading, writing
from stream.messages import Detection, Risk, utc_now
from tests.unit import disposal_endpoint
from tests.unit.callout_sets import ROSTER, clean, planted
from tests.unit.disposal_world import MINE, SITE, TaggedFinder, furnish, risk

OFF = Destination("draft", "openai:m", off_site=True)
ON = Destination("draft", "openai:m", off_site=False)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    return engine


def lines(engine: Engine, action: str) -> list[dict[str, Any]]:
    with reading(engine) as session:
        rows = session.exec(select(AuditLine).where(AuditLine.action == action).order_by(col(AuditLine.sequence))).all()
        return [{"subject": row.subject, **json.loads(row.after)} for row in rows]


def alert_of(engine: Engine, *risks: Risk) -> str:
    with writing(engine) as session:
        return take_all(session, risks, SITE, DisposalSettings(), utc_now())[0].alert_id


def test_of_200_planted_secrets_99_in_100_are_stopped_and_of_200_clean_texts_1_in_100_is_touched() -> None:
    secrets = planted(200, seed=7)
    assert {s.kind for s in secrets} == {"mobile", "identity", "secret", "name", "landline", "address"}
    leaked = [s for s in secrets if s.core in clear(OFF, s.text, private=False, names=ROSTER).text]
    assert all(s.core in s.text for s in secrets), "each text holds what it was planted with"
    assert len(leaked) <= 2, leaked
    texts = clean(200, seed=7)
    touched = [t for t in texts if clear(OFF, t, private=False, names=ROSTER).text != t]
    assert len(texts) == 200
    assert len(touched) <= 2, touched


def test_what_is_masked_comes_back_in_the_answer_and_the_same_thing_has_the_same_placeholder() -> None:
    cleared = clear(OFF, "赵建国报告，请找赵建国，电话 13812345678", private=False, names=ROSTER)
    assert cleared.text.count("[name-1]") == 2
    assert cleared.masked.counts == {"name": 1, "phone": 1}
    assert cleared.restore("由[name-1]复查") == "由赵建国复查"
    assert clear(ON, "赵建国", private=True, names=ROSTER).text == "赵建国", "on the site everything stays as it is"


@given(
    st.text(max_size=80),
    st.lists(st.sampled_from(ROSTER), max_size=3),
    st.booleans(),
    st.booleans(),
)
def test_nothing_private_leaves_the_site_and_no_name_of_the_roster_does(
    around: str, said: list[str], private: bool, off_site: bool
) -> None:
    text = around + "，".join(said) + around
    to = Destination("draft", "openai:m", off_site)
    if private and off_site:
        with pytest.raises(StaysOnSiteError):
            clear(to, text, private=private, names=ROSTER)
        return
    left = clear(to, text, private=private, names=ROSTER)
    assert not off_site or not any(name in left.text for name in ROSTER)
    if not off_site:
        assert left.text == text


@given(st.text())
def test_any_text_is_masked_without_an_error_and_masking_it_again_changes_nothing_of_it(text: str) -> None:
    once = mask(text, ROSTER)
    assert mask(once.text, ROSTER).text == once.text or once.found
    assert once.found or once.text == text


@pytest.mark.parametrize(
    ("url", "off"),
    [
        ("http://127.0.0.1:8000/v1", False),
        ("http://localhost:11434/v1", False),
        ("http://10.2.3.4/v1", False),
        ("http://192.168.1.9/v1", False),
        ("http://[fd00::1]/v1", False),
        ("https://dashscope.aliyuncs.com/v1", True),
        ("http://8.8.8.8/v1", True),
        ("http://model.internal/v1", True),
        ("http://localhost.evil.example/v1", True),
        ("http://0.0.0.0/v1", True),
        ("http://[::1", True),
        ("", True),
    ],
)
def test_only_this_host_and_private_networks_count_as_the_site_unless_it_is_set(url: str, off: bool) -> None:
    assert is_off_site(url) is off
    assert is_off_site(url, "on-site") is False
    assert is_off_site(url, "off-site") is True


@pytest.fixture
def endpoint() -> Iterator[Any]:
    with disposal_endpoint.endpoint() as served:
        yield served


def drafting(engine: Engine, endpoint: Any, privacy: PrivacySettings, where: str = "off-site") -> Steps:
    settings = DisposalSettings(
        privacy=privacy,
        drafter=DrafterSettings(endpoint=EndpointSettings(url=endpoint.url, model="m", where=where)),  # type: ignore[arg-type]
    )
    drafter = open_drafter(settings.drafter, lambda _: None, CallOuts(engine, MINE))
    return Steps(engine, MINE, lambda: TaggedFinder(engine), drafter, settings, lambda _: None)


def work(steps: Steps) -> None:
    while steps.do_next(("match", "draft", "decide"), "tester"):
        pass


def test_a_draft_off_the_site_is_asked_without_names_and_told_in_the_audit(engine: Engine, endpoint: Any) -> None:
    add_duty(engine, MINE, DutyWanted("", 0, 0, "赵建国", "13812345678", "Maria del Carmen"), "UTC", "officer")
    note = "赵建国说找 maria del carmen，手机 138-1234-5678，密码 is Hunter22x"
    alert_of(engine, risk("methane-high", note=note))
    work(drafting(engine, endpoint, PrivacySettings(reports=False)))
    (asked,) = endpoint.asked
    sent = json.dumps(asked, ensure_ascii=False)
    assert "甲烷" in sent
    for secret in ("赵建国", "maria", "5678", "Hunter22x"):
        assert secret not in sent, secret
    (line,) = lines(engine, "call-out")
    assert (line["purpose"], line["off_site"], line["masked"]) == (
        "draft", True, {"name": 2, "phone": 1, "secret": 1},
    )  # fmt: skip
    assert len(line["sha256"]) == 64
    assert verify(engine, MINE).whole


@pytest.mark.parametrize(
    "privacy",
    [
        PrivacySettings(places=("return",)),
        PrivacySettings(sources=("ch4-1",)),
        PrivacySettings(types=("methane-high",)),
    ],
)
def test_what_is_private_is_composed_where_only_a_model_off_the_site_is_there(
    engine: Engine, endpoint: Any, privacy: PrivacySettings
) -> None:
    alert_of(engine, risk("methane-high"))
    steps = drafting(engine, endpoint, privacy)
    work(steps)
    assert endpoint.asked == []
    (line,) = lines(engine, "call-out-refused")
    assert line["private"] is True
    alert_of(engine, risk("no-helmet"))
    work(steps)
    assert len(endpoint.asked) == 1, "a private alert does not put the model to rest for the others"


def test_on_the_site_a_private_alert_is_drafted_by_the_model_as_it_is(engine: Engine, endpoint: Any) -> None:
    alert_of(engine, risk("methane-high", note="赵建国报告"))
    work(drafting(engine, endpoint, PrivacySettings(places=("return",)), "auto"))
    assert "赵建国" in json.dumps(endpoint.asked, ensure_ascii=False)


def test_reports_by_people_are_private_unless_the_mine_says_otherwise(engine: Engine, endpoint: Any) -> None:
    alert_of(engine, risk("hand-raised", source="person:sun", source_kind="person", note="something"))
    work(drafting(engine, endpoint, PrivacySettings()))
    assert endpoint.asked == []


class _Receiver(BaseHTTPRequestHandler):
    got: list[bytes] = []  # noqa: RUF012  # set anew by the fixture

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_POST(self) -> None:
        self.got.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[bytes]]]:
    _Receiver.got = []
    server = HTTPServer(("127.0.0.1", 0), _Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", _Receiver.got
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_a_webhook_off_the_site_gets_no_names_and_nothing_private(
    engine: Engine, webhook: tuple[str, list[bytes]]
) -> None:
    url, got = webhook
    add_duty(engine, MINE, DutyWanted("", 0, 0, "赵建国", "13812345678"), "UTC", "officer")
    open_one, private = alert_of(engine, risk()), alert_of(engine, risk("methane-high"))
    body = json.dumps(
        {"responsible": "赵建国（13812345678）", "hours": 2, "list": ["买买提·艾力", None]}, ensure_ascii=False
    )
    with writing(engine) as session:
        for identity in (open_one, private):
            post(session, MINE, "document", f"document/{identity}-1", body, key=identity)
    settings = NotifySettings(url=url, where="off-site")
    carrier = Postman(engine, MINE, settings, "t", lambda _: None, PrivacySettings(places=("return",)))
    while carrier.deliver_next():
        pass
    (sent,) = got
    inner = json.loads(json.loads(sent)["body"])
    assert inner == {"responsible": "[name-1]（[phone-1]）", "hours": 2, "list": ["买买提·艾力", None]}
    with reading(engine) as session:
        outcomes = {row.id: row.outcome for row in session.exec(select(Outbox)).all()}
    assert outcomes == {open_one: "delivered", private: STAYS}
    assert [line["purpose"] for line in lines(engine, "call-out")] == ["webhook"]
    near = Postman(engine, MINE, NotifySettings(url=url), "t", lambda _: None, PrivacySettings(places=("return",)))
    with writing(engine) as session:
        post(session, MINE, "document", f"document/{private}-1", body, key="again")
    assert near.deliver_next()
    assert json.loads(got[1])["body"] == body, "on the site it goes as it is, with its audit line"
    assert len(lines(engine, "call-out")) == 2


def test_heads_are_covered_and_what_cannot_be_covered_stays() -> None:
    random = np.random.default_rng(3)
    picture = random.integers(0, 255, (200, 300, 3), dtype=np.uint8)
    data = cv2.imencode(".png", picture)[1].tobytes()
    person = Detection(label="person", confidence=0.9, box=(0.2, 0.1, 0.4, 0.9))
    bare = Detection(label="no_helmet", confidence=0.4, box=(0.7, 0.2, 0.8, 0.35))
    left = cv2.imdecode(np.frombuffer(blur_heads(data, [person, bare]), np.uint8), cv2.IMREAD_COLOR)
    assert left.shape == picture.shape

    def detail(part: tuple[slice, slice]) -> float:
        return float(cv2.Laplacian(cv2.cvtColor(left[part], cv2.COLOR_BGR2GRAY), cv2.CV_64F).var())

    heads = ((slice(20, 75), slice(60, 120)), (slice(40, 70), slice(210, 240)))
    elsewhere = (slice(140, 190), slice(130, 200))
    for head in heads:
        assert detail(head) < detail(elsewhere) / 20
    for lost in (b"", b"no picture"):
        with pytest.raises(StaysOnSiteError, match="cannot be read"):
            blur_heads(lost, [])
    with pytest.raises(StaysOnSiteError, match="not searched"):
        blur_heads(data, None)


_NOISE = np.random.default_rng(5).integers(0, 255, (200, 240, 3), dtype=np.uint8)
_sides = st.tuples(st.floats(0, 0.7), st.floats(0, 0.6), st.floats(0.15, 0.3), st.floats(0.3, 0.4))
_seen = st.builds(
    lambda label, sides: Detection(
        label=label, confidence=0.9, box=(sides[0], sides[1], sides[0] + sides[2], sides[1] + sides[3])
    ),
    st.sampled_from(["person", "worker", "no_vest", "no_helmet", "helmet", "head", "fire", "belt_tear"]),
    _sides,
)


@given(st.lists(_seen, max_size=3))
@settings(deadline=None)
def test_every_head_becomes_a_few_flat_cells_and_the_rest_of_the_picture_stays(seen: list[Detection]) -> None:
    data = cv2.imencode(".png", _NOISE)[1].tobytes()
    left = cv2.imdecode(np.frombuffer(blur_heads(data, seen), np.uint8), cv2.IMREAD_COLOR).astype(int)
    coded = cv2.imencode(".jpg", _NOISE, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    before = cv2.imdecode(coded, cv2.IMREAD_COLOR).astype(int)
    untouched = np.ones(left.shape[:2], bool)
    for one in seen:
        x0, y0, x1, y1 = (round(share * side) for share, side in zip(one.box, (240, 200) * 2, strict=True))
        if one.label in ("fire", "belt_tear"):
            continue
        high = y1 - y0
        left_, top, right, bottom = one.box
        stands = (right - left_) * 240 <= (bottom - top) * 200
        if one.label == "no_vest" or (one.label in ("person", "worker") and stands):
            y1 = y0 + high // 3
        if one.label == "no_vest":
            y0 = max(0, y0 - high // 2)
        head = (slice(y0, y1), slice(x0, x1))
        steps = [float(np.abs(np.diff(picture[head], axis=1)).mean()) for picture in (left, before)]
        assert steps[0] < steps[1] / 3, one
        # Half a head's box beyond it, and two of the coding's blocks beside that.
        across, down = (x1 - x0) // 2 + 34, (y1 - y0) // 2 + 34
        untouched[max(0, y0 - down) : y1 + down, max(0, x0 - across) : x1 + across] = False
    assert (left == before)[untouched].all()


def test_nothing_here_can_switch_equipment() -> None:
    """No protocol of controllers is spoken, and to the broker of sensors nothing is ever published."""
    controllers = {"pymodbus", "minimalmodbus", "asyncua", "opcua", "snap7", "pycomm3", "bacpypes3", "serial", "can"}
    modules = [p for name in ("stream", "vision", "rules", "disposal", "console") for p in Path(name).rglob("*.py")]
    assert len(modules) > 200
    for path in modules:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & controllers, path
            if isinstance(node, ast.Call) and "mqtt" in path.name:
                assert getattr(node.func, "attr", "") != "publish", path


def test_nothing_but_what_goes_through_the_filter_speaks_to_the_network() -> None:
    """What drafts, matching and disposal send goes by these modules; the webhook's one caller here asks the filter."""
    outward = {"httpx2", "httpx", "requests", "urllib.request", "openai", "http.client", "aiohttp", "socket"}
    found = set()
    for package in ("disposal", "rules"):
        for path in sorted(Path(package).glob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            names = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
            names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            if names & outward or "disposal.webhook" in names:
                found.add(str(path))
    asks = {p for p in found if "clear" in Path(p).read_text(encoding="utf-8")}
    assert found - asks == {"disposal/lease.py", "disposal/webhook.py"}, (
        "the one asks for this machine's name alone, the other is the wire that notify sends by"
    )
    assert asks == {"disposal/endpoint.py", "disposal/notify.py"}


def test_a_backend_that_is_made_alone_masks_too(endpoint: Any) -> None:
    backend = EndpointBackend(EndpointSettings(url=endpoint.url, model="m", where="off-site"))
    assert Drafter([backend], DrafterSettings()).quick is False
    assert is_off_site(endpoint.url) is False
