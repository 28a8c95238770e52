"""Continues the training of a clerk on what people approved, and lets it replace the old one only where it helps."""

import hashlib
import itertools
import json
import random
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import Field
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from disposal.clerk import BATCH, ClerkBackend, pin, verified
from disposal.clerk_lessons import Lesson, lessons
from disposal.clerk_prompt import answer_of, ask
from disposal.clerk_train import learn, padded, resume, save, ship, tokens
from disposal.compare import editing
from disposal.drafter import Drafter
from disposal.errors import TrainingError
from disposal.settings import DrafterSettings
from disposal.triple import Triple, scenes
from stream.settings import Section

_SECONDS = 600.0
"""Seconds for a draft that is compared: enough for any, so that a busy machine does not change what is written."""


class FeedbackTraining(Section):
    """How a clerk learns from what people approved."""

    steps: int = Field(400, ge=1, title="Steps", description="Steps of training in all.")
    seed: int = Field(7, title="Seed", description="Seed of what is held back and of the order of lessons.")
    held_back: float = Field(0.2, gt=0, lt=1, title="Held back", description="The share that is compared on.")
    least: int = Field(20, ge=2, title="Least", description="Approved documents that there have to be.")
    batch: int = Field(16, ge=2, title="Batch", description="Lessons in a step; half of them are of the product's own.")
    rate: float = Field(5e-4, gt=0, title="Learning rate", description="The highest learning rate.")
    save_seconds: float = Field(60.0, gt=0, title="Checkpoints", description="Seconds between two checkpoints.")


class Outcome(NamedTuple):
    """What came of it. ``before`` and ``after``: the mean share of the held-back drafts that differs from what was
    approved, of the old clerk and of the new; ``model``: its folder, also of one that may not replace the old.
    """

    model: Path
    replaces: bool
    said: str
    before: float
    after: float
    learned: int
    left_out: int
    held_back: int
    steps: int

    def as_dict(self) -> dict[str, object]:
        """Fit for JSON."""
        return {**self._asdict(), "model": str(self.model)}


def train_from_feedback(
    found: Sequence[Triple],
    base: Path,
    folder: Path,
    settings: FeedbackTraining,
    tell: Callable[[int, int], None] = lambda *_: None,
) -> Outcome:
    """Train the clerk in ``base`` further on what people approved, into a folder of its own below ``folder``.

    That folder's name comes of the base, the lessons and the settings: the same again goes on from its checkpoint.
    Whole scenes are held back. Where the new clerk's drafts of those need less editing than the old one's, and fall
    through no more often, it lies in ``model`` there with its digests pinned and may be set as disposal.drafter.clerk;
    otherwise it is kept in ``refused`` without any, so that no drafter loads it. Raises TrainingError where
    there is too little to learn from, and ModelError where ``base`` is not the model that was pinned.
    """
    learned, held = parted(found, settings)
    taught = [(t, answer) for t in learned if (answer := answer_of(t.approved, t.request)) is not None]
    if not taught:
        raise TrainingError(
            f"None of {len(learned)} approved documents says what the clerk could write: it writes no figures of its own."
        )
    digest = verified(base)
    own = [Lesson(ask(t.request), answer) for t, answer in taught]
    made_with = _made_with(digest, own, settings)
    place = folder / hashlib.sha256(made_with.encode()).hexdigest()[:12]
    done = _teach(base, place, made_with, own, settings, tell)
    fresh = place / "trained"
    pin(fresh)
    before, after = (_edited(clerk, held) for clerk in (base, fresh))
    replaces = after.editing < before.editing and after.fell_through <= before.fell_through
    model = place / ("model" if replaces else "refused")
    shutil.rmtree(model, ignore_errors=True)
    if not replaces:
        (fresh / "pins.toml").unlink()
    fresh.rename(model)
    verdict = "It may replace the old one" if replaces else "It is refused: the old one stays"
    said = (
        f"{verdict}; on {len(held)} held-back documents {before.editing:.1%} of the old clerk's text was edited and "
        f"{after.editing:.1%} of the new one's would be, and {before.fell_through} and {after.fell_through} drafts were composed."
    )
    return Outcome(
        model, replaces, said, round(before.editing, 6), round(after.editing, 6),
        len(own), len(learned) - len(own), len(held), done,
    )  # fmt: skip


