"""People who use the console: their accounts, roles and passwords."""

import json
import re
import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Literal, get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Column, Engine, UniqueConstraint
from sqlmodel import Field, Session, SQLModel, select

from console.errors import WrongInputError
from disposal.audit import append
from stream.database import UtcDateTime, reading, writing
from stream.errors import ConfigurationError
from stream.messages import utc_now

Role = Literal["dispatcher", "officer", "auditor", "administrator"]
ROLES: tuple[Role, ...] = get_args(Role)
FIRST_ADMINISTRATOR = "admin"
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 200
"""argon2 would hash any length; the limit keeps a login from being made slow on purpose."""

_NAME = re.compile(r"\w[\w.@-]{0,62}")
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Letters and digits that nobody mistakes for one another when a password is read off a screen."""

_hasher = PasswordHasher()
_NOBODY = _hasher.hash(secrets.token_hex(16))


class Account(SQLModel, table=True):
    """One person at one mine. ``must_change``: the password is a one-time one and opens only its own replacement.

    ``sources``: a JSON list of the cameras and sensors that the account is limited to; None for the whole mine.
    """

    __tablename__ = "account"
    __table_args__ = (UniqueConstraint("mine", "name"),)

    id: str = Field(primary_key=True, max_length=32)
    mine: str = Field(index=True, max_length=63)
    name: str = Field(max_length=63)
    role: str = Field(max_length=20)
    password_hash: str
    must_change: bool = False
    active: bool = True
    sources: str | None = None
    created_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    changed_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))


def add_user(engine: Engine, mine: str, name: str, role: str, password: str | None = None) -> str:
    """Make an account and answer its password: ``password``, or a one-time one where None is given.

    Raises ConfigurationError for a name that is taken or cannot be one, an unknown role and a password too weak.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot be a user's name: use up to 63 letters, digits and the signs . _ - @, beginning with a letter or digit."
        )
    if role not in ROLES:
        raise ConfigurationError(f"There is no role {role!r}: choose one of {', '.join(ROLES)}.")
    if password is not None:
        try:
            check_strength(name, password)
        except WrongInputError as error:
            raise ConfigurationError(str(error)) from error
    chosen = password or one_time_password()
    with writing(engine) as session:
        if _by_name(session, mine, name) is not None:
            raise ConfigurationError(f"The mine {mine!r} has a user {name!r} already: choose another name.")
        session.add(_account(mine, name, role, chosen, must_change=password is None))
    return chosen


def scope_of(account: Account) -> frozenset[str] | None:
    """The sources whose alerts the account may see, what it reports itself among them; None for the whole mine."""
    if account.sources is None or account.role == "administrator":
        return None
    return frozenset(json.loads(account.sources)) | {f"person:{account.name}"}


def accounts_of(engine: Engine, mine: str) -> list[Account]:
    """All accounts of the mine, by name."""
    with reading(engine) as session:
        return list(session.exec(select(Account).where(Account.mine == mine).order_by(Account.name)).all())


def limit_account(engine: Engine, mine: str, identity: str, sources: Collection[str] | None, actor: str) -> bool:
    """Limit an account to the alerts of these sources, or to none (None); False where it cannot be limited.

    That is an administrator's, and one that the mine does not have. It holds from the account's next request on.
    """
    wanted = None if sources is None else sorted(sources)
    with writing(engine) as session:
        account = session.get(Account, identity)
        if account is None or account.mine != mine or account.role == "administrator":
            return False
        before = {"sources": json.loads(account.sources) if account.sources is not None else None}
        account.sources = None if wanted is None else json.dumps(wanted)
        session.add(account)
        append(session, mine, actor, "limit-account", f"account/{identity}", before, {"sources": wanted})
    return True


def ensure_first_admin(engine: Engine, mine: str) -> tuple[str, str] | None:
    """Name and one-time password of the first administrator, or None where somebody can log in already.

    While nobody has used that password yet, each call replaces it, so that a lost one locks nobody out.
    """
    password = one_time_password()
    with writing(engine) as session:
        accounts = session.exec(select(Account).where(Account.mine == mine)).all()
        if not accounts:
            session.add(_account(mine, FIRST_ADMINISTRATOR, "administrator", password, must_change=True))
            return FIRST_ADMINISTRATOR, password
        first = accounts[0]
        if len(accounts) > 1 or not first.must_change or first.name != FIRST_ADMINISTRATOR:
            return None
        first.password_hash = _hasher.hash(password)
        first.changed_at = utc_now()
        session.add(first)
        return FIRST_ADMINISTRATOR, password


def find_by_password(session: Session, mine: str, name: str, password: str) -> Account | None:
    """The active account that this name and password open. Takes as long for a name that does not exist."""
    account = _by_name(session, mine, name)
    usable = account is not None and account.active
    fits = matches(account.password_hash if account is not None and usable else _NOBODY, password)
    return account if usable and fits else None


def matches(password_hash: str, password: str) -> bool:
    """The password is the one that was hashed."""
    try:
        return _hasher.verify(password_hash, password[:LONGEST_PASSWORD])
    except (VerificationError, InvalidHashError):
        return False


def replacement_hash(account: Account, old: str, new: str) -> str:
    """The hash of a password of its owner's choice. Raises WrongInputError for a wrong old one or a weak new one."""
    if not matches(account.password_hash, old):
        raise WrongInputError("error.old-password")
    check_strength(account.name, new)
    if matches(account.password_hash, new):
        raise WrongInputError("error.same-password")
    return _hasher.hash(new)


def check_strength(name: str, password: str) -> None:
    """Length is what counts; rules about signs only make people write passwords down. Raises WrongInputError."""
    if len(password) < SHORTEST_PASSWORD or len(set(password)) < 4 or name.casefold() in password.casefold():
        raise WrongInputError("error.weak-password", shortest=SHORTEST_PASSWORD)
    if len(password) > LONGEST_PASSWORD:
        raise WrongInputError("error.long-password", longest=LONGEST_PASSWORD)


def one_time_password() -> str:
    """Twelve signs in three groups, about 59 bits."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(3))


def _by_name(session: Session, mine: str, name: str) -> Account | None:
    return session.exec(select(Account).where(Account.mine == mine, Account.name == name)).first()


def _account(mine: str, name: str, role: str, password: str, *, must_change: bool) -> Account:
    now = utc_now()
    return Account(
        id=secrets.token_hex(16),
        mine=mine,
        name=name,
        role=role,
        password_hash=_hasher.hash(password),
        must_change=must_change,
        created_at=now,
        changed_at=now,
    )
