"""What a document is drafted from: the risk's facts and the clauses found for it, in plain data written by code."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from disposal.alert import Alert
from disposal.document import Bilingual, Citation, Fact, StoredMatch
from disposal.library import Usual, library
from disposal.template import Template
from rules.matcher import Match
from rules.warning import early_warning
from stream.catalogue import RiskType, risk_type
from stream.messages import Evidence, Measured, Risk
from stream.site import Place, Site

MOST_CITED = 5
"""A document cites at most so many clauses."""
_FOUND_CITED = 3
_SOURCES = {
    "camera": Bilingual("摄像机", "camera"),
    "sensor": Bilingual("传感器", "sensor"),
    "person": Bilingual("人员上报", "reported by"),
}
_EPISODES = {
    "ongoing": Bilingual("仍在持续", "still there"),
    "cleared": Bilingual("已观察到消失", "seen to have ended"),
    "lost": Bilingual("已无法观察，不能确认是否消失", "no longer observed: nobody can say whether it has ended"),
}


WARNING = Bilingual("预警", "Early warning")
"""The name of the fact that a limit is not broken yet, and when it would be."""


class DraftRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that any backend may know: the type, facts, clauses, the duty that is responsible, remarks of people.

    ``remarks`` are a person's words (a report, the reason of a return): data, never an instruction. ``at`` is the
    time of drafting, from which the deadline counts. ``usual`` and ``template`` are what the mine knows and how its
    documents look; what ships, where the mine has nothing of its own. ``subject`` names the alert in the audit; what is
    ``private`` stays on the site; ``people`` are those whom the request names beside the roster; ``picture`` is the
    evidence that a model may look at, ``frame`` the frame behind it as it was analysed.
    """

    type: str
    facts: tuple[Fact, ...]
    matches: tuple[StoredMatch, ...]
    responsible: Bilingual
    remarks: tuple[str, ...]
    measured: tuple[Measured, ...]
    at: datetime
    language: str = "zh"
    subject: str = "draft"
    private: bool = False
    people: tuple[str, ...] = ()
    picture: Evidence | None = None
    frame: Evidence | None = None
    usual: Usual | None = None
    template: Template = Template()

    @property
    def usually(self) -> Usual:
        """What is usually done about the risk type, in this mine or else as the product ships it."""
        return self.usual or library()[self.type]

    @property
    def kind(self) -> RiskType:
        """The risk type."""
        return risk_type(self.type)

    @property
    def hazard(self) -> Bilingual:
        """What the document is about, by its name: that it is only on its way, where no limit is broken yet."""
        coming = any(fact.name == WARNING for fact in self.facts)
        return Bilingual(*(_coming(self.kind) if coming else (self.kind.zh, self.kind.en)))

    @property
    def citable(self) -> tuple[StoredMatch, ...]:
        """The clauses that a document of this request may cite."""
        return citable(self.matches)


def citable(matches: Sequence[StoredMatch]) -> tuple[StoredMatch, ...]:
    """Which of these a document may cite: those bound to the hazard, then the best found."""
    bound = [m for m in matches if m.bound]
    found = [m for m in matches if not m.bound]
    return tuple((bound + found[: max(0, _FOUND_CITED - len(bound))])[:MOST_CITED])


def stored(matches: Iterable[Match]) -> tuple[StoredMatch, ...]:
    """Matches as they are kept with the document, in full, so that it reads the same years later."""
    return tuple(
        StoredMatch(
            version_id=m.version_id,
            clause_id=m.clause_id,
            label=Bilingual(_label_zh(m), _label_en(m)),
            text=Bilingual(m.text_zh, m.text_en),
            score=m.score,
            bound=m.bound,
            reason=Bilingual(m.reason_zh, m.reason_en),
        )
        for m in matches
    )


def citation(match: StoredMatch) -> Citation:
    """The clause as a document cites it."""
    return Citation(version_id=match.version_id, clause_id=match.clause_id, label=match.label, required=match.text)


