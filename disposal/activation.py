"""The life of a closure policy: written, approved into shadow by somebody else, activated once proven, stopped."""

import tomllib
from pathlib import Path
from typing import NamedTuple

import msgspec
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from disposal.audit import append
from disposal.errors import PolicyError
from disposal.policy import ClosurePolicy, PolicyVersion, put_in_shadow, put_policy, suspend
from disposal.sampling import Tally, require_proven, tally
from stream.database import reading, writing
from stream.messages import utc_now


class Standing(NamedTuple):
    """A version with what people have judged of it, and why it cannot be activated (empty: it can)."""

    row: PolicyVersion
    tally: Tally
    obstacle: str


def read_policy(path: Path) -> ClosurePolicy:
    """The policy in a TOML file. Raises PolicyError where it cannot be read or names what no policy may."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), ClosurePolicy)
    except OSError as error:
        raise PolicyError(f"The policy {path} cannot be read: {error.strerror}. Check the path.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PolicyError(f"The policy {path} is no TOML: {error}. Mend that line.") from error
    except msgspec.ValidationError as error:
        raise PolicyError(f"The policy {path} does not fit: {error}. Mend it.") from error


def standings(engine: Engine, mine: str) -> list[Standing]:
    """Every version of the mine's policies, the newest first."""
    query = select(PolicyVersion).where(PolicyVersion.mine == mine)
    newest = query.order_by(col(PolicyVersion.created_at).desc(), col(PolicyVersion.version).desc())
    with reading(engine) as session:
        return [_standing(session, row) for row in session.exec(newest).all()]


def store(engine: Engine, mine: str, content: ClosurePolicy, author: str, name: str = "routine") -> str:
    """Keep a new version as a draft; answers its id."""
    with writing(engine) as session:
        return put_policy(session, mine, content, author, name=name).id


def approve(engine: Engine, mine: str, policy: str, approver: str) -> None:
    """Let a draft judge in shadow. Raises PolicyError for its author, for what is no draft, and for an unknown one."""
    with writing(engine) as session:
        put_in_shadow(session, _locked(session, mine, policy), approver)


def activate(engine: Engine, mine: str, policy: str, approver: str) -> None:
    """Let a policy close from now on; another one that closed until now is suspended.

    Raises PolicyError for its author, for one that is not in shadow, and until enough of its closures were judged
    blind with the bound below its target.
    """
    with writing(engine) as session:
        row = _locked(session, mine, policy)
        if approver == row.author:
            raise PolicyError(f"{approver} wrote policy {row.id}: somebody else has to activate it.")
        if row.state != "SHADOW":
            raise PolicyError(f"Policy {row.id} is {row.state}: only one in SHADOW can be activated.")
        found = tally(session, mine, row.id)
        require_proven(found, row.read().target)
        for other in session.exec(
            select(PolicyVersion)
            .where(PolicyVersion.mine == mine, PolicyVersion.state == "ACTIVE")
            .order_by(col(PolicyVersion.name), col(PolicyVersion.version))
            .with_for_update()
        ).all():
            suspend(session, other, approver, f"{row.id} took its place")
        row.state, row.activated_at = "ACTIVE", utc_now()
        session.add(row)
        after = {"state": row.state, "judged": found.judged, "wrong": found.wrong}
        append(session, mine, approver, "activate-policy", f"policy/{row.id}", {"state": "SHADOW"}, after)


def stop_closing(engine: Engine, mine: str, actor: str, reason: str) -> list[str]:
    """The kill switch: suspend every policy that closes, at once; answers which.

    Raises PolicyError without a reason.
    """
    if not reason.strip():
        raise PolicyError("To stop automatic closure needs a reason: say in a few words why.")
    with writing(engine) as session:
        active = session.exec(
            select(PolicyVersion)
            .where(PolicyVersion.mine == mine, PolicyVersion.state == "ACTIVE")
            .order_by(col(PolicyVersion.name), col(PolicyVersion.version))
            .with_for_update()
        ).all()
        for row in active:
            suspend(session, row, actor, reason.strip()[:1000])
        return [row.id for row in active]


def _standing(session: Session, row: PolicyVersion) -> Standing:
    found = tally(session, row.mine, row.id)
    if row.state != "SHADOW":
        return Standing(row, found, row.state)
    try:
        require_proven(found, row.read().target)
    except PolicyError as error:
        return Standing(row, found, str(error))
    return Standing(row, found, "")


def _locked(session: Session, mine: str, policy: str) -> PolicyVersion:
    name, _, version = policy.rpartition("@")
    row = session.get(PolicyVersion, (mine, name, int(version)), with_for_update=True) if version.isdecimal() else None
    if row is None:
        raise PolicyError(f"There is no policy {policy[:80]!r} in mine {mine}: name it as NAME@VERSION.")
    return row
