"""Which picture goes to a model: on the site the evidence as it is; off it one with every head covered, or none."""

from typing import Literal, NamedTuple

from disposal.prompt import BLURRED, PICTURE
from disposal.request import DraftRequest
from disposal.second_look import Withheld
from stream.messages import Detection, Evidence

OffSite = Literal["never", "blurred"]


class Showing(NamedTuple):
    """What to show: the evidence under its ``prompt``, with the heads of these ``people`` covered (None: as it is)."""

    evidence: Evidence
    prompt: str
    people: tuple[Detection, ...] | None = None


def showing(request: DraftRequest, *, off_site: bool, leaving: OffSite) -> Showing | Withheld | None:
    """What a model that takes pictures is shown of this request, or why it is shown nothing. Pure.

    None: there is no picture, or none is ever to leave the site, which needs no reason.
    """
    if request.picture is None:
        return None
    if not off_site:
        return Showing(request.picture, PICTURE)
    if leaving == "never":
        return None
    if request.private:
        return "private"
    # The annotated copy is no choice: its caption tells names, and its boxes do not lie where they were seen.
    if request.frame is None or request.frame.people is None:
        return "heads-unknown"
    return Showing(request.frame, BLURRED, request.frame.people)
