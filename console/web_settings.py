"""Settings of the web console: where it listens, how people stay logged in, what it lets in."""

from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from stream.settings import Section


class WebSettings(Section):
    """What the console can be told."""

    host: str = Field(
        "127.0.0.1",
        title="Address",
        description="The address to listen on; 0.0.0.0 for every one of this machine (set TLS then).",
    )
    port: int = Field(
        8350, ge=0, le=65535, title="Port", description="The port to listen on; 0 takes any that is free."
    )
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
