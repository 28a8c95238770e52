"""Every table of the house, imported so that the migrations see them all."""

from console import accounts, sessions
from disposal import alert, audit, document, notify, policy
from rules import clause, embedding
from stream import checkpoint, health, heartbeat, readings, site

__all__ = [
    "accounts",
    "alert",
    "audit",
    "checkpoint",
    "clause",
    "document",
    "embedding",
    "health",
    "heartbeat",
    "notify",
    "policy",
    "readings",
    "sessions",
    "site",
]
