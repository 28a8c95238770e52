"""What drafting costs: the composer's milliseconds, the grammar's share of a token, and what a batch gains."""

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import torch
from sqlmodel import SQLModel
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from disposal import composer
from disposal.answer import read_answer, schema
from disposal.bench_clerk import judge, unseen
from disposal.causal import CausalBackend, Written
from disposal.checks import check, passed
from disposal.clerk import ClerkBackend
from disposal.document import Bilingual, Fact, StoredMatch
from disposal.errors import DraftError
from disposal.library import library
from disposal.prompt import Prompt, prompt_for
from disposal.request import DraftRequest
from disposal.settings import DrafterSettings, LocalModelSettings
from rules.clause import in_force
from rules.codebook import load_codebook
from stream.catalogue import risk_type
from stream.database import open_database

DRAFTS = 200
BATCH = 8
_TOKENS = 220
_ROUNDS = 5
_CODEBOOK = Path(__file__).parents[1] / "samples" / "codebook" / "national.toml"
_MINE = "bench"
_PLENTY = 600.0
_END = "<|end|>"


def measure(material: Path, *, short: bool) -> Mapping[str, Any]:
    """Drafts for every risk type on the clauses of the sample code book, composed and by a tiny random model.

    The model is made here, from a seed, so that nothing has to be fetched: its words are noise, its costs beside the
    model's own and what the grammar holds it to are real. ``material`` is not looked at.
    """
    del material
    with tempfile.TemporaryDirectory(prefix="minewatch-bench-") as name:
        folder = Path(name)
        asked = requests(folder)
        texts = [prompt.text for _, prompt in asked]
        model = make_random_model(folder / "tiny", texts)
        backend = CausalBackend(LocalModelSettings(folder=model, tokens=_TOKENS))
        return {
            **_composed([request for request, _ in asked], 1 if short else 10),
            **_schema(backend, asked, BATCH if short else DRAFTS),
            **_clerk_or_tiny(backend, asked, short=short),
        }


def _clerk_or_tiny(tiny: CausalBackend, asked: Sequence[tuple[DraftRequest, Prompt]], *, short: bool) -> dict[str, Any]:
    """The figures of the clerk and the cost of its grammar; where it is switched off, that of the random model."""
    rounds, singles = (1, 2) if short else (_ROUNDS, BATCH)
    clerk = ClerkBackend()
    figures = judge(clerk, unseen([request for request, _ in asked], BATCH if short else DRAFTS))
    on = "clerk" in DrafterSettings().order
    model: Writer = clerk if on else _Tiny(tiny)
    name = f"clerk, {clerk.parameters} parameters" if on else f"random, {tiny.parameters} parameters"
    costs = _cost(model, [request for request, _ in asked], rounds, singles)
    return {**figures, "clerk_on": on, **costs, "model": name}


def requests(folder: Path) -> list[tuple[DraftRequest, Prompt]]:
    """A request for each risk type that a clause of the sample code book binds, in both languages."""
    engine = open_database(f"sqlite:///{folder / 'bench.db'}")
    try:
        SQLModel.metadata.create_all(engine)
        load_codebook(engine, _CODEBOOK, _MINE, "writer", "approver")
        clauses = in_force(engine, _MINE, datetime.now(UTC))
    finally:
        engine.dispose()
    found: dict[str, list[StoredMatch]] = {}
    for p in clauses:
        match = StoredMatch(
            version_id=p.version_id,
            clause_id=p.clause_id,
            label=Bilingual(f"{p.code_title_zh} {p.number}", f"{p.code_title_en} {p.number}"),
            text=Bilingual(p.content.text_zh, p.content.text_en),
            score=1.0,
            reason=Bilingual("标注", "tagged"),
            bound=True,
        )
        for hazard in p.content.hazards:
            found.setdefault(hazard, []).append(match)
    asked = [_request(kind, tuple(found[kind]), tongue) for kind in sorted(found) for tongue in ("zh", "en")]
    return [(request, prompt_for(request)) for request in asked]


