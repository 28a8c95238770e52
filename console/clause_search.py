"""Searching the code book: the matcher is opened on the first search, because its models take seconds to load."""

import threading
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from rules.settings import RulesSettings

if TYPE_CHECKING:
    from rules.matcher import Match, Matcher


class ClauseSearch:
    """Finds clauses by words and meaning. Safe to use from several threads."""

    def __init__(self, engine: Engine, mine: str, settings: RulesSettings) -> None:
        self._engine = engine
        self._mine = mine
        self._settings = settings
        self._lock = threading.Lock()
        self._matcher: Matcher | None = None

    def find(self, query: str, at: datetime | None = None) -> "list[Match]":
        """The clauses in force at ``at`` (now) that are like ``query``, best first.

        Raises EmbeddingError where no model loads.
        """
        return self.matcher().search(query, at=at)

    def matcher(self) -> "Matcher":
        """The matcher itself."""
        with self._lock:
            if self._matcher is None:
                # Costs memory and time that a console on which nobody searches need not spend.
                from rules.matcher import Matcher

                self._matcher = Matcher(self._engine, self._mine, self._settings.matcher)
            return self._matcher
