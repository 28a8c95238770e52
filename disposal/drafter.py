"""Who writes the document: backends in their order within a time budget, checks behind each, the composer at last."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import structlog

from disposal import composer
from disposal.answer import content_from, read_answer
from disposal.batching import Batching, asked, batched
from disposal.callout import Guard
from disposal.checks import check, passed, repair
from disposal.document import Check, DocumentContent
from disposal.errors import DraftError, ModelError, StaysOnSiteError
from disposal.ledger import Use, collecting
from disposal.prompt import Prompt
from disposal.request import DraftRequest
from disposal.second_look import Loader, SecondLook, Withheld, doubt, look_of, withheld
from disposal.settings import DrafterSettings

_logger = structlog.get_logger()


class Backend(Protocol):
    """A language model that answers a prompt with JSON of the schema, or as near to it as it can."""

    name: str

    def prompt(self, request: DraftRequest) -> Prompt:
        """What the model is asked for that request, and which prompt that is."""
        ...

    def answer(self, request: DraftRequest, prompt: Prompt, seconds: float) -> str:
        """What the model wrote, within ``seconds``. Raises DraftError where it does not answer in time or at all."""
        ...

    def shown(self, request: DraftRequest) -> bool:
        """Whether the evidence picture goes with that request."""
        ...


@runtime_checkable
class Loading(Protocol):
    """A backend that takes seconds to load."""

    @property
    def loading(self) -> bool:
        """Whether asking it would mean to wait for it to be loaded."""
        ...

    def warm(self) -> None:
        """Load aside; ``loading`` until then."""
        ...


@runtime_checkable
class Withholding(Protocol):
    """A backend off the site, to which not every picture goes."""

    name: str

    def withheld(self, request: DraftRequest) -> Withheld | None:
        """Why the picture did not go with the request that was made last, where one might have gone."""
        ...


class Draft(NamedTuple):
    """A checked draft: who wrote it, what the checks found, and what happened on the way.

    ``schema_valid`` tells of the model's answer before any repair (None: the composer wrote it), ``fell_through``
    counts the backends that gave nothing usable before this one; ``look`` is what a model said of the picture, also one
    whose draft was of no use.
    """

    content: DocumentContent
    backend: str
    language: str
    prompt: str
    checks: tuple[Check, ...]
    schema_valid: bool | None
    repaired: bool
    fell_through: int
    seconds: float
    look: SecondLook | None = None
    uses: tuple[Use, ...] = ()


class Drafter:
    """Writes documents. Safe to use from several threads; what it does is counted through ``count``."""

    def __init__(
        self,
        backends: Sequence[Backend],
        settings: DrafterSettings,
        count: Callable[[str], None] = lambda _: None,
        spent: Callable[[str], float] = lambda _: 0.0,
    ) -> None:
        """``spent``: what a backend of that name has cost today, to hold against its budget."""
        self._backends = tuple(backends)
        self._settings = settings
        self._count = count
        self._spent = spent
        self._resting: dict[str, float] = {}
        self._lock = threading.Lock()

    def warm(self) -> None:
        """Load aside what takes seconds to load; who comes behind it serves meanwhile."""
        for backend in self._backends:
            if isinstance(backend, Loading):
                backend.warm()

    @property
    def quick(self) -> bool:
        """No language model is configured: a document takes some milliseconds."""
        return not self._backends

    @property
    def batch(self) -> int:
        """How many documents are best drafted at once."""
        first = next((b for b in self._backends if self._serves(b)), None)
        return int(getattr(first, "batch", 1)) if first is not None else 1

    def draft(self, request: DraftRequest) -> Draft:
        """The document for this request: from the first backend whose draft holds, else composed."""
        return self._collected(request, self._backends)

    def draft_all(self, requests: Sequence[DraftRequest]) -> list[Draft]:
        """The documents for these requests, side by side where the first backend that serves can do that."""
        first = next((b for b in self._backends if self._serves(b)), None)
        if len(requests) < 2 or not isinstance(first, Batching):
            return [self.draft(request) for request in requests]
        behind = self._backends[self._backends.index(first) + 1 :]
        given = batched(first, requests, self._settings.seconds)
        drafts = [self._collected(request, (one, *behind)) for request, one in zip(requests, given, strict=True)]
        return [draft._replace(seconds=draft.seconds + one.took) for draft, one in zip(drafts, given, strict=True)]

    def compose(self, request: DraftRequest) -> Draft:
        """The document without any model, for what cannot wait for one."""
        self._count("drafts_waited_too_long")
        return self._collected(request, ())

    def _collected(self, request: DraftRequest, backends: Sequence[Backend]) -> Draft:
        with collecting() as uses:
            draft = self._draft(request, backends)
        return draft._replace(uses=tuple(uses))

    def _draft(self, request: DraftRequest, backends: Sequence[Backend]) -> Draft:
        begin = time.monotonic()
        failures = 0
        looks: list[SecondLook] = []
        for backend in backends:
            if not self._serves(backend):
                failures += 1
                continue
            draft = self._ask(backend, request, failures, begin, looks)
            if draft is not None:
                return draft._replace(look=doubt(looks))
            failures += 1
        content = composer.compose(request)
        self._count("drafts_composed")
        return Draft(
            content,
            composer.NAME,
            "zh,en",
            "",
            check(content, request),
            None,
            False,
            failures,
            time.monotonic() - begin,
            doubt(looks),
        )

    def _ask(
        self, backend: Backend, request: DraftRequest, failures: int, begin: float, looks: list[SecondLook]
    ) -> Draft | None:
        left = self._settings.seconds - (time.monotonic() - begin)
        if left <= 0:
            return None
        prompt = backend.prompt(request)
        try:
            text = self._asked(backend, request, prompt, left, looks)
        except DraftError as error:
            # A private request says nothing about the backend: the next one may be for it.
            self._fell_through(backend, str(error), rests=not isinstance(error, StaysOnSiteError))
            return None
        self._count("drafts_asked")
        try:
            answer, exact = read_answer(text)
        except DraftError as error:
            looks += look_of(None, "", backend.name, shown=backend.shown(request))
            self._fell_through(backend, str(error))
            return None
        looks += look_of(answer.picture_verdict, answer.picture_reason, backend.name, shown=backend.shown(request))
        content = content_from(answer, request, backend.name)
        exact = exact and len(content.citations) == len(answer.citations)
        self._count("drafts_schema_valid" if exact else "drafts_schema_invalid")
        checks, repaired = check(content, request), False
        if not passed(checks):
            content, repaired = repair(content, request), True
            checks = check(content, request)
        if not passed(checks):
            self._fell_through(backend, "; ".join(f"{c.name}: {c.detail}" for c in checks if not c.ok))
            return None
        seconds = time.monotonic() - begin
        return Draft(
            content, backend.name, request.language, prompt.version, checks, exact, repaired, failures, seconds
        )

    def _asked(
        self, backend: Backend, request: DraftRequest, prompt: Prompt, seconds: float, looks: list[SecondLook]
    ) -> str:
        """What it answered; a picture that was withheld from it is told of also where it gave nothing."""
        try:
            return asked(backend, request, prompt, seconds)
        finally:
            if isinstance(backend, Withholding) and (why := backend.withheld(request)) is not None:
                looks.append(withheld(why, backend.name))

    def _serves(self, backend: Backend) -> bool:
        """Neither being loaded, nor resting after a failure, nor over its budget of the day."""
        if isinstance(backend, Loading) and backend.loading:
            return False
        with self._lock:
            if time.monotonic() < self._resting.get(backend.name, 0.0):
                return False
        budget = getattr(backend, "daily_budget", 0.0)
        if not budget or self._spent(backend.name) < budget:
            return True
        self._count("drafts_over_budget")
        return False

    def _fell_through(self, backend: Backend, reason: str, *, rests: bool = False) -> None:
        """Count a backend that gave nothing usable; one that did not answer rests, so that no queue grows behind it."""
        self._count("drafts_fell_through")
        _logger.warning("draft fell through", backend=backend.name, reason=reason[:500])
        if rests:
            with self._lock:
                self._resting[backend.name] = time.monotonic() + self._settings.rest_seconds


def open_drafter(
    settings: DrafterSettings,
    count: Callable[[str], None],
    guard: Guard | None = None,
    pictures: Loader | None = None,
    spent: Callable[[str], float] = lambda _: 0.0,
) -> Drafter:
    """The drafter that the settings describe; backends that are not configured are left out.

    ``guard``: what every call out goes through; without one it is masked, but not written down. ``pictures``:
    reads evidence for a model that takes pictures; without it none is shown. ``spent``: what a backend cost today.

    Raises ConfigurationError where a local model's folder holds no model.
    """
    backends: list[Backend] = []
    for name in settings.order:
        if name == "composer":
            break
        if name == "openai" and settings.endpoint.url:
            from disposal.endpoint import EndpointBackend

            backends.append(EndpointBackend(settings.endpoint, guard, pictures))
        if name == "transformers" and settings.local.folder is not None:
            from disposal.causal import CausalBackend

            backends.append(CausalBackend(settings.local))
        if name == "clerk" and (clerk := _clerk(settings.clerk)) is not None:
            backends.append(clerk)
    return Drafter(backends, settings, count, spent)


def _clerk(folder: Path | None) -> Backend | None:
    """The clerk in that folder, else the one that ships; None, with an error in the log, where it is not as pinned."""
    from disposal.clerk import ClerkBackend

    try:
        return ClerkBackend(folder) if folder is not None else ClerkBackend()
    except ModelError as error:
        _logger.error("the clerk is left out", reason=str(error))
        return None
