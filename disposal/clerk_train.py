"""Teaches the clerk: a small causal model of its own with its own tokenizer, within minutes, resumable."""

import itertools
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import Field
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from disposal.clerk_lessons import Lesson, lessons
from disposal.errors import TrainingError
from stream.settings import Section

_END, _USER, _CLERK = "<|end|>", "<|user|>", "<|clerk|>"
_TEMPLATE = "{% for m in messages %}<|user|>{{ m.content }}{% endfor %}<|clerk|>"
_GLUE = ('{"measures":["', '","', '"],"resources":["', '"],"contingency":"', '","acceptance":"', '"}')
"""What stands between the lines of an answer: a token each."""
_BLANKS = ("<place>", "<reading>")
_TOKENIZED = 3000
_ORDERED = 8
"""Batches whose lessons are put in order of their length together, so that little is padding."""


class ClerkTraining(Section):
    """How the clerk is taught."""

    minutes: float = Field(40.0, gt=0, title="Minutes", description="Wall-clock minutes of training in all.")
    seed: int = Field(7, title="Seed", description="Seed of weights and lessons.")
    batch: int = Field(16, ge=1, title="Batch", description="Lessons in a step.")
    rate: float = Field(3e-3, gt=0, title="Learning rate", description="The highest learning rate.")
    hidden: int = Field(160, ge=32, multiple_of=32, title="Width", description="Width of the model.")
    layers: int = Field(4, ge=1, title="Layers", description="Layers of the model.")
    vocabulary: int = Field(4000, ge=400, title="Vocabulary", description="Tokens that the tokenizer has at most.")
    save_seconds: float = Field(120.0, gt=0, title="Checkpoints", description="Seconds between two checkpoints.")


class Progress(NamedTuple):
    """How far the training is: steps done, minutes spent of those it has, mean loss lately."""

    step: int
    minutes: float
    of: float
    loss: float


def train(
    folder: Path,
    clauses: Mapping[str, Sequence[str]],
    settings: ClerkTraining,
    tell: Callable[[Progress], None] = lambda _: None,
) -> Progress:
    """Teach a model into ``folder/model``, going on from the checkpoint in ``folder`` where there is one.

    Raises TrainingError where the checkpoint there was made with other settings.
    """
    torch.manual_seed(settings.seed)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(folder, clauses, settings)
    model = Qwen3ForCausalLM(_config(tokenizer, settings))
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.rate, betas=(0.9, 0.98), weight_decay=0.01)
    state = folder / "checkpoint.pt"
    made_with = settings.model_dump_json(exclude={"minutes", "save_seconds"})
    step, spent = resume(state, model, optimizer, made_with)
    stream = _batches(lessons(settings.seed, clauses), tokenizer, settings.batch)
    for _ in range(step):
        next(stream)
    saved = began = time.monotonic()
    lately: list[float] = []
    model.train()
    while (minutes := spent + (time.monotonic() - began) / 60) < settings.minutes:
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * _share(step, minutes / settings.minutes)
        lately = [*lately[-49:], learn(model, optimizer, next(stream))]
        step += 1
        tell(Progress(step, minutes, settings.minutes, sum(lately) / len(lately)))
        if time.monotonic() - saved > settings.save_seconds:
            save(state, model, optimizer, made_with, step, minutes)
            ship(folder / "model", model, tokenizer)
            saved = time.monotonic()
    save(state, model, optimizer, made_with, step, settings.minutes)
    ship(folder / "model", model, tokenizer)
    return Progress(step, settings.minutes, settings.minutes, sum(lately) / max(1, len(lately)))


def learn(model: Any, optimizer: Any, batch: dict[str, Any]) -> float:
    """One step over a batch; only the answers are learned, so only their places get scores of all tokens."""
    hidden = model.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    wanted = batch["labels"][:, 1:]
    learned = wanted >= 0
    scores = model.lm_head(hidden[:, :-1][learned])
    loss = torch.nn.functional.cross_entropy(scores, wanted[learned])
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss.item())


def _share(step: int, done: float) -> float:
    """The share of the highest learning rate: up over the first steps, then down with the time that is spent."""
    return min(1.0, (step + 1) / 50) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def _batches(source: Iterator[Lesson], tokenizer: Any, size: int) -> Iterator[dict[str, Any]]:
    while True:
        some = [tokens(lesson, tokenizer) for lesson in itertools.islice(source, size * _ORDERED)]
        some.sort(key=lambda pair: len(pair[0]) + len(pair[1]))
        turns = list(range(0, len(some), size))
        for begin in turns[1::2] + turns[::2]:
            yield padded(some[begin : begin + size], tokenizer.pad_token_id)


