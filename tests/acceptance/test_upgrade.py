"""A stage is replaced by one of the next release, with another schema and other settings, while readings come in."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlmodel import Session, func, select

from console.installation import Installation, open_installation
from console.settings import load
from stream.heartbeat import stages_since, total
from stream.log import Log, open_log
from stream.messages import Reading, Risk, decode, encode, utc_now
from stream.readings import StoredReading
from tests.acceptance.command import ROOT, environment
from tests.unit.disposal_world import MINE, furnish

MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"
branch_labels = depends_on = None


def upgrade() -> None:
    op.add_column("reading", sa.Column("note", sa.String(), nullable=False, server_default=""))
"""


def next_release(folder: Path, head: str) -> Path:
    """The console of a release that knows one migration more."""
    shutil.copytree(ROOT / "console", folder / "console", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "console" / "migrations" / "versions" / "9999_a_note.py").write_text(MIGRATION.format(head=head))
    return folder


def until(condition: Callable[[], bool]) -> None:
    """Wait for it, asking rarely: what is waited for needs the processor more."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come about in time"
        time.sleep(0.25)


_ELSEWHERE = "/"
"""Where the command is run: python -c looks first in its own folder, and would find this release's packages there."""


class Release:
    """The command of one release, in processes that are ended at last."""

    def __init__(self, config: Path, data: Path, source: Path | None = None) -> None:
        self._options = ["--config", str(config), "--data", str(data)]
        self._variables = environment(**({"PYTHONPATH": str(source)} if source else {}))
        self._errors = config.with_suffix(".err")
        self._process: subprocess.Popen[bytes] | None = None

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-c", "from console.cli import main; main()", *words, *self._options]

    def start(self, *words: str) -> None:
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                self.command(*words), stdout=subprocess.DEVNULL, stderr=errors, env=self._variables, cwd=_ELSEWHERE
            )

    def run(self, *words: str) -> None:
        done = subprocess.run(
            self.command(*words), capture_output=True, text=True, env=self._variables, cwd=_ELSEWHERE, timeout=280
        )
        assert done.returncode == 0, done.stderr

    def said(self) -> str:
        return self._errors.read_text()

    def end(self) -> int:
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(60)

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@dataclass
class Gas:
    """Methane that is measured many times a second; above the limit once ``high`` is set."""

    log: Log
    high: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)
    count: int = 0

    def flow(self) -> None:
        while not self.stop.wait(0.05):
            now = utc_now()
            reading = Reading(
                mine=MINE, sensor="ch4-1", place="return", quantity="methane", value=1.6 if self.high.is_set() else 0.4,
                unit="%", sequence=self.count, captured_at=now, read_at=now,
            )  # fmt: skip
            self.log.append("readings", f"{MINE}/ch4-1", encode(reading))
            self.count += 1


@contextmanager
def flowing(log: Log) -> Iterator[Gas]:
    gas = Gas(log)
    thread = threading.Thread(target=gas.flow)
    thread.start()
    try:
        yield gas
    finally:
        gas.stop.set()
        thread.join()


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    config = tmp_path / "old.toml"
    config.write_text(f'mine = "{MINE}"\n')
    (tmp_path / "new.toml").write_text(f'mine = "{MINE}"\n[log]\nretention_hours = 100\n')
    made = open_installation(load(config, {}, tmp_path / "data"), tmp_path / "data", "site")
    furnish(made.engine)
    yield made
    made.engine.dispose()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_stage_is_replaced_under_load_and_waits_for_the_migration(installation: Installation, tmp_path: Path) -> None:
    from console import schema

    head = schema.revision(installation.engine)
    assert head is not None
    data, begun = tmp_path / "data", utc_now()
    old = Release(tmp_path / "old.toml", data)
    new = Release(tmp_path / "new.toml", data, next_release(tmp_path / "next", head))
    log = open_log(installation.settings.log)

    def stored() -> int:
        with Session(installation.engine) as session:
            query = select(func.count()).select_from(StoredReading).where(StoredReading.captured_at >= begun)
            return session.exec(query).one()

    def at_work() -> int:
        return sum(beat.ready and not beat.ended for beat in stages_since(installation.engine, MINE, begun))

    def risks() -> list[Risk]:
        consumer = log.subscribe(f"test-{os.urandom(4).hex()}", ["risks"])
        found = [decode(record.value) for _ in range(5) for record in consumer.poll(100, 0.05)]
        consumer.close()
        return [risk for risk in found if isinstance(risk, Risk) and risk.type == "methane-high"]

    try:
        with flowing(log) as gas:
            old.start("run", "--only", "limits")
            until(lambda: stored() > 10)
            gas.high.set()
            until(lambda: len(risks()) == 1)
            new.start("run", "--only", "limits")
            until(lambda: "is of an older version" in new.said())
            assert "This release waits for that." in new.said()
            before = stored()
            until(lambda: stored() > before + 10)
            new.run("database", "upgrade")
            until(lambda: at_work() == 2)
            assert "going on" in new.said()
            assert schema.revision(installation.engine) == "9999"
            assert old.end() == 0, old.said()
            before = stored()
            until(lambda: stored() > before + 10)
        until(lambda: log.lag("limits", "readings") == 0)
        assert new.end() == 0, new.said()
    finally:
        old.kill()
        new.kill()
    assert stored() == gas.count, "a reading was lost"
    [only] = risks()
    assert only.state == "raised", "the episode was adopted, not raised again"
    assert total(stages_since(installation.engine, MINE, begun))["dead_letters"] == 0
    log.close()