def facts_of(
    risk: Risk, site: Site | None, episode: str, repeats: int, note: Bilingual = Bilingual()
) -> tuple[Fact, ...]:
    """What was found, line by line, in both languages, with the mine's ``note`` on this type of risk."""
    place = site.place(risk.place) if site else None
    kind = risk_type(risk.type)
    warned = early_warning(risk.reason)
    lines = [
        _fact("隐患", "Hazard", *(_coming(kind) if warned else (kind.zh, kind.en))),
        _fact("地点", "Place", *_named(place, risk.place)),
        _fact("时间", "Time", *_same(_clock(risk.started_at))),
        _source(risk, site),
        _fact("状态", "Status", _EPISODES[episode].zh, _EPISODES[episode].en),
    ]
    if warned:
        lines.append(Fact(name=WARNING, value=Bilingual(warned.zh, warned.en)))
    lines += [_measured(m) for m in risk.measured]
    if risk.source_kind == "camera" and risk.detections:
        lines.append(_fact("识别置信度", "Confidence", *_same(f"{risk.confidence:.2f}")))
    if repeats:
        lines.append(_fact("重复次数", "Repeats", *_same(str(repeats))))
    if note != Bilingual():
        lines.append(Fact(name=Bilingual("本矿说明", "Note of this mine"), value=note))
    return tuple(lines)


def confirmations(alert: Alert, others: Sequence[Risk], site: Site | None) -> tuple[Fact, ...]:
    """What else was found at the place and joined: each other source with its hazard and readings, and why."""
    lines = []
    for risk in others:
        kind = risk_type(risk.type)
        lines += [_fact("另一来源的隐患", "Hazard from another source", kind.zh, kind.en), _source(risk, site)]
        lines += [_measured(m) for m in risk.measured]
    if alert.severity_raised:
        lines.append(_fact("提级原因", "Severity raised because", alert.severity_zh, alert.severity_en))
    return tuple(lines)


def responsible_of(place: Place | None) -> Bilingual:
    """The duty that answers for the place, looked up and never made up; empty where the site names none."""
    if place is None:
        return Bilingual()
    return Bilingual(place.responsible.text("zh"), place.responsible.text("en"))


def _coming(kind: RiskType) -> tuple[str, str]:
    """The hazard's name where it is only on its way: its usual name says that a limit is broken."""
    return f"{kind.zh}（预警，尚未超限）", f"{kind.en} (early warning, not yet)"


def _source(risk: Risk, site: Site | None) -> Fact:
    word = _SOURCES[risk.source_kind]
    known = (site.camera(risk.source) or site.sensor(risk.source)) if site else None
    name = known.name if known else None
    zh, en = (name.text("zh"), name.text("en")) if name else _same(risk.source.removeprefix("person:"))
    zone = f" / {risk.zone}" if risk.zone else ""
    return _fact("来源", "Source", f"{word.zh} {zh or risk.source}{zone}", f"{word.en} {en or risk.source}{zone}")


def _measured(value: Measured) -> Fact:
    limit = Bilingual(f"（限值 {value.limit}）", f" (limit {value.limit})") if value.limit else Bilingual()
    said = f"{value.value:g} {value.unit}"
    return _fact(f"读数 {value.sensor}", f"Reading {value.sensor}", said + limit.zh, said + limit.en)


def _named(place: Place | None, identity: str) -> tuple[str, str]:
    return (place.name.text("zh") or identity, place.name.text("en") or identity) if place else _same(identity)


def _fact(name_zh: str, name_en: str, zh: str, en: str) -> Fact:
    return Fact(name=Bilingual(name_zh, name_en), value=Bilingual(zh, en))


def _same(text: str) -> tuple[str, str]:
    return text, text


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _label_zh(match: Match) -> str:
    title = match.code_title_zh or match.code_title_en or match.code
    main, _, inserted = match.number.partition("-")
    number = f"第{main}条" + (f"之{inserted}" if inserted else "") if main.isdigit() else match.number
    return f"《{title}》（{match.edition}）{number} {match.title_zh or match.title_en}".strip()


def _label_en(match: Match) -> str:
    title = match.code_title_en or match.code_title_zh or match.code
    return f"{title} ({match.edition}), {match.number}: {match.title_en or match.title_zh}".rstrip(": ")
