"""What a language model says of the evidence picture: it may bar automatic closure, and never permits one."""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from disposal.alert import Alert
from stream.messages import Evidence, Risk

Verdict = Literal["confirmed", "rejected", "cannot-say"]
Withheld = Literal["private", "heads-unknown", "unreadable"]
"""Why a picture did not leave the site: the alert is private, nobody knows where its heads are, it cannot be read."""
LONGEST_REASON = 300
_FREE = ("", "confirmed", "withheld")
"""What bars nothing: no look, one that confirms, and a picture that no model saw."""
_NOTHING_SAID = "The model was shown the picture and said nothing about it."
Loader = Callable[[Evidence], bytes]
"""Reads a piece of evidence. Raises EvidenceError where it is missing or was altered."""


class SecondLook(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict of a model on the picture, and why; or that the picture was withheld from it. ``by`` is the model."""

    verdict: Verdict | Literal["withheld"]
    reason: str
    by: str

    @property
    def bars(self) -> bool:
        """Whether it keeps the alert from being closed automatically."""
        return self.verdict not in _FREE


def evidence_picture(risk: Risk) -> Evidence | None:
    """The picture of the risk to show to a model: the newest annotated one, else a photo that a person sent."""
    pictures = [e for e in risk.evidence if e.kind in ("annotated", "photo") and e.media_type == "image/jpeg"]
    return max(pictures, key=lambda e: (e.kind == "annotated", e.captured_at), default=None)


def analysed_frame(risk: Risk) -> Evidence | None:
    """The frame behind that picture as it was analysed, else the newest one whose persons are known."""
    frames = [e for e in risk.evidence if e.kind == "frame" and e.media_type == "image/jpeg"]
    shown = {e.captured_at for e in risk.evidence if e.kind == "annotated"}
    return max(frames, key=lambda e: (e.people is not None, e.captured_at in shown, e.captured_at), default=None)


def withheld(reason: Withheld, by: str) -> SecondLook:
    """That the picture did not go to a model, and why."""
    return SecondLook(verdict="withheld", reason=reason, by=by)


def look_of(verdict: Verdict | None, reason: str, by: str, *, shown: bool) -> list[SecondLook]:
    """What the model said of the picture, if anything; one that was shown it and says nothing cannot say."""
    if verdict is None:
        return [SecondLook(verdict="cannot-say", reason=_NOTHING_SAID, by=by)] if shown else []
    return [SecondLook(verdict=verdict, reason=" ".join(reason.split())[:LONGEST_REASON], by=by)]


def doubt(looks: Sequence[SecondLook]) -> SecondLook | None:
    """The first look that bars closure, else the first that says anything of the picture, else the first of all."""
    said = [look for look in looks if look.verdict != "withheld"]
    return next((look for look in said if look.bars), next(iter((*said, *looks)), None))


def note(alert: Alert, look: SecondLook | None) -> None:
    """Write it on the alert. What bars closure stays: no later answer takes it back."""
    if look is None or (look.verdict == "withheld" and alert.look_verdict):
        return
    if look.bars or not barred(alert):
        alert.look_verdict, alert.look_reason, alert.look_by = look.verdict, look.reason, look.by


def barred(alert: Alert) -> bool:
    """Whether a model's look at the picture keeps the alert from being closed automatically."""
    return alert.look_verdict not in _FREE
