"""A real PostgreSQL, with as many fresh databases as tests ask for."""

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

import psycopg

from stream.child import Child
from tests.servers.certificates import certificates
from tests.servers.server import Server, ServerFailedError, ServerUnavailableError


def _binaries() -> Path:
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True
    )
    on_path = shutil.which("initdb")
    for folder in [*versions, *([Path(on_path).parent] if on_path else [])]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise ServerUnavailableError("PostgreSQL's server is not installed (Debian: postgresql)")


GUARDED, PASSWORD = "guarded", "correct-horse"


class Postgres(Server):
    """A cluster of its own that hands its writes to the system without waiting for the disk: fast, and
    what was committed outlives a killed server, not a power cut."""

    name = "PostgreSQL"

    def __init__(self) -> None:
        self._binaries = _binaries()
        # The server refuses to run as root, and its user cannot look into a folder that pytest made for root.
        self.user = "postgres" if os.geteuid() == 0 else None
        super().__init__(Path(tempfile.mkdtemp(prefix="minewatch-postgres-")))
        if self.user:
            shutil.chown(self.folder, self.user, self.user)
        self._data = self.folder / "data"
        self._initialise()

    def _initialise(self) -> None:
        options = ["--auth=trust", "--username=minewatch", "--encoding=UTF8", "--no-locale", "--no-sync"]
        command = [str(self._binaries / "initdb"), "--pgdata", str(self._data), *options]
        if self.user:
            command = ["runuser", "-u", self.user, "--", *command]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, timeout=60)
        if done.returncode != 0:
            self.remove()
            raise ServerFailedError(f"PostgreSQL's initdb failed: {done.stderr.strip()}")

    def guard(self) -> None:
        """Before the start: speak TLS as well, and let GUARDED in with PASSWORD over TLS alone."""
        made = certificates()
        for path in (made.ca, made.certificate("server"), made.key("server")):
            copy = Path(shutil.copy(path, self.folder))
            copy.chmod(0o600)
            if self.user:
                shutil.chown(copy, self.user, self.user)
        rules = self._data / "pg_hba.conf"
        rules.write_text(
            f"hostssl all {GUARDED} all scram-sha-256\nhost all {GUARDED} all reject\n" + rules.read_text()
        )

    def guarded_database(self) -> str:
        """The URL, without user and password, of a new database that belongs to GUARDED."""
        url = self.fresh_database()
        name = url.rpartition("/")[2]
        self._execute(
            f"DO $$ BEGIN CREATE ROLE {GUARDED} LOGIN PASSWORD '{PASSWORD}'; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        self._execute(f"ALTER DATABASE {name} OWNER TO {GUARDED}")
        return f"postgresql+psycopg://{self.host}:{self.port}/{name}"

    def command(self) -> Sequence[str]:
        settings = {
            "listen_addresses": self.host,
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": "200",
        }
        if (self.folder / "server.key").exists():
            settings |= {"ssl": "on", "ssl_cert_file": str(self.folder / "server.pem")}
            settings |= {"ssl_key_file": str(self.folder / "server.key"), "ssl_ca_file": str(self.folder / "ca.pem")}
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        return [str(self._binaries / "postgres"), "-D", str(self._data), "-p", str(self.port), *options]

    def answers(self) -> bool:
        try:
            self._execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _execute(self, statement: str) -> None:
        with psycopg.connect(
            host=self.host, port=self.port, user="minewatch", dbname="postgres", autocommit=True, connect_timeout=5
        ) as connection:
            connection.execute(statement.encode())

    def stop(self) -> None:
        """End all sessions and shut down."""
        if isinstance(self._child, Child):
            self._child.stop(sign=signal.SIGINT)
        self.kill()

    def fresh_database(self, like: str = "") -> str:
        """The SQLAlchemy URL of a new database: empty, or a copy of that at the URL ``like``, which nobody has open."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self._execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {like.rpartition('/')[2]}" if like else ""))
        return f"postgresql+psycopg://minewatch@{self.host}:{self.port}/{name}"

    def remove(self) -> None:
        """Delete the cluster's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
