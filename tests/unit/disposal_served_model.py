"""An OpenAI-compatible server with a language model behind it that keeps to the schema it is sent."""

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from disposal.causal import CausalBackend
from disposal.prompt import Prompt
from tests.unit.disposal_endpoint import Endpoint, endpoint

_PLENTY = 600.0


class Served(Endpoint):
    """The requests that are waiting for the model are written side by side, as inference servers do."""

    def __init__(self, model: CausalBackend, most: int) -> None:
        super().__init__()
        self._model = model
        self._most = most
        self._waiting: queue.Queue[tuple[dict[str, Any], Future[str]] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def answer(self, asked: dict[str, Any]) -> str:
        """What the model writes, held to the schema of the request."""
        written: Future[str] = Future()
        self._waiting.put((asked, written))
        return written.result(_PLENTY)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write no more."""
        self._waiting.put(None)
        self._thread.join(60)

    def _serve(self) -> None:
        while (some := self._next()) is not None:
            prompts = [Prompt(asked["messages"][0]["content"], "") for asked, _ in some]
            schemas = [asked["response_format"]["json_schema"]["schema"] for asked, _ in some]
            try:
                texts = self._model.write(prompts, schemas, _PLENTY).texts
            except Exception as error:  # noqa: BLE001  # whoever asked is told
                for _, written in some:
                    written.set_exception(error)
                continue
            for (_, written), text in zip(some, texts, strict=True):
                written.set_result(str(text))

    def _next(self) -> list[tuple[dict[str, Any], Future[str]]] | None:
        first = self._waiting.get()
        some = [first] if first is not None else []
        while some and len(some) < self._most:
            try:
                more = self._waiting.get(timeout=0.2)
            except queue.Empty:
                break
            if more is None:
                self._waiting.put(None)
                break
            some.append(more)
        return some or None


@contextmanager
def served(model: CausalBackend, most: int = 16) -> Iterator[Endpoint]:
    """A running server with that model behind it; ``most`` requests are written side by side."""
    state = Served(model, most)
    state.start()
    try:
        with endpoint(state) as running:
            yield running
    finally:
        state.stop()