def make_random_model(
    folder: Path, texts: Sequence[str], layers: int = 2, heads: int = 4, vocabulary: int = 1000
) -> Path:
    """A random Qwen3 of some hundred thousand parameters, with a byte-level tokenizer of those texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[_END, "<|user|>", "<|assistant|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=64,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    fast.add_special_tokens({"eos_token": _END, "pad_token": _END})
    fast.chat_template = "{% for m in messages %}<|user|>{{ m.content }}<|end|>{% endfor %}<|assistant|>"
    fast.save_pretrained(folder)
    torch.manual_seed(7)
    config = Qwen3Config(
        vocab_size=len(fast), hidden_size=64, intermediate_size=128, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=max(1, heads // 2), head_dim=16, max_position_embeddings=8192, tie_word_embeddings=True,
        eos_token_id=fast.eos_token_id, bos_token_id=None,
    )  # fmt: skip
    Qwen3ForCausalLM(config).save_pretrained(folder)
    return folder


def _request(kind: str, matches: tuple[StoredMatch, ...], language: str) -> DraftRequest:
    named = risk_type(kind)
    facts = (
        Fact(name=Bilingual("隐患", "Hazard"), value=Bilingual(named.zh, named.en)),
        Fact(name=Bilingual("地点", "Place"), value=Bilingual("一号带式输送机巷", "Belt roadway 1")),
    )
    return DraftRequest(
        type=kind,
        facts=facts,
        matches=matches,
        responsible=Bilingual("运输区长", "Head of haulage"),
        remarks=(),
        measured=(),
        at=datetime(2026, 1, 1, tzinfo=UTC),
        language=language,
    )


def _composed(asked: list[DraftRequest], rounds: int) -> dict[str, Any]:
    """The composer with all its checks, as it serves where no model is configured."""
    library()
    seconds = []
    for request in asked * rounds:
        began = time.perf_counter()
        sound = passed(check(composer.compose(request), request))
        seconds.append(time.perf_counter() - began)
        if not sound:
            raise DraftError(f"The composer's document for {request.type} does not pass its checks: mend the library.")
    return {"composer_p95_ms": round(statistics.quantiles(seconds, n=20)[-1] * 1000, 3), "composed": len(seconds)}


def _schema(backend: CausalBackend, asked: Sequence[tuple[DraftRequest, Prompt]], count: int) -> dict[str, Any]:
    """Of ``count`` drafts, before any repair: how many are exactly of the schema, and cite only what was retrieved."""
    valid = retrieved = ended = 0
    for begin in range(0, count, BATCH):
        some = [asked[n % len(asked)] for n in range(begin, min(begin + BATCH, count))]
        for (request, _), text in zip(some, backend.answers(some, _PLENTY), strict=True):
            if isinstance(text, DraftError):
                continue
            ended += 1
            try:
                answer, exact = read_answer(text)
            except DraftError:
                continue
            valid += exact
            retrieved += set(answer.citations) <= {m.version_id for m in request.matches}
    return {
        "drafts": count,
        "drafts_ended": ended,
        "schema_valid": round(valid / count, 4),
        "citations_retrieved": round(retrieved / count, 4),
    }


class Writer(Protocol):
    """A model in process, held to its grammar or to nothing."""

    def prompt(self, request: DraftRequest) -> Prompt:
        """What it is asked."""
        ...

    def write(self, asked: Sequence[tuple[DraftRequest, Prompt]], seconds: float) -> Written:
        """What it writes for those, side by side, held to their grammars."""
        ...

    def write_freely(self, prompts: Sequence[Prompt], tokens: int, seconds: float) -> None:
        """Let it write so many tokens held to nothing."""
        ...


class _Tiny:
    """The random model, asked as any model in a folder is."""

    def __init__(self, backend: CausalBackend) -> None:
        self._backend = backend
        self.prompt = backend.prompt
        self.write_freely = backend.write_freely

    def write(self, asked: Sequence[tuple[DraftRequest, Prompt]], seconds: float) -> Written:
        return self._backend.write([prompt for _, prompt in asked], [schema(request) for request, _ in asked], seconds)


def _cost(backend: Writer, requests: Sequence[DraftRequest], rounds: int, singles: int) -> dict[str, Any]:
    """Seconds a token with the grammar and without, prompt included, and of a draft alone and among eight, in turns."""
    plain, held, single, together = [], [], [], []
    some = [(request, backend.prompt(request)) for request in requests[:BATCH]]
    for _ in range(rounds):
        for one in some[:singles]:
            seconds, tokens = _write(backend, [one])
            began = time.perf_counter()
            backend.write_freely([one[1]], tokens, _PLENTY)
            plain.append((time.perf_counter() - began) / tokens)
            held.append(seconds / tokens)
            single.append(seconds)
        together.append(_write(backend, some)[0])
    cost = statistics.median(held) / statistics.median(plain) - 1
    return {
        "constraint_cost": round(cost, 4),
        "token_ms": round(statistics.median(held) * 1000, 3),
        "batch8_speedup": round(BATCH * statistics.mean(single) / statistics.mean(together), 2),
    }


def _write(backend: Writer, some: Sequence[tuple[DraftRequest, Prompt]]) -> tuple[float, int]:
    began = time.perf_counter()
    written = backend.write(some, _PLENTY)
    return time.perf_counter() - began, sum(written.tokens)
