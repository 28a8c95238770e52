"""The clerk: the small language model that ships with the product and drafts where no other model is configured.

It writes measures, resources, contingency and acceptance; code copies place, reading, citations and deadline from the
request. It was taught this project's own wording and knows nothing else: a drafting clerk, no adviser.
"""

import hashlib
import threading
import tomllib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from disposal.clerk_prompt import VERSION, answer_from, ask, blanks, cues, grammar
from disposal.errors import DraftError, ModelError
from disposal.prompt import Prompt
from disposal.request import DraftRequest
from disposal.settings import LocalModelSettings

if TYPE_CHECKING:
    from disposal.causal import CausalBackend, Written

FOLDER = Path(__file__).parent / "models" / "clerk"
BATCH = 8
"""Drafts that are written side by side at most."""
TOKENS = 260
"""Tokens that a draft may have: some three times of what one usually has."""


class ClerkBackend:
    """The clerk in a folder, by default the one that ships. One batch of drafts at a time.

    It is loaded when it is first asked: a stage that starts does not wait for it.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        """Raises ModelError where a file of it is not the one that was pinned."""
        self.digest = verified(folder)
        self.batch = BATCH
        self._folder = folder
        self._loader: threading.Thread | None = None
        self.name = f"clerk:{self.digest[:8]}"

    @cached_property
    def _causal(self) -> "CausalBackend":
        from disposal.causal import CausalBackend

        return CausalBackend(LocalModelSettings(folder=self._folder, tokens=TOKENS), full_precision=True)

    def warm(self) -> None:
        """Load it aside; until then it is ``loading``."""
        # Not a daemon: a process that ended amid the loading of native libraries would crash.
        self._loader = threading.Thread(target=lambda: self._causal, name="clerk loads")
        self._loader.start()

    @property
    def loading(self) -> bool:
        """Whether it is being loaded aside, and asking it would mean to wait."""
        return self._loader is not None and self._loader.is_alive()

    @property
    def parameters(self) -> int:
        """How many parameters it has."""
        return int(self._causal.parameters)

    @property
    def tokenizer(self) -> Any:
        """Its own tokenizer."""
        return self._causal.tokenizer

    def prompt(self, request: DraftRequest) -> Prompt:
        """What the clerk is asked for that request."""
        return Prompt(ask(request), f"{VERSION}.{request.language}")

    def answer(self, request: DraftRequest, prompt: Prompt, seconds: float) -> str:
        """The whole answer as JSON. Raises DraftError where the clerk does not come to an end in time."""
        written = self.write([(request, prompt)], seconds).texts[0]
        if isinstance(written, Exception):
            raise written
        return answer_from(written, request)

    def answers(self, asked: Sequence[tuple[DraftRequest, Prompt]], seconds: float) -> list[str | DraftError]:
        """The whole answers as JSON, written side by side; the error of those that did not come to an end in time."""
        texts = self.write(asked, seconds).texts
        return [
            t if isinstance(t, DraftError) else answer_from(t, request)
            for t, (request, _) in zip(texts, asked, strict=True)
        ]

    def shown(self, request: DraftRequest) -> bool:
        """It reads text alone."""
        del request
        return False

    def write(self, asked: Sequence[tuple[DraftRequest, Prompt]], seconds: float) -> "Written":
        """What the clerk itself writes for those requests, side by side, before its blanks are filled in."""
        grammars = [grammar(request.language, frozenset(blanks(request)), cues(request)) for request, _ in asked]
        return self._causal.held([prompt for _, prompt in asked], grammars, seconds)

    def write_freely(self, prompts: Sequence[Prompt], tokens: int, seconds: float) -> None:
        """Let the clerk write so many tokens held to nothing."""
        self._causal.write_freely(prompts, tokens, seconds)


def verified(folder: Path) -> str:
    """The digest of the model in that folder, each file of it found as it was pinned in ``pins.toml`` beside them.

    Raises ModelError where a file is missing, was altered, or nothing is pinned.
    """
    try:
        pins: dict[str, str] = tomllib.loads((folder / "pins.toml").read_text(encoding="utf-8"))["sha256"]
        for name, pinned in pins.items():
            if hashlib.sha256((folder / Path(name).name).read_bytes()).hexdigest() != pinned:
                raise ModelError(f"{name} of the clerk in {folder} is not the file that was pinned: install it again.")
        return pins["model.safetensors"]
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise ModelError(
            f"The clerk in {folder} is not whole ({type(error).__name__} {error}): install it again."
        ) from error


def pin(folder: Path) -> None:
    """Write down the digests of a model's files, so that it is taken for what it is from now on."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in (".json", ".safetensors", ".jinja"))
    lines = [f'"{p.name}" = "{hashlib.sha256(p.read_bytes()).hexdigest()}"' for p in files]
    (folder / "pins.toml").write_text("[sha256]\n" + "\n".join(lines) + "\n", encoding="utf-8")
