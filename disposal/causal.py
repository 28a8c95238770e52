"""Drafts from a causal language model in this process, held to the schema token by token."""

import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import llguidance
import llguidance.hf
import llguidance.numpy
import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessor, LogitsProcessorList
from transformers.generation.streamers import BaseStreamer

from disposal.answer import schema
from disposal.errors import DraftError
from disposal.hearing import Hearer, hearer
from disposal.ledger import Usage, digest_of_folder, record
from disposal.prompt import Prompt, prompt_for
from disposal.request import DraftRequest
from disposal.settings import LocalModelSettings
from stream.errors import ConfigurationError

_HURRY_TOKENS = 0.5
_HURRY_SECONDS = 0.6
"""Share of the tokens and of the time after which the grammar's shortest way to the end is taken."""


class Written(NamedTuple):
    """What a model wrote for each prompt, or why it did not come to an end, and how many tokens each took."""

    texts: list[str | DraftError]
    tokens: list[int]


class CausalBackend:
    """A model in a local folder. One batch of drafts at a time; the folder's own code is never run."""

    def __init__(self, settings: LocalModelSettings, *, full_precision: bool = False) -> None:
        """Load the model. Raises ConfigurationError where the folder holds none that can be loaded.

        With ``full_precision`` it computes in 32 bits whatever it is stored in: what a small model does best on CPUs.
        """
        assert settings.folder is not None
        self._settings = settings
        self._lock = threading.Lock()
        self.batch = settings.batch
        self.digest = digest_of_folder(settings.folder)
        self.name = f"transformers:{settings.folder.name}"
        self.tokenizer, self._model = _load(settings.folder)
        if full_precision:
            self._model.float()
        self.parameters = sum(p.numel() for p in self._model.parameters())
        self.tokenizer.padding_side = "left"
        self.tokenizer.pad_token = self.tokenizer.pad_token or self.tokenizer.eos_token
        self._end: int = self.tokenizer.eos_token_id
        size = self._model.get_output_embeddings().weight.shape[0]
        self._beyond: int = size  # no token at all: where this one ends a text, it ends at its length only
        self._grammar_tokens = llguidance.hf.from_tokenizer(self.tokenizer, n_vocab=size)
        self._closing = _closing_weights(self.tokenizer, size)

    def prompt(self, request: DraftRequest) -> Prompt:
        """What the model is asked for that request."""
        return prompt_for(request)

    def answer(self, request: DraftRequest, prompt: Prompt, seconds: float) -> str:
        """The model's JSON, of the schema by construction. Raises DraftError where it does not end in time."""
        written = self.answers([(request, prompt)], seconds)[0]
        if isinstance(written, DraftError):
            raise written
        return written

    def shown(self, request: DraftRequest) -> bool:
        """It reads text alone."""
        del request
        return False

    def answers(self, asked: Sequence[tuple[DraftRequest, Prompt]], seconds: float) -> list[str | DraftError]:
        """The model's JSON for each request, written side by side; the error of those that did not end in time.

        Raises DraftError where the model is busy for all of ``seconds``.
        """
        grammars = [_json_grammar(schema(request)) for request, _ in asked]
        return self.held([prompt for _, prompt in asked], grammars, seconds).texts

    def held(self, prompts: Sequence[Prompt], grammars: Sequence[str], seconds: float) -> Written:
        """What the model writes for those prompts, each held to its grammar; one batch at a time.

        Raises DraftError where the model is busy for all of ``seconds``.
        """
        begin = time.monotonic()
        if not self._lock.acquire(timeout=seconds):
            raise DraftError(f"{self.name} is busy with another draft.")
        try:
            return self._write(prompts, grammars, seconds - (time.monotonic() - begin))
        finally:
            self._lock.release()

    def write(self, prompts: Sequence[Prompt], schemas: Sequence[dict[str, Any]], seconds: float) -> Written:
        """What the model writes for those prompts, each held to its schema."""
        return self._write(prompts, [_json_grammar(one) for one in schemas], seconds)

    def _write(self, prompts: Sequence[Prompt], grammars: Sequence[str], seconds: float) -> Written:
        hurry_after = self._settings.tokens * _HURRY_TOKENS
        constraint = _Constraint(self._grammar_tokens, grammars, self._closing, self._end, hurry_after, seconds)
        inputs = self._inputs(prompts)
        output = self._complete(inputs, self._settings.tokens, seconds, [constraint], streamer=self._streamer(prompts))
        constraint.take(output)
        for sent, wrote in zip(inputs["attention_mask"].sum(1).tolist(), constraint.tokens, strict=True):
            record(Usage(int(sent), 0, wrote))
        written = self.tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        slow = f"{self.name} did not come to an end within {seconds:.1f} s and {self._settings.tokens} tokens."
        ended = zip(written, constraint.complete, strict=True)
        return Written([str(text) if done else DraftError(slow) for text, done in ended], constraint.tokens)

    def write_freely(self, prompts: Sequence[Prompt], tokens: int, seconds: float) -> None:
        """Let the model write so many tokens held to nothing: what the grammar's cost is measured against."""
        self._complete(self._inputs(prompts), tokens, seconds, [], eos_token_id=self._beyond)

    def _complete(self, inputs: dict[str, Any], tokens: int, seconds: float, processors: list[Any], **more: Any) -> Any:
        with torch.inference_mode():
            return self._model.generate(
                **inputs,
                max_new_tokens=tokens,
                max_time=seconds,
                do_sample=False,
                logits_processor=LogitsProcessorList(processors),
                pad_token_id=self._end,
                **more,
            )

    def _streamer(self, prompts: Sequence[Prompt]) -> "_Heard | None":
        """Tells what is written, where somebody wants to hear it and it is one draft."""
        told = hearer()
        return _Heard(self.tokenizer, told) if told is not None and len(prompts) == 1 else None

    def _inputs(self, prompts: Sequence[Prompt]) -> dict[str, Any]:
        texts = [self._text(prompt) for prompt in prompts]
        return dict(
            self.tokenizer(
                texts, return_tensors="pt", padding=True, add_special_tokens=False, return_token_type_ids=False
            )
        )

    def _text(self, prompt: Prompt) -> str:
        if not self.tokenizer.chat_template:
            return prompt.text + "\n"
        message = [{"role": "user", "content": prompt.text}]
        return str(
            self.tokenizer.apply_chat_template(
                message, add_generation_prompt=True, tokenize=False, enable_thinking=False
            )
        )


