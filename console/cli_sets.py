"""Commands for a mine's own pictures: check a labelled set, label new pictures for correction."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from console.options import Json, err, out, show


def register(app: typer.Typer) -> None:
    """Add these commands to ``minewatch vision``."""
    app.command(name="check")(check)


def check(
    data_yaml: Annotated[Path, typer.Argument(help="The set's data.yaml, in YOLO's layout.")],
    *,
    as_json: Json = False,
) -> None:
    """List near-duplicates across splits, missing or odd boxes and unreadable files of a labelled set."""
    from vision.check import check_set

    with _bar("Checking") as progress:
        found = check_set(data_yaml, progress)
    if as_json:
        show(found.as_dict(), as_json=True)
        return
    for finding in found.findings:
        out.print(f"{finding.path}: {finding.reason}", highlight=False, markup=False, soft_wrap=True)
    counts = ", ".join(f"{kind}: {amount}" for kind, amount in found.as_dict()["counts"].items()) or "nothing"
    listed = ", ".join(f"{split} {amount}" for split, amount in found.splits.items())
    out.print(f"Pictures: {listed}; boxes: {found.boxes}. Found: {counts}.", highlight=False)


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr, moved by calling it with how many of how many are done."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
