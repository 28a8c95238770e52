"""The benchmarks by name: each package measures its own work, compares in one run and answers with its figures."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

BENCHES: Mapping[str, str] = {
    "console": "console.bench_console",
    "draft": "disposal.bench_draft",
    "policy": "disposal.bench_policy",
    "rules": "rules.bench",
    "stream": "stream.bench",
    "vision": "vision.bench",
    "warning": "rules.bench_warning",
}
"""Name -> the module whose ``measure(material, *, short)`` answers the figures; loaded when it is asked for."""
PICTURES: Mapping[str, str] = {"vision": "vision.bench_figure"}
"""Name -> the module whose ``draw(figures, file)`` makes a picture of them."""
SAMPLES = Path(__file__).parents[1] / "samples"


def measure(name: str, *, material: Path | None, short: bool) -> dict[str, Any]:
    """Run the benchmark of that name; the answer says which material it used. Raises KeyError for another name."""
    folder = material or SAMPLES
    run: Callable[..., Mapping[str, Any]] = import_module(BENCHES[name]).measure
    return {"benchmark": name, "short": short, "material": str(folder), **run(folder, short=short)}


def draw(name: str, figures: Mapping[str, Any], file: Path) -> None:
    """Write the picture of a benchmark's figures. Raises KeyError for a benchmark without one."""
    import_module(PICTURES[name]).draw(figures, file)
