"""Who wants to hear what a model in this process writes, while it writes it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Hearer = Callable[[str], object]
_heard: ContextVar[Hearer | None] = ContextVar("heard", default=None)


@contextmanager
def hearing(told: Hearer) -> Iterator[None]:
    """Within it ``told`` gets the text of every draft that is written alone, piece by piece, in this thread."""
    before = _heard.set(told)
    try:
        yield
    finally:
        _heard.reset(before)


def hearer() -> Hearer | None:
    """Who is to be told now, if anybody."""
    return _heard.get()
