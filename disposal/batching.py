"""Several drafts asked for at once, and each then taken for itself: checked, repaired or passed on."""

import time
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from disposal.errors import DraftError
from disposal.ledger import Prices, Usage, counting, measured, record
from disposal.prompt import Prompt
from disposal.request import DraftRequest

_FREE = Prices()


@runtime_checkable
class Batching(Protocol):
    """A backend that writes several answers side by side."""

    name: str
    batch: int

    def prompt(self, request: DraftRequest) -> Prompt:
        """What the model is asked for that request."""
        ...

    def answers(self, asked: Sequence[tuple[DraftRequest, Prompt]], seconds: float) -> list[str | DraftError]:
        """What the model wrote for each, or why it wrote nothing. Raises DraftError where it wrote nothing at all."""
        ...

    def shown(self, request: DraftRequest) -> bool:
        """Whether the evidence picture goes with that request."""
        ...


class Given:
    """A backend that has answered already, in a batch with others."""

    def __init__(
        self, backend: Batching, prompt: Prompt, text: str | DraftError, usage: Usage | None, took: float
    ) -> None:
        """``took``: its share of the batch's seconds."""
        self.took = took
        self.name = backend.name
        self.digest = getattr(backend, "digest", "")
        self.prices = getattr(backend, "prices", _FREE)
        self._backend = backend
        self._prompt = prompt
        self._text = text
        self._usage = usage

    def prompt(self, request: DraftRequest) -> Prompt:
        """What it was asked."""
        del request
        return self._prompt

    def answer(self, request: DraftRequest, prompt: Prompt, seconds: float) -> str:
        """What it answered. Raises DraftError where it gave nothing."""
        del request, prompt, seconds
        if self._usage is not None:
            record(self._usage)
        if isinstance(self._text, DraftError):
            raise self._text
        return self._text

    def shown(self, request: DraftRequest) -> bool:
        """Whether the evidence picture went with it."""
        return self._backend.shown(request)


def batched(backend: Batching, requests: Sequence[DraftRequest], seconds: float) -> list[Given]:
    """The answers of one batch, each as a backend of its own."""
    prompts = [backend.prompt(request) for request in requests]
    texts: Sequence[str | DraftError]
    begin = time.monotonic()
    with counting() as counts:
        try:
            texts = backend.answers(list(zip(requests, prompts, strict=True)), seconds)
        except DraftError as error:
            texts = [error] * len(requests)
    told: list[Usage | None] = list(counts) if len(counts) == len(requests) else [None] * len(requests)
    took = (time.monotonic() - begin) / len(requests)
    return [Given(backend, *one, took) for one in zip(prompts, texts, told, strict=True)]


def asked(backend: Any, request: DraftRequest, prompt: Prompt, seconds: float) -> str:
    """The backend's answer, with its line for the ledger."""
    return measured(
        lambda: str(backend.answer(request, prompt, seconds)),
        backend=backend.name,
        prompt=prompt.version,
        text=prompt.text,
        model_digest=getattr(backend, "digest", ""),
        prices=getattr(backend, "prices", _FREE),
        took=getattr(backend, "took", 0.0),
    )
