"""What people ask of drafts, policies and the roster that cannot be: one line that says why, and nothing is changed."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from console.cli import main
from console.schema import prepare
from disposal.audit import head_in, verify
from disposal.document import Bilingual
from disposal.drafter import Drafter
from disposal.policy import activate_for_demo
from disposal.settings import DisposalSettings, DrafterSettings
from disposal.steps import Steps
from stream.database import open_database, reading
from stream.site import Place, Site, store_site
from tests.unit.disposal_endpoint import Endpoint, endpoint
from tests.unit.disposal_world import MINE, SITE, TaggedFinder, furnish, later, risk
from tests.unit.test_disposal_steps import documents, failing, send, stood_still, work

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def served() -> Iterator[Endpoint]:
    with endpoint() as state:
        yield state


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'command.db'}")
    prepare(engine)
    furnish(engine)
    return engine


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], served: Endpoint
) -> Command:
    """Runs the command line as a terminal does; answers exit code, output and what was complained of."""
    config = tmp_path / "minewatch.toml"
    config.write_text(
        f'mine = "{MINE}"\n[database]\nurl = "sqlite:///{tmp_path / "command.db"}"\n'
        f'[disposal.drafter.endpoint]\nurl = "{served.url}"\nmodel = "m"\n'
    )

    def run(*arguments: str) -> tuple[int, str, str]:
        where = ("--config", str(config), "--data", str(tmp_path / "data"))
        monkeypatch.setattr(sys, "argv", ["minewatch", *arguments, *where])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(str(ended.value.code)), said.out, said.err

    return run


def opened(engine: Engine) -> Steps:
    return Steps(
        engine, MINE, lambda: TaggedFinder(engine), Drafter([], DrafterSettings()), DisposalSettings(), lambda _: None
    )


def test_two_models_are_compared_by_command(engine: Engine, command: Command) -> None:
    send(engine, risk())
    work(opened(engine))
    code, out, _ = command("draft", "compare", "--models", "openai, composer", "--json")
    found = json.loads(out)
    assert (code, found["requests"], list(found["models"])) == (0, 1, ["openai", "composer"])
    assert all(score["drafts"] == 1 for score in found["models"].values())
    code, out, heard = command("draft", "compare", "--models", "openai,composer", "--as-written")
    assert (code, heard.strip()) == (0, ""), "only models of this machine are heard while they write"
    for said in ("openai: drafts 1, fell through 0", "composer: drafts 1, fell through 0"):
        assert said in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("draft", "compare", "--models", "composer,gpt-9"), "There is no model 'gpt-9': name openai"),
        (("draft", "compare", "--models", "transformers"), "The model transformers is not configured"),
        (("draft", "compare", "--models", " , "), "No model is named: name openai"),
        (("draft", "compare", "--models", "composer"), f"The mine {MINE} has no stored requests"),
        (("policy", "draft", "unknown.toml", "--by", "ann"), "no-such-thing"),
        (("policy", "draft", "major.toml", "--by", "ann"), "methane-high, a major hazard: those never close"),
        (("policy", "approve", "routine@1", "--by", "ann"), "ann wrote"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    engine: Engine, command: Command, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    for name, types in (("unknown", "no-such-thing"), ("major", "methane-high"), ("good", "no-helmet")):
        (tmp_path / f"{name}.toml").write_text(f'types = ["{types}"]\n')
    assert command("policy", "draft", str(tmp_path / "good.toml"), "--by", "ann")[0] == 0
    with reading(engine) as session:
        before = head_in(session, MINE)
    paths = [str(tmp_path / a) if a.endswith(".toml") else a for a in arguments]
    code, out, complaint = command(*paths)
    (line,) = (line for line in complaint.splitlines() if line)
    assert (code, out, line.startswith("minewatch: ")) == (2, "", True)
    assert said in line
    with reading(engine) as session:
        assert head_in(session, MINE) == before, "nothing was changed"


def test_with_an_empty_roster_and_a_site_that_names_nobody_it_goes_to_a_person(engine: Engine) -> None:
    nobody = Site(
        mine=MINE,
        places=tuple(Place(id=p.id, name=p.name, kind=p.kind) for p in SITE.places),
        cameras=SITE.cameras,
        sensors=SITE.sensors,
    )
    store_site(engine, nobody, "test")
    activate_for_demo(engine, MINE)
    first = risk()
    send(engine, first)
    steps = opened(engine)
    work(steps)
    send(engine, later(first, "cleared"))
    stood_still(engine)
    work(steps)
    (ended,) = documents(engine)
    content = ended.read_content()
    assert content is not None
    assert content.responsible == Bilingual()
    assert ended.state == "PENDING_APPROVAL"
    assert failing(ended) == {"document"}
    assert verify(engine, MINE).whole
