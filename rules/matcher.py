"""From a risk to the clauses that govern it: bindings first, then likeness of words and meaning; or nothing at all.

Only what is in force at the time and place is ever found. Where nothing reaches the floor, the answer is empty, and
the document goes to a person.
"""

import re
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Engine

from rules.clause import Provision, change_counter
from rules.embedding import Embedder, Vectors, open_embedders
from rules.index import Index, Rows, Scores
from rules.lexical import RowCache
from rules.limits import PLACE_KINDS
from rules.published import Published
from rules.settings import MatcherSettings
from rules.synonyms import current_synonyms
from rules.warning import early_warning
from stream.catalogue import RISK_TYPES
from stream.errors import ConfigurationError
from stream.messages import Risk, utc_now
from stream.site import load_site

FLOORS = {"zh": 0.073, "en": 0.12}
"""Below these scores no clause counts as found; set on tests/benchmarks/floor.toml and half of its hazards-zh.jsonl."""
WORD_FLOORS = {"zh": 0.07, "en": 0.12}
"""The same where words alone count."""
BESIDE_BOUND = 0.4
"""Beside clauses that are bound to the hazard, others are listed only from this score on."""
_HAN = re.compile(r"[㐀-鿿]")


@dataclass(frozen=True, kw_only=True)
class Match:
    """A clause version in force that was found, with its scores (0..1) and why it is there.

    ``bound``: it names this hazard or set the broken limit; otherwise it was found by its words and meaning.
    """

    clause_id: str
    version_id: str
    code: str
    edition: str
    number: str
    kind: str
    code_title_zh: str
    code_title_en: str
    title_zh: str
    title_en: str
    text_zh: str
    text_en: str
    score: float
    dense: float
    lexical: float
    bound: bool
    reason_zh: str
    reason_en: str

    @property
    def reason(self) -> str:
        """Why the clause was found, in English."""
        return self.reason_en

    def title(self, language: str) -> str:
        """The title in ``language`` (zh or en), else in the other one."""
        return (self.title_zh or self.title_en) if language == "zh" else (self.title_en or self.title_zh)

    def as_dict(self) -> dict[str, object]:
        """Every field by name, fit for JSON."""
        return asdict(self)


