"""What the pages show and do, on real tables."""

import hashlib
import re
import time
import zlib
from datetime import timedelta

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlmodel import select

from console.alert import DECIDERS
from console.alert_view import next_step, possible
from console.app import create_app
from console.errors import PhotoError
from console.queue_rows import ROWS, Wanted, find_rows
from console.raise_hazard import clean_photo
from disposal.alert import Alert, alert_identity
from disposal.decision import decide
from disposal.document import EFFECTS, DocumentState
from disposal.intake import take_all
from disposal.settings import DisposalSettings
from rules.clause import history, in_force
from rules.settings import MatcherSettings, RulesSettings
from stream.database import reading, writing
from stream.health import store_health
from stream.messages import Health, Reading, Risk, decode, utc_now
from stream.readings import store_readings
from tests.integration.console_client import SETTINGS, log_in, person, send, token_of
from tests.integration.console_mine import MINE, SITE, Mine, drawn_picture


def order(mine: Mine, wanted: Wanted = Wanted()) -> list[str]:
    with reading(mine.engine) as session:
        return [row.alert.id for row in find_rows(session, MINE, wanted)]


def shown(client: TestClient, address: str = "/") -> list[str]:
    return re.findall(r'<tr id="r-(\w+)"', client.get(address).text)


def test_the_queue_sorts_by_what_is_undecided_priority_acknowledgement_and_age(mine: Mine, client: TestClient) -> None:
    low = mine.raise_risk("no-vest", age=900)
    red_old = mine.raise_risk("fire", age=300)
    red_new = mine.raise_risk("smoke", age=10)
    high = mine.raise_risk("belt-hole", age=600)
    assert order(mine) == [red_old, red_new, high, low]
    decide(mine.engine, MINE, red_old, "acknowledge", "officer")
    assert order(mine) == [red_new, red_old, high, low]
    mine.draft(red_new)
    decide(mine.engine, MINE, red_new, "approve", "officer", document_version=1)
    assert order(mine) == [red_old, high, low, red_new]
    assert shown(client) == order(mine)
    card = client.get("/").text.split('id="card"')[1].split("</section>")[0]
    assert f'data-alert="{red_old}"' in card
    assert "Fire" in card


def test_the_queue_page_shows_the_top_alert_with_picture_place_time_measures_and_keys(
    mine: Mine, client: TestClient
) -> None:
    alert_id = mine.raise_risk("person-on-belt", age=75)
    mine.draft(alert_id)
    card = client.get("/").text.split('id="card"')[1].split("</section>")[0]
    digest = hashlib.sha256(mine.picture).hexdigest()
    for part in (
        f"/evidence/{digest}.jpg?width=960", "Person on or crossing a belt", "Belt roadway 3", "1 min", "Critical",
        "Not acknowledged", "Belts and persons", "<kbd>A</kbd>", "<kbd>P</kbd>", "<kbd>R</kbd>", "<kbd>X</kbd>",
    ):  # fmt: skip
        assert part in card
    assert card.count("<li>") == 3


def test_tabs_hold_what_they_say_and_filters_narrow_them(mine: Mine, client: TestClient) -> None:
    waiting = mine.raise_risk("no-helmet", "cam-shaft", "shaft")
    mine.draft(waiting)
    closed_alone = mine.raise_risk("belt-wear")
    mine.close_by_policy(closed_alone)
    rejected = mine.raise_risk("belt-hole")
    mine.draft(rejected)
    decide(mine.engine, MINE, rejected, "reject", "officer", reason="dirt on the lens", document_version=1)
    shelved = mine.raise_risk("no-vest")
    with writing(mine.engine) as session:
        row = session.get_one(Alert, shelved)
        row.shelved_until, row.shelved_by = utc_now() + timedelta(minutes=5), "officer"
        session.add(row)
    fresh = mine.raise_risk("smoke")
    assert shown(client, "/?tab=waiting") == [waiting]
    assert shown(client, "/?tab=auto") == [closed_alone]
    assert shown(client, "/?tab=closed") == [rejected]
    assert shown(client, "/?tab=shelved") == [shelved]
    assert shown(client) == [fresh, waiting]
    assert shown(client, "/?priority=critical") == [fresh]
    assert shown(client, "/?place=shaft") == [waiting]
    decide(mine.engine, MINE, waiting, "acknowledge", "officer")
    assert shown(client, "/?state=ACKED") == [waiting]
    assert shown(client, "/?state=UNACK") == [fresh]
    assert shown(client, "/?state=LATCHED") == []
    assert shown(client, "/?tab=nonsense&priority=%27;drop&state=x") == [fresh, waiting]
    with writing(mine.engine) as session:
        row = session.get_one(Alert, shelved)
        row.shelved_until = utc_now() - timedelta(seconds=1)
        session.add(row)
    assert shelved in shown(client)


