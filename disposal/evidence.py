"""Which evidence the tables name: what a backup takes along, and what nothing may delete."""

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Engine
from sqlmodel import select

from disposal.alert import AlertRisk
from stream.database import reading
from stream.messages import Risk, decode

_ROWS = 500


class NamedEvidence(NamedTuple):
    """One stored piece by its address in the evidence store."""

    mine: str
    sha256: str
    media_type: str


def named_evidence(
    engine: Engine, mine: str | None = None, without: frozenset[str] = frozenset()
) -> Iterator[NamedEvidence]:
    """Every piece of evidence of every risk event of a mine (None: of all in the database), each once.

    ``without``: what only these alerts name is left out.
    """
    query = select(AlertRisk.mine, AlertRisk.alert_id, AlertRisk.content)
    if mine is not None:
        query = query.where(AlertRisk.mine == mine)
    seen: set[NamedEvidence] = set()
    with reading(engine) as session:
        for owner, alert_id, content in session.exec(query.execution_options(yield_per=_ROWS)):
            message = None if alert_id in without else decode(content)
            for piece in message.evidence if isinstance(message, Risk) else ():
                named = NamedEvidence(owner, piece.sha256, piece.media_type)
                if named not in seen:
                    seen.add(named)
                    yield named
