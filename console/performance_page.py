"""The figures page: how the alarm system performed in a shift or a month, beside what ISA-18.2 and EEMUA 191 ask."""

import csv
import io
from collections.abc import Iterator
from datetime import timedelta

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup

from console.auth import anybody_logged_in
from console.figures import Figures
from console.names import Names
from console.pages import language, render
from console.performance import BUCKET, FLOOD_BEGINS, PRIORITY_TARGETS, Metric, Performance, share_met
from console.performance_rows import SPANS, Span, performance_of, period_of, policy_target
from console.plot import Level, Tick, bars, share_bar
from console.services import Services, services
from console.translations import text
from stream.database import reading
from stream.messages import utc_now

HOURLY = 6
"""Alarms of one operator in an hour that are very likely acceptable (ISA-18.2)."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

router = APIRouter()


@router.get("/figures", dependencies=[anybody_logged_in()], include_in_schema=False)
def figures_page(request: Request) -> Response:
    """The figures of ``?span=``: this shift (by default), the last one, or 30 days."""
    ours, span = services(request), _span(request)
    found, cut = _performance(ours, span)
    with reading(ours.engine) as session:
        target = policy_target(session, ours.mine)
    return render(
        request,
        "figures.html",
        span=span,
        spans=SPANS,
        found=found,
        cut=cut,
        judged=[m for m in found.metrics if m.met is not None],
        broken=[m for m in found.metrics if m.met is False],
        rate_plot=_rate_plot(ours, language(request), span, found),
        priority_targets=PRIORITY_TARGETS,
        share_met=share_met,
        shown=shown,
        share_bar=share_bar,
        wrong_target=target,
        operators=ours.settings.operators,
    )


@router.get("/figures.csv", dependencies=[anybody_logged_in()], include_in_schema=False)
def figures_table(request: Request) -> Response:
    """The same figures as CSV (UTF-8 with a byte order mark, as spreadsheets want it), times in UTC."""
    ours, span = services(request), _span(request)
    found, _ = _performance(ours, span)
    written = io.StringIO()
    table = csv.writer(written)
    table.writerow(("section", "name", "value", "unit", "target", "kept"))
    for row in _lines(found, Names(ours.names.site(), language(request))):
        table.writerow([_plain(cell) for cell in row])
    name = f"figures-{ours.mine}-{span}-{found.period.until:%Y%m%dT%H%M}Z.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response("\ufeff" + written.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _span(request: Request) -> Span:
    return next((known for known in SPANS if known == request.query_params.get("span")), "shift")


def _performance(ours: Services, span: Span) -> tuple[Performance, bool]:
    now, settings = utc_now(), ours.settings
    period = period_of(span, now, ours.zone, shift_hours=settings.shift_hours, first_shift=settings.first_shift)
    return performance_of(ours.engine, ours.mine, period, now, settings.operators)


def _rate_plot(ours: Services, tongue: str, span: Span, found: Performance) -> Markup:
    settings = ours.settings
    label = text(tongue, "figures.per-shift" if span == "month" else "figures.per-ten")
    if span == "month":
        width = timedelta(hours=settings.shift_hours)
        allowed = HOURLY * settings.shift_hours * settings.operators
    else:
        width, allowed = BUCKET, FLOOD_BEGINS * settings.operators
    group = width // BUCKET
    counts = [sum(found.buckets[n : n + group]) for n in range(0, len(found.buckets), group)]
    if span == "shift":  # the shift's whole length, so that the plot stands still while it fills
        counts += [0] * (settings.shift_hours * 6 - len(counts))
    begins = [(found.period.since + n * width).astimezone(ours.zone) for n in range(len(counts))]
    shown = "%m-%d %H:%M" if span == "month" else "%H:%M"
    every = max(1, len(counts) // 6)
    ticks = [Tick(n / len(counts), f"{at:{shown}}") for n, at in enumerate(begins) if n % every == 0]
    titles = [f"{at:{shown}}: {count}" for at, count in zip(begins, counts, strict=True)]
    return bars(
        counts,
        label=label,
        ticks=ticks,
        titles=titles,
        level=Level(allowed, text(tongue, "figures.limit", value=allowed)),
    )


def _lines(found: Performance, names: Names) -> Iterator[tuple[object, ...]]:
    yield "period", "since", found.period.since.isoformat(), "", "", ""
    yield "period", "until", found.period.until.isoformat(), "", "", ""
    yield "alarms", "alarms", found.alerts, "count", "", ""
    for metric in found.metrics:
        yield "metric", metric.name, _number(metric.value), metric.unit, _number(metric.target), _kept(metric.met)
    for row in found.priorities:
        target = PRIORITY_TARGETS[row.name]
        yield "priority", row.name, _number(row.share), "share", target, _kept(share_met(row, found.alerts))
    for row in found.top:
        yield "source", names.source(row.name), row.alarms, "count", "", ""
    for row in found.chattering:
        yield "chattering", row.name, row.alarms, "count", 0, "no"
    for what, spent in (("acknowledge", found.acknowledge), ("decide", found.decide)):
        for part, value in (("median", spent.median), ("90 %", spent.ninth), ("longest", spent.longest)):
            yield f"time to {what}", part, _number(value), "seconds", "", ""
    closed = found.closures
    low, high = closed.rate_bounds or (None, None)
    yield "automatic closure", "rate", _number(closed.rate), "share", "", ""
    yield "automatic closure", "rate, lower 95 % bound", _number(low), "share", "", ""
    yield "automatic closure", "rate, upper 95 % bound", _number(high), "share", "", ""
    yield "automatic closure", "judged", closed.judged, "count", "", ""
    yield "automatic closure", "wrong", closed.wrong, "count", "", ""
    yield "automatic closure", "wrong, upper 95 % bound", _number(closed.wrong_bound), "share", "", ""
    for false in found.false_alarms:
        name = f"{names.source(false.source)} / {names.type(false.type)}"
        yield "false alarms", name, false.rejected, "count", "", ""
        yield "false alarms, share of decided", name, _number(false.share), "share", "", ""
    for one in found.corrections:
        name = f"{names.source(one.source)} / {names.type(one.type)}"
        yield "corrected documents", name, one.corrected, "count", "", ""
        yield "corrected documents, share of decided", name, _number(one.share), "share", "", ""
    for n, count in enumerate(found.buckets):
        yield "alarms in 10 minutes", (found.period.since + n * BUCKET).isoformat(), count, "count", FLOOD_BEGINS, ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _kept(met: bool | None) -> str:
    return {True: "yes", False: "no", None: ""}[met]


def _plain(cell: object) -> object:
    """A name from outside must not become a formula in somebody's spreadsheet."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def shown(metric: Metric, value: float | None, figures: Figures) -> str:
    """A metric's value or target as people read it."""
    if value is None:
        return "–"
    return figures.share(value) if metric.unit == "share" else figures.number(value)
