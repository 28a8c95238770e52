"""Sensors from end to end: CSV files and a real MQTT broker, onto the embedded log."""

import itertools
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import paho.mqtt.publish as publish
import pytest
from sqlalchemy import Engine
from sqlmodel import SQLModel

from stream.database import open_database
from stream.errors import SourceError
from stream.heartbeat import stages_since, total
from stream.log import Consumer, open_log
from stream.messages import AnyMessage, DeadLetter, Health, Reading, decode, utc_now
from stream.sensor import probe_sensor, run_sensing
from stream.settings import LogSettings, MqttSettings
from stream.site import Name, Place, Sensor, Site
from tests.servers.mosquitto import Mosquitto

PATIENCE = 30.0


class Sensing:
    """The sensing stage in a thread, and what it put on the log."""

    def __init__(self, folder: Path, sensors: tuple[Sensor, ...]) -> None:
        self.url = f"sqlite:///{folder}/database.db"
        self.engine: Engine = open_database(self.url)
        SQLModel.metadata.create_all(self.engine)
        self.log_settings = LogSettings(folder=folder / "log")
        self.site = Site(places=(Place(id="heading", name=Name(en="Heading")),), sensors=sensors)
        self.stop = threading.Event()
        self.access = MqttSettings()
        self.begun_at = utc_now()
        self._log = open_log(self.log_settings)
        self._consumer: Consumer = self._log.subscribe("test", ["readings", "dead-letters", "health"])
        self.messages: list[AnyMessage] = []
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self.stop.clear()
        arguments = {
            "site": self.site, "log_settings": self.log_settings, "database_url": self.url, "run": "run",
            "access": self.access,
        }  # fmt: skip
        self._thread = threading.Thread(target=run_sensing, args=(self.stop,), kwargs=arguments)
        self._thread.start()

    def join(self) -> None:
        assert self._thread is not None
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self.poll()

    def poll(self) -> None:
        for _ in range(50):  # a replay without end always has more
            records = self._consumer.poll(500, 0.1)
            if not records:
                return
            self.messages += [decode(r.value) for r in records]

    def readings(self, sensor: str) -> list[Reading]:
        return [m for m in self.messages if isinstance(m, Reading) and m.sensor == sensor]

    def letters(self) -> list[DeadLetter]:
        return [m for m in self.messages if isinstance(m, DeadLetter)]

    def statuses(self, sensor: str) -> list[str]:
        return [m.status for m in self.messages if isinstance(m, Health) and m.source == sensor]

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, self.messages
            self.poll()

    def close(self) -> None:
        self.stop.set()
        if self._thread is not None:
            self._thread.join()
        self._consumer.close()
        self._log.close()
        self.engine.dispose()


@pytest.fixture
def sensing(tmp_path: Path) -> Iterator[Callable[..., Sensing]]:
    running: list[Sensing] = []

    def make(*sensors: Sensor) -> Sensing:
        running.append(Sensing(tmp_path, sensors))
        return running[-1]

    yield make
    for one in running:
        one.close()


def sensor(url: str, **settings: object) -> Sensor:
    given = {"id": "ch4", "quantity": "methane", "unit": "%", "speed": 1000.0, **settings}
    return Sensor.model_validate({"name": Name(en="Methane"), "url": url, "place": "heading", **given})


def test_a_csv_is_played_to_its_end(sensing: Callable[..., Sensing], tmp_path: Path) -> None:
    file = tmp_path / "methane.csv"
    file.write_text("captured_at_s,value\n0,0.4\n10,0.6\n20,n/a\n30,1.2\n40,250\n")
    run = sensing(sensor(str(file)))
    run.start()
    run.join()
    readings = run.readings("ch4")
    assert [r.value for r in readings] == [0.4, 0.6, 1.2]
    assert [r.sequence for r in readings] == [0, 1, 3]
    gaps = [b.captured_at - a.captured_at for a, b in itertools.pairwise(readings)]
    assert gaps == [timedelta(milliseconds=10), timedelta(milliseconds=20)]
    assert ["no number" in m.reason or "at fault" in m.reason for m in run.letters()] == [True, True]
    assert run.statuses("ch4")[-1] == "ended"
    counted = total(stages_since(run.engine, "mine", run.begun_at))
    assert (counted["readings"], counted["dead_letters"]) == (3, 2)


