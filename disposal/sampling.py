"""Which automatic closures a person checks again, and what follows from what they find."""

import hashlib
from typing import NamedTuple

from scipy.special import betaincinv
from sqlmodel import Session, col, func, select

from disposal.document import Document
from disposal.errors import PolicyError
from disposal.policy import JUDGED_BEFORE_ACTIVE, ClosurePolicy, PolicyVersion, suspend

_ACTOR = "sampling"
_AGREES = ("close", "reject")
ROOM = 2
"""Wrong closures that a policy must still have room for when it becomes active.

With none, the first wrong closure found would suspend it: at one wrong in a thousand, ten times better than the usual
target, that befalls every sixth policy proven by 300 judgements.
"""


class Tally(NamedTuple):
    """How many closures of one policy version people have judged, and how many of them they found wrong."""

    judged: int
    wrong: int

    @property
    def bound(self) -> float:
        """The upper bound of the wrong share."""
        return upper_bound(self.wrong, self.judged)


def sampled(document_id: str, share: float) -> bool:
    """Whether a person checks this closure again: the same answer every time, and the given share of all documents."""
    digest = hashlib.sha256(f"sample:{document_id}".encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64


def upper_bound(wrong: int, judged: int, confidence: float = 0.95) -> float:
    """The one-sided upper bound of a share by Clopper and Pearson (Biometrika 26, 1934); 1 with no trials."""
    if judged <= 0 or wrong >= judged:
        return 1.0
    return float(betaincinv(wrong + 1, judged - wrong, confidence))


def tally(session: Session, mine: str, policy: str) -> Tally:
    """What people have judged of that policy version: sampled closures, and what it would have closed in shadow.

    In shadow, a person who closes or rejects agrees that nothing was left to do; one who approves the measures or
    returns the document does not.
    """
    base = select(func.count()).select_from(Document).where(Document.mine == mine, Document.policy == policy)
    closures = base.where(col(Document.auto_closed_at).is_not(None))
    upheld = session.exec(closures.where(Document.decision == "uphold")).one()
    overturned = session.exec(closures.where(Document.decision == "overturn")).one()
    reopened = session.exec(closures.where(Document.decision == "reopen")).one()
    blind = base.where(col(Document.auto_closed_at).is_(None), col(Document.would_close).is_(True))
    agreed = session.exec(blind.where(col(Document.decision).in_(_AGREES))).one()
    decided = session.exec(blind.where(col(Document.decided_by).is_not(None))).one()
    wrong = overturned + reopened + decided - agreed
    return Tally(judged=upheld + overturned + reopened + decided, wrong=wrong)


def review(session: Session, mine: str, policy: str) -> Tally:
    """Count again after a judgement, and suspend the policy where the bound has come above its target."""
    found = tally(session, mine, policy)
    name, _, version = policy.rpartition("@")
    row = session.get(PolicyVersion, (mine, name, int(version))) if version.isdigit() else None
    if row is not None and row.state == "ACTIVE" and exceeds(found, row.read().target):
        target = row.read().target
        reason = f"{found.wrong} of {found.judged} judged closures were wrong: at most {found.bound:.2%} (95 %), target {target:.2%}"
        suspend(session, row, _ACTOR, reason)
    return found


def sampling_share(found: Tally, policy: ClosurePolicy) -> float:
    """The share of closures that people check now: the policy's own, more once wrong ones have been found.

    Half of all where there is room for one more wrong closure below the target, all where the next one would suspend
    the policy: the nearer it is to that, the sooner it has to be known.
    """
    if not found.wrong:
        return policy.sample
    if upper_bound(found.wrong + 1, found.judged) > policy.target:
        return 1.0
    return max(policy.sample, 0.5) if upper_bound(found.wrong + 2, found.judged) > policy.target else policy.sample


def exceeds(found: Tally, target: float) -> bool:
    """Whether what was found calls for suspension. Too few judgements alone never do: those bar activation instead."""
    return found.wrong > 0 and found.bound > target


def require_proven(found: Tally, target: float) -> None:
    """Raise PolicyError unless enough closures were judged in shadow and the bound lies below the target.

    It has to stay there with ``ROOM`` more found wrong: at a target of 1 %, 628 judged with none wrong.
    """
    bound = upper_bound(found.wrong + ROOM, found.judged)
    if found.judged < JUDGED_BEFORE_ACTIVE or bound >= target:
        raise PolicyError(
            f"The policy is not proven: {found.judged} closures judged (at least {JUDGED_BEFORE_ACTIVE}), {found.wrong} wrong. "
            f"Were {ROOM} more found wrong, it would be at most {bound:.2%}: that has to be below {target:.2%}."
        )
