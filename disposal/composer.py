"""Composes a document from the catalogue, the library of measures and the clauses found, with no language model."""

from datetime import timedelta

from disposal.answer import title_of
from disposal.document import Bilingual, DocumentContent
from disposal.request import DraftRequest, citation

NAME = "composer"
_NOTICE = Bilingual(
    "本处置单由程序根据措施库和检索到的条款编写，未使用语言模型。",
    "Composed from the library of measures and the clauses found, without a language model.",
)
_NO_CLAUSE = Bilingual(
    "未检索到现行有效的适用条款，须由人员核定依据。",
    "No clause in force was found for it: a person has to settle what it rests on.",
)


def compose(request: DraftRequest) -> DocumentContent:
    """The document in both languages; the same request gives the same document."""
    usual = request.usually
    cited = request.citable
    return DocumentContent(
        title=title_of(request),
        heading=request.template.heading,
        closing=request.template.closing,
        grade=request.kind.grade,
        facts=request.facts,
        citations=tuple(citation(m) for m in cited),
        responsible=request.responsible,
        measures=usual.measures,
        resources=usual.resources,
        deadline=request.at + timedelta(hours=usual.deadline_hours),
        contingency=usual.contingency,
        acceptance=usual.acceptance,
        notice=_NOTICE if cited else Bilingual(_NOTICE.zh + _NO_CLAUSE.zh, f"{_NOTICE.en} {_NO_CLAUSE.en}"),
    )
