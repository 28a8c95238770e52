"""Drawn lines are kept for pages, and what is only told to those who listen does not push them out."""

from datetime import UTC, timedelta

from console.names import Names
from console.painter import Painter
from console.queue_rows import Row
from disposal.alert import Alert
from stream.messages import utc_now
from stream.site import Site

NAMES = Names(Site(mine="north"), "en")
NOW = utc_now()


def row(number: int) -> Row:
    at = NOW - timedelta(seconds=number)
    alert = Alert(
        id=f"{number:032x}", mine="north", fingerprint="", type="smoke", grade="general", priority="high", place="belt",
        source="cam", source_kind="camera", raised_at=at, committed_at=at, updated_at=at,
    )  # fmt: skip
    return Row(alert, None)


def drawn(painter: Painter) -> int:
    return len(painter._drawn) + len(painter._told)


def test_a_flood_that_is_told_pushes_no_page_s_line_out_and_does_not_pile_up() -> None:
    painter = Painter(UTC)
    page = [painter.line(row(n), "open", "en", NAMES) for n in range(300)]
    for n in range(1000, 1600):
        assert f'id="r-{n:032x}"' in painter.line(row(n), "open", "en", NAMES, told=True)
    assert len(painter._drawn) == 300, "those of the page, and no other"
    assert drawn(painter) <= 500
    painter.line(row(5), "open", "en", NAMES, told=True)
    assert len(painter._drawn) == 300, "what stands on a page is still kept after it was told"
    assert [painter.line(row(n), "open", "en", NAMES)[:120] for n in range(300)] == [line[:120] for line in page]


def test_a_line_that_was_told_is_kept_once_it_stands_on_a_page() -> None:
    painter = Painter(UTC)
    told = painter.line(row(1), "open", "en", NAMES, told=True)
    assert painter.line(row(1), "open", "en", NAMES)[:120] == told[:120]
    assert (len(painter._drawn), len(painter._told)) == (1, 0)


def test_pages_line_by_line_do_not_pile_up_either() -> None:
    painter = Painter(UTC)
    for n in range(2700):
        painter.line(row(n), "closed", "en", NAMES)
    assert drawn(painter) == 2500
