"""Models side by side on the stored requests: whose drafts pass, how fast, and how near to what people approved."""

import difflib
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlmodel import col, select

from disposal.alert import Alert
from disposal.callout import CallOuts
from disposal.document import Document, DocumentContent, DocumentState
from disposal.drafter import Draft, Drafter, open_drafter
from disposal.errors import DraftError
from disposal.request import DraftRequest
from disposal.settings import BACKENDS, DisposalSettings, DrafterSettings
from disposal.situation import draft_request
from stream.database import reading

_APPROVED = (
    DocumentState.APPROVED, DocumentState.ISSUED, DocumentState.RECTIFYING, DocumentState.ACCEPTANCE,
    DocumentState.CLOSED, DocumentState.OVERDUE,
)  # fmt: skip


def compare(
    engine: Engine,
    mine: str,
    settings: DisposalSettings,
    models: Sequence[str],
    limit: int,
    tell: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Each model's drafts of the newest ``limit`` stored requests, scored; nothing is stored.

    A model is ``openai``, ``transformers``, ``clerk``, ``composer`` as set, or the folder of one. ``editing`` is the
    share of the text that differs from what a person approved, where somebody did. Raises DraftError where no model is
    named, one is not configured, or nothing is stored.
    """
    if not models:
        raise DraftError(f"No model is named: name {', '.join(BACKENDS)}, or folders of models, with commas between.")
    drafters = {name: _drafter(name, settings.drafter, CallOuts(engine, mine)) for name in dict.fromkeys(models)}
    asked = _stored(engine, mine, settings, limit)
    if not asked:
        raise DraftError(f"The mine {mine} has no stored requests to compare models on: there are no documents yet.")
    scores: dict[str, Any] = {}
    for name, drafter in drafters.items():
        drafts = []
        for request, _ in asked:
            drafts.append(drafter.draft(request))
            tell(1)
        scores[name] = _score(name, drafts, [approved for _, approved in asked])
    return {"requests": len(asked), "approved": sum(a is not None for _, a in asked), "models": scores}


def _drafter(name: str, settings: DrafterSettings, guard: CallOuts) -> Drafter:
    changes: dict[str, Any] = {"order": (name, "composer")}
    if name not in BACKENDS:
        if not Path(name).is_dir():
            known = ", ".join(BACKENDS)
            raise DraftError(f"There is no model {name!r}: name {known}, or the folder of a model.")
        local = settings.local.model_copy(update={"folder": Path(name)})
        changes = {"order": ("transformers", "composer"), "local": local}
    drafter = open_drafter(settings.model_copy(update=changes), lambda _: None, guard)
    if drafter.quick and name != "composer":
        raise DraftError(f"The model {name} is not configured: set it under disposal.drafter, or leave it out.")
    return drafter


def _stored(
    engine: Engine, mine: str, settings: DisposalSettings, limit: int
) -> list[tuple[DraftRequest, DocumentContent | None]]:
    with reading(engine) as session:
        query = (
            select(Document, Alert)
            .join(Alert, col(Document.alert_id) == col(Alert.id))
            .where(Document.mine == mine, col(Document.checked_at).is_not(None))
            .order_by(col(Document.created_at).desc())
            .limit(limit)
        )
        rows = [(document, alert) for document, alert in session.exec(query).all()]
    language, privacy = settings.drafter.language, settings.privacy
    return [
        (
            draft_request(engine, alert, document, language, document.created_at, privacy),
            document.read_content() if document.state in _APPROVED else None,
        )
        for document, alert in rows
    ]


def _score(name: str, drafts: Sequence[Draft], approved: Sequence[DocumentContent | None]) -> dict[str, Any]:
    own = [d for d in drafts if name == "composer" or d.fell_through == 0]
    seconds = sorted(d.seconds for d in drafts)
    edits = [editing(d.content, a, d.language) for d, a in zip(drafts, approved, strict=True) if a is not None]
    return {
        "drafts": len(own),
        "fell_through": len(drafts) - len(own),
        "schema_valid": sum(d.schema_valid is True for d in drafts),
        "passed_at_once": sum(not d.repaired for d in own),
        "repaired": sum(d.repaired for d in own),
        "seconds_p50": round(statistics.median(seconds), 4),
        "seconds_p95": round(seconds[min(len(seconds) - 1, int(len(seconds) * 0.95))], 4),
        "editing": round(statistics.mean(edits), 4) if edits else None,
    }


def editing(draft: DocumentContent, approved: DocumentContent, language: str) -> float:
    """The share of measures, resources, contingency and acceptance that differs from what was approved, 0 to 1."""
    tongue = "en" if language == "en" else "zh"
    said, wanted = (_text(content, tongue) for content in (draft, approved))
    return 1.0 - difflib.SequenceMatcher(None, said, wanted, autojunk=False).ratio()


def _text(content: DocumentContent, language: str) -> str:
    lines = (*content.measures, *content.resources, content.contingency, content.acceptance)
    return "\n".join(line.text(language) for line in lines)
