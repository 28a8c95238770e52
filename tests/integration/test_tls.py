"""TLS and credentials, by setting, with the real servers: what fits works, what does not is refused in one line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.publish as publish
import pytest

from console.installation import open_installation
from console.settings import load
from stream.broker import LocalBroker
from stream.database_copy import copy_to
from stream.errors import ConfigurationError, DatabaseError, LogError, MinewatchError, SourceError
from stream.log import open_log
from stream.sensor import probe_sensor
from stream.settings import LogSettings
from stream.site import Name, Sensor
from tests.acceptance.command import minewatch
from tests.conftest import do_without
from tests.integration.test_sensors import Sensing
from tests.servers.certificates import Certificates, certificates
from tests.servers.kafka import PASSWORD, PLAIN_USER, SCRAM_USER
from tests.servers.mosquitto import USER, Mosquitto
from tests.servers.postgres import GUARDED, Postgres
from tests.servers.server import ServerUnavailableError


@pytest.fixture(scope="module")
def made() -> Certificates:
    try:
        return certificates()
    except ServerUnavailableError as error:
        do_without(error)


def one_line(error: MinewatchError) -> str:
    text = str(error)
    assert "\n" not in text
    assert PASSWORD not in text
    assert "hunter2" not in text
    return text


@pytest.fixture
def log_settings(kafka_broker: LocalBroker, made: Certificates, tmp_path: Path) -> Any:
    def settings(protocol: str, **more: Any) -> LogSettings:
        url = f"kafka://127.0.0.1:{kafka_broker.ports[protocol]}"
        return LogSettings(**({"url": url, "prefix": f"tls-{tmp_path.name}", "tls": True, "ca": made.ca} | more))

    return settings


def round_trip(settings: LogSettings) -> None:
    log = open_log(settings)
    try:
        log.append("risks", "pit/one", b"risk")
        log.append("frames", "pit/one", b"frame")
        consumer = log.subscribe("one", ["risks", "frames"])
        found: set[bytes] = set()
        for _ in range(100):
            found |= {record.value for record in consumer.poll(10, 0.2)}
            if len(found) == 2:
                break
        consumer.close()
        assert found == {b"risk", b"frame"}
        assert log.lag("one", "risks") == 1
    finally:
        log.close()


@pytest.mark.parametrize(
    ("user", "mechanism"), [(SCRAM_USER, "SCRAM-SHA-512"), (SCRAM_USER, "SCRAM-SHA-256"), (PLAIN_USER, "PLAIN")]
)
def test_kafka_with_user_and_password(log_settings: Any, user: str, mechanism: str) -> None:
    round_trip(log_settings("SASL_SSL", user=user, password=PASSWORD, mechanism=mechanism))


def test_kafka_with_a_client_certificate(log_settings: Any, made: Certificates) -> None:
    round_trip(log_settings("SSL", certificate=made.certificate("client"), key=made.key("client")))


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_kafka_refuses_a_wrong_password(log_settings: Any, mechanism: str) -> None:
    with pytest.raises(ConfigurationError, match=r"refuses our credentials.*log\.password") as refused:
        open_log(log_settings("SASL_SSL", user=SCRAM_USER, password="hunter2", mechanism=mechanism))
    one_line(refused.value)


def test_kafka_is_not_trusted_or_does_not_trust_us(log_settings: Any, made: Certificates) -> None:
    with pytest.raises(ConfigurationError, match=r"certificate is not accepted.*log\.ca") as refused:
        open_log(log_settings("SASL_SSL", ca=made.stranger, user=SCRAM_USER, password=PASSWORD))
    one_line(refused.value)
    with pytest.raises(ConfigurationError, match=r"asks for a certificate.*log\.certificate"):
        open_log(log_settings("SSL"))
    with pytest.raises(ConfigurationError, match="speaks no TLS"):
        open_log(log_settings("PLAINTEXT"))
    with pytest.raises(LogError, match="can be reached"):
        open_log(log_settings("SSL", url="kafka://127.0.0.1:1"))


def ch4(url: str) -> Sensor:
    return Sensor(id="ch4", name=Name(en="Methane"), url=url, place="heading", quantity="methane", unit="%")


@pytest.fixture
def mqtt_url(mosquitto_server: Mosquitto, tmp_path: Path) -> str:
    return f"mqtts://127.0.0.1:{mosquitto_server.tls_port}/tls/{tmp_path.name}"


@pytest.fixture
def sensing(tmp_path: Path, mqtt_url: str) -> Iterator[Sensing]:
    made = Sensing(tmp_path, (ch4(mqtt_url),))
    yield made
    made.close()


def configured(folder: Path, text: str, **variables: str) -> Any:
    (folder / "minewatch.toml").write_text(f'mine = "pit"\n{text}')
    return load(folder / "minewatch.toml", variables, folder / "data")


def test_mqtt_with_tls_user_and_password_from_a_file(
    mosquitto_server: Mosquitto, sensing: Sensing, mqtt_url: str, made: Certificates, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(PASSWORD + "\n")
    settings = configured(tmp_path, f'[mqtt]\nuser = "{USER}"\npassword_file = "secret"\nca = "{made.ca}"\n')
    probe_sensor(ch4(mqtt_url), settings.mqtt)
    sensing.access = settings.mqtt
    sensing.start()
    given = (("127.0.0.1", mosquitto_server.tls_port), {"username": USER, "password": PASSWORD})

    def arrived() -> bool:
        publish.single(
            mqtt_url.partition(f":{given[0][1]}/")[2], "0.4", qos=1, hostname=given[0][0], port=given[0][1],
            auth=given[1], tls={"ca_certs": str(made.ca)},
        )  # fmt: skip
        sensing.poll()
        return bool(sensing.readings("ch4"))

    sensing.until(arrived)
    assert sensing.readings("ch4")[0].value == 0.4


def test_mqtt_refuses_and_is_refused(mqtt_url: str, made: Certificates, tmp_path: Path) -> None:
    wrong = configured(
        tmp_path, f'[mqtt]\nuser = "{USER}"\nca = "{made.ca}"\n', MINEWATCH_MQTT__PASSWORD="hunter2"
    ).mqtt
    with pytest.raises(SourceError, match=r"refuses the connection.*mqtt\.password") as refused:
        probe_sensor(ch4(mqtt_url), wrong)
    one_line(refused.value)
    in_the_url = ch4(mqtt_url.replace("://", f"://{USER}:correct%2Dhorse@"))
    probe_sensor(in_the_url, wrong)
    with pytest.raises(SourceError, match=r"certificate is not accepted.*mqtt\.ca") as refused:
        probe_sensor(in_the_url, wrong.model_copy(update={"ca": made.stranger}))
    one_line(refused.value)


def test_postgresql_with_tls_and_password(postgres_server: Postgres, made: Certificates, tmp_path: Path) -> None:
    text = f'[database]\nurl = "{postgres_server.guarded_database()}"\nuser = "{GUARDED}"\nca = "{made.ca}"\n'
    settings = configured(tmp_path, text, MINEWATCH_DATABASE__PASSWORD=PASSWORD)
    assert PASSWORD not in repr(settings)
    installation = open_installation(settings, tmp_path / "data", "site")
    with installation.engine.connect() as connection:
        spoken = connection.exec_driver_sql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").scalar_one()
    assert spoken is True
    copy_to(installation.engine, tmp_path / "copy")  # pg_dump goes the same way
    installation.engine.dispose()


def test_postgresql_refuses_and_is_refused(postgres_server: Postgres, made: Certificates, tmp_path: Path) -> None:
    url = postgres_server.guarded_database()
    text = f'[database]\nurl = "{url}"\nuser = "{GUARDED}"\n'
    secret = {"MINEWATCH_DATABASE__PASSWORD": PASSWORD}
    config = tmp_path / "minewatch.toml"
    config.write_text(f'mine = "pit"\n{text}ca = "{made.ca}"\n')
    answer = minewatch(
        "run", "--only", "limits", "--config", config, "--data", tmp_path / "cli",
        variables={"MINEWATCH_DATABASE__PASSWORD": "hunter2"},
    )  # fmt: skip
    assert answer.code == 2
    assert "authentication failed" in answer.line
    assert "Check database.user and database.password." in answer.line
    assert "hunter2" not in answer.err
    for more, words in (
        (f'ca = "{made.stranger}"\n', "certificate verify failed"),
        ('sslmode = "disable"\n', "rejects connection"),
    ):
        with pytest.raises(DatabaseError, match=words) as refused:
            open_installation(configured(tmp_path, text + more, **secret), tmp_path / "data", "site")
        assert "database.sslmode" in one_line(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[log]\npassword = "hunter2"\n', "log: a password without a user"),
        ('[log]\nuser = "a"\npassword = "hunter2"\npassword_file = "b"\n', "two passwords"),
        ('[log]\nuser = "a"\nmechanism = "PLAIN"\n', "sends the password as it is"),
        ('[log]\nca = "ca.pem"\n', "set tls as well"),
        ('[log]\ntls = true\nca = "nowhere.pem"\n', r"log\.ca names .*nowhere\.pem.*No such file"),
        ('[mqtt]\nca = "minewatch.toml"\n', r"mqtt\.ca names .*cannot be used"),
        ('[mqtt]\ncertificate = "a.pem"\n', "certificate and key go together"),
        ('[mqtt]\nuser = "a"\npassword_file = "nowhere"\n', r"mqtt\.password_file names .*No such file"),
        ('[mqtt]\nuser = "a"\npassword_file = "minewatch.toml"\n', "holds no single line"),
        ('[database]\nuser = "a"\n', "are for PostgreSQL"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_starts(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as refused:
        configured(tmp_path, text)
    one_line(refused.value)


def test_a_key_that_fits_no_certificate_is_refused(made: Certificates, tmp_path: Path) -> None:
    key, certificate = made.key("server"), made.certificate("client")
    text = f'[log]\ntls = true\ncertificate = "{certificate}"\nkey = "{key}"\n'
    with pytest.raises(ConfigurationError, match=r"log\.certificate .* cannot be used"):
        configured(tmp_path, text)
