"""Structured logs on stderr: readable on a terminal, JSON everywhere else; stdout belongs to results."""

import logging
import sys

import structlog
from structlog.typing import EventDict


def set_up(level: str = "warning", stage: str = "") -> None:
    """Send every log line to stderr from ``level`` (debug, info, warning, error) on; each says of which stage it is."""
    terminal = sys.stderr.isatty()

    def signed(_logger: object, _method: str, event: EventDict) -> EventDict:
        # Not by context variables, which a stage's own threads would not have.
        if stage:
            event.setdefault("stage", stage)
        return event

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            signed,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        # Each line in one write: several processes share the stream.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(stream=sys.stderr, level=level.upper(), force=True)
