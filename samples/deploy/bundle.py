"""Writes one archive with everything that a site without a network needs: see install.sh, which lies in it.

    python samples/deploy/bundle.py [--output dist] [--wheels FOLDER] [--own-wheel-only]

The wheels are those of this machine's platform and Python. ``--wheels`` names a folder of wheels that come before the
registry's, for instance a pair of torch and torchvision without CUDA.
"""

import argparse
import ensurepip
import hashlib
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("stream", "vision", "rules", "disposal", "console")
TEXTS = ("LICENSE", "README.md", "README.zh.md", "CHANGELOG.md", "SECURITY.md")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc")


def main() -> int:
    """Make the bundle and say where it is and how large."""
    parser = argparse.ArgumentParser(description="Write a bundle that installs with no registry.")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="the folder for the archive")
    parser.add_argument("--wheels", type=Path, help="a folder of wheels that come before the registry's")
    parser.add_argument("--own-wheel-only", action="store_true", help="leave the dependencies out")
    chosen = parser.parse_args()
    output = chosen.output.resolve()  # pip runs in a folder of its own
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".bundle-") as folder:
        archive = make(Path(folder), output, chosen.wheels, own_wheel_only=chosen.own_wheel_only)
    sys.stdout.write(f"{archive} ({archive.stat().st_size / 1024**2:.0f} MiB)\n")
    return 0


def make(work: Path, output: Path, wheels: Path | None, *, own_wheel_only: bool) -> Path:
    """The archive, which stands in ``output`` once it is whole."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    name = f"minewatch-{version}-{platform.system().lower()}-{platform.machine()}-py{sys.version_info[0]}{sys.version_info[1]}"
    bundle = work / name
    bundle.mkdir()
    _collect_wheels(work, bundle / "wheels", wheels, own_wheel_only=own_wheel_only)
    _collect_pip(bundle / "pip")
    _collect_files(bundle, version)
    _write_sums(bundle)
    partial = output / f"{name}.tar.partial"
    with tarfile.open(partial, "w") as archive:  # wheels and clips are compressed already
        archive.add(bundle, arcname=name, filter=_anonymous)
    return partial.rename(output / f"{name}.tar")


def _collect_wheels(work: Path, target: Path, wheels: Path | None, *, own_wheel_only: bool) -> None:
    """Build our own wheel from a copy, so that building leaves nothing in the source, and gather all others."""
    source = work / "source"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=_LEFT_OUT)
    for text in ("pyproject.toml", "constraints.txt", *TEXTS):
        shutil.copy(ROOT / text, source)
    options = ["--no-deps", "--no-build-isolation"] if own_wheel_only else ["--constraint", "constraints.txt"]
    if wheels is not None:
        options += ["--find-links", str(wheels.resolve())]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "wheel", *options]
    command += ["--wheel-dir", str(target), "."]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)  # noqa: S603  (our own command)
    if done.returncode != 0:
        raise SystemExit(f"bundle.py: the wheels cannot be had: {done.stderr.strip()[-2000:]}")


def _collect_pip(target: Path) -> None:
    """The pip that this Python carries for its virtual environments: the installer runs it out of its wheel."""
    folders = [Path(ensurepip.__file__).parent / "_bundled", Path("/usr/share/python-wheels")]
    found = [wheel for folder in folders for wheel in sorted(folder.glob("pip-*.whl"))]
    if not found:
        raise SystemExit("bundle.py: this Python carries no pip (Debian: python3-venv): install it.")
    target.mkdir()
    shutil.copy(found[0], target)


def _collect_files(bundle: Path, version: str) -> None:
    shutil.copytree(ROOT / "samples", bundle / "samples", ignore=_LEFT_OUT)
    shutil.copytree(ROOT / "vision" / "weights", bundle / "weights", ignore=_LEFT_OUT)
    for text in TEXTS:
        shutil.copy(ROOT / text, bundle)
    shutil.copy(ROOT / "samples" / "deploy" / "install.sh", bundle)
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    (bundle / "RELEASE").write_text(f"version={version}\npython={python}\nmachine={platform.machine()}\n")


def _write_sums(bundle: Path) -> None:
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    lines = [f"{_sha256(path)}  ./{path.relative_to(bundle).as_posix()}\n" for path in files]
    (bundle / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Nothing in the archive tells whose machine made it."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


if __name__ == "__main__":
    sys.exit(main())