@pytest.mark.parametrize("state", ["UNACK", "ACKED", "RTN_UNACK", "LATCHED", "NORMAL"])
def test_the_state_filter_reads_the_bits_as_the_alert_does(mine: Mine, state: str) -> None:
    made = [mine.raise_risk("no-vest") for _ in range(8)]
    with writing(mine.engine) as session:
        for number, alert_id in enumerate(made):
            row = session.get_one(Alert, alert_id)
            row.active, row.acked, row.latched = bool(number & 1), bool(number & 2), bool(number & 4)
            session.add(row)
    expected = {alert_id for alert_id in made if mine.alert(alert_id).state == state}
    assert expected
    assert set(order(mine, Wanted(state=state))) == expected


def test_a_queue_of_hundreds_shows_the_first_and_weighs_little(mine: Mine, client: TestClient) -> None:
    for _ in range(ROWS + 20):
        mine.raise_risk("belt-deviation")
    answer = client.get("/")
    assert len(re.findall(r'<tr id="r-', answer.text)) == ROWS
    assert f"Showing the first {ROWS} of {ROWS + 20}" in answer.text
    files = [client.get(f"/static/{name}") for name in ("console.css", "console.js", "lamp.svg")]
    sent = sum(len(zlib.compress(page.content)) for page in (answer, *files))
    assert answer.headers["content-encoding"] == "gzip"
    assert sent <= 150_000
    assert {file.headers["cache-control"] for file in files} == {"no-cache"}, "kept, and asked for before each use"
    assert client.get("/static/console.js", headers={"If-None-Match": files[1].headers["etag"]}).status_code == 304
    assert answer.headers["cache-control"] == "no-store"


def test_the_alert_page_shows_what_was_seen_what_is_drafted_and_why(mine: Mine, client: TestClient) -> None:
    alert_id = mine.raise_risk("methane-high", "ch4-2", "return-2")
    now = utc_now()
    store_readings(mine.engine, [
        Reading(mine=MINE, sensor="ch4-2", place="return-2", quantity="methane", value=1.44, unit="%", sequence=1, captured_at=now, read_at=now)
    ])  # fmt: skip
    page = client.get(f"/alerts/{alert_id}").text
    assert "Clauses are being matched" in page
    for part in ("1.32 %", "≥ 1.0 %", "Methane T2", "1.32 % for 6 s", "1.44 %", "Major hazard", "raised"):
        assert part in page
    mine.draft(alert_id)
    page = client.get(f"/alerts/{alert_id}").text
    for part in (
        "1 Responsible", "2 Measures", "3 Resources", "4 Deadline", "5 Contingency", "composer", "Waiting for approval",
        "甲烷超限", "A policy is in force", "put before a person", "Checks of the draft",
    ):  # fmt: skip
        assert part in page


def test_cited_clauses_stand_beside_the_draft_with_their_text(mine: Mine, client: TestClient) -> None:
    alert_id = mine.raise_risk("person-on-belt")
    mine.draft(alert_id)
    cited = client.get(f"/alerts/{alert_id}").text.split('class="cited"')[1].split("</aside>")[0]
    assert "nobody walks, stands or rides on the belt" in cited
    assert "The clause names this hazard" in cited
    assert "/clauses/belt-code%3A12" in cited
    assert client.get("/clauses/belt-code%3A12").status_code == 200


