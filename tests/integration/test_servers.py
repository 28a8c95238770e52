"""The real servers that other tests stand on: each starts, answers, stops, and comes back with its data."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import paho.mqtt.client as mqtt
import psycopg
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic
from paho.mqtt.enums import CallbackAPIVersion

from stream.broker import LocalBroker
from stream.child import Child
from stream.errors import BrokerError
from tests.conftest import do_without
from tests.servers.mosquitto import Mosquitto
from tests.servers.postgres import Postgres
from tests.servers.rtsp import RtspServer
from tests.servers.server import ServerUnavailableError


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.05)


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def create_topic(address: str, topic: str) -> None:
    client = KafkaAdminClient(bootstrap_servers=address)
    client.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    client.close()


def send(address: str, topic: str, values: list[bytes]) -> None:
    producer = KafkaProducer(bootstrap_servers=address, acks="all")
    for sent in [producer.send(topic, value) for value in values]:
        sent.get(timeout=30)
    producer.close()


def receive(address: str, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(
        topic, bootstrap_servers=address, auto_offset_reset="earliest", consumer_timeout_ms=20_000, group_id=None
    )
    received = [record.value for _, record in zip(range(count), consumer, strict=False)]
    consumer.close()
    return received


def test_the_shared_kafka_takes_and_gives_messages(kafka: str) -> None:
    create_topic(kafka, "servers")
    send(kafka, "servers", [b"one", b"two"])
    assert receive(kafka, "servers", 2) == [b"one", b"two"]


def test_a_killed_kafka_comes_back_on_the_same_port_with_its_data(own_kafka: LocalBroker) -> None:
    values = [f"{number}".encode() for number in range(100)]
    create_topic(own_kafka.address, "kept")
    send(own_kafka.address, "kept", values)
    address = own_kafka.address
    own_kafka.kill()
    with pytest.raises(ConnectionRefusedError):
        _connect(own_kafka.port)
    own_kafka.start()
    assert own_kafka.address == address
    assert receive(address, "kept", 100) == values


def _connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_kafka_without_its_jars_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="make kafka"):
        LocalBroker(tmp_path / "nothing", tmp_path / "data")


def test_postgres_gives_a_new_empty_database_each_time(postgres: Callable[[], str]) -> None:
    first, second = postgres(), postgres()
    assert first != second
    with psycopg.connect(_plain(first)) as connection:
        connection.execute("CREATE TABLE alert (id text)")
    with psycopg.connect(_plain(second)) as connection:
        found = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert found == (0,)


def _plain(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


def test_a_killed_postgres_comes_back_with_what_was_committed() -> None:
    server = Postgres()
    try:
        with server:
            url = _plain(server.fresh_database())
            with psycopg.connect(url) as connection:
                connection.execute("CREATE TABLE alert AS SELECT 7 AS id")
            server.kill()
            server.start()
            with psycopg.connect(url) as connection:
                assert connection.execute("SELECT id FROM alert").fetchone() == (7,)
    finally:
        server.remove()
    assert not server.folder.exists()


def exchange(port: int, payload: bytes) -> bytes:
    """Publish and receive one message over the broker."""
    received: list[bytes] = []
    subscribed, arrived = threading.Event(), threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda client, *_: client.subscribe("servers/ch4", qos=1)
    client.on_subscribe = lambda *_: subscribed.set()

    def keep(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        received.append(bytes(message.payload))
        arrived.set()

    client.on_message = keep
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        assert subscribed.wait(10)
        client.publish("servers/ch4", payload, qos=1)
        assert arrived.wait(10)
    finally:
        client.disconnect()
        client.loop_stop()
    return received[0]


def test_mosquitto_hands_a_message_on(mosquitto: tuple[str, int]) -> None:
    host, port = mosquitto
    assert host == "127.0.0.1"
    assert exchange(port, b"0.42") == b"0.42"


def test_mosquitto_comes_back_on_the_same_port(own_mosquitto: Mosquitto) -> None:
    port = own_mosquitto.port
    own_mosquitto.kill()
    own_mosquitto.start()
    assert own_mosquitto.port == port
    assert exchange(port, b"back") == b"back"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """One second of frames that grow brighter, in MPEG-4 part 2 (so that the server has to turn it into H.264)."""
    path = tmp_path / "brighter.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (320, 240))
    for number in range(25):
        writer.write(np.full((240, 320, 3), 8 * number, np.uint8))
    writer.release()
    return path


def frames(url: str) -> list[float]:
    """The mean brightness of each frame that a client sees until the end."""
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 10_000])
    seen = []
    while (read := capture.read())[0]:
        seen.append(float(read[1].mean()))
    capture.release()
    return seen


def test_rtsp_plays_the_whole_clip_as_often_as_asked(
    rtsp_server: Callable[..., RtspServer], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
    seen = frames(rtsp_server(clip, times=2).url)
    assert len(seen) >= 45
    darker = [number for number in range(1, len(seen)) if seen[number] < seen[number - 1] - 50]
    assert len(darker) == 1, "it starts over once"


def test_a_stopped_rtsp_server_refuses_and_comes_back(rtsp_server: Callable[..., RtspServer], clip: Path) -> None:
    server = rtsp_server(clip)
    server.stop()
    assert not server.answers()
    server.start()
    assert server.answers()


def test_chromium_is_a_program_that_runs(chromium: Path) -> None:
    said = subprocess.run([chromium, "--version"], capture_output=True, text=True, timeout=60)
    assert "Chrom" in said.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child that its parent died")
@pytest.mark.parametrize("kind", ["Mosquitto", "Postgres"])
def test_a_server_does_not_outlive_a_killed_test_process(kind: str, tmp_path: Path) -> None:
    module = kind.lower()
    argument = "" if kind == "Postgres" else f"__import__('pathlib').Path({str(tmp_path / 'server')!r})"
    script = (
        f"import time; from tests.servers.{module} import {kind}; server = {kind}({argument}); server.start(); "
        "print(server.pid, server.folder, flush=True); time.sleep(120)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pid, folder = parent.stdout.readline().split()
    try:
        assert running(int(pid))
    finally:
        parent.kill()
        parent.wait()
    until(lambda: not running(int(pid)))
    if kind == "Postgres":
        shutil.rmtree(folder)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child that its parent died")
def test_a_child_such_as_kafka_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    script = (
        "import time; from pathlib import Path; from stream.child import Child; "
        f"print(Child(['sleep', '300'], Path({str(tmp_path / 'output')!r})).pid, flush=True); time.sleep(120)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
    until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")  # it is on its leash by then
    parent.kill()
    parent.wait()
    until(lambda: not running(pid))


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_server_skips_but_fails_under_ci(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="Chromium is not installed"):
        do_without(ServerUnavailableError("Chromium is not installed (Debian: chromium)"))


def test_a_child_that_ignores_the_request_to_end_is_ended_with_all_it_started(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 300 & echo $!; wait; sleep 300"
    child = Child(["bash", "-c", script], tmp_path / "output")
    until(lambda: (tmp_path / "output").read_text().strip().isdigit())
    grandchild = int((tmp_path / "output").read_text())
    child.stop(patience=0.5)
    assert not child.alive
    until(lambda: not running(grandchild))


def test_a_child_that_ended_by_itself_tells_why(tmp_path: Path) -> None:
    child = Child(["bash", "-c", "echo no luck; exit 3"], tmp_path / "output")
    until(lambda: not child.alive)
    assert child.last_words() == "no luck"
    child.stop(sign=signal.SIGTERM)
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)