class _Heard(BaseStreamer):  # type: ignore[misc]  # transformers is untyped here
    """Passes on what is written as soon as its characters are whole; the library's own waits for a blank."""

    def __init__(self, tokenizer: Any, told: Hearer) -> None:
        self._tokenizer = tokenizer
        self._told = told
        self._written: list[int] | None = None
        self._said = 0

    def put(self, value: Any) -> None:
        """Called by the library: first with the prompt, then with each token."""
        if self._written is None:
            self._written = []
            return
        self._written += value.flatten().tolist()
        text = self._tokenizer.decode(self._written, skip_special_tokens=True)
        if not text.endswith("\ufffd"):
            self._told(text[self._said :])
            self._said = len(text)

    def end(self) -> None:
        """Called by the library when no more comes."""


class _Constraint(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped here
    """Lets only tokens through that each row's grammar allows next, and hurries when tokens or time run out."""

    def __init__(
        self,
        tokens: Any,
        grammars: Sequence[str],
        closing: Any,
        end: int,
        hurry_after: float,
        seconds: float,
    ) -> None:
        self._matchers = [_matcher(tokens, one) for one in grammars]
        self._mask = llguidance.numpy.allocate_token_bitmask(len(grammars), tokens.vocab_size)
        self._closing = closing
        self._end = end
        self._hurry_after = hurry_after
        self._hurry_at = time.monotonic() + seconds * _HURRY_SECONDS
        self._seen: int | None = None
        self._written = 0
        self.tokens = [0] * len(grammars)

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """The scores with everything forbidden at minus infinity; a row that has ended only goes on ending."""
        self.take(input_ids)
        for row, matcher in enumerate(self._matchers):
            if matcher.is_stopped():
                self._mask[row] = 0
                self._mask.view(np.uint32)[row, self._end // 32] = 1 << self._end % 32
            else:
                llguidance.numpy.fill_next_token_bitmask(matcher, self._mask, row)
        bits = np.unpackbits(~self._mask.view(np.uint8), axis=1, bitorder="little")
        held = scores.masked_fill_(torch.from_numpy(bits.view(np.bool_)[:, : scores.shape[-1]]), float("-inf"))
        if self._written > self._hurry_after or time.monotonic() > self._hurry_at:
            held += self._closing
        return held

    def take(self, input_ids: Any) -> None:
        """Tell the grammars which tokens were chosen since the last call."""
        length = input_ids.shape[1]
        if self._seen is not None and length > self._seen:
            for row, (matcher, chosen) in enumerate(
                zip(self._matchers, input_ids[:, self._seen :].tolist(), strict=True)
            ):
                for token in chosen:
                    if not matcher.is_stopped():
                        matcher.consume_token(token)
                        self.tokens[row] += 1
            self._written += length - self._seen
        self._seen = length

    @property
    def complete(self) -> list[bool]:
        """Of each row, whether what was written is a whole answer."""
        return [bool(m.is_accepting() or m.is_stopped()) for m in self._matchers]


def _json_grammar(answer_schema: dict[str, Any]) -> str:
    compact = {**answer_schema, "x-guidance": {"whitespace_flexible": False}}
    return str(llguidance.LLMatcher.grammar_from_json_schema(json.dumps(compact, ensure_ascii=False)))


def _matcher(tokens: Any, grammar: str) -> Any:
    matcher = llguidance.LLMatcher(tokens, grammar)
    if matcher.is_error():
        raise DraftError(f"The schema cannot be made a grammar: {matcher.get_error()}.")
    return matcher


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