def test_decisions_are_taken_in_the_visitors_name_and_kept(mine: Mine, client: TestClient) -> None:
    alert_id = mine.raise_risk("person-on-belt")
    mine.draft(alert_id)
    assert send(client, f"/alerts/{alert_id}/acknowledge").headers["location"] == f"/alerts/{alert_id}"
    assert mine.alert(alert_id).acked_by == "dispatcher"
    done = send(client, f"/alerts/{alert_id}/approve", {"document_version": "1"})
    assert done.headers["location"] == "/?done=approve"
    assert mine.document_state(alert_id) in ("APPROVED", "ISSUED")
    page = client.get(f"/alerts/{alert_id}").text
    assert "approved" in page.split('id="timeline"')[1]
    assert "Approved and issued." in client.get("/?done=approve").text
    assert send(client, f"/alerts/{alert_id}/rectify", {"document_version": "1"}).status_code == 303
    own = send(client, f"/alerts/{alert_id}/close", {"document_version": "1", "reason": "seen"})
    assert own.status_code == 409
    other = send(person(mine, "officer"), f"/alerts/{alert_id}/close", {"document_version": "1", "reason": "seen"})
    assert other.status_code == 303
    assert mine.alert(alert_id).closed_by == "officer"


def test_returning_and_rejecting_need_a_reason(mine: Mine, client: TestClient) -> None:
    alert_id = mine.raise_risk("belt-hole")
    mine.draft(alert_id)
    for decision in ("return", "reject"):
        answer = send(client, f"/alerts/{alert_id}/{decision}", {"document_version": "1", "reason": "   "})
        assert answer.status_code == 422
        assert "Say why" in answer.text
        assert mine.document_state(alert_id) == "PENDING_APPROVAL"
    reason = 'dust <b>on</b> the lens & "glare"'
    assert send(client, f"/alerts/{alert_id}/reject", {"document_version": "1", "reason": reason}).status_code == 303
    page = client.get(f"/alerts/{alert_id}").text
    assert "dust &lt;b&gt;on&lt;/b&gt; the lens" in page
    assert "<b>on</b>" not in page


def test_who_comes_second_is_shown_the_others_decision(mine: Mine, client: TestClient) -> None:
    alert_id = mine.raise_risk("belt-hole")
    mine.draft(alert_id)
    officer = person(mine, "officer")
    form = {"document_version": "1", "reason": "glare of the lamp"}
    assert send(officer, f"/alerts/{alert_id}/reject", form).status_code == 303
    answer = send(client, f"/alerts/{alert_id}/approve", {"document_version": "1"})
    assert answer.status_code == 409
    for part in (
        "Somebody else was first",
        "officer",
        "rejected as false alarm",
        "glare of the lamp",
        "“Approve” was not done",
    ):
        assert part in answer.text
    assert mine.document_state(alert_id) == "REJECTED"
    by_script = send(client, f"/alerts/{alert_id}/acknowledge", headers={"X-Requested-With": "console"})
    assert by_script.status_code == 409
    assert by_script.json() == {"sentence": "Somebody else decided on this alert first."}


def test_deciding_on_an_older_version_of_the_document_does_nothing(mine: Mine, client: TestClient) -> None:
    alert_id = mine.raise_risk("belt-hole")
    mine.draft(alert_id)
    decide(mine.engine, MINE, alert_id, "return", "officer", reason="wrong team", document_version=1)
    mine.draft(alert_id)
    for version in ("1", "0", "", "-1", "9" * 30, "one"):
        assert send(client, f"/alerts/{alert_id}/approve", {"document_version": version}).status_code == 409
    assert mine.document_state(alert_id) == "PENDING_APPROVAL"
    assert send(client, f"/alerts/{alert_id}/approve", {"document_version": "2"}).status_code == 303


def test_a_decision_sent_twice_is_taken_once(mine: Mine, client: TestClient) -> None:
    alert_id = mine.raise_risk("belt-hole")
    mine.draft(alert_id)
    assert send(client, f"/alerts/{alert_id}/approve", {"document_version": "1"}).status_code == 303
    assert send(client, f"/alerts/{alert_id}/approve", {"document_version": "1"}).status_code == 409
    lines = client.get(f"/alerts/{alert_id}").text.split('id="timeline"')[1]
    assert lines.count("<strong>approved</strong>") == 1


