"""How well clauses are found: judged hazards against a code, ranked and floored exactly as production does."""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from sqlalchemy import Engine
from sqlmodel import col, select

from rules.clause import Clause, listing
from rules.embedding import open_embedders
from rules.errors import EvaluationError
from rules.index import Index
from rules.lexical import RowCache
from rules.matcher import floor_of, ranked
from rules.numbering import canonical
from rules.settings import MatcherSettings
from rules.synonyms import current_synonyms
from stream.database import reading
from stream.messages import utc_now

_DEPTH = 10
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Item:
    """One judged hazard: its text and the grades (2 direct, 1 also applicable) of the clauses that govern it."""

    id: str
    text: str
    grades: Mapping[str, int]


def evaluate(
    engine: Engine,
    file: Path,
    settings: MatcherSettings,
    *,
    code: str = "",
    language: str = "zh",
    mine: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Search for every item of ``file`` in the newest version of each clause of ``code`` and score what comes out.

    ``mine``: whose synonyms count beside those that ship.

    Recall is the share of an item's clauses among the first 1, 3, 5; recall, nDCG (gain 2^grade - 1) and mrr are means
    over the items that have any. Waits until every clause is embedded; ``progress`` hears meanwhile of how many of how
    many are. Raises EvaluationError for the file or a code that is not there.
    """
    items = read_items(file, language)
    codes = [code] if code else _codes(engine)
    at = utc_now()
    provisions = [p for c in codes for p in listing(engine, c, at)]
    if not provisions:
        raise EvaluationError(f"There is no clause of {code or 'any code'}: import it first.")
    embedders = {la: e for la, e in open_embedders(settings.model).items() if la == language}
    index = Index(provisions, engine, embedders, current_synonyms(engine, mine), RowCache(), urgent=True)
    while not index.wait(_POLL_SECONDS):
        if progress is not None:
            progress(*index.progress)
    index.scores(items[0].text, language)
    answers, milliseconds = [], []
    for item in items:
        begun = time.perf_counter()
        scores = index.scores(item.text, language)
        floor = floor_of(settings, language, meaning=scores.meaning)
        rows = ranked(scores, np.arange(len(provisions)), floor)
        milliseconds.append((time.perf_counter() - begun) * 1000)
        answers.append([provisions[row].number for row in rows])
    return summary(items, answers) | {"p95_ms": round(_p95(milliseconds), 2)}


def read_items(file: Path, language: str) -> list[Item]:
    """The items in that file, one JSON object a line. Raises EvaluationError that says which line does not fit."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{file} cannot be read: {error}.") from error
    items = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            items.append(_item(line, number, language))
        except (ValueError, TypeError, AttributeError) as error:
            raise EvaluationError(
                f"Line {number} of {file.name} is no judged hazard in {language}: {error}. It needs {language!r} and 'relevant'."
            ) from error
    if not items:
        raise EvaluationError(f"{file} has no judged hazard.")
    return items


def summary(items: Sequence[Item], answers: Sequence[Sequence[str]]) -> dict[str, float]:
    """The figures for these answers (numbers of clauses, best first)."""
    judged = [(i.grades, a) for i, a in zip(items, answers, strict=True) if i.grades]
    others = [a for i, a in zip(items, answers, strict=True) if not i.grades]
    figures = {f"recall@{k}": _mean([recall(grades, a, k) for grades, a in judged]) for k in (1, 3, 5)}
    figures["ndcg@10"] = _mean([ndcg(grades, a) for grades, a in judged])
    figures["mrr"] = _mean([reciprocal_rank(grades, a) for grades, a in judged])
    figures["empty_when_none"] = _mean([float(not a) for a in others])
    figures["empty_wrongly"] = _mean([float(not a) for _, a in judged])
    return figures | {"items": len(items)}


def recall(grades: Mapping[str, int], answer: Sequence[str], depth: int) -> float:
    """The share of the relevant clauses among the first ``depth``."""
    return len(set(answer[:depth]) & set(grades)) / len(grades)


def ndcg(grades: Mapping[str, int], answer: Sequence[str]) -> float:
    """Discounted gain (2^grade - 1) of the first ten over that of the best order."""
    gained = _discounted([grades.get(number, 0) for number in answer[:_DEPTH]])
    return gained / _discounted(sorted(grades.values(), reverse=True)[:_DEPTH])


def reciprocal_rank(grades: Mapping[str, int], answer: Sequence[str]) -> float:
    """One over the rank of the first relevant clause; 0 where none is found."""
    return next((1 / rank for rank, number in enumerate(answer, start=1) if number in grades), 0.0)


def _discounted(grades: Sequence[int]) -> float:
    return sum((2.0**grade - 1) / math.log2(rank + 1) for rank, grade in enumerate(grades, start=1))


def _mean(values: Sequence[float]) -> float:
    return round(fmean(values), 4) if values else 0.0


def _p95(values: list[float]) -> float:
    return float(np.quantile(np.asarray(values), 0.95))


def _item(line: str, number: int, language: str) -> Item:
    """The item of one line; raises ValueError that says in words what is wrong with it."""
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ValueError("it is no JSON") from error
    if not isinstance(row, dict) or not isinstance(row.get("relevant"), list) or language not in row:
        raise ValueError("something is missing")
    grades = {_number(r): int(r.get("grade", 2)) for r in row["relevant"]}
    return Item(str(row.get("id", number)), str(row[language]), grades)


def _number(row: Mapping[str, object]) -> str:
    value = row.get("article", row.get("section"))
    number = canonical(value)
    if number is None:
        raise ValueError(f"{value!r} numbers no clause")
    return number


def _codes(engine: Engine) -> list[str]:
    with reading(engine) as session:
        return list(session.exec(select(Clause.code).distinct().order_by(col(Clause.code))).all())