def test_real_air_at_a_chosen_speed(sensing: Callable[..., Sensing], test_data: Path) -> None:
    """Rows of 30 s each, played 30,000 times faster: a thousand a second."""
    url = f"{test_data}/sensors/dig-it-mine-air.csv?column=field1"
    run = sensing(sensor(url, id="air", quantity="temperature", unit="°C", speed=30_000))
    started = time.monotonic()
    run.start()
    run.until(lambda: len(run.readings("air")) >= 1000)
    assert time.monotonic() - started > 0.9
    values = [r.value for r in run.readings("air")][:3]
    assert values == [29.58491, 29.87631, pytest.approx(29.9, abs=1)]


def test_a_looped_csv_goes_on(sensing: Callable[..., Sensing], tmp_path: Path) -> None:
    file = tmp_path / "co.csv"
    file.write_text("timestamp,ppm\n2026-01-01T00:00:00,1\n2026-01-01T00:00:10,2\n")
    run = sensing(sensor(str(file), quantity="carbon-monoxide", unit="ppm", loop=True))
    run.start()
    run.until(lambda: len(run.readings("ch4")) >= 7)
    readings = run.readings("ch4")[:7]
    assert [r.value for r in readings] == [1, 2, 1, 2, 1, 2, 1]
    assert {b.captured_at - a.captured_at for a, b in itertools.pairwise(readings)} == {timedelta(milliseconds=10)}


def _sense(site: Site, log_settings: LogSettings, url: str) -> None:
    run_sensing(threading.Event(), site=site, log_settings=log_settings, database_url=url, run="run")


def test_a_killed_replay_goes_on_with_the_same_times(sensing: Callable[..., Sensing], tmp_path: Path) -> None:
    file = tmp_path / "methane.csv"
    file.write_text("captured_at_s,value\n" + "".join(f"{n / 100},{n / 10}\n" for n in range(400)))
    run = sensing(sensor(str(file), speed=1.0))
    process = multiprocessing.get_context("spawn").Process(target=_sense, args=(run.site, run.log_settings, run.url))
    process.start()
    run.until(lambda: len(run.readings("ch4")) > 150)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    run.start()
    run.join()
    times = {r.captured_at: r.value for r in run.readings("ch4")}
    assert sorted(times.values()) == [n / 10 for n in range(400)], "each value once, also where it was sent twice"


def test_a_csv_that_is_not_there_leaves_the_others_alone(sensing: Callable[..., Sensing], tmp_path: Path) -> None:
    file = tmp_path / "methane.csv"
    file.write_text("captured_at_s,value\n0,0.4\n")
    run = sensing(sensor(str(file)), sensor(str(tmp_path / "absent.csv"), id="absent"))
    run.start()
    run.join()
    assert len(run.readings("ch4")) == 1
    assert run.statuses("absent") == ["offline"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "There is no file"),
        ("a,b\n1,2\n", "no column"),
        ("time,a,b\n2026-01-01,1,2\n", "say which one"),
        ("time,value\nyesterday,1\n", "no line with a time"),
        (b"\xff\xfe\x00", "cannot be read as CSV"),
    ],
)
def test_a_csv_that_cannot_be_played_is_told_at_once(content: str | bytes | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SourceError, match=said):
        probe_sensor(sensor(str(file)))