def test_what_is_offered_can_be_decided_and_nothing_else_is_offered(mine: Mine) -> None:
    every = list(DECIDERS)
    for state in (None, *DocumentState):
        for grade, episode, acked, closed in (
            ("general", "cleared", False, False),
            ("major", "ongoing", True, False),
            ("general", "ongoing", True, True),
        ):
            alert = Alert(
                id="x", mine=MINE, fingerprint="f", type="no-vest", grade=grade, priority="low", place="shaft", source="c",
                source_kind="camera", episode=episode, acked=acked, closed=closed,
                raised_at=utc_now(), committed_at=utc_now(), updated_at=utc_now(),
            )  # fmt: skip
            offered = possible(alert, state, every)
            present = DocumentState(state) if state else DocumentState.DRAFT
            assert ("acknowledge" in offered) == (not acked and not closed)
            for decision in offered:
                sources = EFFECTS[decision].sources
                assert sources is None or present in sources
            if "close" in offered and present is not DocumentState.ACCEPTANCE:
                assert (grade, episode) == ("general", "cleared")
            assert possible(alert, state, []) == []
            assert next_step(alert, state)


def test_shelving_takes_an_alert_out_of_the_queue_until_somebody_takes_it_back(mine: Mine, client: TestClient) -> None:
    alert_id = mine.raise_risk("no-vest")
    page = client.get(f"/alerts/{alert_id}").text
    assert 'id="dialog-shelve"' in page
    assert '<option value="480"' in page
    assert '<option value="720"' not in page, "longer than the mine's maximum"
    form = {"document_version": "0", "minutes": "60", "reason": "belt is being mended"}
    assert send(client, f"/alerts/{alert_id}/shelve", form).headers["location"] == "/?done=shelve"
    assert shown(client) == []
    assert shown(client, "/?tab=shelved") == [alert_id]
    page = client.get(f"/alerts/{alert_id}").text
    assert "Shelved until" in page
    assert "by dispatcher: belt is being mended" in page
    assert "dialog-shelve" not in page
    assert send(client, f"/alerts/{alert_id}/unshelve").headers["location"] == f"/alerts/{alert_id}"
    assert shown(client) == [alert_id]


def test_what_cannot_be_shelved_is_said_and_not_offered(mine: Mine, client: TestClient) -> None:
    major, general = mine.raise_risk("person-on-belt"), mine.raise_risk("no-vest")
    assert "dialog-shelve" not in client.get(f"/alerts/{major}").text
    form = {"minutes": "30", "reason": "r"}
    answer = send(client, f"/alerts/{major}/shelve", form)
    assert answer.status_code == 422
    assert "major hazards and imminent danger never are" in answer.text
    for minutes in ("", "0", "-5", "99999", "soon", "481"):
        answer = send(client, f"/alerts/{general}/shelve", form | {"minutes": minutes})
        assert answer.status_code == 422
        assert "at most 480 minutes" in answer.text
    assert send(client, f"/alerts/{general}/shelve", {"minutes": "30"}).status_code == 422
    assert mine.alert(general).shelved_until is None
    assert mine.alert(major).shelved_until is None


def test_the_document_is_had_as_pdf_and_docx_in_both_languages(mine: Mine, client: TestClient) -> None:
    alert_id = mine.raise_risk("belt-hole")
    mine.draft(alert_id)
    page = client.get(f"/alerts/{alert_id}").text
    for kind, begins in (("pdf", b"%PDF"), ("docx", b"PK")):
        for tongue in ("zh", "en"):
            address = f"/documents/{alert_id}-1.{kind}?language={tongue}"
            assert address in page
            answer = client.get(address)
            assert answer.content.startswith(begins)
            assert f'filename="{alert_id}-1-{tongue}.{kind}"' in answer.headers["content-disposition"]
    for strange in (
        f"{alert_id}-2.pdf",
        f"{alert_id}-1.exe",
        f"{alert_id}-1",
        "x.pdf",
        "..%2Fx.pdf",
        f"{'0' * 32}-1.docx",
    ):
        assert client.get(f"/documents/{strange}").status_code == 404
    assert TestClient(client.app).get(f"/documents/{alert_id}-1.pdf", follow_redirects=False).status_code == 303


