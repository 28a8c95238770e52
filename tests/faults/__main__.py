"""``make test-faults`` and ``make soak``: drills that take minutes; what they found is one JSON object on stdout."""

import argparse
import json
import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stream.bench import FAULTS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("what", choices=("faults", "kills", "all", "soak"))
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the soak lasts")
    parser.add_argument("--cameras", type=int, default=8, help="cameras of the house")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--risks", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="minewatch-faults-") as name:
        folder = Path(name)
        found: dict[str, Any] = {}
        if options.what == "soak":
            from tests.faults.soak import soak

            found = soak(folder / "soak", options.minutes, options.cameras)
        if options.what in {"faults", "all"}:
            found |= _faults(folder)
        if options.what in {"kills", "all"}:
            found["kills"] = _kills(folder, options.risks, options.kills, options.seed)
    sys.stdout.write(json.dumps(found) + "\n")
    return 0 if not found.get("failed") else 1


def _faults(folder: Path) -> dict[str, Any]:
    """Every kind, on the house on one machine and on the spread one; the table is kept for ``bench stream``."""
    from tests.faults import kinds
    from tests.faults.drill import Outcome, drill, summary
    from tests.faults.house import RunningHouse

    outcomes: list[Outcome] = []
    failed: list[str] = []
    one_machine = (
        kinds.SOURCES,
        kinds.PROCESSES,
        kinds.INNER,
        kinds.STORES,
        kinds.MODEL,
        kinds.MQTT,
        kinds.SQLITE,
        kinds.FORMAT,
        kinds.MIGRATED,
        kinds.FORWARD,
        kinds.BACK,
        kinds.AFTERWARDS,
    )
    houses: list[tuple[dict[str, Any], Sequence[Sequence[Any]]]] = [
        ({}, one_machine),
        ({"spread": True, "cameras": 4}, (kinds.KAFKA, kinds.POSTGRES)),
    ]
    disk = folder / "disk"
    disk.mkdir()
    mounted = _mount(disk)
    if mounted:
        houses[1][0]["evidence"] = disk
        houses[1] = (houses[1][0], (*houses[1][1], kinds.DISK))
    try:
        for number, (shape, waves) in enumerate(houses):
            with RunningHouse(folder / f"house-{number}", **shape) as house:
                house.until(
                    lambda house=house: house.counted("frames_analysed") > 40 * house.cameras, 300, "not settled"
                )
                for wave in waves:
                    try:
                        outcomes += drill(house, wave, at_least=60.0 if wave is kinds.KAFKA else 0.0)
                    except AssertionError as error:
                        failed.append(f"{', '.join(fault.name for fault in wave)}: {error}"[:2000])
                        outcomes += [Outcome(fault.name, fault.area) for fault in wave]
                    sys.stderr.write(f"{len(outcomes)} kinds so far\n")
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", disk], check=False)
    found = {**summary(outcomes), "failed": failed}
    FAULTS.parent.mkdir(parents=True, exist_ok=True)
    FAULTS.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return found


def _mount(disk: Path) -> bool:
    """A small disk of its own, where we may mount one."""
    if shutil.which("mount") is None:
        return False
    command = ["mount", "-t", "tmpfs", "-o", "size=256m", "minewatch-faults", disk]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _kills(folder: Path, risks: int, kills: int, seed: int) -> list[dict[str, Any]]:
    """A quarter on each pair of a log and a database."""
    from stream.settings import LogSettings
    from tests.faults.kills import Stores, run
    from tests.servers import kafka as kafka_server
    from tests.servers.postgres import Postgres

    found = []
    postgres = Postgres()
    with kafka_server.kafka(folder / "kafka") as kafka, postgres:
        for number, (log, database) in enumerate(
            (log, database) for log in ("embedded", "kafka") for database in ("sqlite", "postgresql")
        ):
            here = folder / f"kills-{number}"
            settings = (
                LogSettings(folder=here / "log")
                if log == "embedded"
                else LogSettings(url=f"kafka://{kafka.address}", prefix=f"kills-{number}")
            )
            here.mkdir()
            url = f"sqlite:///{here}/mine.db" if database == "sqlite" else postgres.fresh_database()
            figures = run(
                Stores(here, settings, url), risks=risks // 4, kills=kills // 4, seed=seed + number, patience=3600
            )
            found.append({"log": log, "database": database, **asdict(figures)})
            sys.stderr.write(f"{found[-1]}\n")
    postgres.remove()
    return found


if __name__ == "__main__":
    sys.exit(main())
