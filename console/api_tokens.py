"""Tokens with which machines use the API: made by an administrator, shown once, kept as a digest, revocable."""

import re
import secrets
from datetime import datetime, timedelta

from sqlalchemy import Column, Engine, UniqueConstraint
from sqlmodel import Field, SQLModel, col, select

from console.accounts import ROLES
from console.errors import TokenRefusedError, WrongInputError
from console.sessions import Visitor, digest
from disposal.audit import append
from stream.database import UtcDateTime, reading, writing
from stream.messages import utc_now

PREFIX = "mw_"
"""What every token begins with, so that a scanner for leaked secrets finds one that was left in a file."""
ACTOR = "api:"
"""What stands before a token's name where a person's name stands otherwise, in the audit above all."""
LONGEST_DAYS = 366
MONITOR = "monitor"
"""The role of a token that reads the figures of the house and whether it is ready, and nothing else."""
TOKEN_ROLES: tuple[str, ...] = (*ROLES, MONITOR)
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,39}")
_NOTICE = timedelta(minutes=1)


class ApiToken(SQLModel, table=True):
    """One machine's token. ``token_hash`` is the sha256 of 256 random bits, which no list of guesses reaches."""

    __tablename__ = "api_token"
    __table_args__ = (UniqueConstraint("mine", "name"),)

    id: str = Field(primary_key=True, max_length=32)
    mine: str = Field(index=True, max_length=63)
    name: str = Field(max_length=40)
    role: str = Field(max_length=20)
    token_hash: str = Field(unique=True, max_length=64)
    created_by: str = Field(max_length=63)
    created_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    expires_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    seen_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    revoked_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    revoked_by: str | None = None

    def usable(self, now: datetime) -> bool:
        """Neither revoked nor over."""
        return self.revoked_at is None and self.expires_at > now


def make_token(engine: Engine, mine: str, name: str, role: str, days: int, actor: str) -> str:
    """A new token for a machine of that role, which nobody can read again later.

    Raises WrongInputError for a name that is taken or cannot be one, an unknown role, or a time out of bounds.
    """
    if not _NAME.fullmatch(name):
        raise WrongInputError("error.token-name")
    if role not in TOKEN_ROLES:
        raise WrongInputError("error.token-role")
    if not 1 <= days <= LONGEST_DAYS:
        raise WrongInputError("error.token-days", longest=LONGEST_DAYS)
    token, now = PREFIX + secrets.token_urlsafe(32), utc_now()
    row = ApiToken(
        id=secrets.token_hex(16),
        mine=mine,
        name=name,
        role=role,
        token_hash=digest(token),
        created_by=actor,
        created_at=now,
        expires_at=now + timedelta(days=days),
    )
    with writing(engine) as session:
        if session.exec(select(ApiToken.id).where(ApiToken.mine == mine, ApiToken.name == name)).first() is not None:
            raise WrongInputError("error.token-taken")
        session.add(row)
        after = {"name": name, "role": role, "expires_at": row.expires_at.isoformat()}
        append(session, mine, actor, "make-token", f"token/{row.id}", None, after)
    return token


def revoke_token(engine: Engine, mine: str, identity: str, actor: str) -> bool:
    """Make a token worthless from now on; False where the mine has no such token, or it was revoked before."""
    with writing(engine) as session:
        row = session.get(ApiToken, identity)
        if row is None or row.mine != mine or row.revoked_at is not None:
            return False
        row.revoked_at, row.revoked_by = utc_now(), actor
        session.add(row)
        append(session, mine, actor, "revoke-token", f"token/{row.id}", {"name": row.name, "role": row.role}, None)
    return True


def tokens_of(engine: Engine, mine: str) -> list[ApiToken]:
    """All tokens of the mine, newest first."""
    with reading(engine) as session:
        rows = session.exec(select(ApiToken).where(ApiToken.mine == mine).order_by(col(ApiToken.created_at).desc()))
        return list(rows.all())


def watched_by_token(engine: Engine, mine: str) -> bool:
    """Whether some token for watching the house is good now."""
    wanted = (ApiToken.mine == mine, ApiToken.role == MONITOR)
    usable = (col(ApiToken.revoked_at).is_(None), col(ApiToken.expires_at) > utc_now())
    with reading(engine) as session:
        return session.exec(select(ApiToken.id).where(*wanted, *usable).limit(1)).first() is not None


def find_machine(engine: Engine, mine: str, token: str) -> Visitor:
    """Whose token this is. Raises TokenRefusedError for one that is unknown, revoked, over or another mine's."""
    now = utc_now()
    with reading(engine) as session:
        row = session.exec(select(ApiToken).where(ApiToken.token_hash == digest(token), ApiToken.mine == mine)).first()
    if row is None or not row.usable(now):
        raise TokenRefusedError
    if row.seen_at is None or now - row.seen_at > _NOTICE:
        with writing(engine) as session:
            if (seen := session.get(ApiToken, row.id)) is not None:
                seen.seen_at = now
                session.add(seen)
    return Visitor(row.id, ACTOR + row.name, row.role, False, row.token_hash, "", row.expires_at)