def test_the_roster_is_edited_by_officers_and_seen_by_all(mine: Mine, client: TestClient) -> None:
    officer = person(mine, "officer")
    duty = {"place": "belt-3", "begins": "00:00", "ends": "00:00", "person": "Li <Ming>", "contact": "8012"}
    assert send(client, "/duty", duty).status_code == 403
    assert "There is no roster yet" in client.get("/duty").text
    assert send(officer, "/duty", duty).headers["location"] == "/duty"
    page = client.get("/duty").text
    assert "Li &lt;Ming&gt; (8012)" in page.split('id="duty-now"')[1]
    assert "Nobody: a person has to settle it" in page
    assert '<form method="post" action="/duty' not in page
    again = send(officer, "/duty", duty | {"person": "Bob"})
    assert again.status_code == 422
    assert "a shift has one person" in again.text
    for strange in ({"begins": "25:00"}, {"ends": ""}, {"person": " "}, {"place": "nowhere"}):
        assert send(officer, "/duty", duty | strange).status_code == 422
    alert_id = mine.raise_risk("belt-hole")
    mine.draft(alert_id)
    assert "Li &lt;Ming&gt; (8012)" in client.get(f"/alerts/{alert_id}").text
    [identity] = set(re.findall(r"/duty/([0-9a-f]+)/remove", officer.get("/duty").text))
    assert send(client, f"/duty/{identity}/remove").status_code == 403
    assert send(officer, f"/duty/{identity}/remove").status_code == 303
    assert send(officer, f"/duty/{identity}/remove").status_code == 404
    assert "There is no roster yet" in client.get("/duty").text


def test_an_alert_of_another_mine_is_not_there(mine: Mine, client: TestClient) -> None:
    alert_id = mine.raise_risk("belt-hole")
    with writing(mine.engine) as session:
        row = session.get_one(Alert, alert_id)
        row.mine = "south"
        session.add(row)
    assert client.get(f"/alerts/{alert_id}").status_code == 404
    assert send(client, f"/alerts/{alert_id}/acknowledge").status_code == 404
    assert shown(client) == []
    for strange in ("x", "%00", "..%2F..", "a" * 500, "' OR 1=1"):
        assert client.get(f"/alerts/{strange}").status_code == 404


def test_evidence_is_shown_as_what_it_is_and_only_to_who_is_logged_in(mine: Mine, client: TestClient) -> None:
    digest = mine.evidence.put(MINE, mine.picture, "image/jpeg")
    answer = client.get(f"/evidence/{digest}.jpg")
    assert answer.content == mine.picture
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"
    small = client.get(f"/evidence/{digest}.jpg?width=480").content
    picture = cv2.imdecode(np.frombuffer(small, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape[1] == 480
    assert client.get(f"/evidence/{digest}.jpg?width=31337").content == mine.picture
    clip = mine.evidence.put(MINE, b"not really a clip", "video/webm")
    assert client.get(f"/evidence/{clip}.webm", headers={"Range": "bytes=0-2"}).content == b"not"
    for strange in (
        f"{digest}.png",
        f"{digest}.html",
        f"{digest}",
        "x.jpg",
        f"{'0' * 64}.jpg",
        f"{'0' * 64}.mp4",
        f"..%2F{digest}.jpg",
    ):
        assert client.get(f"/evidence/{strange}").status_code == 404
    guest = TestClient(client.app)
    assert guest.get(f"/evidence/{digest}.jpg", follow_redirects=False).status_code == 303
    mine.evidence.path(MINE, digest, "image/jpeg").write_bytes(b"altered")
    assert client.get(f"/evidence/{digest}.jpg").status_code == 404


def reported(mine: Mine) -> list[Risk]:
    consumer = mine.log.subscribe("test", ["risks"])
    found = [decode(record.value) for record in consumer.poll(10, 0.5)]
    consumer.close()
    return [message for message in found if isinstance(message, Risk)]


def test_a_hazard_reported_by_hand_takes_the_way_of_every_risk(mine: Mine, client: TestClient) -> None:
    done, png = cv2.imencode(".png", np.full((3000, 4000, 3), 90, np.uint8))
    assert done
    fields = {"type": "hand-raised", "place": "shaft", "text": "Loose plank <at> the collar"}
    answer = send(client, "/hazards", fields, files={"photo": ("me.png", png.tobytes(), "image/png")})
    assert answer.status_code == 303
    where = answer.headers["location"]
    assert "on its way into the queue" in client.get(where).text
    [risk] = reported(mine)
    assert (risk.type, risk.place, risk.note, risk.source) == (
        "hand-raised",
        "shaft",
        fields["text"],
        "person:dispatcher",
    )
    [photo] = risk.evidence
    kept = mine.evidence.get(MINE, photo.sha256, "image/jpeg")
    picture = cv2.imdecode(np.frombuffer(kept, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (1440, 1920, 3)
    with writing(mine.engine) as session:
        take_all(session, [risk], SITE, DisposalSettings(), utc_now())
    alert_id = alert_identity(MINE, risk.risk_id)
    assert client.get(where, follow_redirects=False).headers["location"] == f"/alerts/{alert_id}"
    page = client.get(f"/alerts/{alert_id}").text
    assert "Loose plank &lt;at&gt; the collar" in page
    assert f"/evidence/{photo.sha256}.jpg" in page


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"type": "no-such-type"}, "Choose a kind of hazard"),
        ({"place": "nowhere"}, "Choose a place"),
        ({"place": ""}, "Choose a place"),
        ({"text": " \n "}, "Say what you saw"),
    ],
)
def test_a_report_that_lacks_something_says_so_and_keeps_what_was_typed(
    mine: Mine, client: TestClient, fields: dict[str, str], said: str
) -> None:
    typed = {"type": "standing-water", "place": "shaft", "text": "Water at the sump"} | fields
    answer = send(client, "/hazards", typed)
    assert answer.status_code == 422
    assert said in answer.text
    if typed["text"].strip():
        assert "Water at the sump</textarea>" in answer.text
    assert reported(mine) == []


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims a huge picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\x00")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
        b"\xff\xd8\xff\xe0 not a picture at all",
        b"MZ\x90\x00",
        b"\x00",
        png_claiming(100_000, 100_000),
        png_claiming(9_000, 9_000),
        png_claiming(64, 64)[:40],
        drawn_picture()[:50],
    ],
)
def test_what_is_no_photo_is_refused(data: bytes) -> None:
    with pytest.raises(PhotoError):
        clean_photo(data)


