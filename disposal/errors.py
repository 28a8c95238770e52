"""Errors of the disposal package. Each message is prose: what happened, where, and what to do."""

from datetime import datetime
from typing import TYPE_CHECKING

from stream.errors import MinewatchError

if TYPE_CHECKING:
    from disposal.document import Bilingual


class AlertError(MinewatchError):
    """There is no such alert or document in this mine."""


class StateError(MinewatchError):
    """What was asked for cannot be done in the state in which the alert or document is."""


class ShelvingError(StateError):
    """The alert cannot be shelved, or not for so long."""


class ReasonMissingError(MinewatchError):
    """The decision needs a reason in words, and none was given."""


class AlreadyDecidedError(MinewatchError):
    """Somebody else decided first, or the document has a newer version than the one that was looked at."""

    def __init__(self, alert_id: str, what: str, who: str, when: datetime | None) -> None:
        self.alert_id = alert_id
        self.what = what
        self.who = who
        self.when = when
        at = f" at {when:%Y-%m-%d %H:%M:%S} UTC" if when else ""
        super().__init__(
            f"Alert {alert_id[:12]} was not changed: {what} by {who}{at}. Load it again and decide on what is there now."
        )


class PolicyError(MinewatchError):
    """A closure policy may not be stored, approved or activated as it stands."""


class AuditError(MinewatchError):
    """The audit chain, or an exported head of it, cannot be read or written."""


class MeasuresError(MinewatchError):
    """The library of measures cannot be read, or lacks a risk type."""


class KnownError(MinewatchError):
    """An entry of the library, a note or a template cannot be as it was written."""


class DraftError(MinewatchError):
    """A backend gave no usable draft; the next one in the order is asked."""


class StaysOnSiteError(DraftError):
    """What is private, or cannot be masked, would have left the site."""


class HandoverError(MinewatchError):
    """A shift cannot be handed over or taken over like that."""


class EditError(MinewatchError):
    """What a person has written into a document cannot be used as it stands."""


class RosterError(MinewatchError):
    """The duty roster cannot be changed like that."""


class EmergencyError(MinewatchError):
    """An emergency plan cannot be stored like that."""


class ExportError(MinewatchError):
    """A document cannot be exported."""


class FormError(ExportError):
    """The mine's own form cannot be used as it was sent; ``said`` is why, in both languages."""

    def __init__(self, said: "Bilingual") -> None:
        self.said = said
        super().__init__(said.en)


class FontMissingError(ExportError):
    """This machine has no font with Chinese characters, which a PDF needs."""


class TrainingError(MinewatchError):
    """A drafting model cannot be trained like that."""


class FeedbackError(MinewatchError):
    """What people decided cannot be made a judged set."""


class ModelError(MinewatchError):
    """The drafting model that ships is not whole, or not the one that was pinned."""
