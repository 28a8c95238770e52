"""Trains the Chinese embedder: a vector for each character, pair, word and concept, so that a clause's own sentences,
in whatever words of the trade, lie close to the clause. One core, minutes; resumes what was cut short.
"""

import hashlib
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rules.chinese import save_model
from rules.ngrams import Ngrams, vocabulary
from rules.synonyms import Synonyms, bundled_synonyms
from rules.training_texts import Passage, Rewording, Tokened, Tokens, read_passages, tokened

Progress = Callable[[int, int], None]
_KEPT = "training.pt"
_EVERY = 250
"""Steps between two checkpoints."""
_LEAST = 3
"""Clauses that must have a character, a pair or a word, for it to get a vector."""


@dataclass(frozen=True)
class Plan:
    """How the embedder is trained. ``dropped``: the share of a text's features that a step does not see."""

    steps: int = 2000
    size: int = 128
    batch: int = 128
    names: int = 32
    neighbours: int = 4
    rate: float = 3e-3
    temperature: float = 0.05
    dropped: float = 0.15
    seed: int = 7


def train_embedder(
    files: Sequence[Path],
    folder: Path,
    *,
    plan: Plan | None = None,
    progress: Progress | None = None,
    synonyms: Synonyms | None = None,
) -> Path:
    """Train on the clauses in these files and write the model into ``folder``; answers where it lies.

    A training of the same plan on the same clauses that was cut short in that folder goes on from its last checkpoint.
    ``progress`` hears of steps done and steps in all, those over the clauses while they are read included. Raises
    ImportRefusedError where a file cannot be read or none has a Chinese clause.
    """
    import torch

    torch.set_num_threads(1)
    plan = plan or Plan()
    words = synonyms or bundled_synonyms()
    passages = read_passages(files)
    total = len(passages) + plan.steps
    ngrams = Ngrams(vocabulary(map(_whole, passages), words, _LEAST), words)
    tell = progress or _unheard
    done = iter(range(1, total + 1))
    material = tokened(passages, ngrams, plan.seed, lambda: tell(next(done), total))
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(plan, ngrams, material, folder / _KEPT, _fingerprint(plan, passages, ngrams))
    run.resume(lambda: _first_vectors(material, len(ngrams.vocabulary), plan))
    for step in range(run.begun, plan.steps):
        run.step(step)
        tell(len(passages) + step + 1, total)
    return _saved(folder, ngrams, run)


def _unheard(_done: int, _total: int) -> None:
    return


