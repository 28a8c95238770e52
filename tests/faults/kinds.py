"""The kinds of fault: how each is brought about in a running house, taken back, and by which words it is named."""

import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlmodel import Session, col, select

from disposal.alert import AlertRisk
from stream.evidence import open_evidence
from stream.log import open_log
from stream.messages import Risk, encode, utc_now
from tests.faults import processes
from tests.faults.house import RunningHouse
from tests.faults.sources import LONG_AGO


def nothing(_: RunningHouse) -> None:
    """The house mends it by itself."""


@dataclass(frozen=True)
class Fault:
    """One kind. ``alert`` is the risk type and source that name it, ``doctor`` words of one finding that must all stand
    in it; either is enough."""

    name: str
    area: str
    inject: Callable[[RunningHouse], object]
    heal: Callable[[RunningHouse], object] = nothing
    alert: tuple[str, str] | None = None
    doctor: tuple[str, ...] = ()
    stepped: bool = field(default=False)


def camera(number: int, mode: str, name: str, kind: str, *words: str) -> Fault:
    """A camera that starts to behave in another way."""

    def inject(house: RunningHouse) -> None:
        house.services[number - 1].mode = mode

    def heal(house: RunningHouse) -> None:
        house.services[number - 1].mode = "well"

    return Fault(name, "camera", inject, heal, (kind, f"cam-{number}"), (f"cam-{number}", *words) if words else ())


def sensor(identity: str, payload: str | None, name: str, *words: str) -> Fault:
    """A sensor that says something else, or nothing."""
    return Fault(
        name,
        "sensor",
        lambda house: house.feed.instead.update({identity: payload}),
        lambda house: house.feed.instead.pop(identity),
        ("sensor-stale", identity),
        ("sensing, put-aside", identity, *words) if words else (),
    )


def killed(stage: str, area: str) -> Fault:
    """A stage that dies."""
    return Fault(
        f"{stage} killed",
        area,
        lambda house: os.kill(house.pid(stage), signal.SIGKILL),
        doctor=(f"{stage}, restarted", "ended without a word"),
    )


def _kill_camera(house: RunningHouse) -> None:
    os.kill(processes.cameras(house.pid("capture"))[-1], signal.SIGKILL)


def _stop_detectors(house: RunningHouse) -> None:
    os.kill(processes.spawned(house.pid("vision"))[-1], signal.SIGSTOP)


def poison(topic: str, value: Callable[[], bytes]) -> Callable[[RunningHouse], None]:
    """Puts something on the log that no stage of the house has put there."""

    def inject(house: RunningHouse) -> None:
        log = open_log(house.settings.log)
        log.append(topic, "mine/intruder", value())  # type: ignore[arg-type]
        log.flush()
        log.close()

    return inject


def hazard() -> bytes:
    """Somebody where nobody may be, as vision would say it."""
    now = utc_now()
    risk = Risk(
        mine="mine",
        risk_id=os.urandom(16).hex(),
        sequence=0,
        state="raised",
        type="person-in-restricted-zone",
        source="cam-1",
        source_kind="camera",
        place="roadway",
        zone=None,
        confidence=1.0,
        started_at=now,
        observed_at=now,
        read_at=now,
        published_at=now,
        reason="",
    )
    return encode(risk)


def newer_risk() -> bytes:
    """A risk in the words of a release to come."""
    return hazard().replace(b"\x01", b"\x63", 1)


def _refuse(house: RunningHouse) -> None:
    """Nothing is delivered any more, and there is something to deliver: an alert that nobody acknowledges."""
    house.webhook.mode = "failing"
    poison("risks", hazard)(house)


def _damage_evidence(house: RunningHouse) -> None:
    store = open_evidence(house.settings.evidence.url)
    with Session(house.engine) as session:
        newest = select(AlertRisk).order_by(col(AlertRisk.published_at).desc())
        piece = next((p for row in session.exec(newest).all() for p in row.risk.evidence), None)
    assert piece is not None, "no risk with evidence came yet"
    path = store.path("mine", piece.sha256, piece.media_type)
    shutil.copy(path, path.with_suffix(".kept"))
    path.write_bytes(path.read_bytes()[:-1])


def _mend_evidence(house: RunningHouse) -> None:
    for kept in open_evidence(house.settings.evidence.url).root.rglob("*.kept"):
        next(p for p in kept.parent.glob(f"{kept.stem}.*") if p != kept).write_bytes(kept.read_bytes())
        kept.unlink()


def _damage_weights(house: RunningHouse) -> None:
    file = max(house.weights.glob("*.bin"), key=lambda path: path.stat().st_size)
    shutil.copy(file, house.folder / "kept.bin")
    file.write_bytes(file.read_bytes()[:-1] + b"!")


def _mend_weights(house: RunningHouse) -> None:
    file = max(house.weights.glob("*.bin"), key=lambda path: path.stat().st_size)
    shutil.copy(house.folder / "kept.bin", file)


def _fill(house: RunningHouse) -> None:
    """Until nothing more goes in."""
    root = open_evidence(house.settings.evidence.url).root
    subprocess.run(["dd", "if=/dev/zero", f"of={root / 'filler'}", "bs=1M"], capture_output=True, check=False)


def _empty(house: RunningHouse) -> None:
    (open_evidence(house.settings.evidence.url).root / "filler").unlink()


