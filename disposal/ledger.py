"""What drafting costs: a line for each time that a model was asked, with tokens, price, seconds and both digests."""

import hashlib
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Column, Engine, Index, Integer, cast
from sqlmodel import Field, Session, SQLModel, col, func, select

from stream.database import UtcDateTime, reading

_MILLION = 1_000_000


class Usage(NamedTuple):
    """Tokens of one answer: ``cached`` of the ``input`` were known to the server from before."""

    input: int
    cached: int
    output: int


class Prices(NamedTuple):
    """What a million tokens cost, in the mine's currency."""

    input: float = 0.0
    cached: float = 0.0
    output: float = 0.0

    def of(self, usage: Usage) -> float:
        """What these tokens cost."""
        fresh = max(0, usage.input - usage.cached)
        return (fresh * self.input + usage.cached * self.cached + usage.output * self.output) / _MILLION


class Use(NamedTuple):
    """One time that a backend was asked, whether or not its answer was of use."""

    backend: str
    prompt: str
    prompt_digest: str
    model_digest: str
    usage: Usage
    price: float
    seconds: float


class DraftUse(SQLModel, table=True):
    """One line of the ledger. ``used``: the document is what this answer said."""

    __tablename__ = "draft_use"
    __table_args__ = (Index("draft_use_spent", "mine", "backend", "at"), Index("draft_use_at", "mine", "at"))

    id: str = Field(primary_key=True, max_length=32)
    mine: str = Field(max_length=63)
    document_id: str = Field(index=True, max_length=48)
    at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    backend: str
    prompt: str
    prompt_digest: str = Field(max_length=64)
    model_digest: str = ""
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    price: float = 0.0
    seconds: float = 0.0
    used: bool = False


class Spent(NamedTuple):
    """What one backend came to in a period."""

    backend: str
    asked: int
    used: int
    input: int
    cached: int
    output: int
    price: float
    seconds: float


_counts: ContextVar[list[Usage] | None] = ContextVar("counts", default=None)
_uses: ContextVar[list[Use] | None] = ContextVar("uses", default=None)


def record(usage: Usage) -> None:
    """A backend tells what an answer took; heard by whoever counts around it, and by nobody otherwise."""
    counts = _counts.get()
    if counts is not None:
        counts.append(usage)


@contextmanager
def counting() -> Iterator[list[Usage]]:
    """Hears what backends record within it, in order."""
    counts: list[Usage] = []
    token = _counts.set(counts)
    try:
        yield counts
    finally:
        _counts.reset(token)


@contextmanager
def collecting() -> Iterator[list[Use]]:
    """Gathers a line for each ``measured`` within it."""
    uses: list[Use] = []
    token = _uses.set(uses)
    try:
        yield uses
    finally:
        _uses.reset(token)


def measured(
    answer: Callable[[], str],
    *,
    backend: str,
    prompt: str,
    text: str,
    model_digest: str,
    prices: Prices,
    took: float = 0.0,
) -> str:
    """What ``answer`` answers, with its line for the ledger; also where it raises. ``took``: seconds spent before."""
    begin = time.monotonic()
    with counting() as counts:
        try:
            return answer()
        finally:
            usage = Usage(*(sum(part) for part in zip(*counts, strict=True))) if counts else Usage(0, 0, 0)
            digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
            seconds = took + time.monotonic() - begin
            uses = _uses.get()
            if uses is not None:
                uses.append(Use(backend, prompt, digest, model_digest, usage, prices.of(usage), seconds))


def book(session: Session, mine: str, document_id: str, uses: Iterable[Use], writer: str, now: datetime) -> None:
    """Write a document's lines down in the transaction that stores it; ``writer``: the backend that wrote it."""
    lines = list(uses)
    for number, use in enumerate(lines):
        used = use.backend == writer and number == len(lines) - 1
        session.add(
            DraftUse(
                id=uuid.uuid4().hex,
                mine=mine,
                document_id=document_id,
                at=now,
                backend=use.backend,
                prompt=use.prompt,
                prompt_digest=use.prompt_digest,
                model_digest=use.model_digest,
                input_tokens=use.usage.input,
                cached_tokens=use.usage.cached,
                output_tokens=use.usage.output,
                price=use.price,
                seconds=use.seconds,
                used=used,
            )
        )


def spent_today(engine: Engine, mine: str, backend: str, now: datetime) -> float:
    """What the backend has cost on the UTC day of ``now``."""
    since = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with reading(engine) as session:
        total = session.exec(
            select(func.sum(DraftUse.price)).where(
                DraftUse.mine == mine, DraftUse.backend == backend, col(DraftUse.at) >= since
            )
        ).one()
    return float(total or 0.0)


def spent(session: Session, mine: str, since: datetime, until: datetime) -> list[Spent]:
    """What each backend came to in the period, the dearest first."""
    sums = [func.sum(c) for c in (DraftUse.input_tokens, DraftUse.cached_tokens, DraftUse.output_tokens)]
    rows = session.exec(
        select(  # type: ignore[call-overload]  # more columns than the overloads know
            DraftUse.backend,
            func.count(),
            func.sum(cast(col(DraftUse.used), Integer)),
            *sums,
            func.sum(DraftUse.price),
            func.sum(DraftUse.seconds),
        )
        .where(DraftUse.mine == mine, col(DraftUse.at) >= since, col(DraftUse.at) < until)
        .group_by(DraftUse.backend)
    ).all()
    found = []
    for backend, asked, used, sent, cached, wrote, price, seconds in rows:
        tokens = (int(sent or 0), int(cached or 0), int(wrote or 0))
        found.append(Spent(backend, asked, int(used or 0), *tokens, float(price or 0), float(seconds or 0)))
    return sorted(found, key=lambda one: (-one.price, -one.asked, one.backend))


def uses_of(session: Session, document_id: str) -> Sequence[DraftUse]:
    """The ledger's lines of one document."""
    return session.exec(select(DraftUse).where(DraftUse.document_id == document_id).order_by(col(DraftUse.at))).all()


def digest_of_folder(folder: Path) -> str:
    """SHA-256 over the names and contents of a model's files; a model of some gigabytes takes some seconds."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".safetensors", ".json")):
        total.update(path.name.encode())
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
