"""A real MQTT broker: Eclipse Mosquitto."""

import os
import pwd
import shutil
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from stream.child import free_port
from tests.servers.certificates import certificates
from tests.servers.server import Server, ServerUnavailableError

USER, PASSWORD = "mine", "correct-horse"


class Mosquitto(Server):
    """Mosquitto with anonymous access on the loopback address; what it is told to retain is lost with it.

    With ``guarded`` it listens on ``tls_port`` as well: TLS, and USER with PASSWORD.
    """

    name = "Mosquitto"

    def __init__(self, folder: Path, *, guarded: bool = False) -> None:
        program = shutil.which("mosquitto", path="/usr/bin:/usr/sbin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/sbin")
        if program is None:
            raise ServerUnavailableError("Mosquitto is not installed (Debian: mosquitto)")
        super().__init__(folder)
        self._program = program
        self._configuration = self.folder / "mosquitto.conf"
        # Started by root it would take another user, and with that lose the signal that it gets when we die.
        self._configuration.write_text(
            "per_listener_settings true\npersistence false\n"
            f"user {pwd.getpwuid(os.geteuid()).pw_name}\nlistener {self.port} 127.0.0.1\nallow_anonymous true\n"
        )
        self.tls_port = free_port()
        if guarded:
            self._guard()

    def _guard(self) -> None:
        made, passwords = certificates(), self.folder / "passwords"
        passwords.touch(mode=0o600)
        subprocess.run(
            ["mosquitto_passwd", "-b", str(passwords), USER, PASSWORD], check=True, capture_output=True, timeout=30
        )
        with self._configuration.open("a") as file:
            file.write(
                f"listener {self.tls_port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\n"
                f"cafile {made.ca}\ncertfile {made.certificate('server')}\nkeyfile {made.key('server')}\n"
            )

    def command(self) -> Sequence[str]:
        return [self._program, "-c", str(self._configuration)]

    def answers(self) -> bool:
        connected = threading.Event()
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.on_connect = lambda *_: connected.set()
        try:
            client.connect(self.host, self.port)
        except OSError:
            return False
        client.loop_start()
        try:
            return connected.wait(5)
        finally:
            client.disconnect()
            client.loop_stop()
