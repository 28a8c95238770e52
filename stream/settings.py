"""Settings of the stream package: frozen once read, each with a title and a description."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class Section(BaseModel):
    """One section of the configuration: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Access(Section):
    """Credentials and certificates for one kind of server. No password is ever part of a text."""

    user: str = Field("", title="User", description="The name to sign in with; empty: nobody signs in.")
    password: SecretStr = Field(
        SecretStr(""),
        title="Password",
        description="The password of that user; better from a variable or password_file than in a file that is copied.",
    )
    password_file: Path | None = Field(
        None, title="Password file", description="A file that holds the password and nothing else."
    )
    ca: Path | None = Field(
        None,
        title="Certificate authority",
        description="A PEM file with the certificates that vouch for the server; unset: those that this machine trusts.",
    )
    certificate: Path | None = Field(
        None, title="Our certificate", description="A PEM file, for servers that ask who is there by certificate."
    )
    key: Path | None = Field(
        None, title="Our key", description="The PEM file with the key of that certificate, without a password."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together: set both or neither")
        if self.password_file is not None and self.password.get_secret_value():
            raise ValueError("password and password_file are two passwords: set one of them")
        if not self.user and (self.password_file is not None or self.password.get_secret_value()):
            raise ValueError("a password without a user opens nothing: set user as well")
        return self


class LogSettings(Access):
    """Where the log is and how much it keeps."""

    url: str = Field("embedded:", title="Log", description="'embedded:' or 'kafka://host:port[,host:port]'.")
    tls: bool = Field(
        False,
        title="TLS",
        description="Speak TLS with Kafka; 'ca', 'certificate' and 'key' say how we trust each other.",
    )
    mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = Field(
        "SCRAM-SHA-512", title="Sign-in", description="How Kafka takes user and password; PLAIN only with tls."
    )
    folder: Path = Field(
        Path("minewatch-data/log"),
        title="Folder",
        description="Where the embedded log lives; set from the data folder.",
    )
    prefix: str = Field(
        "minewatch", title="Topic prefix", description="Kafka topics are named PREFIX.frames and so on."
    )
    partitions: int = Field(
        4, ge=1, le=256, title="Partitions", description="Partitions of each topic when it is created."
    )
    compression: Literal["none", "gzip"] = Field(
        "none",
        title="Compression",
        description="How Kafka keeps what is no picture in topics that are created; pictures are compressed already.",
    )
    frames_bytes: int = Field(
        2 * 1024**3,
        ge=16 * 1024**2,
        title="Frame ring",
        description="Bytes of frames that the embedded log keeps before the oldest go.",
    )
    retention_hours: float = Field(
        7 * 24, gt=0, title="Retention", description="Hours for which risks, readings and dead letters stay on the log."
    )

    @model_validator(mode="after")
    def _nothing_in_the_clear(self) -> Self:
        if self.user and self.mechanism == "PLAIN" and not self.tls:
            raise ValueError("mechanism PLAIN sends the password as it is: set tls as well, or take SCRAM-SHA-512")
        if not self.tls and (self.ca or self.certificate):
            raise ValueError("ca and certificate say how to speak TLS: set tls as well")
        return self


class DatabaseSettings(Access):
    """Where the tables are."""

    url: str = Field(
        "", repr=False, title="Database", description="An SQLAlchemy URL; empty: SQLite in the data folder."
    )
    sslmode: Literal["", "disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        "",
        title="TLS",
        description="PostgreSQL's own word for how strictly TLS is asked for; empty: verify-full where 'ca' is set, else prefer.",
    )


class MqttSettings(Access):
    """Who we are at MQTT brokers. Credentials in a sensor's own url come before these; mqtts:// asks for TLS."""


class EvidenceSettings(Access):
    """Where evidence is kept; who we are there where it is another host's console that keeps it."""

    url: str = Field(
        "",
        repr=False,
        title="Evidence store",
        description="A folder as file:///path that all hosts share, or https://host:port of the console on the host with the folder; empty: in the data folder.",
    )


class CaptureSettings(Section):
    """How cameras are read."""

    jpeg_quality: int = Field(
        85, ge=30, le=100, title="JPEG quality", description="Quality of frames that are not JPEG already."
    )
    silence_seconds: float = Field(
        20,
        gt=0,
        title="Silence",
        description="Seconds without a frame after which a camera is restarted and reported offline.",
    )
    backpressure_frames: int = Field(
        64, ge=1, title="Back-pressure", description="Unpaced sources wait while more frames than this are unanalysed."
    )


class StreamSettings(Section):
    """Everything that stream/ can be told."""

    log: LogSettings = LogSettings()
    database: DatabaseSettings = DatabaseSettings()
    mqtt: MqttSettings = MqttSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    capture: CaptureSettings = CaptureSettings()
