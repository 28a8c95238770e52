"""The files in samples/deploy are what this release understands: units, compose files and configurations."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from console.cli import app
from console.settings import Settings, load
from console.stages import STAGES
from tests.conftest import do_without
from tests.servers.certificates import certificates
from tests.servers.server import ServerUnavailableError

DEPLOY = Path(__file__).parents[2] / "samples" / "deploy"
SHAPES = ("one-machine", "many-machines")


def unit(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def understood(words: list[str]) -> dict[str, Any]:
    """What the command line makes of these words, without running them."""
    command = get_command(app)
    name, *rest = words
    context = command.commands[name].make_context(name, rest, resilient_parsing=False)  # type: ignore[attr-defined]
    found: dict[str, Any] = context.params
    return found


def stages_of(compose: Path) -> list[str]:
    services = yaml.safe_load(compose.read_text())["services"]
    found = []
    for service in services.values():
        options = understood(shlex.split(service["command"]))
        assert str(options["config"]) == "/etc/minewatch/minewatch.toml"
        volumes = [volume.split(":")[1] for volume in service["volumes"]] + service["tmpfs"]
        assert any(str(options["data"]).startswith(place) for place in volumes)
        assert service["image"] == "minewatch"
        found += (options["only"] or ",".join(STAGES)).split(",")
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_compose_starts_every_stage_once(shape: str) -> None:
    assert sorted(stages_of(DEPLOY / shape / "compose.yaml")) == sorted(STAGES)


@pytest.mark.parametrize("name", ["one-machine/minewatch.service", "many-machines/minewatch@.service"])
def test_units_are_sound_and_start_what_is_there(name: str, tmp_path: Path) -> None:
    path = DEPLOY / name
    settings = unit(path)
    program, *words = shlex.split(settings["ExecStart"][0].replace("%i", "vision"))
    assert program == "/opt/minewatch/bin/minewatch"
    options = understood(words)
    assert options["only"] == (None if name.startswith("one") else "vision")
    assert str(options["data"]).startswith("/var/lib/minewatch")
    assert settings["Restart"] == ["always"]
    if shutil.which("systemd-analyze") is None:
        do_without(ServerUnavailableError("systemd-analyze is not installed (Debian: systemd)"))
    # The program is not installed here, and the share is not mounted: everything else is as it will be.
    text = path.read_text().replace("/opt/minewatch/bin/minewatch", "/bin/true")
    copy = tmp_path / path.name.replace("@", "@vision")
    copy.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(copy)], capture_output=True, text=True, timeout=60
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert path.stem.partition("@")[0] not in done.stderr, done.stderr


@pytest.mark.parametrize("shape", SHAPES)
def test_configurations_are_understood(shape: str, tmp_path: Path) -> None:
    text = (DEPLOY / shape / "minewatch.toml").read_text()
    named = set(re.findall(r'"(/etc/minewatch/[^"]+)"', text))
    try:
        made = certificates()
    except ServerUnavailableError as error:
        do_without(error)
    for path in named:
        text = text.replace(path, str(tmp_path / Path(path).name))
    shutil.copy(made.ca, tmp_path / "ca.pem")
    for secret in ("kafka", "postgres", "mqtt"):
        (tmp_path / f"{secret}.password").write_text(f"secret of {secret}\n")
    (tmp_path / "minewatch.toml").write_text(text)
    settings: Settings = load(tmp_path / "minewatch.toml", {}, tmp_path / "data")
    assert settings.mqtt.password.get_secret_value() == "secret of mqtt"
    if shape == "many-machines":
        assert settings.log.password.get_secret_value() == "secret of kafka"
        assert "sslmode=verify-full" in settings.database.url
        assert settings.evidence.url == "file:///srv/minewatch/evidence"
        share = unit(DEPLOY / shape / "minewatch@.service")
        assert share["AssertPathIsMountPoint"] == ["/srv/minewatch/evidence"] == share["ReadWritePaths"]
    assert "secret of" not in repr(settings)


def test_every_command_of_the_page_is_one() -> None:
    text = (DEPLOY / "README.md").read_text()
    commands = set(re.findall(r"(?:`| {4})minewatch ([a-z]+(?: [a-z]+)?)", text))
    assert {"doctor", "backup", "database upgrade", "bench vision"} <= commands
    for words in commands:
        answer = CliRunner().invoke(
            app, [*words.split()[: 2 if words.split()[0] in {"database", "clauses"} else 1], "--help"]
        )
        assert answer.exit_code == 0, words
    files = set(re.findall(r"`((?:one|many)-machine[^`]*)`", text))
    assert len(files) >= 6
    assert all((DEPLOY / name).exists() for name in files)
