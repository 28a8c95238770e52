"""Errors of the rules package. Each message is prose: what happened, where, and what to do."""

from typing import TYPE_CHECKING

from stream.errors import MinewatchError

if TYPE_CHECKING:
    from rules.limits import Limit


class ClauseError(MinewatchError):
    """A clause, a version or a code is not there, or cannot be changed in the way that was asked for."""


class ApprovalError(ClauseError):
    """The person who wants to publish a version may not, or the version is not ready for it."""


class LoosenedLimitError(ClauseError):
    """A supplement's limit would loosen a national one; the message shows both."""

    def __init__(self, clause: str, limit: "Limit", national: str, rival: "Limit") -> None:
        self.clause, self.limit, self.national, self.rival = clause, limit, national, rival
        super().__init__(
            f"{clause} would loosen the national code: it sets {limit.quantity} {limit.text('en')}, while {national} sets {rival.text('en')}."
        )


class KnowledgeError(MinewatchError):
    """An entry of what the mine knows is not there, cannot be as it was written, or cannot be changed in that way."""


class ImportRefusedError(MinewatchError):
    """A file cannot be imported as a code: unreadable, of another kind, or contradictory. Nothing was written."""


class EvaluationError(MinewatchError):
    """A file of evaluation items cannot be read, or names a code that is not there."""


class EmbeddingError(MinewatchError):
    """A model for embeddings cannot be loaded."""
