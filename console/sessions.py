"""Logging in, and what is remembered of it on the server: the browser holds a random token and nothing else."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Column, Engine, func
from sqlmodel import Field, Session, SQLModel, col, delete, select

from console.accounts import Account, find_by_password, replacement_hash, scope_of
from console.errors import LoginRefusedError, NotLoggedInError, TooManyLoginsError
from console.web_settings import WebSettings
from disposal.audit import append
from stream.database import UtcDateTime, reading, writing
from stream.messages import utc_now

_NOTICE = timedelta(minutes=1)
"""How exactly the last use of a session is written down; every request writing it would only wear the disk."""


class LoginSession(SQLModel, table=True):
    """One login. ``token_hash`` is the sha256 of what the browser holds, so that a copy of the table opens nothing."""

    __tablename__ = "login_session"

    token_hash: str = Field(primary_key=True, max_length=64)
    mine: str = Field(index=True, max_length=63)
    account_id: str = Field(index=True, foreign_key="account.id", max_length=32)
    form_secret: str = Field(max_length=64)
    browser: str = Field(max_length=64)
    created_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    seen_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    expires_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))


class LoginAttempt(SQLModel, table=True):
    """One try to log in; failed ones are counted within a window."""

    __tablename__ = "login_attempt"

    id: str = Field(primary_key=True, max_length=32)
    mine: str = Field(index=True, max_length=63)
    name: str = Field(index=True, max_length=63)
    address: str = Field(index=True, max_length=64)
    attempted_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False, index=True))
    succeeded: bool = False


@dataclass(frozen=True)
class Visitor:
    """Who sends a request, as of a session that was found good. ``sources``: whose alerts he may see."""

    account_id: str
    name: str
    role: str
    must_change: bool
    token_hash: str
    form_secret: str
    expires_at: datetime
    sources: frozenset[str] | None = None


def log_in(
    engine: Engine, mine: str, settings: WebSettings, *, name: str, password: str, address: str, browser: str
) -> str:
    """The token of a new session.

    Raises LoginRefusedError, and TooManyLoginsError before any password is looked at.
    """
    attempt = _admit(engine, mine, settings, name[:63], address[:64])
    with reading(engine) as session:
        account = find_by_password(session, mine, name, password)
    if account is None:
        _note_failure(engine, mine, name, address)
        raise LoginRefusedError
    with writing(engine) as session:
        tried = session.get(LoginAttempt, attempt)
        if tried is not None:
            tried.succeeded = True
            session.add(tried)
        session.exec(delete(LoginSession).where(col(LoginSession.expires_at) < utc_now()))
        token = _begin(session, mine, settings, account.id, browser)
        append(session, mine, account.name, "sign-in", f"account/{account.id}", None, {"address": address[:64]})
        return token


def find_visitor(engine: Engine, mine: str, settings: WebSettings, token: str, browser: str) -> Visitor:
    """Whose session the token opens. Raises NotLoggedInError: unknown, over, idle too long, or another browser's."""
    now = utc_now()
    with reading(engine) as session:
        found = session.exec(
            select(LoginSession, Account)
            .join(Account, col(Account.id) == col(LoginSession.account_id))
            .where(LoginSession.token_hash == digest(token), LoginSession.mine == mine)
        ).first()
    if found is None:
        raise NotLoggedInError
    login, account = found
    idle = now - login.seen_at
    if not account.active or login.expires_at < now or idle > timedelta(hours=settings.idle_hours):
        raise NotLoggedInError
    if not secrets.compare_digest(login.browser, digest(browser)):
        raise NotLoggedInError
    if idle > _NOTICE:
        _mark_seen(engine, login.token_hash, now)
    return Visitor(
        account.id,
        account.name,
        account.role,
        account.must_change,
        login.token_hash,
        login.form_secret,
        login.expires_at,
        scope_of(account),
    )