class Holder:
    """Another program that holds the database's lock for writing."""

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None

    def take(self, house: RunningHouse) -> None:
        """Begin to write and do not end."""
        self._connection = sqlite3.connect(house.data / "minewatch.db", isolation_level=None, timeout=30)
        self._connection.execute("BEGIN IMMEDIATE")

    def give(self, _: RunningHouse) -> None:
        """Give up."""
        assert self._connection is not None
        self._connection.execute("ROLLBACK")
        self._connection.close()


def _format(number: str) -> Callable[[RunningHouse], object]:
    return lambda house: (house.data / "log" / "format").write_text(number)


def _revision(found: str) -> Callable[[RunningHouse], None]:
    def change(house: RunningHouse) -> None:
        with sqlite3.connect(house.data / "minewatch.db", timeout=30) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (found,))
        connection.close()

    return change


SOURCES = (
    Fault(
        "camera gone",
        "camera",
        lambda house: house.services[0].down(),
        lambda house: house.services[0].up(),
        ("camera-offline", "cam-1"),
    ),
    camera(2, "frozen", "camera frozen", "camera-frozen"),
    camera(3, "covered", "camera covered", "camera-blind"),
    camera(4, "moved", "camera moved", "camera-moved"),
    camera(5, "hanging", "camera hangs", "camera-offline"),
    camera(6, "refusing", "camera refuses the password", "camera-offline", "refuses the user name and password"),
    camera(7, "page", "camera gives a page", "camera-offline", "is a page and no video"),
    sensor("ch4", None, "sensor silent"),
    sensor("co", "NaN", "sensor gives no number", "no number"),
    sensor("o2", "1e9", "sensor out of range", "outside what oxygen can be"),
    sensor("wind", '{"value": 1, "unit": "km/h"}', "sensor's unit does not fit", "km/h"),
    sensor("heat", LONG_AGO, "sensor's clock is of 1970", "1970"),
    sensor("dust", "1.234", "sensor stuck"),
)
PROCESSES = (
    killed("vision", "detector"),
    killed("disposal", "stage"),
    killed("capture", "camera"),
    killed("limits", "stage"),
)
INNER = (
    Fault(
        "camera's process killed",
        "camera",
        _kill_camera,
        doctor=("capture, restarted", "mine/cam-", "ended without a word"),
    ),
    Fault("detectors hang", "detector", _stop_detectors, doctor=("vision, restarted", "Detectors:")),
    Fault(
        "stage hangs",
        "stage",
        lambda house: os.kill(house.pid("limits"), signal.SIGSTOP),
        doctor=("stages", "limits has given no sign of life"),
    ),
)
STORES = (
    Fault(
        "poison on the log", "log", poison("frames", lambda: b"\xc1no frame"), doctor=("vision, put-aside", "intruder")
    ),
    Fault(
        "message of a newer release",
        "log",
        poison("risks", newer_risk),
        doctor=("disposal, put-aside", "intruder", "upgrade this stage"),
    ),
    Fault("evidence altered", "evidence", _damage_evidence, _mend_evidence, doctor=("evidence", "was altered")),
    Fault("weights altered", "detector", _damage_weights, _mend_weights, doctor=("weights", "sha256")),
    Fault(
        "model endpoint gone",
        "model endpoint",
        lambda house: house.model.down(),
        lambda house: house.model.up(),
        doctor=("language model", "does not answer"),
    ),
    Fault(
        "webhook refuses",
        "delivery",
        _refuse,
        lambda house: setattr(house.webhook, "mode", "well"),
        doctor=("deliveries", "status 503"),
    ),
)
MODEL = (
    Fault(
        "model endpoint hangs",
        "model endpoint",
        lambda house: setattr(house.model, "mode", "hanging"),
        lambda house: setattr(house.model, "mode", "well"),
        doctor=("language model", "does not answer"),
    ),
)
KAFKA = (
    Fault(
        "broker stopped for 60 s",
        "broker",
        lambda house: house.kafka and house.kafka.kill(),
        lambda house: house.kafka and house.kafka.start(),
        doctor=("log", "No broker at"),
    ),
)
MQTT = (
    Fault(
        "MQTT broker stopped",
        "sensor",
        lambda house: house.mosquitto.kill(),
        lambda house: house.mosquitto.start(),
        ("sensor-stale", "ch4"),
    ),
)
POSTGRES = (
    Fault(
        "PostgreSQL stopped",
        "database",
        lambda house: house.postgres and house.postgres.kill(),
        lambda house: house.postgres and house.postgres.start(),
        doctor=("database", "does not open"),
    ),
)
DISK = (Fault("disk of the evidence full", "disk", _fill, _empty, doctor=("evidence", "MiB left")),)
FORWARD = (
    Fault(
        "clock set an hour forward",
        "clock",
        lambda house: house.clock.set(3600),
        doctor=("clock", "set forward by 3"),
        stepped=True,
    ),
)
BACK = (
    Fault(
        "clock set an hour back",
        "clock",
        lambda house: house.clock.set(0),
        doctor=("clock", "set back by 3"),
        stepped=True,
    ),
)
AFTERWARDS = (camera(3, "covered", "camera covered once the clock was set back", "camera-blind"),)
_holder = Holder()
SQLITE = (
    Fault(
        "database held by another program",
        "database",
        _holder.take,
        _holder.give,
        doctor=("database", "takes no writes"),
    ),
)
MIGRATED = (
    Fault(
        "database of a newer release",
        "database",
        _revision("from-the-future"),
        _revision("0001"),
        doctor=("database", "newer one"),
    ),
)
FORMAT = (
    Fault("log of a newer release", "log", _format("99\n"), _format("1\n"), doctor=("log", "a newer release wrote it")),
)