def test_mqtt_readings_and_what_is_none(sensing: Callable[..., Sensing], mosquitto: tuple[str, int]) -> None:
    host, port = mosquitto
    run = sensing(sensor(f"mqtt://{host}:{port}/test-sensors/ch4"))
    run.start()
    sending = threading.Event()

    def send() -> None:
        while not sending.wait(0.05):
            publish.single("test-sensors/ch4", "0.1", qos=1, hostname=host, port=port)

    thread = threading.Thread(target=send)
    thread.start()
    run.until(lambda: bool(run.readings("ch4")))
    sending.set()
    thread.join()
    measured_at = utc_now().replace(microsecond=0)
    good = [
        "0.75",
        '{"value": 0.8}',
        json.dumps({"value": 1, "unit": "%", "captured_at": measured_at.isoformat()}),
    ]
    bad = [
        "danger",
        "NaN",
        "1e9",
        "-1",
        '{"value": 1, "unit": "ppm"}',
        '{"value": 1, "captured_at": "1970-01-01T00:00:00Z"}',
        json.dumps({"value": 1, "captured_at": (utc_now() + timedelta(days=1)).isoformat()}),
        b"\xff\xfe",
    ]
    for payload in (*good, *bad):
        publish.single("test-sensors/ch4", payload, qos=1, hostname=host, port=port)
    run.until(lambda: len(run.letters()) >= len(bad) and run.readings("ch4")[-1].value == 1)
    assert [r.value for r in run.readings("ch4")][-3:] == [0.75, 0.8, 1.0]
    assert run.readings("ch4")[-1].captured_at == measured_at
    assert len(run.letters()) == len(bad)
    assert all(letter.stage == "sensing" and letter.key == "mine/ch4" for letter in run.letters())
    assert run.letters()[-1].payload == b"\xff\xfe"
    assert run.statuses("ch4")[-1] == "ok"


def test_a_broker_that_comes_back_is_found_again(sensing: Callable[..., Sensing], own_mosquitto: Mosquitto) -> None:
    broker = own_mosquitto
    run = sensing(sensor(f"mqtt://{broker.host}:{broker.port}/ch4"))
    run.start()

    def arrives(value: str) -> bool:
        publish.single("ch4", value, qos=1, hostname=broker.host, port=broker.port)
        run.poll()
        return any(r.value == float(value) for r in run.readings("ch4"))

    run.until(lambda: arrives("0.1"))
    broker.kill()
    run.until(lambda: run.statuses("ch4")[-1] == "offline")
    broker.start()
    run.until(lambda: arrives("0.2"))
    run.until(lambda: run.statuses("ch4")[-1] == "ok")


def test_what_comes_while_nobody_reads_is_kept_by_the_broker(
    sensing: Callable[..., Sensing], mosquitto: tuple[str, int]
) -> None:
    host, port = mosquitto
    run = sensing(sensor(f"mqtt://{host}:{port}/test-sensors/kept"))
    run.start()
    time_out = time.monotonic() + PATIENCE
    while not run.readings("ch4"):
        assert time.monotonic() < time_out
        publish.single("test-sensors/kept", "0.1", qos=1, hostname=host, port=port)
        run.poll()
    run.stop.set()
    run.join()
    publish.single("test-sensors/kept", "0.9", qos=1, hostname=host, port=port)
    run.start()
    run.until(lambda: run.readings("ch4")[-1].value == 0.9)


def test_a_broker_that_nobody_reaches_is_told_of_without_its_password(
    sensing: Callable[..., Sensing], capfd: pytest.CaptureFixture[str]
) -> None:
    run = sensing(sensor("mqtt://user:hunter2@127.0.0.1:1/ch4"))
    run.start()
    run.until(lambda: "offline" in run.statuses("ch4"))
    [detail] = {m.detail for m in run.messages if isinstance(m, Health)}
    assert "mqtt://127.0.0.1:1 cannot be reached" in detail
    assert "hunter2" not in str(run.messages)
    said = capfd.readouterr()
    assert "hunter2" not in said.out + said.err


def test_a_broker_that_cannot_be_reached_is_told_at_once() -> None:
    with pytest.raises(SourceError, match="cannot be reached") as caught:
        probe_sensor(sensor("mqtt://user:hunter2@127.0.0.1:1/ch4"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["mqtt://host", "mqtt://host/a/#", "mqtt://host:x/a", "mqtt://host/+/a", "ftp://host/a"]
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(SourceError):
        probe_sensor(sensor(url))
