"""A policy's life by people: draft, shadow, active once proven, stopped."""

from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from console.cli import app
from console.schema import prepare
from disposal import activation
from disposal.activation import activate, approve, read_policy, standings, stop_closing, store
from disposal.audit import verify
from disposal.errors import PolicyError
from disposal.policy import SHIPPED, in_force
from disposal.sampling import Tally
from stream.database import open_database, reading
from tests.unit.disposal_world import MINE, furnish


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    return engine


def state(engine: Engine, policy: str) -> str:
    return next(one.row.state for one in standings(engine, MINE) if one.row.id == policy)


def test_a_policy_goes_from_draft_to_shadow_to_active_by_two_people_once_proven(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store(engine, MINE, SHIPPED, "ann") == "routine@1"
    with pytest.raises(PolicyError, match="somebody else"):
        approve(engine, MINE, "routine@1", "ann")
    with pytest.raises(PolicyError, match="SHADOW"):
        activate(engine, MINE, "routine@1", "bob")
    approve(engine, MINE, "routine@1", "bob")
    with pytest.raises(PolicyError, match="somebody else"):
        activate(engine, MINE, "routine@1", "ann")
    with pytest.raises(PolicyError, match="not proven: 0 closures judged"):
        activate(engine, MINE, "routine@1", "bob")
    (one,) = standings(engine, MINE)
    assert "not proven" in one.obstacle
    monkeypatch.setattr(activation, "tally", lambda *_: Tally(700, 0))
    assert standings(engine, MINE)[0].obstacle == ""
    activate(engine, MINE, "routine@1", "bob")
    store(engine, MINE, SHIPPED, "ann")
    approve(engine, MINE, "routine@2", "bob")
    activate(engine, MINE, "routine@2", "bob")
    assert (state(engine, "routine@1"), state(engine, "routine@2")) == ("SUSPENDED", "ACTIVE"), "one closes at a time"
    with pytest.raises(PolicyError, match="reason"):
        stop_closing(engine, MINE, "dispatcher", "  ")
    assert stop_closing(engine, MINE, "dispatcher", "drill") == ["routine@2"]
    assert stop_closing(engine, MINE, "dispatcher", "drill") == []
    with reading(engine) as session:
        assert in_force(session, MINE) is None
    for unknown in ("routine@9", "routine", "@", "routine@x"):
        with pytest.raises(PolicyError, match="no policy"):
            approve(engine, MINE, unknown, "bob")
    assert verify(engine, MINE).whole


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('types = ["no-such-thing"]', "no-such-thing"),
        ('types = ["methane-high"]', "major hazard"),
        ("types = [", "no TOML"),
        ('types = ["no-helmet"]\nforbidden = 1', "forbidden"),
        ('types = ["no-helmet"]\ntarget = 2.0', "between 0 and 1"),
    ],
)
def test_a_policy_file_that_does_not_fit_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(text)
    with pytest.raises(PolicyError, match=said):
        read_policy(file)
    with pytest.raises(PolicyError, match="cannot be read"):
        read_policy(tmp_path / "none.toml")


def test_the_commands_write_approve_and_stop_a_policy(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'command.db'}")
    prepare(engine)
    furnish(engine)
    config, file = tmp_path / "minewatch.toml", tmp_path / "policy.toml"
    config.write_text(f'mine = "{MINE}"\n[database]\nurl = "sqlite:///{tmp_path / "command.db"}"\n')
    file.write_text('types = ["no-helmet"]\n')

    def command(*arguments: str) -> tuple[int, str]:
        answer = CliRunner().invoke(app, ["policy", *arguments, "--config", str(config), "--data", str(tmp_path / "d")])
        return answer.exit_code, answer.output

    assert command("draft", str(file), "--by", "ann")[1].strip() == "routine@1"
    assert command("approve", "routine@1", "--by", "ann")[0] != 0
    assert command("approve", "routine@1", "--by", "bob")[0] == 0
    assert command("activate", "routine@1", "--by", "bob")[0] != 0
    assert state(engine, "routine@1") == "SHADOW"
    code, said = command("list", "--json")
    assert (code, '"barred_by"' in said, "not proven" in said) == (0, True, True)
    assert "no policy was active" in command("stop", "--reason", "drill", "--by", "bob")[1]
