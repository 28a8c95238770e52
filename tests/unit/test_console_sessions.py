from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import SQLModel, select

from console.accounts import Account, add_user
from console.errors import LoginRefusedError, NotLoggedInError, TooManyLoginsError, WrongInputError
from console.sessions import LoginAttempt, LoginSession, change_password, find_visitor, log_in, log_out, still_open
from console.web_settings import WebSettings
from disposal.audit import AuditLine
from stream.database import open_database, reading, writing
from stream.messages import utc_now

PASSWORD = "seam bridge lantern"
SETTINGS = WebSettings(login_attempts=3, address_attempts=5)
BROWSER = "Chromium on the second desk"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'people.db'}")
    tables = [t.__table__ for t in (Account, LoginSession, LoginAttempt, AuditLine)]  # type: ignore[attr-defined]
    SQLModel.metadata.create_all(engine, tables=tables)
    add_user(engine, "north", "wang", "dispatcher", PASSWORD)
    yield engine
    engine.dispose()


def enter(engine: Engine, password: str = PASSWORD, name: str = "wang", address: str = "10.0.0.7") -> str:
    return log_in(engine, "north", SETTINGS, name=name, password=password, address=address, browser=BROWSER)


def test_a_login_opens_a_session_of_which_the_table_keeps_no_token(engine: Engine) -> None:
    token = enter(engine)
    visitor = find_visitor(engine, "north", SETTINGS, token, BROWSER)
    assert (visitor.name, visitor.role) == ("wang", "dispatcher")
    with reading(engine) as session:
        [row] = session.exec(select(LoginSession)).all()
    assert token not in row.model_dump_json()
    assert enter(engine) != token


def test_a_token_from_another_browser_another_mine_or_out_of_the_air_opens_nothing(engine: Engine) -> None:
    token = enter(engine)
    for mine, given, browser in (
        ("north", token, "curl"),
        ("south", token, BROWSER),
        ("north", token[:-1], BROWSER),
        ("north", "", BROWSER),
    ):
        with pytest.raises(NotLoggedInError):
            find_visitor(engine, mine, SETTINGS, given, browser)


@pytest.mark.parametrize("change", [{"expires_at": timedelta(seconds=-1)}, {"seen_at": timedelta(hours=-14)}])
def test_a_session_ends_after_its_time_and_after_too_long_a_rest(engine: Engine, change: dict[str, timedelta]) -> None:
    token = enter(engine)
    with writing(engine) as session:
        row = session.exec(select(LoginSession)).one()
        for column, shift in change.items():
            setattr(row, column, utc_now() + shift)
        session.add(row)
    with pytest.raises(NotLoggedInError):
        find_visitor(engine, "north", SETTINGS, token, BROWSER)


def test_use_of_a_session_is_written_down(engine: Engine) -> None:
    token = enter(engine)
    long_ago = utc_now() - timedelta(hours=2)
    with writing(engine) as session:
        row = session.exec(select(LoginSession)).one()
        row.seen_at = long_ago
        session.add(row)
    find_visitor(engine, "north", SETTINGS, token, BROWSER)
    with reading(engine) as session:
        assert session.exec(select(LoginSession)).one().seen_at > long_ago + timedelta(hours=1)


def test_logging_out_ends_the_session_on_the_server(engine: Engine) -> None:
    token = enter(engine)
    visitor = find_visitor(engine, "north", SETTINGS, token, BROWSER)
    assert still_open(engine, visitor)
    log_out(engine, visitor.token_hash)
    assert not still_open(engine, visitor)
    with pytest.raises(NotLoggedInError):
        find_visitor(engine, "north", SETTINGS, token, BROWSER)


def test_a_name_has_to_wait_after_too_many_failures_even_with_the_right_password(engine: Engine) -> None:
    for _ in range(3):
        with pytest.raises(LoginRefusedError):
            enter(engine, "wrong wrong wrong")
    with pytest.raises(TooManyLoginsError):
        enter(engine)
    assert enter(engine, address="10.0.0.8")


def test_an_address_has_to_wait_after_failures_of_many_names(engine: Engine) -> None:
    for number in range(5):
        with pytest.raises(LoginRefusedError):
            enter(engine, "wrong wrong wrong", name=f"guess-{number}")
    with pytest.raises(TooManyLoginsError):
        enter(engine)


def test_failures_outside_the_window_and_successes_do_not_count(engine: Engine) -> None:
    for _ in range(8):
        enter(engine)
    for _ in range(3):
        with pytest.raises(LoginRefusedError):
            enter(engine, "wrong wrong wrong")
    with writing(engine) as session:
        for attempt in session.exec(select(LoginAttempt)):
            attempt.attempted_at -= timedelta(minutes=11)
            session.add(attempt)
    assert enter(engine)


def test_a_new_password_ends_every_session_and_opens_a_fresh_one(engine: Engine) -> None:
    elsewhere, here = enter(engine), enter(engine)
    visitor = find_visitor(engine, "north", SETTINGS, here, BROWSER)
    new = "another lamp in the dark"
    fresh = change_password(engine, "north", SETTINGS, visitor, old=PASSWORD, new=new, browser=BROWSER)
    for token in (elsewhere, here):
        with pytest.raises(NotLoggedInError):
            find_visitor(engine, "north", SETTINGS, token, BROWSER)
    assert find_visitor(engine, "north", SETTINGS, fresh, BROWSER).name == "wang"
    with pytest.raises(LoginRefusedError):
        enter(engine)
    assert enter(engine, new)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("not my password", "another lamp in the dark", "error.old-password"),
        (PASSWORD, PASSWORD, "error.same-password"),
        (PASSWORD, "short", "error.weak-password"),
    ],
)
def test_a_bad_new_password_changes_nothing(engine: Engine, old: str, new: str, key: str) -> None:
    token = enter(engine)
    visitor = find_visitor(engine, "north", SETTINGS, token, BROWSER)
    with pytest.raises(WrongInputError) as refused:
        change_password(engine, "north", SETTINGS, visitor, old=old, new=new, browser=BROWSER)
    assert refused.value.key == key
    assert find_visitor(engine, "north", SETTINGS, token, BROWSER).name == "wang"
