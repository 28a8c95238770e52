"""A real MQTT broker: Eclipse Mosquitto."""

import os
import pwd
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.servers.server import Server, ServerUnavailableError


class Mosquitto(Server):
    """Mosquitto with anonymous access on the loopback address; what it is told to retain is lost with it."""

    name = "Mosquitto"

    def __init__(self, folder: Path) -> None:
        program = shutil.which("mosquitto", path="/usr/bin:/usr/sbin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/sbin")
        if program is None:
            raise ServerUnavailableError("Mosquitto is not installed (Debian: mosquitto)")
        super().__init__(folder)
        self._program = program
        self._configuration = self.folder / "mosquitto.conf"
        # Started by root it would take another user, and with that lose the signal that it gets when we die.
        self._configuration.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser {pwd.getpwuid(os.geteuid()).pw_name}\n"
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