def log_out(engine: Engine, token_hash: str) -> None:
    """End one session."""
    with writing(engine) as session:
        login = session.get(LoginSession, token_hash)
        if login is None:
            return
        account = session.get_one(Account, login.account_id)
        session.delete(login)
        append(session, login.mine, account.name, "sign-out", f"account/{account.id}", None, None)


def still_open(engine: Engine, visitor: Visitor) -> bool:
    """The session has neither ended nor been revoked, and its account may see what it could when it asked."""
    with reading(engine) as session:
        found = session.get(LoginSession, visitor.token_hash)
        account = session.get(Account, visitor.account_id)
    if found is None or found.expires_at < utc_now() or account is None:
        return False
    return account.active and scope_of(account) == visitor.sources


def change_password(
    engine: Engine, mine: str, settings: WebSettings, visitor: Visitor, *, old: str, new: str, browser: str
) -> str:
    """Replace the visitor's password, end all sessions of the account and answer the token of a fresh one.

    Raises WrongInputError where the old password is wrong or the new one too weak.
    """
    with reading(engine) as session:
        account = session.get(Account, visitor.account_id)
    if account is None:
        raise NotLoggedInError
    hashed = replacement_hash(account, old, new)
    with writing(engine) as session:
        account = session.get_one(Account, visitor.account_id)
        account.password_hash = hashed
        account.must_change = False
        account.changed_at = utc_now()
        session.add(account)
        session.exec(delete(LoginSession).where(col(LoginSession.account_id) == account.id))
        token = _begin(session, mine, settings, account.id, browser)
        append(session, mine, account.name, "change-password", f"account/{account.id}", None, None)
        return token


def digest(text: str) -> str:
    """The sha256 of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _admit(engine: Engine, mine: str, settings: WebSettings, name: str, address: str) -> str:
    """Write the attempt down as failed before the password is checked, so that simultaneous ones count each other."""
    since = utc_now() - timedelta(minutes=settings.login_window_minutes)
    with writing(engine) as session:
        failed = (
            select(func.count())
            .select_from(LoginAttempt)
            .where(
                LoginAttempt.mine == mine,
                LoginAttempt.address == address,
                col(LoginAttempt.attempted_at) >= since,
                col(LoginAttempt.succeeded).is_(False),
            )
        )
        of_name = session.exec(failed.where(LoginAttempt.name == name)).one()
        if of_name >= settings.login_attempts or session.exec(failed).one() >= settings.address_attempts:
            raise TooManyLoginsError(minutes=round(settings.login_window_minutes))
        session.exec(delete(LoginAttempt).where(col(LoginAttempt.attempted_at) < utc_now() - timedelta(days=90)))
        attempt = LoginAttempt(id=secrets.token_hex(16), mine=mine, name=name, address=address, attempted_at=utc_now())
        session.add(attempt)
        return attempt.id


def _note_failure(engine: Engine, mine: str, name: str, address: str) -> None:
    """Put a failed try into the audit. A name that nobody has stays out of it: it may be a password typed too early."""
    with writing(engine) as session:
        tried = session.exec(select(Account).where(Account.mine == mine, Account.name == name)).first()
        subject = f"account/{tried.id}" if tried else "account/unknown"
        append(session, mine, "nobody", "sign-in-failed", subject, None, {"address": address[:64]})


def _begin(session: Session, mine: str, settings: WebSettings, account_id: str, browser: str) -> str:
    token = secrets.token_urlsafe(32)
    now = utc_now()
    session.add(
        LoginSession(
            token_hash=digest(token),
            mine=mine,
            account_id=account_id,
            form_secret=secrets.token_hex(32),
            browser=digest(browser),
            created_at=now,
            seen_at=now,
            expires_at=now + timedelta(hours=settings.session_hours),
        )
    )
    return token


def _mark_seen(engine: Engine, token_hash: str, now: datetime) -> None:
    with writing(engine) as session:
        login = session.get(LoginSession, token_hash)
        if login is not None:
            login.seen_at = now
            session.add(login)
