"""A whole house as a site runs it, started by the user's command on servers that can be hurt while it runs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, select

from console.doctor import examine
from console.settings import Settings, load
from disposal.alert import AlertRisk
from stream.broker import LocalBroker
from stream.child import free_port
from stream.database import open_database
from stream.errors import MinewatchError
from stream.health import health_of
from stream.heartbeat import StageHeartbeat, fresh, stages_since, total
from stream.messages import Risk, utc_now
from tests.faults.sources import CameraService, ModelService, Sensors, Webhook
from tests.servers import kafka as kafka_server
from tests.servers.clock import SteppedClock
from tests.servers.mosquitto import Mosquitto
from tests.servers.postgres import Postgres
from vision.weights_file import bundled_pins, folder_digest

MINEWATCH = Path(sys.executable).parent / "minewatch"
SENSORS = {
    "ch4": ("methane", "%", 0.2),
    "co": ("carbon-monoxide", "ppm", 3.0),
    "o2": ("oxygen", "%", 20.9),
    "wind": ("wind-speed", "m/s", 2.0),
    "heat": ("temperature", "°C", 20.0),
    "dust": ("dust", "mg/m3", 1.0),
}


@dataclass
class RunningHouse:
    """One house; ``spread`` puts it on Kafka and PostgreSQL, else it is all on one machine."""

    folder: Path
    cameras: int = 8
    spread: bool = False
    evidence: Path | None = None
    sensors: bool = True
    extra: str = ""
    services: list[CameraService] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._running = ExitStack()
        self._engine: Engine | None = None

    def __enter__(self) -> Self:
        """Start the servers and the house, and wait until every stage is at work and every source gives something."""
        try:
            self._start()
        except BaseException:
            self._running.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it as a person would, then its servers."""
        self._running.close()

    def _start(self) -> None:
        self.services = [CameraService(number) for number in range(self.cameras)]
        self.model, self.webhook = ModelService(), Webhook()
        for service in (*self.services, self.model, self.webhook):
            self._running.callback(service.down)
        self.clock = SteppedClock(self.folder)
        self.mosquitto = self._running.enter_context(Mosquitto(self.folder / "mosquitto"))
        names = {name: value for name, (_, _, value) in SENSORS.items()} if self.sensors else {}
        self.feed = Sensors(self.mosquitto.host, self.mosquitto.port, names)
        self._running.callback(self.feed.close)
        self.kafka: LocalBroker | None = None
        self.postgres: Postgres | None = None
        stores = {}
        if self.spread:
            self.kafka = self._running.enter_context(kafka_server.kafka(self.folder / "kafka"))
            self.postgres = Postgres()
            self._running.callback(self.postgres.remove)
            self._running.enter_context(self.postgres)
            stores = {"log": f"kafka://{self.kafka.address}", "database": self.postgres.fresh_database()}
        self.data = self.folder / "data"
        self.weights = self.folder / "weights" / "ppe"
        shutil.copytree(bundled_pins()["ppe"][0], self.weights)
        self.config = self.folder / "minewatch.toml"
        self.config.write_text(self._configuration(stores), encoding="utf-8")
        self.settings: Settings = load(self.config, {}, self.data)
        self.begin()
        self._running.callback(self.end)
        self.until(lambda: not self.amiss(), 600, "the house was not at work")

    def _configuration(self, stores: dict[str, str]) -> str:
        lines = [
            'mine = "mine"',
            f"console.port = {free_port()}",
            "vision.staleness_seconds = 30",
            "log.frames_bytes = 268435456",
            *(f'{name}.url = "{url}"' for name, url in stores.items()),
            f'evidence.url = "{self.evidence.as_uri()}"' if self.evidence else "",
            f'vision.detectors.ppe = {{ weights = "{self.weights}", sha256 = "{folder_digest(self.weights)}" }}',
            f'disposal.notify.url = "http://127.0.0.1:{self.webhook.port}/"',
            f'disposal.drafter.endpoint = {{ url = "http://127.0.0.1:{self.model.port}/v1", model = "model" }}',
            "disposal.escalation = { high = 10.0, times = 20 }",  # so that there is always something to deliver
            self.extra,
            '[[places]]\nid = "roadway"\nname = { en = "Main roadway" }',
        ]
        for number, service in enumerate(self.services, start=1):
            lines.append(
                f'[[cameras]]\nid = "cam-{number}"\nname = {{ en = "Camera {number}" }}\nurl = "{service.url}"\n'
                f'place = "roadway"\ndetectors = ["ppe"]'
            )
            lines.append(
                f'[[zones]]\nid = "zone-{number}"\ncamera = "cam-{number}"\npurpose = "helmet-required"\n'
                "polygon = [[0, 0], [1, 0], [1, 1], [0, 1]]"
            )
        for name, (quantity, unit, _) in SENSORS.items() if self.sensors else ():
            lines.append(
                f'[[sensors]]\nid = "{name}"\nname = {{ en = "{name}" }}\nplace = "roadway"\nquantity = "{quantity}"\n'
                f'unit = "{unit}"\nsilence_seconds = 15\nstuck_seconds = 20\n'
                f'url = "mqtt://{self.mosquitto.host}:{self.mosquitto.port}/mine/{name}"'
            )
        return "\n".join(lines)

    def begin(self) -> None:
        """Start the command; what it says goes to a file."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MINEWATCH_")}
        self.said = self.folder / "house.log"
        with self.said.open("ab") as output:
            self.process = subprocess.Popen(
                [MINEWATCH, "run", "--config", self.config, "--data", self.data],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**clean, **self.clock.variables},
                start_new_session=True,
            )

    def end(self) -> None:
        """Ask it to end, and end all that is left of it."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self._engine is not None:
            self._engine.dispose()

    @property
    def engine(self) -> Engine:
        """The house's database; raises DatabaseError while it does not answer."""
        if self._engine is None:
            self._engine = open_database(self.settings.database.url)
        return self._engine

    def beats(self) -> list[StageHeartbeat]:
        """Every incarnation of every stage."""
        return stages_since(self.engine, "mine", utc_now().replace(year=2000))

    def pid(self, stage: str) -> int:
        """The process of a stage's latest incarnation."""
        latest = max((b for b in self.beats() if b.stage == stage), key=lambda b: b.started_at)
        return int(latest.instance.split(":")[1])

    def counted(self, name: str) -> int:
        """A counter, over all stages and incarnations."""
        return int(total(self.beats())[name])

    def risks(self) -> list[Risk]:
        """Every risk event that became an alert or part of one."""
        with Session(self.engine) as session:
            return [row.risk for row in session.exec(select(AlertRisk)).all()]

    def amiss(self) -> list[str]:
        """What is not as it should be: the command, a stage, a camera, a sensor."""
        if self.process.poll() is not None:
            return [f"the command has ended with {self.process.returncode}"]
        try:
            beats = self.beats()
            known = {row.source: row.status for row in health_of(self.engine, "mine")}
        except (MinewatchError, SQLAlchemyError) as error:
            return [f"database: {error}"]
        now = utc_now()
        stages = {b.stage for b in beats if b.ready and fresh(b, now)}
        wanted = {"capture", "vision", "disposal"} | ({"sensing", "limits"} if self.sensors else set())
        sources = [f"cam-{n}" for n in range(1, self.cameras + 1)] + (list(SENSORS) if self.sensors else [])
        return [f"stage {s}" for s in sorted(wanted - stages)] + [s for s in sources if known.get(s) != "ok"]

    def until(self, condition: Any, seconds: float, what: str) -> float:
        """Wait for a condition; answers after how many seconds it held, fails with ``what`` where it does not."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds:
                words = self.said.read_text(errors="replace")[-3000:] if self.said.exists() else ""
                raise AssertionError(f"{what} within {seconds:.0f} s; amiss: {self.amiss()}\n{words}")
            time.sleep(0.3)
        return time.monotonic() - began

    def doctor(self, *, stepped: bool = False) -> list[str]:
        """What the doctor finds wrong; ``stepped``: by the house's own clock, as the command run beside it."""
        if not stepped:
            return [f"{f.subject}: {f.text}" for f in examine(self.settings, self.data) if not f.well]
        done = subprocess.run(
            [MINEWATCH, "doctor", "--config", self.config, "--data", self.data, "--json"],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, **self.clock.variables},
            check=False,
        )
        found = json.loads(done.stdout)["findings"]
        return [f"{f['subject']}: {f['text']}" for f in found if not f["well"]]
