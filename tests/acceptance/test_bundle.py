"""The bundle installs, upgrades and rolls back with the network cut off; MINEWATCH_TEST_BUNDLE names a whole one."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
from functools import cache
from pathlib import Path

import pytest

from tests.acceptance.command import ROOT, environment
from tests.conftest import do_without
from tests.servers.server import ServerUnavailableError

WHOLE = os.environ.get("MINEWATCH_TEST_BUNDLE")


@cache
def cut_off() -> list[str]:
    """What runs a command with no network at all."""
    ways = (["unshare", "--net"], ["unshare", "--map-root-user", "--net"])
    if shutil.which("unshare"):
        for way in ways:
            if subprocess.run([*way, "true"], capture_output=True).returncode == 0:
                return way
    return do_without(
        ServerUnavailableError("this system does not let us cut a process off from the network (unshare)")
    )


def run(*command: str | Path, libraries: Path | None = None, seconds: float = 280) -> subprocess.CompletedProcess[str]:
    """Run a command with no network; ``libraries`` stand in for the dependencies that the small bundle leaves out."""
    variables = environment(**({"PYTHONPATH": str(libraries)} if libraries else {}))
    return subprocess.run(
        [*cut_off(), *map(str, command)], capture_output=True, text=True, env=variables, timeout=seconds, check=False
    )


def unpacked(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    [bundle] = folder.iterdir()
    return bundle


def sealed(bundle: Path) -> None:
    """Write the sums of what the bundle holds now."""
    files = sorted(path for path in bundle.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ./{path.relative_to(bundle)}\n" for path in files]
    (bundle / "SHA256SUMS").write_text("".join(sums))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of our own wheel alone."""
    output = tmp_path_factory.mktemp("bundle")
    command = [sys.executable, ROOT / "samples" / "deploy" / "bundle.py", "--output", output.name, "--own-wheel-only"]
    done = subprocess.run([*map(str, command)], cwd=output.parent, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    [made] = output.iterdir()
    return made


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that is installed here except Minewatch itself."""
    folder = tmp_path_factory.mktemp("libraries")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "minewatch" not in entry.name:
            (folder / entry.name).symlink_to(entry)
    return folder


def current(prefix: Path) -> str:
    return (prefix / "current").readlink().name


def test_install_upgrade_and_roll_back(archive: Path, libraries: Path, tmp_path: Path) -> None:
    first, prefix = unpacked(archive, tmp_path / "first"), tmp_path / "opt"
    second = shutil.copytree(first, tmp_path / "second")
    sample = second / "samples" / "minewatch.toml"
    sample.write_text(sample.read_text() + "# another release\n")
    sealed(second)

    def install(bundle: Path, libraries: Path | None) -> subprocess.CompletedProcess[str]:
        return run(bundle / "install.sh", "--prefix", prefix, "--python", sys.executable, libraries=libraries)

    done = install(first, libraries)
    assert done.returncode == 0, done.stderr
    before = current(prefix)
    data = tmp_path / "data"
    added = run(
        prefix / "bin" / "minewatch", "user", "add", "li", "--role", "auditor", "--data", data, "--json", libraries=libraries
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    assert json.loads(added.stdout)["name"] == "li"
    assert (data / "minewatch.db").exists(), "the wheel holds the migrations"

    done = install(second, None)
    assert done.returncode == 2
    assert "Could not find a version that satisfies the requirement" in done.stderr, "a dependency came from somewhere"
    assert current(prefix) == before, "what does not install changes nothing"
    assert [path.name for path in (prefix / "releases").iterdir()] == [before]

    interrupted = (
        prefix / "releases" / f"{before[:-8]}{hashlib.sha256((second / 'SHA256SUMS').read_bytes()).hexdigest()[:8]}"
    )
    interrupted.mkdir()
    (interrupted / "venv").write_text("left by an installation that was cut short")
    done = install(second, libraries)
    assert done.returncode == 0, done.stderr
    assert current(prefix) == interrupted.name
    [samples] = (prefix / "current" / "venv").glob("lib/python*/site-packages/samples")
    assert (samples / "minewatch.toml").read_text().endswith("# another release\n")

    back = run(prefix / "current" / "install.sh", "--rollback", "--prefix", prefix)
    assert back.returncode == 0, back.stderr
    assert current(prefix) == before
    forth = install(second, None)
    assert forth.returncode == 0, "what was installed already is not installed again"
    assert current(prefix) == interrupted.name


def test_what_is_damaged_or_does_not_fit_is_refused_in_one_line(archive: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "opt"
    whole = unpacked(archive, tmp_path / "whole")

    def refused(bundle: Path, words: str, *options: str) -> None:
        done = run(bundle / "install.sh", "--prefix", prefix, *options)
        assert done.returncode == 2
        assert words in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert not (prefix / "current").exists()

    refused(whole, "no earlier release", "--rollback")
    refused(whole, "is not Python", "--python", "/bin/false")
    refused(whole, "there is no option --upgrade", "--upgrade")
    damaged = shutil.copytree(whole, tmp_path / "damaged")
    [wheel] = (damaged / "wheels").glob("minewatch-*.whl")
    wheel.write_bytes(wheel.read_bytes()[:-1])
    refused(damaged, f"./wheels/{wheel.name}: FAILED")
    (whole / "wheels" / "evil-1.0-py3-none-any.whl").write_bytes(b"")
    refused(whole, "holds files that were not in it")
    (whole / "wheels" / "evil-1.0-py3-none-any.whl").unlink()
    (whole / "RELEASE").write_text((whole / "RELEASE").read_text().replace("machine=", "machine=not-"))
    sealed(whole)
    refused(whole, "the bundle is for not-")


if WHOLE:

    @pytest.mark.timeout(2400)
    def test_the_whole_bundle_watches_a_clip_with_no_network(tmp_path: Path) -> None:
        begun = time.monotonic()
        bundle, prefix = unpacked(Path(WHOLE), tmp_path / "bundle"), tmp_path / "opt"
        done = run(bundle / "install.sh", "--prefix", prefix, "--python", sys.executable, seconds=2000)
        assert done.returncode == 0, done.stderr
        sys.stdout.write(
            f"{Path(WHOLE).stat().st_size / 1024**2:.0f} MiB, installed in {time.monotonic() - begun:.0f} s\n"
        )
        clip = prefix / "current" / "samples" / "clips" / "belt-crossing.mp4"
        watched = run(
            prefix / "bin" / "minewatch", "watch", clip, "--data", tmp_path / "data", "--json", "--seconds", "60", seconds=280
        )  # fmt: skip
        assert watched.returncode == 0, watched.stderr
        assert json.loads(watched.stdout)["frames_analysed"] > 0
