"""Options that several commands share, and the way results and refusals leave the command line."""

import json
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

Data = Annotated[
    Path,
    typer.Option(
        "--data", envvar="MINEWATCH_DATA", help="Folder of database, log and evidence.", show_default="./minewatch-data"
    ),
]
Config = Annotated[Path | None, typer.Option("--config", envvar="MINEWATCH_CONFIG", help="The mine's minewatch.toml.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Weights = Annotated[Path | None, typer.Option("--weights", help="Other YOLO weights (.pt or an OpenVINO folder).")]
Seconds = Annotated[
    float | None, typer.Option("--seconds", min=0, help="End after so many seconds, counted from ready.")
]

DATA = Path("minewatch-data")
out = Console()
err = Console(stderr=True)


def show(result: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a result for a program or for a person."""
    if as_json:
        sys.stdout.write(json.dumps(result, ensure_ascii=False, default=str) + "\n")
        return
    for name, value in result.items():
        out.print(f"[bold]{name.replace('_', ' ')}[/bold]  {value}", highlight=False)


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
