"""Errors of the vision package. Each message is prose: what happened, where, and what to do."""

from stream.errors import ConfigurationError, PoisonError


class WeightsError(ConfigurationError):
    """Detector weights are missing, not the pinned ones, or of unknown classes; nothing of them was run."""


class BackendError(ConfigurationError):
    """The chosen backend cannot run these weights on this machine."""


class PictureError(PoisonError):
    """A picture is no 8-bit colour JPEG of a usable size, or its bytes end early; no detector has seen it."""


class DatasetError(ConfigurationError):
    """A set of labelled pictures cannot be read as it stands."""
