"""The user's command, run as the user runs it, and a look into what it left behind."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session, select

from stream.database import open_database
from stream.messages import Evidence, Risk

MINEWATCH = Path(sys.executable).parent / "minewatch"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Answer:
    """What a command gave: exit code, both outputs."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout."""
        lines = self.out.strip().splitlines()
        assert len(lines) == 1, (
            f"stdout should hold one JSON object and nothing else: {self.out!r} (stderr: {self.err[-2000:]})"
        )
        result: dict[str, Any] = json.loads(lines[0])
        return result

    @property
    def line(self) -> str:
        """The one line that says what is wrong; structured logs, which go to stderr as well, are none."""
        lines = [line for line in self.err.strip().splitlines() if not line.startswith("{")]
        assert len(lines) == 1, f"a refusal should be one line: {self.err!r}"
        return lines[0]


ORDER = "MINEWATCH_DISPOSAL__DRAFTER__ORDER"


def environment(**more: str) -> dict[str, str]:
    """The environment without settings of whoever runs the tests, and without the model that takes seconds to load."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MINEWATCH_")}
    clean[ORDER] = '["openai", "transformers", "composer"]'
    return {**clean, "COLUMNS": "200", **more}


def minewatch(
    *arguments: str | Path, seconds: float = 240, variables: Mapping[str, str] | None = None, folder: Path | None = None
) -> Answer:
    """Run the command to its end."""
    done = subprocess.run(
        [MINEWATCH, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=seconds,
        cwd=folder or ROOT,
        env=environment(**(variables or {})),
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def watch_folder(data: Path) -> Path:
    """Where the only `watch` run under ``data`` left its database and evidence."""
    folders = list((data / "watch").iterdir())
    assert len(folders) == 1
    return folders[0]


def database(folder: Path) -> Engine:
    """The database of an installation."""
    return open_database(f"sqlite:///{folder / 'minewatch.db'}")


def raised(engine: Engine) -> list[Risk]:
    """Every risk event of state raised that reached the tables."""
    from disposal.alert import AlertRisk

    with Session(engine) as session:
        events = [row.risk for row in session.exec(select(AlertRisk)).all()]
    return [event for event in events if event.state == "raised"]


def evidence_of(folder: Path, risk: Risk, kind: str) -> list[tuple[Evidence, bytes]]:
    """The stored evidence of one kind, read back and checked against its digest."""
    from stream.evidence import EvidenceStore

    store = EvidenceStore(folder / "evidence")
    return [(e, store.get(risk.mine, e.sha256, e.media_type)) for e in risk.evidence if e.kind == kind]
