"""Certificates for the tests' own servers: an authority, a server's, a client's, and the authority of a stranger."""

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from tests.servers.server import ServerFailedError, ServerUnavailableError


@dataclass(frozen=True)
class Certificates:
    """PEM files. The server's certificate is for 127.0.0.1 and nothing else."""

    folder: Path

    @property
    def ca(self) -> Path:
        """The authority that signed the others."""
        return self.folder / "ca.pem"

    @property
    def stranger(self) -> Path:
        """An authority that signed nothing here."""
        return self.folder / "stranger.pem"

    def certificate(self, name: str) -> Path:
        """The certificate of ``server`` or ``client``."""
        return self.folder / f"{name}.pem"

    def key(self, name: str) -> Path:
        """The key of ``server`` or ``client``."""
        return self.folder / f"{name}.key"

    def both(self, name: str) -> Path:
        """Key and certificate in one file, as Kafka takes them."""
        path = self.folder / f"{name}-both.pem"
        path.write_bytes(self.key(name).read_bytes() + self.certificate(name).read_bytes())
        return path


@cache
def certificates() -> Certificates:
    """Made once for all tests of this process."""
    if shutil.which("openssl") is None:
        raise ServerUnavailableError("OpenSSL's command is not installed (Debian: openssl)")
    made = Certificates(Path(mkdtemp(prefix="minewatch-certificates-")))
    made.folder.chmod(0o755)
    for authority in ("ca", "stranger"):
        extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign"]
        _openssl(made.folder, "req", "-x509", *_new(authority), "-out", f"{authority}.pem", "-days", "2", *extensions)
    for name, more in (("server", "subjectAltName=IP:127.0.0.1"), ("client", "subjectAltName=DNS:minewatch")):
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2", "-addext", more]
        _openssl(made.folder, "req", "-x509", *_new(name), "-out", f"{name}.pem", *signed)
    return made


def _new(name: str) -> list[str]:
    return [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        f"{name}.key",
        "-subj",
        f"/CN={name}",
    ]


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise ServerFailedError(f"openssl {arguments[0]} failed: {done.stderr.strip()[-400:]}")
