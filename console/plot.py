"""Small plots as SVG, drawn here and on no browser's script: bars over time, and a line of readings with its limit.

Everything that is written into the drawing is escaped, and colours come from the page's own style sheet by class.
"""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

WIDTH, HEIGHT = 720, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 14, 24
_MARKS = 4
"""Numbers along the upright axis, zero among them."""


class Level(NamedTuple):
    """A value that is drawn as a line across the plot, with what it is."""

    value: float
    label: str


class Tick(NamedTuple):
    """A name below the plot, at a share (0 to 1) of its width."""

    at: float
    label: str


class Point(NamedTuple):
    """A value at a share (0 to 1) of the plot's width."""

    at: float
    value: float


def bars(
    values: Sequence[float],
    *,
    label: str,
    ticks: Sequence[Tick] = (),
    level: Level | None = None,
    titles: Sequence[str] = (),
) -> Markup:
    """One bar a value, those above ``level`` marked by colour and by hatching; ``titles`` name each when pointed at."""
    top = _nice(max([*values, level.value if level else 0.0, 1.0]))
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(values))
    drawn = []
    for n, value in enumerate(values):
        if value <= 0:
            continue
        y = _y(value, 0.0, top)
        over = " over" if level is not None and value > level.value else ""
        title = f"<title>{escape(titles[n])}</title>" if n < len(titles) else ""
        drawn.append(
            f'<rect class="bar{over}" x="{_LEFT + n * step + step * 0.08:.1f}" y="{y:.1f}" '
            f'width="{max(1.0, step * 0.84):.1f}" height="{HEIGHT - _BOTTOM - y:.1f}">{title}</rect>'
        )
    return _framed(label, 0.0, top, "".join(drawn), ticks, [level] if level else [], [])


def line(
    points: Sequence[Point],
    *,
    label: str,
    ticks: Sequence[Tick] = (),
    levels: Sequence[Level] = (),
    moments: Sequence[Tick] = (),
) -> Markup:
    """Readings joined in order; ``levels`` are limits, ``moments`` upright lines at what happened.

    Where a reading is far from the next (a twentieth of the width), the line is broken: nothing was measured there.
    """
    values = [p.value for p in points] + [level.value for level in levels]
    low, high = min([*values, 0.0]), max([*values, 0.0])
    top, bottom = _nice(high) if high > 0 else 0.0, -_nice(-low) if low < 0 else 0.0
    if top == bottom:
        top = 1.0
    drawn = []
    for run in _runs(points):
        path = " ".join(f"{_x(p.at):.1f},{_y(p.value, bottom, top):.1f}" for p in run)
        drawn.append(f'<polyline class="line" points="{path}"/>')
        if len(run) == 1:
            drawn.append(
                f'<circle class="dot" cx="{_x(run[0].at):.1f}" cy="{_y(run[0].value, bottom, top):.1f}" r="3"/>'
            )
    return _framed(label, bottom, top, "".join(drawn), ticks, levels, moments)


def share_bar(share: float, target: float | None = None) -> Markup:
    """A share (0 to 1) as a short bar, with a mark at its target."""
    width = min(1.0, max(0.0, share)) * 100
    mark = f'<line class="mark" x1="{target * 100:.1f}" x2="{target * 100:.1f}" y1="0" y2="12"/>' if target else ""
    return Markup(  # noqa: S704  # numbers alone
        '<svg class="share" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        f'<rect class="rail" width="100" height="12"/><rect class="bar" width="{width:.1f}" height="12"/>{mark}</svg>'
    )


def _framed(
    label: str,
    bottom: float,
    top: float,
    drawn: str,
    ticks: Sequence[Tick],
    levels: Sequence[Level],
    moments: Sequence[Tick],
) -> Markup:
    parts = [f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">']
    for n in range(_MARKS + 1):
        value = bottom + (top - bottom) * n / _MARKS
        y = _y(value, bottom, top)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    parts += [
        f'<text x="{_x(tick.at):.1f}" y="{HEIGHT - 6}" text-anchor="{_side(tick.at)}">{escape(tick.label)}</text>'
        for tick in ticks
    ]
    parts.append(drawn)
    for moment in moments:
        x = _x(moment.at)
        parts.append(f'<line class="moment" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{_TOP - 3}" text-anchor="{_side(moment.at)}">{escape(moment.label)}</text>')
    for level in levels:
        y = _y(level.value, bottom, top)
        parts.append(f'<line class="level" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="level" x="{WIDTH - _RIGHT}" y="{y - 4:.1f}" text-anchor="end">{escape(level.label)}</text>'
        )
    return Markup("".join(parts) + "</svg>")  # noqa: S704  # everything from outside is escaped above


def _runs(points: Sequence[Point]) -> list[list[Point]]:
    runs: list[list[Point]] = []
    for point in points:
        if runs and point.at - runs[-1][-1].at <= 0.05:
            runs[-1].append(point)
        else:
            runs.append([point])
    return runs


def _x(share: float) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * share


def _y(value: float, bottom: float, top: float) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _BOTTOM - _TOP) * (value - bottom) / (top - bottom)


def _side(share: float) -> str:
    return "start" if share < 0.1 else "end" if share > 0.9 else "middle"


def _nice(value: float) -> float:
    """A round number not below ``value`` that divides into four marks."""
    size = 10.0 ** int(f"{value:e}".partition("e")[2])
    return next(n * size for n in (1, 2, 4, 6, 8, 10) if n * size >= value * 0.999999)
