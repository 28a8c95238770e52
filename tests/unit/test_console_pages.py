import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from console.figures import Figures, age
from console.pages import local_path
from console.web_settings import WebSettings

CSS = (Path(__file__).parents[2] / "console/static/console.css").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("seconds", "en", "zh"),
    [
        (-5, "0 s", "0 秒"),
        (59.9, "59 s", "59 秒"),
        (60, "1 min 0 s", "1 分 0 秒"),
        (3600 + 240, "1 h 4 min", "1 时 4 分"),
        (90_000, "1 d 1 h", "1 天 1 时"),
    ],
)
def test_ages_are_read_in_two_units_at_most(seconds: float, en: str, zh: str) -> None:
    assert age("en", seconds) == en
    assert age("zh", seconds) == zh


def test_times_are_shown_in_the_mines_zone_with_the_date_where_it_is_another_day() -> None:
    figures = Figures("en", ZoneInfo("Asia/Shanghai"))
    assert figures.full(datetime(2026, 1, 1, 16, 30, tzinfo=UTC)) == "2026-01-02 00:30:00"
    assert figures.clock(datetime(2026, 1, 1, 16, 30, tzinfo=UTC)).startswith("2026-01-02")
    now = datetime.now(UTC)
    assert figures.clock(now) == f"{now.astimezone(ZoneInfo('Asia/Shanghai')):%H:%M:%S}"
    assert figures.offset() == 480
    assert Figures("en", UTC).age(now - timedelta(seconds=75)).startswith("1 min")


@pytest.mark.parametrize(
    "target", ["https://elsewhere/", "//elsewhere/x", "/\\elsewhere", "javascript:alert(1)", "x", "", "/a\nb"]
)
def test_nobody_is_sent_to_another_site(target: str) -> None:
    assert local_path(target) == "/"


@given(st.text())
def test_whatever_is_asked_for_the_way_on_is_a_path_of_this_console(target: str) -> None:
    path = local_path(target)
    assert path.startswith("/")
    assert not path.startswith("//")
    assert "\\" not in path
    assert "\n" not in path


def test_a_path_of_the_console_is_kept() -> None:
    assert local_path("/alerts/abc?x=1#approve") == "/alerts/abc?x=1#approve"


def luminance(colour: str) -> float:
    """Relative luminance by WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def colours(theme: str) -> dict[str, str]:
    block = re.search(r":root \{(.*?)\}" if theme == "dark" else r'\[data-theme="light"\] \{(.*?)\}', CSS, re.DOTALL)
    assert block is not None
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block[1]))


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_text_and_controls_stand_out_as_wcag_aa_asks(theme: str) -> None:
    of = colours(theme)
    for ground in ("ground", "plane", "raised"):
        for ink in ("ink", "soft"):
            assert contrast(of[ink], of[ground]) >= 4.5, (ink, ground)
        assert contrast(of["edge"], of[ground]) >= 3.0, ground
        assert contrast(of["focus"], of[ground]) >= 3.0, ground
    assert contrast(of["main-ink"], of["main"]) >= 4.5
    assert contrast(of["ink"], of["button"]) >= 4.5
    assert contrast(of["band-ink"], of["band"]) >= 4.5
    assert contrast(of["on-critical"], of["critical"]) >= 4.5
    for priority in ("high", "medium"):
        assert contrast(of["on"], of[priority]) >= 4.5
    assert contrast("#ffffff" if theme == "light" else of["on"], of["low"]) >= 4.5


def test_settings_refuse_half_of_tls_and_unknown_time_zones() -> None:
    with pytest.raises(ValidationError, match="go together"):
        WebSettings(tls_key=Path("key.pem"))
    with pytest.raises(ValidationError, match="no time zone"):
        WebSettings(time_zone="Middle/Earth")
    assert WebSettings(time_zone="Asia/Shanghai").time_zone == "Asia/Shanghai"
