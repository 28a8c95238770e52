"""All that was ever published for a mine, read again only as far as it has changed."""

from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from rules.clause import Provision, editions, published, published_ends, versions


class Published:
    """The versions ever published for a mine. Their wording never changes, only when and why they end."""

    def __init__(self, engine: Engine, mine: str) -> None:
        self._engine = engine
        self._mine = mine
        self._kept: dict[str, Provision] = {}
        self._ends: dict[str, tuple[datetime | None, str | None]] = {}
        self._editions: list[dict[str, Any]] = []

    def now(self) -> list[Provision]:
        """Every version ever published for the mine, ended ones with them; their dates say when each was in force."""
        known = [row.model_dump() for row in editions(self._engine, self._mine)]
        ends = published_ends(self._engine, self._mine)
        changed = [i for i, end in ends.items() if self._ends.get(i, ()) != end]
        if known != self._editions or len(changed) > len(self._kept):
            self._kept = {p.version_id: p for p in published(self._engine, self._mine)}
        else:
            self._kept |= {p.version_id: p for p in versions(self._engine, changed)}
        self._editions, self._ends = known, ends
        return sorted((self._kept[i] for i in ends if i in self._kept), key=lambda p: (p.code, p.sort_key, p.version))