class _Run:
    """The vectors while they are learned, with their checkpoint. Every step draws its chances from its own number."""

    def __init__(self, plan: Plan, ngrams: Ngrams, material: Sequence[Tokened], kept: Path, fingerprint: str) -> None:
        self._plan, self._material, self._kept, self._fingerprint = plan, material, kept, fingerprint
        self._ngrams = ngrams
        self._rewording = Rewording(ngrams.synonyms)
        self.begun = 0

    def resume(self, first: Callable[[], Any]) -> None:
        """Take up the checkpoint that is of this training, else begin from the first vectors."""
        import torch

        kept = self._checkpoint()
        size = (len(self._ngrams.vocabulary), self._plan.size)
        self.bag = torch.nn.EmbeddingBag(*size, mode="mean", padding_idx=0)
        self._optimizer = torch.optim.Adam(self.bag.parameters(), lr=self._plan.rate)
        if kept is None:
            self.bag.weight.data = torch.from_numpy(first())
            return
        self.bag.load_state_dict(kept["bag"])
        self._optimizer.load_state_dict(kept["optimizer"])
        self.begun = kept["step"]

    def step(self, number: int) -> None:
        """Learn from one batch: each hazard's own clause against those of all others, and the other way round."""
        import torch
        from torch.nn.functional import cross_entropy, normalize

        chance = random.Random(f"{self._plan.seed}/{number}")  # noqa: S311  # repeatable on purpose
        pairs = self._pairs(chance)
        for group in self._optimizer.param_groups:
            group["lr"] = self._plan.rate * (1 - number / self._plan.steps)
        said, written = (normalize(self._vectors([p[i] for p in pairs]), dim=-1) for i in (0, 1))
        likeness = said @ written.T / self._plan.temperature
        own = torch.arange(len(pairs))
        loss = (cross_entropy(likeness, own) + cross_entropy(likeness.T, own)) / 2
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        if (number + 1) % _EVERY == 0:
            self._keep(number + 1)

    def _pairs(self, chance: random.Random) -> list[tuple[Tokens, Tokens]]:
        """What is said beside what is written: of clauses in runs of neighbours, which differ least, and of names."""
        plan, count = self._plan, len(self._material)
        starts = chance.sample(range(count), min(count, plan.batch // plan.neighbours))
        chosen = dict.fromkeys((s + k) % count for s in starts for k in range(plan.neighbours))
        pairs = [pair_of(self._material[n], chance) for n in chosen]
        for names in self._rewording.alike(chance, plan.names):
            one, other = (np.array(self._ngrams.tokens(name), np.int64) for name in names)
            pairs.append((one, other))
        thin = [(self._thinned(said, chance), self._thinned(written, chance)) for said, written in pairs]
        return [pair for pair in thin if len(pair[0]) and len(pair[1])]

    def _thinned(self, tokens: Tokens, chance: random.Random) -> Tokens:
        if len(tokens) < 3:
            return tokens
        seen = np.random.default_rng(chance.getrandbits(32)).random(len(tokens)) >= self._plan.dropped
        return tokens[seen]

    def _vectors(self, rows: Sequence[Tokens]) -> Any:
        import torch

        begins = np.cumsum([0, *(len(row) for row in rows[:-1])])
        return self.bag(torch.from_numpy(np.concatenate(rows)), torch.from_numpy(begins))

    def _keep(self, step: int) -> None:
        import torch

        draft = self._kept.with_suffix(".draft")
        state = {"bag": self.bag.state_dict(), "optimizer": self._optimizer.state_dict()}
        torch.save(state | {"step": step, "fingerprint": self._fingerprint}, draft)
        draft.replace(self._kept)

    def _checkpoint(self) -> dict[str, Any] | None:
        import torch

        if not self._kept.is_file():
            return None
        kept: dict[str, Any] = torch.load(self._kept, weights_only=True)
        return kept if kept["fingerprint"] == self._fingerprint else None


def pair_of(passage: Tokened, chance: random.Random) -> tuple[Tokens, Tokens]:
    """One thing that may be said of the clause, and the clause; half the time without the very sentence it is from."""
    part = chance.randrange(len(passage.said))
    said = chance.choice(passage.said[part])
    if passage.names and chance.random() < 0.15:
        said = chance.choice(passage.names)
    others = len(passage.written) > 1 and chance.random() < 0.5
    rows = [chance.choice(variants) for n, variants in enumerate(passage.written) if not (others and n == part)]
    return said, np.unique(np.concatenate((*rows, *passage.names)))


def _first_vectors(material: Sequence[Tokened], features: int, plan: Plan) -> Any:
    """Where features begin: by what they occur together with (latent semantic analysis over all sentences)."""
    from scipy.sparse import csr_matrix, diags
    from sklearn.decomposition import TruncatedSVD

    rows = [variants[0] for passage in material for variants in passage.written]
    pointers = np.cumsum([0, *map(len, rows)])
    indices = np.concatenate(rows)
    matrix = csr_matrix((np.ones(len(indices), np.float32), indices, pointers), shape=(len(rows), features))
    rarity = (np.log((1 + len(rows)) / (1 + np.bincount(indices, minlength=features))) + 1).astype(np.float32)
    weighted = matrix @ diags(rarity)
    lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    size = min(plan.size, min(weighted.shape) - 1)
    found = TruncatedSVD(size, random_state=plan.seed).fit(diags(1 / np.maximum(lengths, 1e-6)) @ weighted)
    vectors = np.zeros((features, plan.size), np.float32)
    vectors[:, :size] = found.components_.T * rarity[:, None]
    chance = np.random.default_rng(plan.seed)
    mean = float(np.linalg.norm(vectors, axis=1).mean()) or 1.0
    vectors = vectors / mean + chance.normal(0, 0.3 / np.sqrt(plan.size), vectors.shape).astype(np.float32)
    return vectors.astype(np.float32)


def _saved(folder: Path, ngrams: Ngrams, run: _Run) -> Path:
    model = folder / "model"
    draft = folder / "model.draft"
    shutil.rmtree(draft, ignore_errors=True)
    save_model(draft, ngrams, run.bag.weight.detach().numpy())
    shutil.rmtree(model, ignore_errors=True)
    draft.rename(model)
    (folder / _KEPT).unlink(missing_ok=True)
    return model


def _whole(passage: Passage) -> str:
    return "\n".join((*passage.names, *passage.parts))


def _fingerprint(plan: Plan, passages: Sequence[Passage], ngrams: Ngrams) -> str:
    """Tells trainings apart: another plan, clause or word is another training."""
    said = repr((sorted(asdict(plan).items()), passages, ngrams.vocabulary))
    return hashlib.sha256(said.encode()).hexdigest()
