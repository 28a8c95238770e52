"""Settings of the stream package: frozen once read, each with a title and a description."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """One section of the configuration: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LogSettings(Section):
    """Where the log is and how much it keeps."""

    url: str = Field("embedded:", title="Log", description="'embedded:' or 'kafka://host:port[,host:port]'.")
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
    frames_bytes: int = Field(
        2 * 1024**3,
        ge=16 * 1024**2,
        title="Frame ring",
        description="Bytes of frames that the embedded log keeps before the oldest go.",
    )
    retention_hours: float = Field(
        7 * 24, gt=0, title="Retention", description="Hours for which risks, readings and dead letters stay on the log."
    )


class DatabaseSettings(Section):
    """Where the tables are."""

    url: str = Field("", title="Database", description="An SQLAlchemy URL; empty: SQLite in the data folder.")


class EvidenceSettings(Section):
    """Where evidence is kept."""

    url: str = Field(
        "",
        title="Evidence store",
        description="A folder as file:///path that all hosts share; empty: in the data folder.",
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
    evidence: EvidenceSettings = EvidenceSettings()
    capture: CaptureSettings = CaptureSettings()
