"""Drafts from a causal language model in this process, held to the schema token by token."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import llguidance
import llguidance.hf
import llguidance.numpy
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessor, LogitsProcessorList

from disposal.answer import schema
from disposal.errors import DraftError
from disposal.prompt import Prompt
from disposal.request import DraftRequest
from disposal.settings import LocalModelSettings
from stream.errors import ConfigurationError

_HURRY_TOKENS = 0.5
_HURRY_SECONDS = 0.6
"""Share of the tokens and of the time after which the grammar's shortest way to the end is taken."""


class CausalBackend:
    """A model in a local folder. One draft at a time; the folder's own code is never run."""

    def __init__(self, settings: LocalModelSettings) -> None:
        """Load the model. Raises ConfigurationError where the folder holds none that can be loaded."""
        assert settings.folder is not None
        self._settings = settings
        self._lock = threading.Lock()
        self.name = f"transformers:{settings.folder.name}"
        self._tokenizer, self._model = _load(settings.folder)
        size = self._model.get_output_embeddings().weight.shape[0]
        self._grammar_tokens = llguidance.hf.from_tokenizer(self._tokenizer, n_vocab=size)
        self._closing = _closing_weights(self._tokenizer, size)

    def answer(self, request: DraftRequest, prompt: Prompt, seconds: float) -> str:
        """The model's JSON, of the schema by construction. Raises DraftError where it does not end in time."""
        begin = time.monotonic()
        if not self._lock.acquire(timeout=seconds):
            raise DraftError(f"{self.name} is busy with another draft.")
        try:
            left = seconds - (time.monotonic() - begin)
            return self._generate(schema(request), prompt, left)
        finally:
            self._lock.release()

    def _generate(self, answer_schema: dict[str, Any], prompt: Prompt, seconds: float) -> str:
        constraint = _Constraint(
            self._grammar_tokens, answer_schema, self._closing, self._settings.tokens * _HURRY_TOKENS, seconds
        )
        inputs = self._inputs(prompt)
        with torch.inference_mode():
            output = self._model.generate(
                **inputs,
                max_new_tokens=self._settings.tokens,
                max_time=seconds,
                do_sample=False,
                logits_processor=LogitsProcessorList([constraint]),
                pad_token_id=self._tokenizer.eos_token_id,
            )
        constraint.take(output)
        if not constraint.complete:
            raise DraftError(
                f"{self.name} did not come to an end within {seconds:.1f} s and {self._settings.tokens} tokens."
            )
        written = output[0, inputs["input_ids"].shape[1] :]
        return str(self._tokenizer.decode(written, skip_special_tokens=True))

    def _inputs(self, prompt: Prompt) -> dict[str, Any]:
        message = [{"role": "user", "content": prompt.text}]
        if self._tokenizer.chat_template:
            text = self._tokenizer.apply_chat_template(
                message, add_generation_prompt=True, tokenize=False, enable_thinking=False
            )
        else:
            text = prompt.text + "\n"
        return dict(self._tokenizer(text, return_tensors="pt", add_special_tokens=False, return_token_type_ids=False))


class _Constraint(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped here
    """Lets only tokens through that the schema allows next, and hurries to its end when tokens or time run out."""

    def __init__(
        self, tokens: Any, answer_schema: dict[str, Any], closing: Any, hurry_after: float, seconds: float
    ) -> None:
        compact = {**answer_schema, "x-guidance": {"whitespace_flexible": False}}
        grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(compact, ensure_ascii=False))
        self._matcher = llguidance.LLMatcher(tokens, grammar)
        if self._matcher.is_error():
            raise DraftError(f"The schema cannot be made a grammar: {self._matcher.get_error()}.")
        self._mask = llguidance.numpy.allocate_token_bitmask(1, tokens.vocab_size)
        self._closing = closing
        self._hurry_after = hurry_after
        self._hurry_at = time.monotonic() + seconds * _HURRY_SECONDS
        self._seen: int | None = None
        self._written = 0

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """The scores with everything forbidden at minus infinity."""
        self.take(input_ids)
        llguidance.numpy.fill_next_token_bitmask(self._matcher, self._mask, 0)
        bits = torch.from_numpy(self._mask[0].view("uint8"))
        allowed = (bits.unsqueeze(-1) >> torch.arange(8, dtype=torch.uint8)) & 1
        held = scores.masked_fill(allowed.reshape(-1)[: scores.shape[-1]] == 0, float("-inf"))
        if self._written > self._hurry_after or time.monotonic() > self._hurry_at:
            held = held + self._closing
        return held

    def take(self, input_ids: Any) -> None:
        """Tell the grammar which tokens were chosen since the last call."""
        length = input_ids.shape[1]
        if self._seen is not None:
            for token in input_ids[0, self._seen :].tolist():
                if not self._matcher.is_stopped():
                    self._matcher.consume_token(token)
                    self._written += 1
        self._seen = length

    @property
    def complete(self) -> bool:
        """What was written is a whole answer."""
        return bool(self._matcher.is_accepting() or self._matcher.is_stopped())


def _load(folder: Path) -> tuple[Any, Any]:
    if not (folder / "config.json").is_file():
        raise ConfigurationError(
            f"disposal.drafter.local.folder is {folder}, which holds no model: name a folder with its config.json."
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError, KeyError) as error:
        first = str(error).splitlines()[0][:200]
        raise ConfigurationError(
            f"The language model in {folder} cannot be loaded: {first}. Check or replace the folder."
        ) from error
    return tokenizer, model.eval()


def _closing_weights(tokenizer: Any, size: int) -> Any:
    """What is added to each token's score in a hurry: most to what ends a string, then to what closes brackets."""
    weights = torch.zeros(size)
    for token in range(min(size, len(tokenizer))):
        text = tokenizer.decode([token])
        if text.startswith('"'):
            weights[token] = 20_000.0
        elif text[:1] in ("]", "}"):
            weights[token] = 10_000.0
    return weights
