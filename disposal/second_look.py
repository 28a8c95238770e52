"""What a language model says of the evidence picture: it may bar automatic closure, and never permits one."""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from disposal.alert import Alert
from stream.messages import Evidence, Risk

Verdict = Literal["confirmed", "rejected", "cannot-say"]
LONGEST_REASON = 300
_NOTHING_SAID = "The model was shown the picture and said nothing about it."
Loader = Callable[[Evidence], bytes]
"""Reads a piece of evidence. Raises EvidenceError where it is missing or was altered."""


class SecondLook(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict of a model on the picture, and why. ``by`` is the model."""

    verdict: Verdict
    reason: str
    by: str

    @property
    def bars(self) -> bool:
        """Whether it keeps the alert from being closed automatically."""
        return self.verdict != "confirmed"


def evidence_picture(risk: Risk) -> Evidence | None:
    """The picture of the risk to show to a model: the newest annotated one, else a photo that a person sent."""
    pictures = [e for e in risk.evidence if e.kind in ("annotated", "photo") and e.media_type == "image/jpeg"]
    return max(pictures, key=lambda e: (e.kind == "annotated", e.captured_at), default=None)


def look_of(verdict: Verdict | None, reason: str, by: str, *, shown: bool) -> list[SecondLook]:
    """What the model said of the picture, if anything; one that was shown it and says nothing cannot say."""
    if verdict is None:
        return [SecondLook(verdict="cannot-say", reason=_NOTHING_SAID, by=by)] if shown else []
    return [SecondLook(verdict=verdict, reason=" ".join(reason.split())[:LONGEST_REASON], by=by)]


def doubt(looks: Sequence[SecondLook]) -> SecondLook | None:
    """The first look that bars closure, else the first of all."""
    return next((look for look in looks if look.bars), looks[0] if looks else None)


def note(alert: Alert, look: SecondLook | None) -> None:
    """Write it on the alert. What bars closure stays: no later answer takes it back."""
    if look is not None and (look.bars or not barred(alert)):
        alert.look_verdict, alert.look_reason, alert.look_by = look.verdict, look.reason, look.by


def barred(alert: Alert) -> bool:
    """Whether a model's look at the picture keeps the alert from being closed automatically."""
    return alert.look_verdict not in ("", "confirmed")
