"""The project itself: what lies at the top, what is declared and pinned, and what no file may say."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("stream", "vision", "rules", "disposal", "console")
FOLDERS = {*PACKAGES, "tests", "samples", "docs"}
FILES = {
    "pyproject.toml",
    "README.md",
    "README.zh.md",
    "LICENSE",
    "Makefile",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "constraints.txt",
    "alembic.ini",
}
TEXT = {".py", ".md", ".toml", ".txt", ".ini", ".sh", ".xml", ".html", ".css", ".js", ".json", ".csv", ".mako", ""}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def tracked() -> list[Path]:
    """Every file of the repository, as paths below its root; a copy without git counts what is there."""
    if shutil.which("git") and (ROOT / ".git").exists():
        listing = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
        )
        return [path for name in listing.stdout.split("\0") if name and (ROOT / (path := Path(name))).is_file()]
    pytest.skip("this copy is no git repository, so nothing says which files belong to it")


def modules(*packages: str) -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py" and path.parts[0] in packages]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(project: dict[str, Any]) -> dict[str, list[str]]:
    """Requirement names, for use and for tests."""
    groups = {"use": project["project"]["dependencies"], **project["project"]["optional-dependencies"]}
    return {
        group: [normal(re.split(r"[\[<>=!~; ]", line)[0]) for line in requirements]
        for group, requirements in groups.items()
    }


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_the_top_level_holds_the_house_and_nothing_else() -> None:
    folders = {path.parts[0] for path in tracked() if len(path.parts) > 1}
    files = {path.name for path in tracked() if len(path.parts) == 1}
    assert {name for name in folders if not name.startswith(".")} <= FOLDERS
    assert {name for name in files if not name.startswith(".")} <= FILES
    assert set(PACKAGES) <= folders
    assert {name for name in files if not name.startswith(".")} >= FILES - {"README.zh.md"}


def test_no_module_is_longer_than_400_lines() -> None:
    written = [path for path in modules(*PACKAGES, "samples") if "migrations" not in path.parts]  # those are generated
    long = {str(path): lines for path in written if (lines := _lines(path)) > 400}
    assert not long


def _lines(path: Path) -> int:
    return len((ROOT / path).read_text(encoding="utf-8").splitlines())


def test_every_package_says_what_it_is_for() -> None:
    for package in PACKAGES:
        text = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8")))
        assert text, package
        assert len(text) > 60, f"{package}: {text}"


def test_the_licence_is_the_agpl(project: dict[str, Any]) -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "GNU AFFERO GENERAL PUBLIC LICENSE\n                       Version 3" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert project["project"]["license"] == "AGPL-3.0-or-later"


def test_every_dependency_is_pinned(project: dict[str, Any]) -> None:
    pinned = {normal(name) for name in pins()}
    for group, names in declared(project).items():
        assert set(names) <= pinned, group


def test_pins_are_exact_and_name_no_address() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line)] == []
    assert lines == sorted(lines, key=str.lower)


def test_torch_and_torchvision_come_as_a_pair(project: dict[str, Any]) -> None:
    assert {"torch", "torchvision"} <= set(declared(project)["use"])
    assert "+" not in pins()["torch"] + pins()["torchvision"], "a local build is not what a registry has"


THROUGH = {
    "sqlalchemy": "sqlmodel",
    "starlette": "fastapi",
    "pydantic": "pydantic-settings",
    "markupsafe": "jinja2",
    "tokenizers": "transformers",
}
"""Packages that we use through another one that is their front, and that always brings them."""


def test_what_is_imported_is_declared(project: dict[str, Any]) -> None:
    known = packages_distributions()
    use = set(declared(project)["use"])
    both = use | set(declared(project)["test"])
    undeclared = set()
    for path in modules(*PACKAGES, "samples", "tests"):
        allowed = both if path.parts[0] == "tests" else use
        for name in _imported(path) - set(sys.stdlib_module_names) - {*PACKAGES, "samples", "tests", "gi"}:
            owners = {normal(owner) for owner in known.get(name, [name])}
            if not (owners & allowed or any(THROUGH.get(owner) in allowed for owner in owners)):
                undeclared.add((str(path), name))
    assert not undeclared


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_contributing_says_why_each_dependency_is_there(project: dict[str, Any]) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = {normal(name) for name in re.findall(r"`([A-Za-z0-9_-]+)(?:\[\w+\])?`", text)}
    for group, names in declared(project).items():
        assert set(names) <= named, group


def test_imports_go_one_way(project: dict[str, Any]) -> None:
    contracts = {contract["type"]: contract for contract in project["tool"]["importlinter"]["contracts"]}
    assert contracts["layers"]["layers"] == ["console", "disposal", "rules", "stream"]
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_forbidden_import_would_be_found(tmp_path: Path, project: dict[str, Any]) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
    (tmp_path / "vision" / "peek.py").write_text("import rules\n")
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "vision stands on stream alone" in done.stdout


def test_nothing_names_a_package_registry_or_a_place_on_somebodys_machine() -> None:
    # Put together from halves, so that this file passes its own test.
    forbidden = ["pypi" + ".org", "pythonhosted" + ".org", "registry.npmjs" + ".org", "repo1." + "maven"]
    forbidden += ["repo." + "maven.", "--index" + "-url", "--extra-index" + "-url", "/wo" + "rk/", "/ro" + "ot/"]
    found = []
    for path in tracked():
        if path.suffix in TEXT:
            text = (ROOT / path).read_text(encoding="utf-8", errors="ignore")
            found += [(str(path), word) for word in forbidden if word in text]
    assert not found


def test_only_ci_knows_where_the_outside_material_lies() -> None:
    place = "shared" + "/data"
    holders = [
        str(path)
        for path in tracked()
        if path.suffix in TEXT and place in (ROOT / path).read_text(encoding="utf-8", errors="ignore")
    ]
    assert holders == [".ci/run"]


def test_make_finds_nothing_to_do_twice(tmp_path: Path) -> None:
    """With its stamps in place and newer than what they depend on, `make setup` runs no installer."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    assert "pip" in _make_setup(tmp_path), "with no stamp it installs"
    (tmp_path / ".venv" / ".ready").touch()
    assert _make_setup(tmp_path).strip() in {"", ":"}
    (tmp_path / "constraints.txt").write_text("# changed\n")
    _age(tmp_path / ".venv" / ".ready")
    assert "pip" in _make_setup(tmp_path), "a changed pin is installed"


def _make_setup(folder: Path) -> str:
    done = subprocess.run(
        ["make", "--dry-run", "--silent", "setup"], cwd=folder, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def _age(path: Path) -> None:
    os.utime(path, (1, 1))
