"""Progress on stderr, so that stdout holds the answer alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from console.options import err


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar, moved by calling it with how many of how many are done; none where nobody looks."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
