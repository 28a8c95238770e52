from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import SQLModel, select

from console.accounts import (
    FIRST_ADMINISTRATOR,
    ROLES,
    Account,
    add_user,
    ensure_first_admin,
    find_by_password,
    one_time_password,
)
from stream.database import open_database, reading, writing
from stream.errors import ConfigurationError

GOOD = "seam bridge lantern"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'people.db'}")
    SQLModel.metadata.create_all(engine, tables=[Account.__table__])  # type: ignore[attr-defined]
    yield engine
    engine.dispose()


def opens(engine: Engine, mine: str, name: str, password: str) -> Account | None:
    with reading(engine) as session:
        return find_by_password(session, mine, name, password)


def test_a_user_gets_a_one_time_password_that_must_be_changed(engine: Engine) -> None:
    password = add_user(engine, "north", "wang", "dispatcher")
    account = opens(engine, "north", "wang", password)
    assert account is not None
    assert (account.role, account.must_change) == ("dispatcher", True)
    assert opens(engine, "north", "wang", password + "x") is None
    assert opens(engine, "south", "wang", password) is None


def test_passwords_are_kept_as_argon2_hashes_only(engine: Engine) -> None:
    add_user(engine, "north", "wang", "officer", GOOD)
    with reading(engine) as session:
        [account] = session.exec(select(Account)).all()
    assert account.password_hash.startswith("$argon2id$")
    assert GOOD not in account.model_dump_json()
    assert not account.must_change


@pytest.mark.parametrize(
    ("name", "role", "password", "said"),
    [
        ("", "dispatcher", None, "cannot be a user's name"),
        ("a b", "dispatcher", None, "cannot be a user's name"),
        ("-x", "dispatcher", None, "cannot be a user's name"),
        ("x" * 64, "dispatcher", None, "cannot be a user's name"),
        ("li", "chief", None, "no role 'chief'"),
        ("li", "dispatcher", "short", "too weak"),
        ("li", "dispatcher", "aaaaaaaaaaaaaa", "too weak"),
        ("lantern", "dispatcher", "LANTERN-lantern", "too weak"),
        ("li", "dispatcher", "abcd" * 60, "at most 200"),
    ],
)
def test_what_cannot_be_an_account_is_refused_in_prose(
    engine: Engine, name: str, role: str, password: str | None, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        add_user(engine, "north", name, role, password)
    with reading(engine) as session:
        assert session.exec(select(Account)).all() == []


def test_a_name_is_taken_once_per_mine(engine: Engine) -> None:
    add_user(engine, "north", "wang", "dispatcher", GOOD)
    add_user(engine, "south", "wang", "dispatcher", GOOD)
    with pytest.raises(ConfigurationError, match="already"):
        add_user(engine, "north", "wang", "auditor")


def test_the_first_administrator_gets_a_new_password_until_one_was_used(engine: Engine) -> None:
    first = ensure_first_admin(engine, "north")
    second = ensure_first_admin(engine, "north")
    assert first is not None
    assert second is not None
    assert first[0] == second[0] == FIRST_ADMINISTRATOR
    assert opens(engine, "north", *first) is None
    account = opens(engine, "north", *second)
    assert account is not None
    assert (account.role, account.must_change) == ("administrator", True)
    with writing(engine) as session:
        row = session.get_one(Account, account.id)
        row.must_change = False
        session.add(row)
    assert ensure_first_admin(engine, "north") is None
    assert ensure_first_admin(engine, "south") is not None


def test_where_others_have_accounts_nobody_is_made_administrator(engine: Engine) -> None:
    add_user(engine, "north", "wang", "dispatcher", GOOD)
    assert ensure_first_admin(engine, "north") is None


def test_an_inactive_account_opens_nothing(engine: Engine) -> None:
    add_user(engine, "north", "wang", "dispatcher", GOOD)
    with writing(engine) as session:
        account = session.exec(select(Account)).one()
        account.active = False
        session.add(account)
    assert opens(engine, "north", "wang", GOOD) is None


def test_one_time_passwords_differ_and_hold_no_sign_that_looks_like_another() -> None:
    made = {one_time_password() for _ in range(200)}
    assert len(made) == 200
    assert not set("".join(made)) & set("0O1lI")
    assert set(ROLES) == {"dispatcher", "officer", "auditor", "administrator"}
