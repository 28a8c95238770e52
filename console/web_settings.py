"""Settings of the web console: where it listens, how people stay logged in, what it lets in."""

import socket
import ssl
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator, model_validator

from stream.errors import ConfigurationError
from stream.settings import Section

_SHORTEST_TOKEN = 20


class WebSettings(Section):
    """What the console can be told."""

    host: str = Field(
        "127.0.0.1",
        title="Address",
        description="The address to listen on; 0.0.0.0 for every one of this machine (set TLS then).",
    )
    port: int = Field(8350, ge=1, le=65535, title="Port", description="The port to listen on.")
    tls_certificate: Path | None = Field(
        None, title="TLS certificate", description="A PEM file with the certificate and its chain; unset: plain HTTP."
    )
    tls_key: Path | None = Field(
        None, title="TLS key", description="The PEM file with the certificate's private key, without a password."
    )
    language: Literal["zh", "en"] = Field(
        "zh", title="Language", description="What a browser shows before a person has chosen."
    )
    time_zone: str = Field(
        "",
        title="Time zone",
        description="An IANA name such as Asia/Shanghai for times on the screen; empty: this machine's.",
    )
    session_hours: float = Field(
        13, gt=0, le=168, title="Session", description="Hours after login at which everybody logs in again."
    )
    idle_hours: float = Field(
        13, gt=0, le=168, title="Idle session", description="Hours without any request after which a session ends."
    )
    login_attempts: int = Field(
        5,
        ge=1,
        le=100,
        title="Login attempts",
        description="Failed logins of one name within the window before it has to wait.",
    )
    address_attempts: int = Field(
        30,
        ge=1,
        le=10_000,
        title="Login attempts of an address",
        description="Failed logins from one address within the window before it has to wait.",
    )
    login_window_minutes: float = Field(
        10, gt=0, le=1440, title="Login window", description="Minutes over which failed logins are counted."
    )
    upload_bytes: int = Field(
        10 * 1024**2,
        ge=64 * 1024,
        le=100 * 1024**2,
        title="Photo size",
        description="The largest photo that may be sent in, in bytes.",
    )
    code_bytes: int = Field(
        64 * 1024**2,
        ge=64 * 1024,
        le=200 * 1024**2,
        title="Code size",
        description="The largest file of a code that may be imported at the console, in bytes.",
    )

    local_cameras: bool = Field(
        False,
        title="Cameras of this machine",
        description="Whether a camera that is added at the console may stand at this machine's own addresses.",
    )
    evidence_password: SecretStr = Field(
        SecretStr(""),
        title="Evidence password",
        description="What stages of other hosts show to keep their evidence in this host's folder, 20 signs or more (theirs: evidence.password); empty: none may.",
    )

    @field_validator("evidence_password")
    @classmethod
    def _hard_to_guess(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < _SHORTEST_TOKEN:
            raise ValueError(f"a token has {_SHORTEST_TOKEN} signs or more; write a random one, or leave it empty")
        return value

    shelving_minutes: int = Field(
        480,
        ge=5,
        le=1440,
        title="Longest shelving",
        description="Minutes for which an alert may be shelved at most; then it is back in the queue.",
    )
    operators: int = Field(
        1,
        ge=1,
        le=100,
        title="Dispatchers on duty",
        description="How many people share the alarms of a shift; the figures are per person.",
    )
    shift_hours: Literal[6, 8, 12] = Field(12, title="Shift", description="Hours that a shift lasts.")
    first_shift: int = Field(
        8, ge=0, le=23, title="First shift", description="The hour of the day, local time, at which a shift begins."
    )

    test_alarm: bool = Field(
        True,
        title="Test alarm",
        description="Once a shift a test alarm goes from the log to a dispatcher's page and to the webhook, and says so.",
    )

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str) -> str:
        if value:
            try:
                ZoneInfo(value)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError(
                    f"{value!r} is no time zone that this machine knows: write for instance Asia/Shanghai"
                ) from None
        return value

    @model_validator(mode="after")
    def _both_halves(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together: set both or neither")
        return self


def check_port(settings: WebSettings) -> None:
    """Raises ConfigurationError where ``listen`` would; nothing is left open."""
    listen(settings).close()


def listen(settings: WebSettings) -> socket.socket:
    """A listening socket on the console's address.

    Raises ConfigurationError where the port is taken, the address is none of this machine, or the TLS files do not
    fit together.
    """
    _check_tls(settings)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _unusable(settings, error) from error
    try:
        # A server that has just ended must not keep its port from the next one.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(256)
    except OSError as error:
        listener.close()
        raise _unusable(settings, error) from error
    return listener


def _check_tls(settings: WebSettings) -> None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(settings.tls_certificate, settings.tls_key)
    except OSError as error:
        raise ConfigurationError(
            f"The TLS certificate {settings.tls_certificate} with the key {settings.tls_key} cannot be used: {error}. "
            "Set console.tls_certificate and console.tls_key to PEM files that belong together."
        ) from error


def _unusable(settings: WebSettings, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"The console cannot listen on {settings.host}:{settings.port}: {error.strerror or error}. End what uses that port, or set console.port to another one."
    )