class Matcher:
    """Finds clauses for one mine. Safe to use from several threads; an edit is found from its commit on.

    ``urgent``: a person waits for the embedding, which else gives way to all other work.
    """

    def __init__(
        self,
        engine: Engine,
        mine: str,
        settings: MatcherSettings,
        *,
        embedders: Mapping[str, Embedder] | None = None,
        cache: RowCache | None = None,
        provisions: Sequence[Provision] | None = None,
        urgent: bool = False,
    ) -> None:
        self._engine = engine
        self._mine = mine
        self._settings = settings
        self._urgent = urgent
        self._embedders = open_embedders(settings.model) if embedders is None else embedders
        self._cache = cache or RowCache()
        self._vectors = Vectors(engine)
        self._published = Published(engine, mine)
        self._lock = threading.Lock()
        self._index: Index | None = None
        self._counter = -1
        self._fixed = None if provisions is None else self._index_of(provisions)

    def match(self, risk: Risk, at: datetime) -> list[Match]:
        """The clauses in force at ``at`` for that risk: those bound to it, then those found, best first; maybe none."""
        index = self.index()
        kind = self._place_kind(risk.place)
        queries = risk_queries(risk, kind)
        scores = {language: index.scores(text, language) for language, text in queries.items()}
        near = [(i, index.provisions[i]) for i in index.named(risk.type, *risk.clauses)]
        bound = [i for i, p in near if holds_at(p, at) and binding(p, risk, kind)]
        matches = [_bound_match(index.provisions[i], risk, *_best(scores, i)) for i in bound]
        matches.sort(key=lambda m: -m.score)
        matches = matches[: max(self._settings.top, sum(m.score == 1.0 for m in matches))]
        found = self._above(scores, index.in_force(at, without=bound), self._settings.top - len(matches))
        if bound:
            found = [(i, language) for i, language in found if scores[language].fused[i] >= BESIDE_BOUND]
        shared = {language: index.synonyms.find(text) for language, text in queries.items()}
        return matches + [found_match(index, i, la, scores[la], shared[la]) for i, la in found]

    def search(
        self,
        text: str,
        language: str | None = None,
        top: int | None = None,
        codes: Collection[str] = (),
        at: datetime | None = None,
    ) -> list[Match]:
        """The clauses in force at ``at`` (now) whose words and meaning are like ``text``; empty below the floor.

        ``language`` is zh or en, by default the text's own; ``codes`` restricts the search to these.
        """
        language = language or language_of(text)
        index, moment = self.index(), at or utc_now()
        scores = {language: index.scores(text, language)}
        allowed = index.in_force(moment)
        if codes:
            allowed = np.array([i for i in allowed if index.provisions[i].code in codes], np.int64)
        shared = index.synonyms.find(text)
        found = self._above(scores, allowed, top or self._settings.top)
        return [found_match(index, i, language, scores[language], shared) for i, _ in found]

    def index(self) -> Index:
        """The index over all that is published for this mine, built anew when the code book has changed."""
        if self._fixed is not None:
            return self._fixed
        counter = change_counter(self._engine)
        with self._lock:
            if self._index is None or counter != self._counter:
                self._index = self._index_of(self._published.now())
                self._counter = counter
            return self._index

    def over(self, provisions: Sequence[Provision]) -> "Matcher":
        """A matcher with the same models that looks among these provisions alone, whatever the code book says.

        Comes back when meaning counts too, so that two of them can be compared.
        """
        other = Matcher(
            self._engine,
            self._mine,
            self._settings,
            embedders=self._embedders,
            cache=self._cache,
            provisions=provisions,
            urgent=True,
        )
        other.wait()
        return other

    def progress(self) -> tuple[int, int]:
        """How many of the clauses that were new are embedded, and how many those are; till then words alone count."""
        return self.index().progress

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until meaning counts too: models loaded, every clause embedded. Answers whether that is so."""
        return self.index().wait(timeout)

    def _index_of(self, provisions: Sequence[Provision]) -> Index:
        synonyms = current_synonyms(self._engine, self._mine)
        return Index(
            provisions, self._engine, self._embedders, synonyms, self._cache, self._vectors, urgent=self._urgent
        )

    def _above(self, scores: dict[str, Scores], allowed: Rows, top: int) -> list[tuple[int, str]]:
        """The best ``top`` of ``allowed`` that reach the floor, each with the language in which it does best."""
        best: dict[int, tuple[float, str]] = {}
        for language, values in scores.items():
            for i in ranked(values, allowed, floor_of(self._settings, language, meaning=values.meaning))[: max(0, top)]:
                best[i] = max(best.get(i, (0.0, "")), (float(values.fused[i]), language))
        return [
            (i, language) for i, (_, language) in sorted(best.items(), key=lambda e: (-e[1][0], e[0]))[: max(0, top)]
        ]

    def _place_kind(self, place: str) -> str:
        try:
            found = load_site(self._engine, self._mine)[1].place(place)
        except ConfigurationError:
            return ""
        return found.kind if found else ""


def floor_of(settings: MatcherSettings, language: str, *, meaning: bool) -> float:
    """The score below which nothing counts as found: the one that was set, else the calibrated one.

    ``meaning``: whether it counts in the score, or words alone do.
    """
    return (FLOORS if meaning else WORD_FLOORS)[language] if settings.floor is None else settings.floor


def ranked(scores: Scores, allowed: Rows, floor: float) -> list[int]:
    """Those of ``allowed`` whose fused score reaches the floor, best first."""
    rows = allowed[scores.fused[allowed] >= floor]
    result: list[int] = rows[np.argsort(-scores.fused[rows], kind="stable")].tolist()
    return result


def holds_at(provision: Provision, at: datetime) -> bool:
    """Whether the published version is in force at that time."""
    begin, end = provision.content.effective_from, provision.content.effective_to
    return begin is not None and begin <= at and (end is None or at < end)


def binding(provision: Provision, risk: Risk, place_kind: str) -> bool:
    """Whether the clause set the limit of that risk, or is tagged with its hazard and meant for that kind of place."""
    if provision.clause_id in risk.clauses:
        return True
    if risk.type not in provision.content.hazards:
        return False
    limits = [li for li in provision.content.limits if li.quantity == RISK_TYPES[risk.type].quantity]
    return not limits or any(li.holds_at(place_kind) for li in limits)


def risk_queries(risk: Risk, place_kind: str) -> dict[str, str]:
    """What is searched for, by language: the hazard's name, the kind of place, what was measured, a person's note."""
    note = risk.note.strip()
    spoken = language_of(note) if note else ""
    if risk.type == "hand-raised" and note:
        return {spoken: note}
    kind = RISK_TYPES.get(risk.type)
    names = {"zh": kind.zh, "en": kind.en} if kind else {"zh": risk.type, "en": risk.type}
    # A limit depends on the kind of place; a hazard that is seen does not, and the place's words would lead astray.
    place = dict(zip(("zh", "en"), PLACE_KINDS.get(place_kind * bool(risk.measured), ("", "")), strict=True))
    measured = " ".join(f"{m.value:g} {m.unit}" for m in risk.measured)
    return {
        language: " ".join(filter(None, (names[language], place[language], measured, note * (spoken == language))))
        for language in ("zh", "en")
    }


def language_of(text: str) -> str:
    """``zh`` where the text has Chinese characters, else ``en``."""
    return "zh" if _HAN.search(text) else "en"


def found_match(index: Index, row: int, language: str, scores: Scores, named: list[str]) -> Match:
    """The provision in that row as a match found by its words and meaning."""
    provision = index.provisions[row]
    spoken = index.spoken(row, language)
    shared = [index.synonyms[i] for i in dict.fromkeys(named) if i in spoken][:4]
    zh = "、".join(c.name("zh") or c.name("en") for c in shared)
    en = ", ".join(c.name("en") or c.name("zh") for c in shared)
    likeness = f"{scores.lexical[row]:.2f}" + (f" / {scores.dense[row]:.2f}" if scores.meaning else "")
    way_zh, way_en = ("用词和含义", "words and meaning") if scores.meaning else ("用词", "words")
    return _match(
        provision, scores, row, bound=False, score=float(scores.fused[row]),
        reason_zh=f"按{way_zh}检索（{likeness}）" + (f"：{zh}" if zh else ""),
        reason_en=f"Found by {way_en} ({likeness})" + (f": {en}" if en else ""),
    )  # fmt: skip


def hand_match(provision: Provision, reason_zh: str, reason_en: str) -> Match:
    """The provision as a person named it, with no score."""
    return _match(provision, None, 0, bound=False, score=0.0, reason_zh=reason_zh, reason_en=reason_en)


def _bound_match(provision: Provision, risk: Risk, scores: Scores, row: int) -> Match:
    if provision.clause_id in risk.clauses and early_warning(risk.reason):
        score = 1.0
        zh = "该条款规定了读数正在接近的限值，目前尚未突破"
        en = "This clause sets the limit that the readings are on their way to; it is not broken yet"
    elif provision.clause_id in risk.clauses:
        score, zh, en = 1.0, "该条款规定了被突破的限值", "This clause sets the limit that was broken"
    else:
        kind = RISK_TYPES[risk.type]
        score = 0.5 + 0.49 * float(np.clip(scores.fused[row], 0, 1))
        zh, en = f"该条款标注为适用于“{kind.zh}”", f'This clause is tagged as governing "{kind.en}"'
    return _match(provision, scores, row, bound=True, score=score, reason_zh=zh, reason_en=en)


def _best(scores: dict[str, Scores], row: int) -> tuple[Scores, int]:
    return max(scores.values(), key=lambda s: float(s.fused[row])), row


def _match(
    provision: Provision, scores: Scores | None, row: int, *, bound: bool, score: float, reason_zh: str, reason_en: str
) -> Match:
    content = provision.content
    return Match(
        clause_id=provision.clause_id,
        version_id=provision.version_id,
        code=provision.code,
        edition=provision.edition,
        number=provision.number,
        kind=provision.kind,
        code_title_zh=provision.code_title_zh,
        code_title_en=provision.code_title_en,
        title_zh=content.title_zh,
        title_en=content.title_en,
        text_zh=content.text_zh,
        text_en=content.text_en,
        score=round(score, 4),
        dense=round(float(scores.dense[row]), 4) if scores else 0.0,
        lexical=round(float(scores.lexical[row]), 4) if scores else 0.0,
        bound=bound,
        reason_zh=reason_zh,
        reason_en=reason_en,
    )