def test_a_photo_keeps_nothing_but_its_pixels() -> None:
    picture = drawn_picture()
    smuggled = picture + b"<script>alert(1)</script>"
    assert b"script" not in clean_photo(smuggled)
    assert clean_photo(picture)[:3] == b"\xff\xd8\xff"


def test_a_photo_that_is_too_large_is_refused(mine: Mine, client: TestClient) -> None:
    fields = {"type": "hand-raised", "place": "shaft", "text": "x"}
    answer = send(
        client, "/hazards", fields, files={"photo": ("p.jpg", b"\xff\xd8\xff" + b"x" * 700_000, "image/jpeg")}
    )
    assert answer.status_code == 413
    bad = send(client, "/hazards", fields, files={"photo": ("p.jpg", b"<svg/>", "image/jpeg")})
    assert bad.status_code == 422
    assert "no JPEG or PNG photo" in bad.text
    assert reported(mine) == []


def test_a_clause_is_edited_reviewed_and_published_by_different_people(mine: Mine) -> None:
    author, reviewer = person(mine, "officer"), person(mine, "administrator")
    new = {
        "title_zh": "输送带与人员",
        "title_en": "Belts and persons",
        "text_zh": "禁止乘坐。",
        "text_en": "Nobody rides <the> belt.",
    }
    saved = send(author, "/clauses/belt-code:12/edit", new)
    assert saved.headers["location"] == "/clauses/belt-code:12"
    page = author.get("/clauses/belt-code:12").text
    assert "Nobody rides &lt;the&gt; belt." in page
    assert "Draft" in page
    [one, _] = in_force(mine.engine, MINE, utc_now())
    assert one.version == 1
    draft = {"version_id": "belt-code:12@2"}
    assert send(reviewer, "/clauses/belt-code:12/review", draft).status_code == 303
    refused = send(author, "/clauses/belt-code:12/publish", draft)
    assert refused.status_code == 422
    assert "somebody else has to publish it" in refused.text
    assert send(reviewer, "/clauses/belt-code:12/publish", draft).status_code == 422
    from console.accounts import add_user
    from tests.integration.console_mine import PASSWORD

    add_user(mine.engine, MINE, "second-officer", "officer", PASSWORD)
    assert send(person(mine, "second-officer"), "/clauses/belt-code:12/publish", draft).status_code == 303
    states = [v.state for v in history(mine.engine, "belt-code:12", utc_now())]
    assert states == ["SUPERSEDED", "PUBLISHED"]
    assert [p.version for p in in_force(mine.engine, MINE, utc_now())] == [2, 1]


