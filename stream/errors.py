"""Errors of the stream package. Each message is prose: what happened, where, and what to do."""


class MinewatchError(Exception):
    """Root of every error that Minewatch raises on purpose; its text is meant for a person."""


class ConfigurationError(MinewatchError):
    """Something that a person wrote down cannot be used as it stands; nothing was started or written."""


class UnknownMessageError(MinewatchError):
    """Bytes on the log are no message of a version that this release reads; they belong in the dead letters."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"A message on the log cannot be read: {reason}. It goes to the dead letters; if it came from a newer release, upgrade this stage."
        )


class PoisonError(MinewatchError):
    """One input cannot be handled and never will be; it belongs in the dead letters, and the rest flows on."""


class SourceError(MinewatchError):
    """A camera or sensor source cannot be opened or gives nothing usable."""


class LogError(MinewatchError):
    """The log cannot be opened, written or read."""


class LogFencedError(LogError):
    """This consumer lost its partitions to another one; what it was about to commit must not be committed."""


class EvidenceError(MinewatchError):
    """A piece of evidence cannot be stored, or what is stored is not what was put there."""


class DatabaseError(MinewatchError):
    """The database cannot be opened, or its schema is not the one that this release works with."""


class OlderSchemaError(DatabaseError):
    """The database is of an older release: a migration brings it to this one's schema."""


class BackupError(MinewatchError):
    """A backup cannot be made or restored; nothing half done is left behind."""


class BrokerError(MinewatchError):
    """The Kafka that tests and benchmarks run on this machine cannot be started."""