def tokens(lesson: Lesson, tokenizer: Any) -> tuple[list[int], list[int]]:
    """What is asked and what is answered, as tokens."""
    asked = tokenizer.apply_chat_template([{"role": "user", "content": lesson.prompt}], tokenize=False)
    answered = lesson.answer + _END
    return tokenizer.encode(asked, add_special_tokens=False), tokenizer.encode(answered, add_special_tokens=False)


def padded(pairs: list[tuple[list[int], list[int]]], pad: int) -> dict[str, Any]:
    """A batch of lessons as tensors; only answers are learned."""
    width = max(len(a) + len(b) for a, b in pairs)
    ids = torch.full((len(pairs), width), pad)
    labels = torch.full((len(pairs), width), -100)
    mask = torch.zeros((len(pairs), width), dtype=torch.long)
    for row, (asked, answered) in enumerate(pairs):
        whole = asked + answered
        ids[row, : len(whole)] = torch.tensor(whole)
        labels[row, len(asked) : len(whole)] = torch.tensor(answered)
        mask[row, : len(whole)] = 1
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


def _tokenizer(folder: Path, clauses: Mapping[str, Sequence[str]], settings: ClerkTraining) -> Any:
    """The tokenizer of an earlier beginning, or a new one of what the lessons say."""
    if (folder / "model" / "tokenizer.json").is_file():
        return PreTrainedTokenizerFast.from_pretrained(folder / "model")
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary,
        special_tokens=[_END, _USER, _CLERK],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=3,
        max_token_length=24,
        show_progress=False,
    )
    made.train_from_iterator(_spoken(settings.seed, clauses), trainer)
    made.add_tokens([AddedToken(text, special=False, normalized=False) for text in (*_GLUE, *_BLANKS)])
    fast = PreTrainedTokenizerFast(tokenizer_object=made)
    fast.add_special_tokens(
        {"eos_token": _END, "pad_token": _END, "additional_special_tokens": [_USER, _CLERK]}  # never in a text
    )
    fast.chat_template = _TEMPLATE
    fast.save_pretrained(folder / "model")
    return fast


def _spoken(seed: int, clauses: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for lesson in itertools.islice(lessons(seed + 1, clauses), _TOKENIZED):
        yield from lesson.prompt.split("\n")
        said = json.loads(lesson.answer)
        for line in (*said["measures"], *said["resources"], said["contingency"], said["acceptance"]):
            yield from line.replace("<place>", "\n").replace("<reading>", "\n").split("\n")


def _config(tokenizer: Any, settings: ClerkTraining) -> Any:
    return Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=settings.hidden, intermediate_size=settings.hidden * 8 // 3 // 32 * 32,
        num_hidden_layers=settings.layers, num_attention_heads=4, num_key_value_heads=2,
        head_dim=settings.hidden // 4, max_position_embeddings=1024, tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
    )  # fmt: skip


def resume(state: Path, model: Any, optimizer: Any, made_with: str) -> tuple[int, float]:
    """Take up a checkpoint where there is one: steps done and minutes spent.

    Raises TrainingError where it was made with something else than ``made_with``.
    """
    if not state.is_file():
        return 0, 0.0
    kept = torch.load(state, weights_only=True)
    if kept["made_with"] != made_with:
        raise TrainingError(
            f"{state.parent} holds a training with other settings: give those again, or name another folder."
        )
    model.load_state_dict(kept["model"])
    optimizer.load_state_dict(kept["optimizer"])
    return int(kept["step"]), float(kept["minutes"])


def save(state: Path, model: Any, optimizer: Any, made_with: str, step: int, minutes: float) -> None:
    """Write a checkpoint, as a whole or not at all."""
    whole = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
        "minutes": minutes,
        "made_with": made_with,
    }
    part = state.with_suffix(".part")
    torch.save(whole, part)
    part.replace(state)


def ship(folder: Path, model: Any, tokenizer: Any) -> None:
    """Write the model in half precision beside its tokenizer, as a whole or not at all."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    half = Qwen3ForCausalLM(model.config)
    half.load_state_dict(model.state_dict())
    half.half().save_pretrained(part)
    tokenizer.save_pretrained(part)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