def test_an_edit_that_cannot_be_saved_keeps_what_was_typed(mine: Mine) -> None:
    author = person(mine, "officer")
    answer = send(author, "/clauses/belt-code:12/edit", {"title_en": "Kept title", "text_zh": "", "text_en": ""})
    assert answer.status_code == 422
    assert "Kept title" in answer.text
    assert len(history(mine.engine, "belt-code:12", utc_now())) == 1
    assert send(author, "/clauses/belt-code:12/publish", {"version_id": "other:1@1"}).status_code == 404


@pytest.mark.parametrize(("tongue", "said"), [("en", "Would change: 1"), ("zh", "1个将改变")])
def test_what_a_text_would_change_is_seen_before_it_is_saved(mine: Mine, tongue: str, said: str) -> None:
    mine.raise_risk("person-on-belt")
    words = RulesSettings(matcher=MatcherSettings(model="none"))
    officer = TestClient(create_app(mine.engine, MINE, mine.evidence, mine.log, SETTINGS, rules=words))
    assert log_in(officer, "officer").status_code == 303
    officer.cookies.set("minewatch-language", tongue)
    typed = {"title_zh": "甲", "title_en": "Belts", "text_zh": "禁止乘坐输送带。", "text_en": "Nobody rides on a belt."}
    page = send(officer, "/clauses/belt-code:12/edit", typed | {"what-if": "30"})
    assert page.status_code == 200
    assert said in page.text
    assert 'id="what-if"' in page.text
    assert "Nobody rides on a belt.</textarea>" in page.text
    assert "belt-code:12@2" not in officer.get("/clauses/belt-code:12").text
    refused = send(officer, "/clauses/belt-code:12/edit", typed | {"text_zh": "", "text_en": "", "what-if": "7"})
    assert refused.status_code == 422


def test_the_list_of_clauses_shows_the_newest_versions_of_each_code(mine: Mine, client: TestClient) -> None:
    page = client.get("/clauses").text
    for part in ("Belt conveyor code", "Helmets", "Belts and persons", "No helmet", "Published"):
        assert part in page
    assert client.get("/clauses/belt-code:99").status_code == 404
    assert client.get("/clauses?code=nonsense").status_code == 200


def test_the_search_box_finds_clauses_by_what_they_say(mine: Mine, client: TestClient) -> None:
    for query, title in (("walking or riding on a conveyor belt", "Belts and persons"), ("入井人员 安全帽", "Helmets")):
        page = client.get("/clauses", params={"q": query}).text
        first = re.search(r'<tbody>.*?<a href="/clauses/[^"]+">([^<]+)', page, re.DOTALL)
        assert first is not None
        assert first[1] == title
    # Clauses are embedded behind the first answers.
    asked = {"q": "walking or riding on a conveyor belt"}
    deadline = time.monotonic() + 60
    while "Found by words and meaning" not in client.get("/clauses", params=asked).text:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert "No clause applies." in client.get("/clauses", params={"q": "<b>zzz qqq xxx</b>"}).text
    del mine


def test_the_wall_shows_each_camera_with_its_latest_evidence_and_health(mine: Mine, client: TestClient) -> None:
    mine.raise_risk("smoke", age=90)
    store_health(mine.engine, [
        Health(mine=MINE, source="cam-shaft", source_kind="camera", status="offline", detail="no frames", observed_at=utc_now())
    ])  # fmt: skip
    belt, shaft = client.get("/wall").text.split("<figure")[1:]
    assert hashlib.sha256(mine.picture).hexdigest() in belt
    assert "1 min 30 s" in belt
    assert "No health report" in belt
    assert ' hidden><div id="sight' in shaft.replace("\n", ""), "where there is no picture, none is shown"
    assert "Offline" in shaft


def test_forms_and_pages_survive_whatever_is_typed(mine: Mine, client: TestClient) -> None:
    alert_id = mine.raise_risk("belt-hole")
    mine.draft(alert_id)
    for reason in ("\x00\x01", "𝕬" * 5000, "{{ 7*7 }}", "%s%n", "a\r\nSet-Cookie: x=y"):
        answer = send(client, f"/alerts/{alert_id}/return", {"document_version": "7", "reason": reason})
        assert answer.status_code in (409, 422)
    assert client.get("/?tab=%00&place=%F0%9F%92%A3&selected='%22<script>").status_code == 200
    assert "<script>alert" not in client.get("/clauses?q=").text
    assert token_of(client)
    with reading(mine.engine) as session:
        assert len(session.exec(select(Alert)).all()) == 1