def parted(found: Sequence[Triple], settings: FeedbackTraining) -> tuple[list[Triple], list[Triple]]:
    """Those to learn from and those held back: whole scenes, drawn by the seed, until they are the share asked for.

    Raises TrainingError where there are too few, or all are of one scene.
    """
    if len(found) < settings.least:
        raise TrainingError(
            f"{len(found)} documents were approved by people, {settings.least} are needed to learn from: approve more first."
        )
    names = scenes(found)
    if len(names) < 2:
        raise TrainingError(
            f"All {len(found)} approved documents are of one hazard at one place: none can be held back."
        )
    random.Random(settings.seed).shuffle(names)  # noqa: S311  # nothing secret
    chosen: set[str] = set()
    for name in names[:-1]:
        chosen.add(name)
        if sum(one.scene in chosen for one in found) >= settings.held_back * len(found):
            break
    return [t for t in found if t.scene not in chosen], [t for t in found if t.scene in chosen]


class _Edited(NamedTuple):
    editing: float
    fell_through: int


def _edited(clerk: Path, held: Sequence[Triple]) -> _Edited:
    """How far the drafts that a dispatcher would get with that clerk are from what was approved."""
    settings = DrafterSettings(seconds=_SECONDS, rest_seconds=0)
    drafter = Drafter([ClerkBackend(clerk)], settings)
    asked = [one.request for one in held]
    drafts = [d for begin in range(0, len(asked), BATCH) for d in drafter.draft_all(asked[begin : begin + BATCH])]
    shares = [editing(d.content, one.approved, one.request.language) for d, one in zip(drafts, held, strict=True)]
    return _Edited(statistics.fmean(shares), sum(d.fell_through for d in drafts))


def _teach(
    base: Path,
    folder: Path,
    made_with: str,
    own: Sequence[Lesson],
    settings: FeedbackTraining,
    tell: Callable[[int, int], None],
) -> int:
    """Train into ``folder/trained``; answers the steps done in all."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(base, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(base, local_files_only=True, use_safetensors=True).float()
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.rate, betas=(0.9, 0.98), weight_decay=0.01)
    state = folder / "checkpoint.pt"
    step, spent = resume(state, model, optimizer, made_with)
    batches = _batches(own, tokenizer, settings)
    for _ in range(step):
        next(batches)
    began = saved = time.monotonic()
    model.train()
    while step < settings.steps:
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * min(1.0, (step + 1) / 10) * (1.0 - step / settings.steps)
        learn(model, optimizer, next(batches))
        step += 1
        tell(step, settings.steps)
        if time.monotonic() - saved > settings.save_seconds:
            saved = time.monotonic()
            save(state, model, optimizer, made_with, step, spent + (saved - began) / 60)
    save(state, model, optimizer, made_with, step, spent + (time.monotonic() - began) / 60)
    ship(folder / "trained", model, tokenizer)
    return step


def _made_with(digest: str, own: Sequence[Lesson], settings: FeedbackTraining) -> str:
    """What a training is told by: the model that it began with, lessons and settings."""
    said = hashlib.sha256(json.dumps([list(one) for one in own]).encode()).hexdigest()
    return f"{digest} {said} {settings.model_dump_json(exclude={'save_seconds'})}"


def _batches(own: Sequence[Lesson], tokenizer: Any, settings: FeedbackTraining) -> Iterator[dict[str, Any]]:
    """Half of what people approved, half of the product's own lessons, so that what it knew is not lost."""
    usual, chance = lessons(settings.seed, {}), random.Random(settings.seed)  # noqa: S311  # nothing secret
    half = settings.batch // 2
    while True:
        chosen = chance.choices(own, k=settings.batch - half) + list(itertools.islice(usual, half))
        yield padded([tokens(one, tokenizer) for one in chosen], tokenizer.pad_token_id)
