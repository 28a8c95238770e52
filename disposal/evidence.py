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


def named_evidence(engine: Engine) -> Iterator[NamedEvidence]:
    """Every piece of evidence of every risk event of every mine in the database, each once."""
    seen: set[NamedEvidence] = set()
    with reading(engine) as session:
        for mine, content in session.exec(select(AlertRisk.mine, AlertRisk.content).execution_options(yield_per=_ROWS)):
            message = decode(content)
            if not isinstance(message, Risk):
                continue
            for piece in message.evidence:
                named = NamedEvidence(mine, piece.sha256, piece.media_type)
                if named not in seen:
                    seen.add(named)
                    yield named
