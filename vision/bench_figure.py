"""The figures of ``bench vision`` as one picture: rates side by side, cost by cameras, time from frame to risk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_WAYS = {
    "limit": "the limit: decode, then a bare request",
    "ours": "ours: 1080p JPEG to tracked detections",
    "predict on the export": "YOLO.predict on our export",
    "predict": "YOLO.predict in torch",
    "shipped": "detection alone, as shipped",
    "torch fp32": "detection alone, torch fp32",
}
_OURS, _OTHERS, _BOUND = "#1f6f8b", "#9aa5ad", "#b3402a"


def draw(figures: Mapping[str, Any], file: Path) -> None:
    """Write the picture to ``file``, in the format that its ending names (svg, png, pdf)."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 9, "svg.fonttype": "none"}):
        figure = Figure(figsize=(11, 3.6), layout="constrained", facecolor="white")
        rates, growth, latency = figure.subplots(1, 3, width_ratios=(1.5, 1.1, 0.8))
        _draw_rates(rates, figures["rates"])
        _draw_growth(growth, figures)
        _draw_latency(latency, figures["frame_to_risk_ms"])
        for axes in (rates, growth, latency):
            axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(file)


def _draw_rates(axes: Any, rates: Mapping[str, float]) -> None:
    ways = [way for way in _WAYS if way in rates][::-1]
    colours = [_OURS if way in {"ours", "shipped"} else _OTHERS for way in ways]
    bars = axes.barh([_WAYS[way] for way in ways], [rates[way] for way in ways], color=colours)
    axes.bar_label(bars, fmt="%.0f", padding=3)
    axes.set_title("Pictures a second, all cores, 320 px")
    axes.margins(x=0.12)


def _draw_growth(axes: Any, figures: Mapping[str, Any]) -> None:
    runs = sorted(figures["growth"], key=lambda run: run["cameras"])
    axes.plot([run["cameras"] for run in runs], [run["cores"] for run in runs], "o-", color=_OURS)
    for run in runs:
        if not run["held"]:
            axes.plot(run["cameras"], run["cores"], "x", color=_BOUND, markersize=11)
    axes.axhline(figures["cores"], color=_BOUND, linewidth=1)
    axes.annotate("all cores", (0, figures["cores"]), xytext=(2, 3), textcoords="offset points", color=_BOUND)
    axes.set_ylim(0, figures["cores"] * 1.15)
    axes.set_xlim(0)
    axes.set_xlabel(f"cameras (1080p JPEG, 5 fps); {figures['cameras']} held")
    axes.set_title("Cores that detection takes")


def _draw_latency(axes: Any, milliseconds: Mapping[str, float | None]) -> None:
    parts = [(name, milliseconds[name] or 0.0) for name in ("p50", "p95", "p99")]
    bars = axes.bar([name for name, _ in parts], [value for _, value in parts], color=_OURS)
    axes.bar_label(bars, fmt="%.0f", padding=2)
    axes.set_title("Frame to risk (ms)")
    axes.margins(y=0.15)
